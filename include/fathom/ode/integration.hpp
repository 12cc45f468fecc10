// SPDX-License-Identifier: Apache-2.0
// One solve in progress: the loops over steps, and what happens between them (saving, events, jumps, failures).
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/ode/control.hpp>
#include <fathom/ode/error_measure.hpp>
#include <fathom/ode/field.hpp>
#include <fathom/ode/options.hpp>
#include <fathom/ode/solution.hpp>
#include <fathom/ode/state.hpp>

namespace fathom::ode::detail {

/// Times of `list` strictly between `from` and `to`, in the order of integration; those outside are dropped.
inline std::vector<double> times_between(const std::vector<double>& list, double from, double to) {
  std::vector<double> inside;
  for (const double t : list)
    if ((from < t && t < to) || (to < t && t < from)) inside.push_back(t);
  std::sort(inside.begin(), inside.end());
  if (to < from) std::reverse(inside.begin(), inside.end());
  inside.erase(std::unique(inside.begin(), inside.end()), inside.end());
  return inside;
}

template <class Field, class Y, class Solver>
class integration {
 public:
  integration(const Field& field, const Y& y0, interval span, const Solver& solver, const options<Y>& option)
      : solver_(solver),
        option_(option),
        f_{field},
        y_(y0),
        next_(state_traits<Y>::clone(y0)),
        work_(solver.make_workspace(y0)),
        result_{y0},
        t_(span.t0),
        t1_(span.t1),
        direction_(span.t1 < span.t0 ? -1.0 : 1.0),
        limited_(option.max_seconds < std::numeric_limits<double>::infinity()),
        began_(std::chrono::steady_clock::now()) {
    if (!std::isfinite(span.t0) || !std::isfinite(span.t1))
      throw error(fathom::detail::concat(Solver::name, ": the interval must be finite, got [", span.t0, ", ", span.t1, "]"));
    check_save_times(span);
    watched_ = !option.save_at.empty() || option.observer || !option.events.empty();
    for (const auto& e : option.events) event_values_.push_back(e.value(t_, y_));
    save_reached(t_, y_);
  }

  solution<Y> fixed(const fixed_steps& control) {
    if (control.n < 1) throw error(fathom::detail::concat(Solver::name, ": fixed_steps needs n >= 1, got ", control.n));
    const double begin = t_, h = (t1_ - t_) / static_cast<double>(control.n);
    return fixed_loop(control.n, [&](long n) { return n == control.n ? t1_ : begin + static_cast<double>(n) * h; }, h, h);
  }

  solution<Y> fixed(const fixed_step& control) {
    if (!(control.h > 0) || !std::isfinite(control.h))
      throw error(fathom::detail::concat(Solver::name, ": fixed_step needs h > 0, got ", control.h));
    const double begin = t_, h = direction_ * control.h;
    const double exact = std::abs(t1_ - t_) / control.h;
    // A step shorter than rounding in t is no step.
    const long n = std::max(1L, static_cast<long>(std::ceil(exact - 1e-9)));
    const double last = t1_ - (begin + static_cast<double>(n - 1) * h);
    const bool divides = std::abs(exact - static_cast<double>(n)) < 1e-9;
    return fixed_loop(n, [&](long k) { return k == n ? t1_ : begin + static_cast<double>(k) * h; }, h,
                      divides ? h : last);
  }

  template <class Control>
  solution<Y> adaptive(const Control& control);

 private:
  void check_save_times(interval span) const {
    double previous = span.t0;
    for (const double t : option_.save_at) {
      const bool inside = direction_ > 0 ? t >= previous && t <= span.t1 : t <= previous && t >= span.t1;
      if (!inside)
        throw error(fathom::detail::concat(Solver::name, ": save_at must be ordered from ", span.t0, " to ", span.t1,
                                           " in the direction of integration; ", t, " does not fit"));
      previous = t;
    }
  }

