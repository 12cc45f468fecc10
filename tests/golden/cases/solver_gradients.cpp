// SPDX-License-Identifier: Apache-2.0
// Group 10: gradients through torchdiffeq's solvers. Its backpropagation against recorded steps, its odeint_adjoint
// against the continuous adjoint, its odeint_event against every policy.
#include "support/golden_registry.hpp"

#if (FATHOM_GOLDEN_BACKENDS) & FATHOM_GOLDEN_REFERENCE_DOUBLE

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "golden/cases/solver_problems.hpp"

namespace golden_solver_gradients {
namespace {

using namespace fathom;
using peer = ode::torchdiffeq_semantics;
using state = std::vector<double>;

struct gradients {
  state y0, parameters;
};

template <class Run>
struct solver_gradients {
  Run& run;
  golden::solver_problem problem;
  std::vector<state> cotangents;

  explicit solver_gradients(Run& r) : run(r), problem(r) {
    const auto ct = run.host("ct.y").data;
    const std::size_t n = problem.y0.size();
    for (std::size_t i = 0; i < problem.times.size(); ++i)
      cotangents.emplace_back(ct.begin() + static_cast<std::ptrdiff_t>(i * n),
                              ct.begin() + static_cast<std::ptrdiff_t>((i + 1) * n));
  }

  void compare(const std::string& prefix, const gradients& got, double tolerance) const {
    const auto check = [&](const std::string& key, const state& values, std::size_t at) {
      const double error = golden::relative_difference(values, run.host(key).data, at);
      if (!(error <= tolerance)) run.fail(key, detail::concat("off by ", error, ", allowed ", tolerance));
    };
    check(prefix + "y0", got.y0, 0);
    for (std::size_t n = 0; n < problem.parts.size(); ++n)
      check(prefix + problem.parts[n], got.parameters, problem.from[n]);
  }

  /// Through steps of fixed length and the linear interpolation between them.
  template <class Solver>
  gradients recorded(const Solver& solver, const golden::solver_request& r) const {
    ode::options<state> option{.save_at = problem.times};
    option.interpolation = r.between();
    const auto pullback =
        ode::solve_with_gradient(problem, problem.y0, {problem.times.front(), problem.times.back()}, solver,
                                 ode::fixed_grid{peer::grid(problem.times, r.step())}, ode::direct{}, option)
            .second;
    const auto g = pullback(state(problem.y0.size(), 0.0), cotangents);
    return {g.y0, g.parameters.values};
  }

  template <class Solver, class ControlOf>
  void adjoint(const std::string& prefix, const Solver& solver, const std::vector<state>& values,
               const ControlOf& control_of, bool overshoot, long evaluations, double tolerance) const {
    const auto g =
        ode::detail::solve_intervals_backwards(problem, problem.times, values, cotangents, solver, control_of,
                                               ode::backsolve{.overshoot = overshoot, .time_in_norm = true});
    compare(prefix, {g.y0, g.parameters.values}, tolerance);
    const long got = g.stats.vjp_evaluations;
    if (evaluations > 0 && got != evaluations)
      run.fail(prefix, detail::concat(got, " evaluations, expected ", evaluations));
  }

  /// Through adaptive steps, whose lengths the peer holds, all but the first one: that is a differentiable function of
  /// everything (see moved_by_first_step).
  template <class Solver>
  gradients recorded_adaptive(const Solver& solver, const golden::solver_request& r) const {
    using parameters = golden::solver_problem::gradient_type;
    using tape_type = ode::detail::tape<state, parameters>;
    using taped = ode::detail::taped<state, parameters>;
    tape_type on(false);
    const ode::detail::taped_field<golden::solver_problem, state> field{&problem, &on};
    const auto s = peer::solve(field, taped{problem.y0, 0, &on}, problem.times, solver, r.control());
    std::vector<std::pair<std::int64_t, const state*>> seeds;
    for (std::size_t n = 0; n < s.values.size(); ++n) seeds.emplace_back(s.values[n].place, &cotangents[n]);
    gradients g;
    auto sum = problem.zero_gradient();
    std::vector<ode::detail::step_cotangent> steps;
    ode::statistics stats;
    g.y0 = on.backward(seeds, problem.y0, sum, steps, true, stats);
    g.parameters = sum.values;
    moved_by_first_step(solver, r, g);
    return g;
  }

