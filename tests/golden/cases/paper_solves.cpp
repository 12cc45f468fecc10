// SPDX-License-Identifier: Apache-2.0
// Group 09: the paper's fields solved by torchdiffeq's methods, end states, values in between, numbers of evaluations,
// gradients through the solver's steps (`backprop`) and by the continuous adjoint (`adjoint`).
#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <fathom/ode/backsolve.hpp>
#include <fathom/ode/ode.hpp>
#include <fathom/op/random.hpp>
#include <fathom/op/reduction.hpp>

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

/// Every solve of the file from y0.
///
/// The trained field carries rounding far: a relative difference of 1e-14 between two initial states grows to 1e-4 of an
/// adaptive solution, and changes how many steps the tight ones take. What its solves can be held to is therefore measured
/// along, from a second initial state that differs by rounding.
template <class Run, class Field>
struct solve_cases {
  using B = typename Run::backend_type;
  using gradients = std::tuple<Field, tensor<B, 3>, tensor<B, 3>>;
  Run& run;
  const Field& field;
  const msa_pair<B>& y0;
  golden::closeness close;

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
  bool sensitive() const { return close.stored > 0; }
  msa_pair<B> rounded_otherwise() const {
    const auto moved = [](const auto& x, std::uint64_t seed) {
      return x + x * random_normal<3>(x.backend(), x.shape(), seed) * 1e-14;
    };
    return {moved(y0.m, 1), moved(y0.z, 2)};
  }
  template <class T>
  void output(const std::string& key, const host_tensor<T>& got, double rounding = 0) const {
    if (close.stored > 0)
      run.limit({0, std::max(close.stored * run.largest("out." + key), close.rounding * rounding)});
    run.values("out." + key, got);
  }
  void count(const std::string& name, long got, long expected, double tolerance = 0) const {
    if (std::abs(static_cast<double>(got - expected)) > tolerance * static_cast<double>(expected))
      run.fail(name, detail::concat(got, " evaluations, expected ", expected));
  }
  msa_pair<B> cotangent() const {
    return {from_host<3>(run.backend(), run.host("ct.m")), from_host<3>(run.backend(), run.host("ct.z"))};
  }

