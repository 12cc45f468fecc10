// SPDX-License-Identifier: Apache-2.0
// solve(): integrates a field from t0 to t1 with any method and step control.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/ode/control.hpp>
#include <fathom/ode/error_measure.hpp>
#include <fathom/ode/explicit_rk.hpp>
#include <fathom/ode/field.hpp>
#include <fathom/ode/integration.hpp>
#include <fathom/ode/integration_adaptive.hpp>
#include <fathom/ode/options.hpp>
#include <fathom/ode/solution.hpp>

namespace fathom::ode {

/// Solves y' = field(t, y), y(t0) = y0 over [t0, t1] (t1 < t0 goes backwards).
///
///     auto s = ode::solve(field, y0, {0, 1}, ode::dopri5{}, ode::pid{.rtol = 1e-6});
///     auto s = ode::solve(field, y0, {0, 1}, ode::rk4{}, ode::fixed_steps{16}, {.save_at = {0.25, 0.5}});
///
/// Throws solver_error (code, t, dt, leaf, last good state) when it cannot reach t1, or returns the status when
/// options.on_failure says so. Never runs without end: see options.max_evaluations.
template <class Field, class Y, class Solver, class Control>
  requires(fixed_control<Control> || adaptive_control<Control>)
solution<Y> solve(const Field& field, const Y& y0, interval span, const Solver& solver, const Control& control,
                  const options<Y>& option = {}) {
  detail::integration<Field, Y, Solver> run(field, y0, span, solver, option);
  if constexpr (adaptive_control<Control>) {
    static_assert(Solver::error_order > 0,
                  "fathom: this method has no error estimate; give it ode::fixed_steps or ode::fixed_step, or take "
                  "bosh3, tsit5, dopri5, dopri8, adaptive_heun or fehlberg2");
    return run.adaptive(control);
  } else {
    return run.fixed(control);
  }
}

}  // namespace fathom::ode