  template <class TimeOf>
  solution<Y> fixed_loop(long n, TimeOf time_of, double h, double last_h) {
    const long most = option_.max_evaluations > 0 ? option_.max_evaluations : std::numeric_limits<long>::max();
    const auto jumps = times_between(option_.jump_times, t_, t1_);
    std::size_t jump = 0;
    if (t_ == t1_) return finish(status::success);
    for (long step = 1; step <= n; ++step) {
      if (f_.count >= most) return fail(status::max_evaluations, h);
      if (limited_ && too_late()) return fail(status::wall_time, h);
      const double length = step == n ? last_h : h;
      const double end = time_of(step);
      const bool jumps_here = jump < jumps.size() && direction_ * (jumps[jump] - end) <= 1e-9 * std::abs(h);
      if (!solver_.step(f_, t_, length, jumps_here ? before(end) : end, y_, next_, work_))
        return fail(status::newton_failed, length);
      if (option_.check_finite && !state_traits<Y>::finite(next_)) return fail(status::non_finite, length);
      if (const auto s = advance(end, length); s != status::success) return finish(s);
      if (jumps_here) {
        solver_.restart(work_);
        ++jump;
      }
    }
    return finish(status::success);
  }

  /// Books an accepted step that ends at `end`: saved values, events, observer, the solver's memory. Returns success
  /// to go on.
  FATHOM_ODE_INLINE status advance(double end, double h) {
    result_.stats.count_step(h);
    if (option_.record_steps) result_.steps.push_back({t_, h, end});
    if (watched_) {
      if (const auto s = look(end, h); s != status::success) return s;
    }
    solver_.accept(work_);
    t_ = end;
    using std::swap;
    swap(y_, next_);
    return status::success;
  }

  status look(double end, double h);
  bool locate(const event<Y>& e, double was, double is, double end, double h, double& theta, Y& at);

  void save_reached(double t, const Y& y) {
    while (saved_ < option_.save_at.size() && option_.save_at[saved_] == t) keep(t, y);
  }
  void save_inside(double from, double to, double h, double end) {
    while (saved_ < option_.save_at.size() && direction_ * (option_.save_at[saved_] - to) <= 0) {
      const double t = option_.save_at[saved_];
      Y value = state_traits<Y>::clone(y_);
      solver_.interpolate(f_, t_, h, end, y_, next_, work_, t == end ? 1.0 : (t - from) / (end - from),
                          option_.interpolation, value);
      keep(t, value);
    }
  }
  void keep(double t, const Y& y) {
    result_.times.push_back(t);
    result_.values.push_back(state_traits<Y>::clone(y));
    ++saved_;
  }

  /// The step ends at or past t1: the answer is interpolated.
  solution<Y> land_inside(double end, double h) {
    result_.stats.count_step(h);
    if (option_.record_steps) result_.steps.push_back({t_, h, end});
    save_inside(t_, t1_, h, end);
    Y value = state_traits<Y>::clone(y_);
    solver_.interpolate(f_, t_, h, end, y_, next_, work_, end == t1_ ? 1.0 : (t1_ - t_) / (end - t_),
                        option_.interpolation, value);
    y_ = std::move(value);
    t_ = t1_;
    return finish(status::success);
  }

  /// The time just before or just after t in the direction of integration: the side of a jump that a stage is on.
  double before(double t) const { return std::nextafter(t, -direction_ * std::numeric_limits<double>::infinity()); }
  double after(double t) const { return std::nextafter(t, direction_ * std::numeric_limits<double>::infinity()); }

  bool too_late() const { return seconds() > option_.max_seconds; }
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count(); }

  solution<Y> finish(status s) {
    result_.status = s;
    result_.t1 = t_;
    result_.y1 = std::move(y_);
    result_.stats.evaluations = f_.count;
    result_.stats.seconds = seconds();
    return std::move(result_);
  }
  solution<Y> fail(status s, double h, const std::string& leaf = "", const std::string& detail_text = "");

