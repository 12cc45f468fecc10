// SPDX-License-Identifier: Apache-2.0
// Group 10: torchdiffeq's solvers on five problems: values at the output times, numbers of evaluations.
#include "support/golden_registry.hpp"

#if (FATHOM_GOLDEN_BACKENDS) & FATHOM_GOLDEN_REFERENCE_DOUBLE

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "golden/cases/solver_problems.hpp"

namespace golden_solvers {
namespace {

using namespace fathom;
using peer = ode::torchdiffeq_semantics;
using state = std::vector<double>;
using solution = ode::solution<state>;

/// False for a method that is not known here.
bool solve(const golden::solver_problem& f, const golden::solver_request& r, solution& out, double& tolerance) {
  tolerance = 1e-12;
  const auto fixed = [&](const auto& solver) {
    out = peer::solve_fixed(f, f.y0, f.times, solver, r.step(), r.between());
  };
  if (r.with_fixed(fixed)) return true;
  if (r.method == "implicit_adams") {
    if (r.number("max_order", 12) == 5)
      fixed(peer::implicit_adams<5>{r.rtol, r.atol});
    else
      fixed(peer::implicit_adams<>{r.rtol, r.atol});
    return true;
  }
  // The peer solves the stage equations to a residual of 1e-8 only.
  tolerance = 1e-7;
  if (r.with_implicit(fixed)) return true;
  // The first steps of dopri8 are so short that its error estimate is rounding, summed there in another order: the
  // steps that follow differ by parts in ten thousand, and the quartic between them shows it: by 4e-8 or 6e-8, as the
  // compiler fuses products and sums.
  tolerance = r.method == "dopri8" ? 1e-7 : 1e-11;
  return r.with_adaptive([&](const auto& solver) {
    ode::options<state> option;
    if (r.options.contains("step_t")) option.step_times = r.options.at("step_t").get<std::vector<double>>();
    if (r.options.contains("jump_t")) option.jump_times = r.options.at("jump_t").get<std::vector<double>>();
    out = peer::solve(f, f.y0, f.times, solver, r.control(), option);
  });
}

template <class Run>
void compare(Run& run, const std::string& key, const golden::solver_request& r, const solution& got, double tolerance) {
  const auto want = run.host("out." + key).data;
  const std::size_t n = got.y1.size();
  double largest = 0, worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double w = want[i];
    largest = std::max(largest, std::abs(w));
    worst = std::max(
        worst, i / n < got.values.size() ? std::abs(got.values[i / n][i % n] - w) / std::max(1.0, std::abs(w)) : 1.0);
  }
  // At order 11 the explicit method is unstable here: rounding grows with the values.
  if (r.method == "explicit_adams" && largest > 100) tolerance = 1e-9;
  if (!(worst <= tolerance)) run.fail("out." + key, detail::concat("off by ", worst, ", allowed ", tolerance));
  const auto count = [&](bool right) {
    if (!right) run.fail(key, detail::concat(got.stats.evaluations, " evaluations, expected ", r.evaluations));
  };
  // Implicit methods count Newton's evaluations another way. The peer evaluates the slope at the end anew for every
  // value of the cubic interpolant; here the next step has it.
  if (got.stats.newton_iterations > 0) return;
  if (r.options.value("interp", std::string()) == "cubic")
    count(got.stats.evaluations <= r.evaluations);
  else
    count(got.stats.evaluations == r.evaluations);
}

/// From the last output time to the first.
template <class Run>
void backwards(Run& run, golden::solver_problem problem) {
  std::reverse(problem.times.begin(), problem.times.end());
  const auto check = [&](const std::string& key, const solution& got) {
    if (!run.has(key)) return;
    state flat;
    for (const auto& y : got.values) flat.insert(flat.end(), y.begin(), y.end());
    const double error = golden::relative_difference(flat, run.host(key).data);
    if (!(error <= 1e-11)) run.fail(key, detail::concat("off by ", error, ", allowed ", 1e-11));
  };
  check("out.reverse_rk4", peer::solve_fixed(problem, problem.y0, problem.times, peer::rk4{}, 0.05));
  check("out.reverse_dopri5",
        peer::solve(problem, problem.y0, problem.times, peer::dopri5{}, peer::control(1e-7, 1e-9)));
}

const golden::covers_on_host solves("10_solvers", [](auto& run) {
  const golden::solver_problem problem(run);
  run.ignore_all("grad.");
  run.ignore_all("ct.");
  run.ignore("out.reference");  // the peer's own, with a tight tolerance
  backwards(run, problem);
  int compared = 0;
  const auto list = run.metadata("solves");
  for (const auto& [key, entry] : list.items()) {
    if (!run.has("out." + key)) continue;
    // The peer's two-stage Gauss method takes both slopes at the first collocation time; ours does not.
    using kind = golden::solver_problem::kind;
    const bool faulty = key == "gl4" && (problem.which == kind::forced || problem.which == kind::mlp);
    const golden::solver_request r(entry);
    solution got{problem.y0};
    double tolerance = 0;
    if (faulty || !solve(problem, r, got, tolerance)) {
      run.ignore("out." + key);
      continue;
    }
    ++compared;
    compare(run, key, r, got, tolerance);
  }
  if (compared < 20) run.fail("solves", detail::concat("only ", compared, " were compared"));
});

}  // namespace
}  // namespace golden_solvers

#endif
