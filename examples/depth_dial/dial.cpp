// SPDX-License-Identifier: Apache-2.0
#include "dial.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <fathom/core/memory.hpp>
#include <fathom/model/solver_choice.hpp>
#include <fathom/ode/ode.hpp>
#include <fathom/op/reduction.hpp>

#include "common/solvers.hpp"

namespace ode = fathom::ode;

double leaf_values::largest() const { return std::max({m, z, first_row}); }

namespace {

template <int R>
double norm(const fathom::tensor<dial_backend, R>& x) {
  return std::sqrt(static_cast<double>(item(sum(square(x)))));
}

/// |a - b| / |b - y0| leaf by leaf.
leaf_values relative(const dial_state& a, const dial_state& b, const dial_state& y0) {
  const auto first = [](const dial_state& y) { return contiguous(slice(y.m, 0, 0, 1)); };
  return {norm(a.m - b.m) / norm(b.m - y0.m), norm(a.z - b.z) / norm(b.z - y0.z),
          norm(first(a) - first(b)) / norm(first(b) - first(y0))};
}

dial_state run(const dial_problem& problem, const fathom::solver_choice& solver, const fathom::control_choice& control,
               ode::statistics& stats) {
  auto solution = fathom::solve(problem.field, problem.y0, problem.span, solver, control);
  stats = solution.stats;
  return std::move(solution.y1);
}

template <class Solve>
dial_point measure(const dial_problem& problem, const dial_reference& reference, std::string solver,
                   std::string setting, const Solve& solve) {
  dial_point point;
  point.solver = std::move(solver);
  point.setting = std::move(setting);
  problem.y0.m.backend().release_memory();
  const auto before = fathom::memory_counter::current();
  fathom::memory_counter::reset_peak();
  try {
    ode::statistics stats;
    const auto y = solve(stats);
    point.bytes = fathom::memory_counter::peak() - before;
    point.evaluations = stats.evaluations;
    point.accepted = stats.accepted;
    point.rejected = stats.rejected;
    point.seconds = stats.seconds;
    point.error = relative(y, reference.y, problem.y0);
  } catch (const fathom::numerical_error& problem_found) {
    point.failure = problem_found.what();
  }
  return point;
}

std::string printed(const char* format, double x) {
  char text[32];
  std::snprintf(text, sizeof text, format, x);
  return text;
}

}  // namespace

dial_reference solve_reference(const dial_problem& problem, long steps) {
  ode::statistics stats;
  const auto coarse = run(problem, ode::rk4{}, ode::fixed_steps{std::max(1L, steps / 2)}, stats);
  dial_reference reference{run(problem, ode::rk4{}, ode::fixed_steps{steps}, stats), steps, {}};
  reference.uncertainty = relative(coarse, reference.y, problem.y0);
  return reference;
}

std::vector<dial_point> turn_dial(const dial_problem& problem, const dial_reference& reference,
                                  const std::function<void(const dial_point&)>& tell) {
  std::vector<dial_point> points;
  const auto keep = [&](dial_point point) {
    tell(point);
    points.push_back(std::move(point));
  };
  const auto choose = [&](const std::string& name, const fathom::control_choice& control, const std::string& setting) {
    keep(measure(problem, reference, name, setting,
                 [&](ode::statistics& stats) { return run(problem, fathom::solver_named(name), control, stats); }));
  };
  const auto steps = [](long n) { return std::to_string(n) + (n == 1 ? " step" : " steps"); };
  for (const auto& [name, most] : {std::pair{"euler", 32L}, {"heun", 16L}, {"rk4", 8L}})
    for (long n = 1; n <= most; n *= 2) choose(name, ode::fixed_steps{n}, steps(n));
  // One evaluation per step, the field's history in place of stages.
  for (const long n : {4L, 8L, 16L, 32L})
    keep(measure(problem, reference, "adams_bashforth2", steps(n), [&](ode::statistics& stats) {
      auto solution =
          ode::solve(problem.field, problem.y0, problem.span, ode::adams_bashforth<2>{}, ode::fixed_steps{n});
      stats = solution.stats;
      return std::move(solution.y1);
    }));
  for (const char* name : {"bosh3", "dopri5"})
    for (const double rtol : {1e-1, 1e-2, 1e-3, 1e-4})
      choose(name, ode::pid{.rtol = rtol, .atol = rtol / 10}, "rtol " + printed("%.0e", rtol));
  return points;
}

leaf_values swap_score(const dial_problem& problem, const std::string& solver, long steps) {
  ode::statistics stats;
  const auto method = fathom::solver_named(solver);
  const auto coarse = run(problem, method, ode::fixed_steps{steps}, stats);
  return relative(coarse, run(problem, method, ode::fixed_steps{8 * steps}, stats), problem.y0);
}