  Solver solver_;
  const options<Y>& option_;
  evaluator<Field, Y> f_;
  Y y_, next_;
  typename Solver::template workspace<Y> work_;
  solution<Y> result_;
  double t_, t1_, direction_;
  bool limited_, watched_ = false;
  std::chrono::steady_clock::time_point began_;
  std::size_t saved_ = 0;
  std::vector<double> event_values_{};
};

template <class Field, class Y, class Solver>
status integration<Field, Y, Solver>::look(double end, double h) {
  const double from = t_;
  // The earliest terminal event decides where the step ends; what lies after it never happened.
  double stop = end;
  bool stops = false;
  std::size_t first_record = result_.events.size();
  for (std::size_t which = 0; which < option_.events.size(); ++which) {
    const auto& e = option_.events[which];
    const double was = event_values_[which];
    const double is = e.value(end, next_);
    event_values_[which] = is;
    const bool rises = was < 0 && is >= 0, falls = was > 0 && is <= 0;
    if (!(rises && e.direction != crossing::falling) && !(falls && e.direction != crossing::rising)) continue;
    double theta = 1;
    Y at = state_traits<Y>::clone(next_);
    locate(e, was, is, end, h, theta, at);
    const double when = theta == 1 ? end : from + theta * (end - from);
    result_.events.push_back({which, when, std::move(at)});
    if (e.terminal && (!stops || direction_ * (when - stop) < 0)) {
      stop = when;
      stops = true;
    }
  }
  if (result_.events.size() > first_record) {
    const auto begin = result_.events.begin() + static_cast<std::ptrdiff_t>(first_record);
    std::stable_sort(begin, result_.events.end(),
                     [&](const auto& a, const auto& b) { return direction_ * (a.t - b.t) < 0; });
    if (stops)
      while (direction_ * (result_.events.back().t - stop) > 0) result_.events.pop_back();
  }
  save_inside(from, stop, h, end);
  if (stops) {
    for (auto it = result_.events.rbegin(); it != result_.events.rend(); ++it)
      if (option_.events[it->which].terminal) {
        y_ = state_traits<Y>::clone(it->y);
        break;
      }
    t_ = stop;
    return status::event;
  }
  if (option_.observer) {
    result_.stats.evaluations = f_.count;
    if (!option_.observer(step_view<Y>{from, end, y_, next_, result_.stats})) {
      t_ = end;
      std::swap(y_, next_);
      return status::stopped;
    }
  }
  return status::success;
}

/// Finds the zero of an event between the ends of a step on the interpolant, by bisection guarded false position
/// (Illinois); theta ends on the far side of the crossing.
template <class Field, class Y, class Solver>
bool integration<Field, Y, Solver>::locate(const event<Y>& e, double was, double is, double end, double h,
                                           double& theta, Y& at) {
  const auto value = [&](double x) {
    solver_.interpolate(f_, t_, h, end, y_, next_, work_, x, option_.interpolation, at);
    return e.value(x == 1 ? end : t_ + x * (end - t_), at);
  };
  double a = 0, b = 1, va = was, vb = is;
  int side = 0;
  for (int iteration = 0; iteration < 200 && vb != 0 && b - a > 4 * std::numeric_limits<double>::epsilon(); ++iteration) {
    double x = iteration % 3 == 2 ? 0.5 * (a + b) : (a * vb - b * va) / (vb - va);
    if (!(x > a && x < b)) x = 0.5 * (a + b);
    const double v = value(x);
    if ((v < 0) == (was < 0) && v != 0) {
      a = x, va = v;
      if (side == -1) vb *= 0.5;
      side = -1;
    } else {
      b = x, vb = v;
      if (side == 1) va *= 0.5;
      side = 1;
    }
  }
  theta = b;
  value(b);
  return true;
}

