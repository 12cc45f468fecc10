// SPDX-License-Identifier: Apache-2.0
// What all adjoint policies do alike: a forward solve that notes its steps and saved values, and, where a terminal
// event ended it, what the event's time depends on.
#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/ode/adjoint_policy.hpp>
#include <fathom/ode/field.hpp>
#include <fathom/ode/options.hpp>
#include <fathom/ode/solution.hpp>
#include <fathom/ode/solve.hpp>
#include <fathom/ode/state.hpp>

namespace fathom::ode::detail {

/// How an event's time t* moves: g(t*, y(t*)) = 0, so dt* = -(g_y . dy)/(g_t + g_y . f).
template <class Y>
struct event_motion {
  event_slope<Y> g;
  Y f;          ///< slope of the solution there
  double rate;  ///< of g along the solution

  /// The cotangent of the state at a fixed time, from those of the state at the event and of its time.
  Y held(const Y& a, double of_time) const {
    using traits = state_traits<Y>;
    Y seed = traits::clone(a);
    const double moved = -(traits::dot(a, f) + of_time) / rate;
    traits::combine(seed, a, std::array<double, 1>{moved}, std::array<const Y*, 1>{&g.y});
    return seed;
  }
};

/// What is left of a forward solve beside the states.
template <class Y>
struct solve_record {
  std::vector<step_record> steps{};
  std::vector<std::int64_t> saved_after{};  ///< steps before every saved value
  std::optional<event_motion<Y>> event{};
  std::int64_t planned = 0;   ///< steps of the whole interval
  bool proportional = false;  ///< the grid moves with t0 and t1

  time_account times() const {
    const auto taken = static_cast<std::int64_t>(steps.size());
    return time_account(proportional ? planned : taken, proportional, event.has_value(), taken);
  }
  void check(std::size_t cotangents) const {
    if (cotangents != 0 && cotangents != saved_after.size())
      throw shape_error(fathom::detail::concat("ode: the solve saved ", saved_after.size(), " values, got ", cotangents,
                                               " cotangents for them"));
  }
  Y seed(const Y& a, double of_time) const { return event ? event->held(a, of_time) : a; }
};

/// Number of steps where it is known beforehand, else 0.
template <class Control>
std::int64_t known_steps(const Control& control) {
  if constexpr (std::same_as<Control, fixed_steps>) return control.n;
  if constexpr (std::same_as<Control, fixed_grid>) return static_cast<std::int64_t>(control.times.size()) - 1;
  return 0;
}

template <class Y>
void check_event_slopes(const options<Y>& option) {
  for (std::size_t n = 0; n < option.events.size(); ++n)
    if (option.events[n].terminal && !option.events[n].slope)
      throw error(fathom::detail::concat("ode: event ", n, " ends the solve, so gradients need its derivatives; give ",
                                         "ode::event its `slope`, or make it with ode::differentiable_event"));
}

/// The step from (t, y) that ends where the event is zero: Newton's method on its length, from `length` on. step(h,
/// out) makes the step, field(t, y, out) the slope. Returns the length; `y1` is the state there.
template <class Y, class Step, class Slope>
double land_on_event(const event<Y>& e, double t, double length, Y& y1, event_motion<Y>& motion, const Step& step,
                     const Slope& slope) {
  constexpr double eps = std::numeric_limits<double>::epsilon();
  for (int n = 0;; ++n) {
    step(length, y1);
    const double end = t + length;
    slope(end, y1, motion.f);
    motion.g = e.slope(end, y1);
    motion.rate = motion.g.t + state_traits<Y>::dot(motion.g.y, motion.f);
    if (!(std::abs(motion.rate) > 0) || !std::isfinite(motion.rate))
      throw numerical_error(fathom::detail::concat("ode: the event at t = ", end,
                                                   " is touched, not crossed (its value changes at rate ", motion.rate,
                                                   "): its time has no derivative there"));
    const double move = -e.value(end, y1) / motion.rate;
    if (n == 8 || std::abs(move) <= 4 * eps * (std::abs(end) + std::abs(length)) ||
        !(std::abs(move) < std::abs(length)))
      return length;
    length += move;
  }
}

/// Solves. `visit(n, view)` sees the state before and after step number n; the step that an event cut short is left to
/// `land`, which makes the last step anew from the state before it. Policies differ in what they keep.
template <class Field, class Y, class Solver, class Control, class Visit, class Land>
std::pair<solution<Y>, solve_record<Y>> forward_with_record(const Field& field, const Y& y0, interval span,
                                                            const Solver& solver, const Control& control,
                                                            options<Y> option, bool inside, const Visit& visit,
                                                            const Land& land) {
  const auto save = option.save_at;
  // Values between the ends of steps: only where the policy can differentiate the interpolant.
  const bool interpolated = inside && !adaptive_control<Control>;
  if (!interpolated) option.save_at.clear();
  if constexpr (adaptive_control<Control>) {
    option.step_times.insert(option.step_times.end(), save.begin(), save.end());
    option.overshoot = false;
  }
  option.record_steps = true;

  solve_record<Y> record;
  record.planned = known_steps(control);
  record.proportional = std::same_as<Control, fixed_steps>;
  std::vector<double> times;
  std::vector<Y> values;
  std::int64_t step = 0;
  Y before = y0;  // the state before the next step, in case an event cuts it short
  const bool events = !option.events.empty();
  const auto keep = [&](double t, const Y& y) {
    while (times.size() < save.size() && save[times.size()] == t) {
      times.push_back(t);
      values.push_back(state_traits<Y>::clone(y));
      record.saved_after.push_back(step);
    }
  };
  if (!interpolated) keep(span.t0, y0);
  const auto watch = option.observer;
  option.observer = [&](const step_view<Y>& view) {
    visit(step++, view);
    if (!interpolated) keep(view.t1, view.y1);
    if (events) before = view.y1;
    return watch ? watch(view) : true;
  };
  auto result = solve(field, y0, span, solver, control, option);
  if (!interpolated) {
    if (times.size() < save.size() && result.status == status::success)
      throw error(fathom::detail::concat(Solver::name, ": save_at ", save[times.size()],
                                         " is no end of a step; with gradients the grid must contain it"));
    result.times = std::move(times);
    result.values = std::move(values);
  }
  record.steps = result.steps;
  if (result.status == status::event) land(result, record, before, option);
  return {std::move(result), std::move(record)};
}

/// Puts the exact landing in the place of the interpolated one.
template <class Y>
void book_landing(solution<Y>& result, std::vector<step_record>& steps, double length) {
  auto& last = steps.back();
  last = {last.t, length, last.t + length, last.t + length};
  result.steps = steps;
  result.t1 = last.t1;
  result.events.back().t = last.t1;
  result.events.back().y = state_traits<Y>::clone(result.y1);
}

}  // namespace fathom::ode::detail
