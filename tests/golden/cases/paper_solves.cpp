// SPDX-License-Identifier: Apache-2.0
// Group 09: the paper's fields solved by torchdiffeq's methods, end states, values in between, numbers of evaluations,
// gradients through the solver's steps (`backprop`) and by the continuous adjoint (`adjoint`).
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <fathom/ode/backsolve.hpp>
#include <fathom/ode/ode.hpp>

#include "golden/cases/paper_cases.hpp"
#include "golden/cases/paper_first_step.hpp"

namespace {

using namespace fathom;
using peer = ode::torchdiffeq_semantics;

/// One entry of the metadata's list of solves, as a solver.
struct paper_solve {
  std::string method;
  double rtol = 0, atol = 0, step = 0;
  long evaluations = 0;

  explicit paper_solve(const nlohmann::json& entry)
      : method(entry.at("method")),
        rtol(entry.value("rtol", 0.0)),
        atol(entry.value("atol", 0.0)),
        evaluations(entry.contains("nfe_t01") ? entry.at("nfe_t01") : entry.at("nfe")) {
    if (entry.contains("options")) step = entry.at("options").value("step_size", 0.0);
  }
  bool adaptive() const { return method == "dopri5"; }

  ode::i control() const { return peer::control(rtol, atol); }

  template <class Field, class Y>
  ode::solution<Y> operator()(const Field& field, const Y& y0, const std::vector<double>& times,
                              const ode::options<Y>& options = {}) const {
    if (method == "euler") return peer::solve_fixed(field, y0, times, peer::euler{}, step);
    if (method == "midpoint") return peer::solve_fixed(field, y0, times, peer::midpoint{}, step);
    if (method == "rk4") return peer::solve_fixed(field, y0, times, peer::rk4{}, step);
    if (method == "dopri5") return peer::solve(field, y0, times, peer::dopri5{}, control(), options);
    throw error("no solver for '" + method + "'");
  }
};

/// Every solve of the file from y0. `stored` is the precision of the file as a fraction of a tensor's largest value; 0:
/// elements are compared.
template <class Run, class Field>
struct solve_cases {
  using B = typename Run::backend_type;
  Run& run;
  const Field& field;
  const msa_pair<B>& y0;
  double stored;

  void operator()() const {
    const auto solves = run.metadata("solves");
    for (const auto& [name, entry] : solves.items()) {
      const paper_solve solve(entry);
      // A tolerance near float32's rounding makes another sequence of steps there.
      if (solve.adaptive() && !Run::is_double) {
        run.ignore_all("out." + name + ".");
        run.ignore_all(name + ".");
        continue;
      }
      end(name, solve);
      if (run.has("out." + name + ".dense_m")) between(name, solve);
      if (run.has(name + ".backprop.grad.in.m")) backprop(name + ".backprop.grad.", solve);
      if (run.has(name + ".adjoint.grad.in.m"))
        adjoint(name + ".adjoint.grad.", solve, entry.at("nfe_adjoint_backward_only").template get<long>());
    }
  }

 private:
  template <class T>
  void output(const std::string& key, const host_tensor<T>& got) const {
    if (stored > 0) run.limit({0, stored * run.largest("out." + key)});
    run.values("out." + key, got);
  }
  void count(const std::string& name, long got, long expected) const {
    if (got != expected) run.fail(name, detail::concat(got, " evaluations, expected ", expected));
  }
  msa_pair<B> cotangent() const {
    return {from_host<3>(run.backend(), run.host("ct.m")), from_host<3>(run.backend(), run.host("ct.z"))};
  }

  void end(const std::string& name, const paper_solve& solve) const {
    const auto s = solve(field, y0, {0, 1});
    output(name + ".m", to_host(s.values.back().m));
    output(name + ".z", to_host(s.values.back().z));
    count(name, s.stats.evaluations, solve.evaluations);
  }

  void between(const std::string& name, const paper_solve& solve) const {
    const auto s = solve(field, y0, run.metadata("dense_times").template get<std::vector<double>>());
    std::vector<tensor<B, 3>> m, z;
    for (const auto& y : s.values) {
      m.push_back(y.m);
      z.push_back(y.z);
    }
    output(name + ".dense_m", to_host(stack(m, 0)));
    output(name + ".dense_z", to_host(stack(z, 0)));
  }

  void backprop(const std::string& prefix, const paper_solve& solve) const {
    const auto ct = cotangent();
    const auto through = [&](const auto& f, const auto& m, const auto& z) {
      using A = typename std::remove_cvref_t<decltype(m)>::backend_type;
      const auto s = solve(f, msa_pair<A>{m, z}, {0, 1});
      return std::tuple(s.values.back().m, s.values.back().z);
    };
    const auto recorded = vjp(run.backend(), through, field, y0.m, y0.z).second(std::tuple(ct.m, ct.z));
    if (solve.adaptive()) {
      const auto correction = golden::first_step_gradient<peer>(field, y0, ct, solve.control());
      return golden::compare_gradients<B>(
          run, prefix,
          tree::map_zipped([](const auto& a, const auto& b) { return a + b; }, recorded, correction), stored);
    }
    golden::compare_gradients<B>(run, prefix, recorded, stored);
    if (solve.method != "rk4") return;
    // The same gradient from two stored states.
    const auto pullback = ode::solve_with_gradient(ode::differentiable(field), y0, {0, 1}, peer::rk4{},
                                                   ode::fixed_grid{peer::grid({0, 1}, solve.step)},
                                                   ode::checkpointed{.slots = 2})
                              .second;
    const auto g = pullback(ct);
    golden::compare_gradients<B>(run, prefix, std::tuple(g.parameters, g.y0.m, g.y0.z), stored);
  }

