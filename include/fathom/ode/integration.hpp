// SPDX-License-Identifier: Apache-2.0
// One solve in progress: its state, the loop of fixed steps, saving and failing.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/ode/burst.hpp>
#include <fathom/ode/control.hpp>
#include <fathom/ode/dense.hpp>
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
class integration {
 public:
  using traits = state_traits<Y>;

  integration(const Field& field, const Y& y0, interval span, const Solver& solver, const options<Y>& option)
      : solver_(solver),
        option_(option),
        at_{y0, traits::clone(y0), solver.make_workspace(y0), {&field}, span.t0, {}},
        result_{y0},
        t1_(span.t1),
        direction_(span.t1 < span.t0 ? -1.0 : 1.0),
        limited_(option.max_seconds < std::numeric_limits<double>::infinity()),
        began_(std::chrono::steady_clock::now()) {
    if (!std::isfinite(span.t0) || !std::isfinite(span.t1))
      throw error(
          fathom::detail::concat(Solver::name, ": the interval must be finite, got [", span.t0, ", ", span.t1, "]"));
    check_save_times(span);
    watched_ = option.record_steps || !option.save_at.empty() || option.observer || !option.events.empty();
    for (const auto& e : option.events) event_values_.push_back(e.value(span.t0, y0));
    while (saved_ < option.save_at.size() && option.save_at[saved_] == span.t0) keep(span.t0, y0);
  }

  solution<Y> fixed(const fixed_steps& control) {
    if (control.n < 1) throw error(fathom::detail::concat(Solver::name, ": fixed_steps needs n >= 1, got ", control.n));
    const double h = (t1_ - at_.t) / static_cast<double>(control.n);
    return fixed_loop(control.n, h, h);
  }

  solution<Y> fixed(const fixed_step& control) {
    if (!(control.h > 0) || !std::isfinite(control.h))
      throw error(fathom::detail::concat(Solver::name, ": fixed_step needs h > 0, got ", control.h));
    const double h = direction_ * control.h;
    const double exact = std::abs(t1_ - at_.t) / control.h;
    // A step shorter than rounding in t is no step.
    const long n = std::max(1L, static_cast<long>(std::ceil(exact - 1e-9)));
    const double last = t1_ - (at_.t + static_cast<double>(n - 1) * h);
    return fixed_loop(n, h, std::abs(exact - static_cast<double>(n)) < 1e-9 ? h : last);
  }

  solution<Y> fixed(const fixed_grid& control) {
    const auto& times = control.times;
    if (times.empty() || times.front() != at_.t || times.back() != t1_)
      throw error(
          fathom::detail::concat(Solver::name, ": fixed_grid must begin at t0 = ", at_.t, " and end at t1 = ", t1_));
    for (std::size_t n = 1; n < times.size(); ++n)
      if (!(direction_ * (times[n] - times[n - 1]) > 0))
        throw error(fathom::detail::concat(Solver::name, ": fixed_grid must go from t0 to t1 without turning back; ",
                                           times[n], " follows ", times[n - 1]));
    return along(
        static_cast<long>(times.size()) - 1, 1, [&](long n) { return times[static_cast<std::size_t>(n)]; },
        [&](long n) { return times[static_cast<std::size_t>(n)] - times[static_cast<std::size_t>(n - 1)]; });
  }

  template <class Control>
  solution<Y> adaptive(const Control& control);
  template <class Control>
  class adaptive_loop;

  /// What changes with every step.
  struct cursor {
    Y y, next;
    typename Solver::template workspace<Y> work;
    evaluator<Field, Y> f;
    double t;
    statistics stats;
  };
  cursor& at() { return at_; }

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

  solution<Y> fixed_loop(long n, double h, double last_h) {
    const long most = option_.max_evaluations > 0 ? option_.max_evaluations : std::numeric_limits<long>::max();
    const double begin = at_.t;
    if (at_.t == t1_) return finish(status::success);
    long step = 1;
    if constexpr (small_state<Y> && requires { Solver::stages; }) {
      if (!watched_ && !limited_ && option_.jump_times.empty() && option_.step_times.empty()) {
        const long run = std::min(n - 1, (most - at_.f.count) / static_cast<long>(Solver::stages));
        const long done = burst_fixed<Solver>(at_.f, at_.y, at_.work, begin, h, run, option_.check_finite);
        if (done > 0) {
          at_.stats.count_step(h);
          at_.stats.accepted += done - 1;
          at_.t = begin + static_cast<double>(done) * h;
        }
        if (done < run) return fail(status::non_finite, h);
        step += run;
      }
    }
    return along(
        n, step, [&](long k) { return k == n ? t1_ : begin + static_cast<double>(k) * h; },
        [&](long k) { return k == n ? last_h : h; });
  }

  /// Steps first ... last: step n ends at time_of(n) and has the length length_of(n). One that would pass over a time
  /// where steps must end is taken in pieces.
  template <class TimeOf, class LengthOf>
  solution<Y> along(long last, long first, const TimeOf& time_of, const LengthOf& length_of) {
    const auto stops = forced_stops(option_.step_times, option_.jump_times, at_.t, t1_);
    std::size_t stop = 0;
    for (long step = first; step <= last; ++step) {
      double length = length_of(step);
      const double end = time_of(step);
      const double rounding = 1e-9 * std::abs(length);
      for (; stop < stops.size() && direction_ * (end - stops[stop].t) > rounding; ++stop) {
        if (direction_ * (stops[stop].t - at_.t) <= rounding) continue;
        if (auto over = fixed_step_to(stops[stop].t, stops[stop].t - at_.t, stops[stop].jump)) return std::move(*over);
        length = end - at_.t;
      }
      bool jumps_here = false;
      for (; stop < stops.size() && direction_ * (stops[stop].t - end) <= rounding; ++stop)
        jumps_here = jumps_here || stops[stop].jump;
      if (auto over = fixed_step_to(end, length, jumps_here)) return std::move(*over);
    }
    return finish(status::success);
  }