template <class Field, class Y, class Solver>
solution<Y> integration<Field, Y, Solver>::fail(status s, double h, const std::string& leaf,
                                                const std::string& detail_text) {
  using fathom::detail::concat;
  std::string why;
  switch (s) {
    case status::max_evaluations:
      why = concat("the budget of ", f_.count, " field evaluations is spent; raise max_evaluations, loosen rtol and atol, "
                                               "or use an implicit method if the problem is stiff");
      break;
    case status::wall_time: why = concat("the time limit of ", option_.max_seconds, " s is reached"); break;
    case status::step_underflow:
      why = "the step became too short for time to advance: the solution may blow up or jump here, or the field is noisy";
      break;
    case status::non_finite: why = "the field or the new state is not finite; check the field at the last good state"; break;
    case status::newton_failed: why = "the stage equations could not be solved; shorten the step"; break;
    default: why = detail_text; break;
  }
  auto result = finish(s);
  result.failed_step = h;
  result.leaf = leaf;
  result.message = s == status::tolerance_below_floor
                       ? concat(Solver::name, ": ", detail_text)
                       : concat(Solver::name, ": ", why, " (t = ", result.t1, ", step ", h,
                                leaf.empty() ? "" : ", leaf ", leaf, ")");
  if (option_.on_failure == on_failure::return_status) return result;
  throw solver_error(result.message, s, result.t1, h, leaf, std::any(std::move(result.y1)));
}

