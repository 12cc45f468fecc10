// SPDX-License-Identifier: Apache-2.0
// A solve in progress without its method and field: where it is, what it saves, its events, how it ends. Whatever
// stands here is compiled once for a type of state, not once for each method.
#pragma once

#include <algorithm>
#include <any>
#include <chrono>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/ode/options.hpp>
#include <fathom/ode/solution.hpp>
#include <fathom/ode/state.hpp>

namespace fathom::ode::detail {

/// The state before a step, and after it where that is known.
template <class Y>
struct position {
  Y y, next;
  double t;
  statistics stats;
};

/// Refers to a function that fills `out` with the state at theta in [0, 1] of the current step.
template <class Y>
class inside_step {
 public:
  template <class F>
  explicit inside_step(const F& fill)
      : object_(&fill),
        call_([](const void* object, double theta, Y& out) { (*static_cast<const F*>(object))(theta, out); }) {}
  void operator()(double theta, Y& out) const { call_(object_, theta, out); }

 private:
  const void* object_;
  void (*call_)(const void*, double, Y&);
};

/// What a method has counted.
struct work_counts {
  long evaluations = 0, newton_iterations = 0;
};

template <class Y>
class progress {
 public:
  using traits = state_traits<Y>;

  progress(const char* method, position<Y>& at, interval span, const options<Y>& option)
      : t1(span.t1),
        direction(span.t1 < span.t0 ? -1.0 : 1.0),
        limited(option.max_seconds < std::numeric_limits<double>::infinity()),
        watched(option.record_steps || !option.save_at.empty() || option.observer || !option.events.empty()),
        method_(method),
        at_(at),
        option_(option),
        result_{at.y},
        began_(std::chrono::steady_clock::now()) {
    if (!std::isfinite(span.t0) || !std::isfinite(span.t1))
      refuse("the interval must be finite, got [", span.t0, ", ", span.t1, "]");
    check_save_times(span);
    for (const auto& e : option.events) event_values_.push_back(e.value(span.t0, at.y));
    while (saved_ < option.save_at.size() && option.save_at[saved_] == span.t0) keep(span.t0, at.y);
  }

  const double t1, direction;
  const bool limited;  ///< in time
  const bool watched;  ///< between steps there is more to do than to count

  /// Throws what the method says of its arguments.
  template <class... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    throw error(fathom::detail::concat(method_, ": ", parts...));
  }

  /// Records the step to `end`, finds its events, saves values, shows it to the observer. Returns success to go on.
  status look(double end, double h, double stage_end, long evaluations, const inside_step<Y>& inside) {
    const double from = at_.t;
    const Y* stopped_at = find_events(end, inside);
    const double stop = stopped_at ? result_.events.back().t : end;
    if (option_.record_steps)
      result_.steps.push_back({from, stopped_at ? stop - from : h, stop, stopped_at ? stop : stage_end});
    save_inside(stop, end, inside);
    if (stopped_at) {
      at_.y = traits::clone(*stopped_at);
      at_.t = stop;
      return status::event;
    }
    if (option_.observer) {
      at_.stats.evaluations = evaluations;
      if (!option_.observer(step_view<Y>{from, end, at_.y, at_.next, at_.stats})) {
        at_.t = end;
        std::swap(at_.y, at_.next);
        return status::stopped;
      }
    }
    return status::success;
  }

  /// The last step ends at or past t1: the answer is interpolated.
  solution<Y> land_inside(double end, double h, const work_counts& counts, const inside_step<Y>& inside) {
    at_.stats.count_step(h);
    if (option_.record_steps) result_.steps.push_back({at_.t, h, end, end});
    save_inside(t1, end, inside);
    Y value = traits::clone(at_.y);
    inside(end == t1 ? 1.0 : (t1 - at_.t) / (end - at_.t), value);
    at_.y = std::move(value);
    at_.t = t1;
    return finish(status::success, counts);
  }

  /// The time just before or just after t in the direction of integration: the side of a jump that a stage is on.
  double before(double t) const { return std::nextafter(t, -direction * std::numeric_limits<double>::infinity()); }
  double after(double t) const { return std::nextafter(t, direction * std::numeric_limits<double>::infinity()); }

  bool too_late() const { return seconds() > option_.max_seconds; }

  solution<Y> finish(status s, const work_counts& counts) {
    result_.status = s;
    result_.t1 = at_.t;
    result_.y1 = std::move(at_.y);
    result_.stats = at_.stats;
    result_.stats.evaluations = counts.evaluations;
    result_.stats.newton_iterations = counts.newton_iterations;
    result_.stats.seconds = seconds();
    return std::move(result_);
  }
  /// Ends with a failure: thrown, or returned where the options say so.
  solution<Y> fail(status s, double h, const work_counts& counts, const std::string& leaf, const std::string& text) {
    using fathom::detail::concat;
    std::string why = reason(s, counts.evaluations, text);
    auto result = finish(s, counts);
    result.failed_step = h;
    result.leaf = leaf;
    if (s != status::tolerance_below_floor)
      why = concat(why, " (t = ", result.t1, ", step ", h, leaf.empty() ? "" : ", leaf ", leaf, ")");
    result.message = concat(method_, ": ", why);
    if (option_.on_failure == on_failure::return_status) return result;
    throw solver_error(result.message, s, result.t1, h, leaf, std::any(std::move(result.y1)));
  }

