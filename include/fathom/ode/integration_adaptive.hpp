// SPDX-License-Identifier: Apache-2.0
// The loop of an adaptive solve: accept or reject by the scaled error, until t1.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/ode/burst.hpp>
#include <fathom/ode/control.hpp>
#include <fathom/ode/error_measure.hpp>
#include <fathom/ode/integration.hpp>
#include <fathom/ode/integration_events.hpp>

namespace fathom::ode::detail {

/// Scaled error that rounding alone causes in a step of length h: of the state, which cannot be represented better, and
/// of the field's values in the error estimate (four times their root mean square).
template <class Solver, class Y>
leaf_error rounding_error(const error_measure<Y>& norm, const Y& y, const Y& slope, double h, double field_epsilon) {
  constexpr double state_floor = 10;
  const double epsilon = state_traits<Y>::epsilon(y);
  if (field_epsilon <= 0) field_epsilon = epsilon;
  using one = std::array<const Y*, 1>;
  const leaf_error state = norm(y, y, std::array<double, 1>{state_floor * epsilon}, one{&y});
  const leaf_error slopes =
      norm(y, y, std::array<double, 1>{4 * Solver::error_weight() * 0.5 * field_epsilon * h}, one{&slope});
  return slopes.square > state.square ? slopes : state;
}

/// Times where steps must end, in the order of integration; `jump`: the field has a discontinuity there.
struct forced_stop {
  double t;
  bool jump;
};
inline std::vector<forced_stop> forced_stops(const std::vector<double>& steps, const std::vector<double>& jumps,
                                             double t0, double t1) {
  std::vector<forced_stop> stops;
  for (const double t : times_between(steps, t0, t1)) stops.push_back({t, false});
  for (const double t : times_between(jumps, t0, t1)) stops.push_back({t, true});
  std::sort(stops.begin(), stops.end(), [&](const forced_stop& a, const forced_stop& b) {
    if (a.t == b.t) return a.jump && !b.jump;
    return t1 < t0 ? a.t > b.t : a.t < b.t;
  });
  stops.erase(std::unique(stops.begin(), stops.end(), [](const auto& a, const auto& b) { return a.t == b.t; }),
              stops.end());
  return stops;
}

template <class Field, class Y, class Solver>
template <class Control>
solution<Y> integration<Field, Y, Solver>::adaptive(const Control& control) {
  constexpr double eps = std::numeric_limits<double>::epsilon();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (!(control.rtol >= 0) || !(control.atol >= 0) || control.rtol + control.atol == 0)
    throw error(fathom::detail::concat(Solver::name, ": rtol and atol must not be negative nor both zero, got ",
                                       control.rtol, " and ", control.atol));
  step_controller<Control, Solver::error_order> controller(control);
  const adaptive_limits& limits = control.limits;
  const error_measure<Y> norm(option_.norm, {control.rtol, control.atol});
  const long most = option_.max_evaluations > 0 ? option_.max_evaluations : 100000;
  if (at_.t == t1_) return finish(status::success);

  Y& slope = solver_.first_slope(at_.work);
  at_.f(at_.t, at_.y, slope);
  solver_.first_slope_is_ready(at_.work);
  if (!traits::finite(at_.y) || !traits::finite(slope)) return fail(status::non_finite, 0);

  // What rounding does to the error, when it alone is above the tolerance.
  const auto floor = [&](double h) -> leaf_error {
    if (!option_.check_floor) return {};
    return rounding_error<Solver>(norm, at_.y, solver_.first_slope(at_.work), h, option_.field_epsilon);
  };
  const auto refuse = [&](leaf_error lowest, double h) {
    const auto leaf = norm.leaf_name(at_.y, lowest.leaf);
    const bool single = traits::epsilon(at_.y) > 1e-10;
    return fail(status::tolerance_below_floor, h, leaf,
                fathom::detail::concat("tolerance ", control.rtol, " is below what ", single ? "float32" : "float64",
                                       " can meet here (floor ", control.rtol * lowest.value(), " at t = ", at_.t,
                                       ", leaf ", leaf, "); raise rtol or atol", single ? " or use double" : ""));
  };
  if (const auto lowest = floor(0); lowest.square > 1) return refuse(lowest, 0);

  double size = limits.first_step > 0 ? limits.first_step
                                      : initial_step(at_.f, at_.t, direction_, at_.y, slope, Solver::error_order, norm);
  if (!std::isfinite(size) || size == 0) size = 1e-6;
  size = std::clamp(size, limits.min_step, limits.max_step);

  const auto stops = forced_stops(option_.step_times, option_.jump_times, at_.t, t1_);
  std::size_t stop = 0;
  const auto next_stop = [&] {
    if (stop < stops.size()) return stops[stop].t;
    return option_.overshoot ? direction_ * infinity : t1_;
  };
  double limit = next_stop();
  // Trial steps that were not finite, until eight good steps in a row: a solver that creeps up to a wall is stopped.
  int broken = 0, calm = 0;

  const bool plain = !watched_ && !limited_ && norm.plain() && !option_.norm.weights && limits.min_step == 0;

  while (direction_ * (t1_ - at_.t) > 0) {
    burst_end run{size};
    if constexpr (small_state<Y> && requires { Solver::stages; }) {
      if (plain && broken == 0)
        run = burst_adaptive<Solver>(at_.f, at_.y, at_.work, at_.t, at_.stats, controller, size, direction_,
                                     option_.overshoot && direction_ * (limit - t1_) > 0 ? t1_ : limit, limits.min_step,
                                     limits.max_step, most, norm.tol());
      size = run.size;
    }
    if (!run.tried && at_.f.count >= most) return fail(status::max_evaluations, size);
    if (limited_ && too_late()) return fail(status::wall_time, size);
    double h = direction_ * size;
    double end = at_.t + h;
    // A step that would leave less than a rounding error before the stop goes all the way.
    const bool clipped = direction_ * (limit - end) <= 8 * eps * size;
    if (clipped) {
      end = limit;
      h = end - at_.t;
    }
    if (std::abs(h) <= 4 * eps * std::abs(at_.t) || end == at_.t)
      return fail(broken > 0 ? status::non_finite : status::step_underflow, h);
    const bool jumps_here = clipped && stop < stops.size() && stops[stop].jump;

    leaf_error e{std::numeric_limits<double>::quiet_NaN(), 0};
    if (run.tried)
      e.square = run.square;
    else if (solver_.step(at_.f, at_.t, h, jumps_here ? before(end) : end, at_.y, at_.next, at_.work))
      e = solver_.error_norm(h, at_.y, at_.next, at_.work, norm);
    bool finite = e.square <= std::numeric_limits<double>::max();
    const bool small_enough = e.square <= 1 || (limits.min_step > 0 && std::abs(h) <= limits.min_step);
    // The last stage of an FSAL method shows whether the new state is finite; others must look at it.
    if constexpr (!Solver::fsal) finite = finite && (!small_enough || traits::finite(at_.next));

    if (finite && small_enough) {
      if (++calm == 8) broken = 0;
      double wanted = std::abs(h) * controller.factor(e.square, true);
      if (option_.overshoot && direction_ * (end - t1_) >= 0) return land_inside(end, h);
      if (const auto s = advance(end, h, jumps_here ? before(end) : end); s != status::success) return finish(s);
      if (clipped) {
        // A step cut short to end on a given time says little about the length that suits the error.
        if (!option_.overshoot && size > wanted) wanted = size;
        if (jumps_here) {
          solver_.restart(at_.work);
          at_.t = after(at_.t);
        }
        ++stop;
        limit = next_stop();
      }
      size = wanted;
    } else {
      ++at_.stats.rejected;
      solver_.reject(at_.work);
      calm = 0;
      if (finite) {
        if (const auto lowest = floor(h); lowest.square > 1) return refuse(lowest, h);
        size = std::abs(h) * controller.factor(e.square, false);
      } else {
        // Either the step was far too long or the field itself is broken here: shorten hard, but not for ever.
        if (++broken > 12) return fail(status::non_finite, h, norm.leaf_name(at_.y, e.leaf));
        size = std::abs(h) * limits.min_factor;
      }
    }
    if (size > limits.max_step) size = limits.max_step;
    if (size < limits.min_step) size = limits.min_step;
  }
  return finish(status::success);
}

}  // namespace fathom::ode::detail