/// Accept or reject by the scaled error, until t1.
template <class Field, class Y, class Solver>
template <class Control>
solution<Y> integration<Field, Y, Solver>::adaptive(const Control& control) {
  constexpr double eps = std::numeric_limits<double>::epsilon();
  if (!(control.rtol >= 0) || !(control.atol >= 0) || control.rtol + control.atol == 0)
    throw error(fathom::detail::concat(Solver::name, ": rtol and atol must not be negative nor both zero, got ",
                                       control.rtol, " and ", control.atol));
  step_controller controller(control, Solver::error_order);
  const adaptive_limits& limits = controller.limits();
  const error_measure<Y> norm(option_.norm, {control.rtol, control.atol});
  const long most = option_.max_evaluations > 0 ? option_.max_evaluations : 100000;
  if (t_ == t1_) return finish(status::success);

  const double state_eps = state_traits<Y>::epsilon(y_);
  // What rounding alone does to the scaled error: of the state (it cannot be represented better), and of the field's
  // values in the error estimate (four times the root mean square, docs/ode, "precision floor").
  constexpr double state_floor = 10;
  const auto floor_error = [&](double h) {
    const double field_eps = option_.field_epsilon > 0 ? option_.field_epsilon : state_eps;
    using one = std::array<const Y*, 1>;
    const leaf_error state = norm(y_, y_, std::array<double, 1>{state_floor * state_eps}, one{&y_});
    const leaf_error slopes = norm(y_, y_, std::array<double, 1>{4 * Solver::error_weight() * field_eps * 0.5 * h},
                                   one{&solver_.first_slope(work_)});
    return slopes.value > state.value ? slopes : state;
  };
  const auto refuse = [&](leaf_error floor, double h) {
    const auto leaf = norm.leaf_name(y_, floor.leaf);
    const char* scalar = state_eps > 1e-10 ? "float32" : "float64";
    return fail(status::tolerance_below_floor, h, leaf,
                fathom::detail::concat("tolerance ", control.rtol, " is below what ", scalar, " can meet here (floor ",
                                       control.rtol * floor.value, " at t = ", t_, ", leaf ", leaf,
                                       "); raise rtol or atol", state_eps > 1e-10 ? " or use double" : ""));
  };

  f_(t_, y_, solver_.first_slope(work_));
  solver_.first_slope_is_ready(work_);
  if (!state_traits<Y>::finite(y_) || !state_traits<Y>::finite(solver_.first_slope(work_)))
    return fail(status::non_finite, 0);
  if (option_.check_floor)
    if (const auto floor = floor_error(0); floor.value > 1) return refuse(floor, 0);

  double size = limits.first_step > 0
                    ? limits.first_step
                    : initial_step(f_, t_, direction_, y_, solver_.first_slope(work_), Solver::error_order, norm);
  if (!std::isfinite(size) || size == 0) size = 1e-6;
  size = std::clamp(size, limits.min_step, limits.max_step);

  // Times where steps must end, each with whether the field jumps there.
  std::vector<std::pair<double, bool>> stops;
  for (const double t : times_between(option_.step_times, t_, t1_)) stops.emplace_back(t, false);
  for (const double t : times_between(option_.jump_times, t_, t1_)) stops.emplace_back(t, true);
  std::sort(stops.begin(), stops.end(),
            [&](const auto& a, const auto& b) { return direction_ * (a.first - b.first) < 0; });
  std::size_t stop = 0;
  const auto next_stop = [&] {
    if (stop < stops.size()) return stops[stop].first;
    return option_.overshoot ? direction_ * std::numeric_limits<double>::infinity() : t1_;
  };
  double limit = next_stop();
  // Trial steps that were not finite, until eight good steps in a row: a solver that creeps up to a wall is stopped.
  int broken = 0, calm = 0;

  while (direction_ * (t1_ - t_) > 0) {
    if (f_.count >= most) return fail(status::max_evaluations, size);
    if (limited_ && too_late()) return fail(status::wall_time, size);
    double h = direction_ * size;
    double end = t_ + h;
    // A step that would leave less than a rounding error before the stop goes all the way.
    const bool clipped = direction_ * (limit - end) <= 8 * eps * size;
    if (clipped) {
      end = limit;
      h = end - t_;
    }
    if (std::abs(h) <= 4 * eps * std::abs(t_) || end == t_) 
      return fail(broken > 0 ? status::non_finite : status::step_underflow, h);

    leaf_error e{std::numeric_limits<double>::quiet_NaN(), 0};
    const bool jumps_here = clipped && stop < stops.size() && stops[stop].second;
    if (solver_.step(f_, t_, h, jumps_here ? before(end) : end, y_, next_, work_)) e = solver_.error_norm(h, y_, next_, work_, norm);
    const bool at_least = limits.min_step > 0 && std::abs(h) <= limits.min_step;
    const bool finite = e.value <= std::numeric_limits<double>::max();
    if (finite && (e.value <= 1 || at_least)) {
      if constexpr (!Solver::fsal) {
        if (!state_traits<Y>::finite(next_)) return fail(status::non_finite, h);
      }
      if (++calm == 8) broken = 0;
      const double wanted = std::abs(h) * controller.factor(e.value, true);
      if (option_.overshoot && direction_ * (end - t1_) >= 0) return land_inside(end, h);
      if (const auto s = advance(end, h); s != status::success) return finish(s);
      // A step cut short to end on a given time says little about the length that suits the error.
      size = clipped && !option_.overshoot && size > wanted ? size : wanted;
      if (clipped) {
        if (jumps_here) {
          solver_.restart(work_);
          t_ = after(t_);
        }
        ++stop;
        limit = next_stop();
      }
    } else {
      ++result_.stats.rejected;
      solver_.reject(work_);
      calm = 0;
      if (finite) {
        if (option_.check_floor)
          if (const auto floor = floor_error(h); floor.value > 1) return refuse(floor, h);
        size = std::abs(h) * controller.factor(e.value, false);
      } else {
        // Either the step was far too long or the field itself is broken here: shorten hard, but not for ever.
        if (++broken > 12) return fail(status::non_finite, h, norm.leaf_name(y_, e.leaf));
        size = std::abs(h) * limits.min_factor;
      }
    }
    size = std::clamp(size, limits.min_step, limits.max_step);
  }
  return finish(status::success);
}

}  // namespace fathom::ode::detail