  void end(const std::string& name, const paper_solve& solve) const {
    const auto s = solve(field, y0, {0, 1});
    const auto m = to_host(s.values.back().m), z = to_host(s.values.back().z);
    double of_m = 0, of_z = 0, of_count = 0;
    if (sensitive()) {
      const auto other = solve(field, rounded_otherwise(), {0, 1});
      of_m = golden::largest_difference(m, to_host(other.values.back().m));
      of_z = golden::largest_difference(z, to_host(other.values.back().z));
      // Where rounding alone changes the steps, their number may differ by a few in a hundred.
      if (other.stats.evaluations != s.stats.evaluations) of_count = 0.05;
    }
    output(name + ".m", m, of_m);
    output(name + ".z", z, of_z);
    count(name, s.stats.evaluations, solve.evaluations, of_count);
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

  /// Through every operation of the solver, as the peer does it.
  gradients recorded(const paper_solve& solve, const msa_pair<B>& start) const {
    const auto ct = cotangent();
    const auto through = [&](const auto& f, const auto& m, const auto& z) {
      using A = typename std::remove_cvref_t<decltype(m)>::backend_type;
      const auto s = solve(f, msa_pair<A>{m, z}, {0, 1});
      return std::tuple(s.values.back().m, s.values.back().z);
    };
    const auto held = vjp(run.backend(), through, field, start.m, start.z).second(std::tuple(ct.m, ct.z));
    if (!solve.adaptive()) return held;
    return tree::map_zipped([](const auto& a, const auto& b) { return a + b; }, held,
                            golden::first_step_gradient<peer>(field, start, ct, solve.control()));
  }

  void backprop(const std::string& prefix, const paper_solve& solve) const {
    const auto got = recorded(solve, y0);
    std::optional<gradients> other;
    if (sensitive()) {
      other = recorded(solve, rounded_otherwise());
      // Gradients that rounding changes by their own size say nothing.
      const auto size = [](const tensor<B, 3>& x) { return std::sqrt(static_cast<double>(item(sum(square(x))))); };
      const double share = size(std::get<1>(got) - std::get<1>(*other)) / size(std::get<1>(got));
      if (share > 0.03) {
        std::printf("  %s %s*: not compared, rounding changes it by %.0f %%\n", run.name().c_str(), prefix.c_str(),
                    100 * share);
        return run.ignore_all(prefix);
      }
    }
    golden::compare_gradients<B>(run, prefix, got, close, other ? &*other : nullptr);
    if (solve.method != "rk4") return;
    // The same gradient from two stored states.
    const auto pullback = ode::solve_with_gradient(ode::differentiable(field), y0, {0, 1}, peer::rk4{},
                                                   ode::fixed_grid{peer::grid({0, 1}, solve.step)},
                                                   ode::checkpointed{.slots = 2})
                              .second;
    const auto g = pullback(cotangent());
    golden::compare_gradients<B>(run, prefix, gradients(g.parameters, g.y0.m, g.y0.z), close, other ? &*other : nullptr);
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
    golden::compare_gradients<B>(run, prefix, gradients(g.parameters, g.y0.m, g.y0.z), close);
    count(prefix, g.stats.vjp_evaluations, evaluations);
  }
};
template <class Run, class Field>
solve_cases(Run&, const Field&, const msa_pair<typename Run::backend_type>&, golden::closeness)
    -> solve_cases<Run, Field>;

constexpr unsigned without_thrust = (FATHOM_GOLDEN_BACKENDS) & ~FATHOM_GOLDEN_THRUST_DOUBLE;
const golden::covers_on<without_thrust> solves("09_ode_func_solve", [](auto& run) {
  using B = typename std::remove_cvref_t<decltype(run)>::backend_type;
  const auto field = run.load(evoformer_ode_func<B, golden::paper_test_dims>(run.backend()));
  const msa_pair<B> y0{run.template in<3>("m"), run.template in<3>("z")};
  solve_cases{run, field, y0, golden::closeness{}}();
});

template <class Run>
void trained_solves(Run& run, const msa_pair<typename Run::backend_type>& y0) {
  const auto field = golden::trained_field(run.backend());
  solve_cases{run, field, y0, golden::closeness{1e-6}}();
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
/// Thousands of adaptive steps.
struct tight_case {
  template <class Run>
  void operator()(Run& run) const {
    using B = typename Run::backend_type;
    trained_solves(run, msa_pair<B>{run.template in<3>("m"), run.template in<3>("z")});
  }
};

// float64 alone: through the trained field's kinks and saturated softmaxes a rounding of float32 changes these solutions
// and their gradients by per cents, differently on every processor. In float32 the cases of the fields compare it. The
// reference backend and Thrust would take hours for the full model.
constexpr unsigned cpu_double = (FATHOM_GOLDEN_BACKENDS) & FATHOM_GOLDEN_CPU_DOUBLE;
const golden::covers_on<cpu_double> trained("09_paper_solve", trained_case{});
const golden::covers_on<cpu_double> tight("09_paper_solve_tight", tight_case{});

}  // namespace

// The build compiles this file for each backend: the test stands in one of them.
#if (FATHOM_GOLDEN_BACKENDS) & FATHOM_GOLDEN_CPU_DOUBLE
TEST_CASE("golden: cases that are too large for the repository") {
  const std::string shared = FATHOM_SHARED_DIR;
  const char* given = std::getenv("FATHOM_GOLDENS");
  if ((given != nullptr && *given != '\0') || shared.empty()) {
    MESSAGE("skipped: FATHOM_GOLDENS names the cases, or there is no ../shared/goldens");
    return;
  }
  for (const char* name : {"08_model_no_templates", "08_model_no_templates_no_padding", "08_model_templates",
                           "08_model_templates_no_padding", "09_paper_field_f64", "09_paper_solve",
                           "09_paper_solve_tight"}) {
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