  /// Adds d<ct, y>/dh dh/d(y0, parameters), h the first step, both by differences of fourth order; nothing where the
  /// first trial was rejected.
  template <class Solver>
  void moved_by_first_step(const Solver& solver, const golden::solver_request& r, gradients& g) const {
    struct first {
      double h;
      bool accepted;
    };
    const auto chosen = [&](const golden::solver_problem& p) {
      ode::options<state> option;
      option.record_steps = true;
      const auto s = peer::solve(p, p.y0, p.times, solver, r.control(), option);
      long rejected = 0;
      option.observer = [&](const ode::step_view<state>& v) {
        rejected = v.stats.rejected;
        return false;
      };
      peer::solve(p, p.y0, p.times, solver, r.control(), option);
      return std::pair(s.steps, first{s.steps.front().dt, rejected == 0});
    };
    const auto choice = chosen(problem);
    const auto& steps = choice.first;
    const auto& start = choice.second;
    if (!start.accepted) return;
    const auto loss = [&](double by) {
      std::vector<double> grid{problem.times.front()};
      for (const auto& step : steps) grid.push_back(step.t1 + by);
      const auto s = ode::solve(problem, problem.y0, {grid.front(), grid.back()}, solver, ode::fixed_grid{grid},
                                ode::options<state>{.save_at = problem.times});
      double sum = 0;
      for (std::size_t n = 0; n < cotangents.size(); ++n)
        for (std::size_t i = 0; i < problem.y0.size(); ++i) sum += cotangents[n][i] * s.values[n][i];
      return sum;
    };
    const auto slope = [](const auto& f, double e) { return (8 * (f(e) - f(-e)) - (f(2 * e) - f(-2 * e))) / (12 * e); };
    // The grid's last point lies past the last output time by less than a step.
    const double room = steps.back().t1 - problem.times.back();
    const double of_h = slope(loss, std::min(1e-2 * start.h, room > 0 ? 0.4 * room : 1.0));
    const auto h_of = [&](auto member, std::size_t n, double by) {
      auto p = problem;
      (p.*member)[n] += by;
      return chosen(p).second.h;
    };
    for (std::size_t n = 0; n < g.y0.size(); ++n)
      g.y0[n] += of_h * slope([&](double by) { return h_of(&golden::solver_problem::y0, n, by); }, 1e-4);
    for (std::size_t n = 0; n < g.parameters.size(); ++n)
      g.parameters[n] += of_h * slope([&](double by) { return h_of(&golden::solver_problem::p, n, by); }, 1e-4);
  }