  /// One step; how the solve ended, if it did.
  std::optional<solution<Y>> fixed_step_to(double end, double length, bool jumps_here) {
    if (option_.max_evaluations > 0 && at_.f.count >= option_.max_evaluations)
      return fail(status::max_evaluations, length);
    if (limited_ && too_late()) return fail(status::wall_time, length);
    const double stage_end = jumps_here ? before(end) : end;
    if (!solver_.step(at_.f, at_.t, length, stage_end, at_.y, at_.next, at_.work))
      return fail(status::newton_failed, length);
    if (option_.check_finite && !traits::finite(at_.next)) return fail(status::non_finite, length);
    if (const auto s = advance(end, length, stage_end); s != status::success) return finish(s);
    if (jumps_here) solver_.restart(at_.work);
    return std::nullopt;
  }

  /// Books an accepted step that ends at `end`: saved values, events, observer, the method's memory. Returns success
  /// to go on.
  status advance(double end, double h, double stage_end) {
    at_.stats.count_step(h);
    if (watched_) {
      if (const auto s = look(end, h, stage_end); s != status::success) return s;
    }
    solver_.accept(at_.work);
    at_.t = end;
    using std::swap;
    swap(at_.y, at_.next);
    return status::success;
  }

  status look(double end, double h, double stage_end);
  double locate(const event<Y>& e, double was, double is, double end, double h, Y& at);

  /// Fills `out` with the state at theta of the step from at_.t to `end`, which at_.work still describes.
  void inside(double theta, double end, double h, Y& out) {
    solver_.interpolate(at_.f, at_.t, h, end, at_.y, at_.next, at_.work, dense_, theta, option_.interpolation, out);
  }
  void save_inside(double to, double h, double end) {
    while (saved_ < option_.save_at.size() && direction_ * (option_.save_at[saved_] - to) <= 0) {
      const double t = option_.save_at[saved_];
      Y value = traits::clone(at_.y);
      inside(t == end ? 1.0 : (t - at_.t) / (end - at_.t), end, h, value);
      keep(t, value);
    }
  }
  void keep(double t, const Y& y) {
    result_.times.push_back(t);
    result_.values.push_back(traits::clone(y));
    ++saved_;
  }

  /// The last step ends at or past t1: the answer is interpolated.
  solution<Y> land_inside(double end, double h) {
    at_.stats.count_step(h);
    if (option_.record_steps) result_.steps.push_back({at_.t, h, end, end});
    dense_.level = 0;
    save_inside(t1_, h, end);
    Y value = traits::clone(at_.y);
    inside(end == t1_ ? 1.0 : (t1_ - at_.t) / (end - at_.t), end, h, value);
    at_.y = std::move(value);
    at_.t = t1_;
    return finish(status::success);
  }

  /// The time just before or just after t in the direction of integration: the side of a jump that a stage is on.
  double before(double t) const { return std::nextafter(t, -direction_ * std::numeric_limits<double>::infinity()); }
  double after(double t) const { return std::nextafter(t, direction_ * std::numeric_limits<double>::infinity()); }

  bool too_late() const { return seconds() > option_.max_seconds; }
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count(); }

  solution<Y> finish(status s) {
    result_.status = s;
    result_.t1 = at_.t;
    result_.y1 = std::move(at_.y);
    result_.stats = at_.stats;
    result_.stats.evaluations = at_.f.count;
    if constexpr (requires { at_.work.newton_iterations; })
      result_.stats.newton_iterations = at_.work.newton_iterations;
    result_.stats.seconds = seconds();
    return std::move(result_);
  }
  solution<Y> fail(status s, double h, const std::string& leaf = "", const std::string& text = "");

  Solver solver_;
  const options<Y>& option_;
  cursor at_;
  solution<Y> result_;
  double t1_, direction_;
  bool limited_, watched_ = false;
  std::chrono::steady_clock::time_point began_;
  std::size_t saved_ = 0;
  dense_cache<Y> dense_{};
  std::vector<double> event_values_{};
};

template <class Field, class Y, class Solver>
solution<Y> integration<Field, Y, Solver>::fail(status s, double h, const std::string& leaf, const std::string& text) {
  using fathom::detail::concat;
  std::string why = text;
  switch (s) {
    case status::max_evaluations:
      why =
          concat("the budget of ", at_.f.count,
                 " field evaluations is spent; raise max_evaluations, loosen rtol and atol, or use an implicit method "
                 "if the problem is stiff");
      break;
    case status::wall_time:
      why = concat("the time limit of ", option_.max_seconds, " s is reached");
      break;
    case status::step_underflow:
      why =
          "the step became too short for time to advance: the solution may blow up or jump here, or the field is noisy";
      break;
    case status::non_finite:
      why = "the field or the new state is not finite; check the field at the last good state";
      break;
    case status::newton_failed:
      why = "the stage equations could not be solved; shorten the step";
      break;
    default:
      break;
  }
  auto result = finish(s);
  result.failed_step = h;
  result.leaf = leaf;
  result.message = s == status::tolerance_below_floor ? concat(Solver::name, ": ", text)
                                                      : concat(Solver::name, ": ", why, " (t = ", result.t1, ", step ",
                                                               h, leaf.empty() ? "" : ", leaf ", leaf, ")");
  if (option_.on_failure == on_failure::return_status) return result;
  throw solver_error(result.message, s, result.t1, h, leaf, std::any(std::move(result.y1)));
}

}  // namespace fathom::ode::detail