  void adjoint(const std::string& prefix, const paper_solve& solve, long evaluations) const {
    const auto s = solve(field, y0, {0, 1});
    const std::vector<msa_pair<B>> cotangents{{zeros_like(y0.m), zeros_like(y0.z)}, cotangent()};
    const auto backwards = [&](const auto& solver, const auto& control) {
      return ode::solve_backwards(ode::differentiable(field), {0, 1}, {y0, s.values.back()}, cotangents, solver, control,
                                  {.overshoot = solve.adaptive()});
    };
    const auto g = solve.adaptive() ? backwards(peer::dopri5{}, solve.control())
                                    : backwards(peer::rk4{}, ode::fixed_grid{peer::grid({1, 0}, solve.step)});
    golden::compare_gradients<B>(run, prefix, std::tuple(g.parameters, g.y0.m, g.y0.z), stored);
    count(prefix, g.stats.vjp_evaluations, evaluations);
  }
};
template <class Run, class Field>
solve_cases(Run&, const Field&, const msa_pair<typename Run::backend_type>&, double) -> solve_cases<Run, Field>;

constexpr unsigned without_thrust = (FATHOM_GOLDEN_BACKENDS) & ~FATHOM_GOLDEN_THRUST_DOUBLE;
const golden::covers_on<without_thrust> solves("09_ode_func_solve", [](auto& run) {
  using B = typename std::remove_cvref_t<decltype(run)>::backend_type;
  const auto field = run.load(evoformer_ode_func<B, golden::paper_test_dims>(run.backend()));
  const msa_pair<B> y0{run.template in<3>("m"), run.template in<3>("z")};
  solve_cases{run, field, y0, 0}();
});

template <class Run>
void trained_solves(Run& run, const msa_pair<typename Run::backend_type>& y0) {
  run.limit_float(1e-4, 1e-3);
  const auto field = golden::trained_field(run.backend());
  solve_cases{run, field, y0, 1e-6}();
}

/// The initial state of 09_paper_solve stands in 09_paper_field_f64 beside it.
struct trained_case {
  template <class Run>
  void operator()(Run& run) const {
    using B = typename Run::backend_type;
    const io::safetensors beside(run.path().parent_path() / "09_paper_field_f64.safetensors");
    trained_solves(run, msa_pair<B>{from_host<3>(run.backend(), beside.get<double>("in.m")),
                                    from_host<3>(run.backend(), beside.get<double>("in.z"))});
  }
};
/// Thousands of adaptive steps: float64 alone.
struct tight_case {
  template <class Run>
  void operator()(Run& run) const {
    using B = typename Run::backend_type;
    trained_solves(run, msa_pair<B>{run.template in<3>("m"), run.template in<3>("z")});
  }
};

// The reference backend and Thrust would take hours for the full model.
constexpr unsigned cpu_double = (FATHOM_GOLDEN_BACKENDS) & FATHOM_GOLDEN_CPU_DOUBLE;
constexpr unsigned cpu_float = (FATHOM_GOLDEN_BACKENDS) & FATHOM_GOLDEN_CPU_FLOAT;
const golden::covers_on<cpu_double | cpu_float> trained("09_paper_solve", trained_case{});
const golden::covers_on<cpu_double> tight("09_paper_solve_tight", tight_case{});

}  // namespace

// The build compiles this file for each backend: the test stands in one of them.
#if (FATHOM_GOLDEN_BACKENDS) & FATHOM_GOLDEN_CPU_DOUBLE
TEST_CASE("golden: the trained field, from the cases that are too large for the repository") {
  const std::string shared = FATHOM_SHARED_DIR;
  if (std::getenv("FATHOM_GOLDENS") != nullptr || shared.empty()) {
    MESSAGE("skipped: FATHOM_GOLDENS names the cases, or there is no ../shared/goldens");
    return;
  }
  for (const char* name : {"09_paper_field_f64", "09_paper_solve", "09_paper_solve_tight"}) {
    const auto path = std::filesystem::path(shared) / "goldens" / (std::string(name) + ".safetensors");
    if (!std::filesystem::exists(path)) continue;
    const golden::case_file file(path);
    const auto problems = golden::registry::find(file.name)->run(file);
    std::string text;
    for (const auto& line : problems) text += "\n    " + line;
    CHECK_MESSAGE(problems.empty(), name, text);
  }
}
#endif