  void operator()() {
    int compared = 0;
    const auto list = run.metadata("solves");
    for (const auto& [name, entry] : list.items()) {
      const std::string backprop = "grad." + name + ".backprop.", adjoint_of = "grad." + name + ".adjoint.";
      if (!run.has(backprop + "y0")) continue;
      const golden::solver_request r(entry);
      ++compared;
      // Where rounding makes the peer's grid end twice, its last step has no length: it is evaluated, and changes
      // nothing.
      bool twice = false;
      const auto grid_of = [&](std::size_t n) {
        auto points = peer::grid({problem.times[n], problem.times[n - 1]}, r.step());
        if (points[points.size() - 2] == points.back()) {
          points.pop_back();
          twice = true;
        }
        return ode::fixed_grid{points};
      };
      for (std::size_t n = 1; n < problem.times.size(); ++n) grid_of(n);
      const auto fixed_adjoint = [&](const auto& solver, double tolerance, long evaluations) {
        const auto s = peer::solve_fixed(problem, problem.y0, problem.times, solver, r.step());
        adjoint(adjoint_of, solver, s.values, grid_of, false, evaluations, tolerance);
      };
      if (r.with_fixed([&](const auto& solver) {
            // Where the method is unstable, rounding grows with the values.
            const double tolerance = r.method == "explicit_adams" ? 1e-8 : 1e-11;
            compare(backprop, recorded(solver, r), tolerance);
            fixed_adjoint(solver, tolerance, twice ? 0 : r.adjoint_evaluations);
          }))
        continue;
      if (r.with_adaptive([&](const auto& solver) {
            compare(backprop, recorded_adaptive(solver, r), r.method == "dopri8" ? 1e-5 : 1e-7);
            const auto s = peer::solve(problem, problem.y0, problem.times, solver, r.control());
            const bool eighth = r.method == "dopri8";
            adjoint(
                adjoint_of, solver, s.values, [&](std::size_t) { return r.control(); }, true,
                eighth ? 0 : r.adjoint_evaluations, eighth ? 1e-5 : 1e-9);
          }))
        continue;
      // Newton's iterations have no recorded gradient here; the continuous adjoint by the same method is compared. The
      // peer solves the stage equations to a residual of 1e-8 only.
      run.ignore_all(backprop);
      if (!r.with_implicit([&](const auto& solver) { fixed_adjoint(solver, 1e-6, 0); }))
        run.fail(name, "no such method here");
    }
    if (compared < 10) run.fail("solves", detail::concat("only ", compared, " were compared"));
  }
};

const golden::covers_on_host through_solves("10_solvers", [](auto& run) {
  run.ignore_all("out.");
  solver_gradients<std::remove_reference_t<decltype(run)>> compare(run);
  compare();
});

/// y0' = y1, y1' = mu (1 - y0^2) y1 - y0.
struct van_der_pol {
  using gradient_type = state;
  double mu;
  state zero_gradient() const { return {0}; }
  state operator()(double, const state& y) const { return {y[1], mu * (1 - y[0] * y[0]) * y[1] - y[0]}; }
  ode::field_cotangent<state> vjp(double, const state& y, const state& a, state& gradient) const {
    gradient[0] += (1 - y[0] * y[0]) * y[1] * a[1];
    return {{(-2 * mu * y[0] * y[1] - 1) * a[1], a[0] + mu * (1 - y[0] * y[0]) * a[1]}, 0};
  }
};

const golden::covers_on_host times("10_adjoint_times", [](auto& run) {
  const van_der_pol field{run.host("param.mu").data[0]};
  const auto t = run.host("in.t").data, ct = run.host("ct.y").data;
  std::vector<state> cotangents;
  for (std::size_t n = 0; n < t.size(); ++n) cotangents.push_back({ct[2 * n], ct[2 * n + 1]});
  const auto control = peer::control(1e-8, 1e-10);
  const auto s = peer::solve(field, run.host("in.y0").data, t, peer::dopri5{}, control);
  const auto compare = [&](const std::string& key, const state& got, double tolerance) {
    const double error = golden::relative_difference(got, run.host(key).data);
    if (!(error <= tolerance)) run.fail(key, detail::concat("off by ", error, ", allowed ", tolerance));
  };
  state flat;
  for (const auto& y : s.values) flat.insert(flat.end(), y.begin(), y.end());
  for (const std::string name : {"default", "seminorm"}) {
    const auto g = ode::solve_backwards(field, t, s.values, cotangents, peer::dopri5{}, control,
                                        {.seminorm = name == "seminorm", .times = true, .overshoot = true});
    compare("out." + name + ".y", flat, 1e-11);
    compare("grad." + name + ".y0", g.y0, 1e-9);
    compare("grad." + name + ".mu", g.parameters, 1e-9);
    compare("grad." + name + ".t", g.times, 1e-9);
    const long expected = run.metadata("solves").at(name).at("nfe_backward_only").template get<long>();
    // The peer's seminorm leaves out the time's gradient as well.
    if (name == "default" ? g.stats.vjp_evaluations != expected : g.stats.vjp_evaluations > 1.1 * expected)
      run.fail(name, detail::concat(g.stats.vjp_evaluations, " evaluations, expected ", expected));
    if (!(g.reconstruction_error < 1e-5)) run.fail(name, "the state is not found again");
  }
});

/// (height, velocity)' = (velocity, -gravity).
struct free_fall {
  using gradient_type = state;
  double gravity;
  state zero_gradient() const { return {0}; }
  state operator()(double, const state& y) const { return {y[1], -gravity}; }
  ode::field_cotangent<state> vjp(double, const state&, const state& a, state& gradient) const {
    gradient[0] -= a[1];
    return {{0, a[0]}, 0};
  }
};

const golden::covers_on_host event("10_event", [](auto& run) {
  const free_fall field{run.host("in.grav").data[0]};
  ode::options<state> option;
  option.events.push_back({[](double, const state& y) { return y[0]; }, ode::crossing::falling, true,
                           [](double, const state&) {
                             return ode::event_slope<state>{0, {1, 0}};
                           }});
  const auto compare = [&](const std::string& key, const state& got) {
    const double error = golden::relative_difference(got, run.host(key).data);
    if (!(error <= 1e-7)) run.fail(key, detail::concat("off by ", error, ", allowed ", 1e-7));
  };
  const auto y0 = run.host("in.y0").data, ct = run.host("ct.y").data;
  const double ct_t = run.host("ct.t").data[0];
  const auto check = [&](const auto& solver, const auto& control, double end, const auto& policy) {
    const auto [s, pullback] = ode::solve_with_gradient(field, y0, {0, end}, solver, control, policy, option);
    if (s.status != ode::status::event) return run.fail("event", "was not found");
    compare("out.t_event", {s.t1});
    // Height zero, in units of the velocity.
    compare("out.y_event", {run.host("out.y_event").data[0] + s.y1[0], s.y1[1]});
    const auto g = pullback(ct, {}, ct_t);
    compare("grad.y0", g.y0);
    compare("grad.grav", g.parameters);
  };
  const ode::i control{.rtol = 1e-10, .atol = 1e-12};
  check(ode::dopri5{}, control, 1000, ode::checkpointed{});
  check(ode::dopri5{}, control, 1000, ode::direct{});
  check(ode::dopri5{}, control, 1000, ode::backsolve{});
  check(ode::coupled<ode::rk4>{}, ode::fixed_step{0.05}, 20, ode::reversible{});
});

}  // namespace
}  // namespace golden_solver_gradients

#endif