 private:
  void check_save_times(interval span) const {
    double previous = span.t0;
    for (const double t : option_.save_at) {
      const bool inside = direction > 0 ? t >= previous && t <= span.t1 : t <= previous && t >= span.t1;
      if (!inside)
        refuse("save_at must be ordered from ", span.t0, " to ", span.t1, " in the direction of integration; ", t,
               " does not fit");
      previous = t;
    }
  }

  std::string reason(status s, long evaluations, const std::string& text) const {
    using fathom::detail::concat;
    switch (s) {
      case status::max_evaluations:
        return concat("the budget of ", evaluations,
                      " field evaluations is spent; raise max_evaluations, loosen rtol and atol, or use an implicit "
                      "method if the problem is stiff");
      case status::wall_time:
        return concat("the time limit of ", option_.max_seconds, " s is reached");
      case status::step_underflow:
        return "the step became too short for time to advance: the solution may blow up or jump here, or the field is "
               "noisy";
      case status::non_finite:
        return "the field or the new state is not finite; check the field at the last good state";
      case status::newton_failed:
        return "the stage equations could not be solved; shorten the step";
      default:
        return text;
    }
  }

  /// Adds the step's events to the result, in the order of integration, to the first terminal one; its state, or null.
  /// What lies after a terminal event never happened.
  const Y* find_events(double end, const inside_step<Y>& inside) {
    const std::size_t first = result_.events.size();
    for (std::size_t which = 0; which < option_.events.size(); ++which) {
      const auto& e = option_.events[which];
      const double was = event_values_[which];
      const double is = e.value(end, at_.next);
      event_values_[which] = is;
      const bool rises = was < 0 && is >= 0, falls = was > 0 && is <= 0;
      if (!(rises && e.direction != crossing::falling) && !(falls && e.direction != crossing::rising)) continue;
      Y state = traits::clone(at_.next);
      const double theta = locate(e, was, is, end, inside, state);
      const double when = theta == 1 ? end : at_.t + theta * (end - at_.t);
      result_.events.push_back({which, when, std::move(state)});
    }
    const auto begin = result_.events.begin() + static_cast<std::ptrdiff_t>(first);
    std::sort(begin, result_.events.end(), [&](const auto& a, const auto& b) {
      return a.t == b.t ? a.which < b.which : direction * (a.t - b.t) < 0;
    });
    for (auto it = begin; it != result_.events.end(); ++it)
      if (option_.events[it->which].terminal) {
        result_.events.erase(it + 1, result_.events.end());
        return &result_.events.back().y;
      }
    return nullptr;
  }

  /// Finds the zero of an event between the ends of a step on the interpolant by false position (Illinois) with
  /// bisection mixed in, to the last bits of t. Returns theta on the far side of the crossing and the state there.
  double locate(const event<Y>& e, double was, double is, double end, const inside_step<Y>& inside, Y& state) const {
    const auto value = [&](double x) {
      inside(x, state);
      return e.value(x == 1 ? end : at_.t + x * (end - at_.t), state);
    };
    double a = 0, b = 1, va = was, vb = is;
    int side = 0;
    for (int n = 0; n < 200 && vb != 0 && b - a > 4 * std::numeric_limits<double>::epsilon(); ++n) {
      double x = n % 3 == 2 ? 0.5 * (a + b) : (a * vb - b * va) / (vb - va);
      if (!(x > a && x < b)) x = 0.5 * (a + b);
      const double v = value(x);
      if (v != 0 && (v < 0) == (was < 0)) {
        a = x, va = v;
        if (side == -1) vb *= 0.5;
        side = -1;
      } else {
        b = x, vb = v;
        if (side == 1) va *= 0.5;
        side = 1;
      }
    }
    value(b);
    return b;
  }

  void save_inside(double to, double end, const inside_step<Y>& inside) {
    while (saved_ < option_.save_at.size() && direction * (option_.save_at[saved_] - to) <= 0) {
      const double t = option_.save_at[saved_];
      Y value = traits::clone(at_.y);
      inside(t == end ? 1.0 : (t - at_.t) / (end - at_.t), value);
      keep(t, value);
    }
  }
  void keep(double t, const Y& y) {
    result_.times.push_back(t);
    result_.values.push_back(traits::clone(y));
    ++saved_;
  }

  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count(); }

  const char* method_;
  position<Y>& at_;
  const options<Y>& option_;
  solution<Y> result_;
  std::chrono::steady_clock::time_point began_;
  std::size_t saved_ = 0;
  std::vector<double> event_values_{};
};

}  // namespace fathom::ode::detail
