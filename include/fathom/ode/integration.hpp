// SPDX-License-Identifier: Apache-2.0
// A solve of one method: its steps, and the loop over fixed ones.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/ode/burst.hpp>
#include <fathom/ode/control.hpp>
#include <fathom/ode/dense.hpp>
#include <fathom/ode/field.hpp>
#include <fathom/ode/options.hpp>
#include <fathom/ode/progress.hpp>
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
        at_{{y0, traits::clone(y0), span.t0, {}}, solver.make_workspace(y0), {&field}},
        progress_(Solver::name, at_, span, option) {}
  integration(const integration&) = delete;
  integration& operator=(const integration&) = delete;

  solution<Y> fixed(const fixed_steps& control) {
    if (control.n < 1) progress_.refuse("fixed_steps needs n >= 1, got ", control.n);
    const double h = (progress_.t1 - at_.t) / static_cast<double>(control.n);
    return fixed_loop(control.n, h, h);
  }

  solution<Y> fixed(const fixed_step& control) {
    if (!(control.h > 0) || !std::isfinite(control.h)) progress_.refuse("fixed_step needs h > 0, got ", control.h);
    const double h = progress_.direction * control.h;
    const double exact = std::abs(progress_.t1 - at_.t) / control.h;
    // A step shorter than rounding in t is no step.
    const long n = std::max(1L, static_cast<long>(std::ceil(exact - 1e-9)));
    const double last = progress_.t1 - (at_.t + static_cast<double>(n - 1) * h);
    return fixed_loop(n, h, std::abs(exact - static_cast<double>(n)) < 1e-9 ? h : last);
  }

  solution<Y> fixed(const fixed_grid& control) {
    const auto& times = control.times;
    if (times.empty() || times.front() != at_.t || times.back() != progress_.t1)
      progress_.refuse("fixed_grid must begin at t0 = ", at_.t, " and end at t1 = ", progress_.t1);
    for (std::size_t n = 1; n < times.size(); ++n)
      if (!(progress_.direction * (times[n] - times[n - 1]) > 0))
        progress_.refuse("fixed_grid must go from t0 to t1 without turning back; ", times[n], " follows ",
                         times[n - 1]);
    return along({.times = &times, .steps = static_cast<long>(times.size()) - 1}, 1);
  }

  template <class Control>
  solution<Y> adaptive(const Control& control);
  template <class Control>
  class adaptive_loop;

  /// What changes with every step.
  struct cursor : position<Y> {
    typename Solver::template workspace<Y> work;
    evaluator<Field, Y> f;
  };
  cursor& at() { return at_; }

 private:
  /// Steps 1 ... `steps`: the given times, or of length h from `begin` on, the last one of length last_h to `end`.
  struct grid {
    const std::vector<double>* times = nullptr;
    long steps = 0;
    double begin = 0, end = 0, h = 0, last_h = 0;

    double time(long n) const {
      if (times != nullptr) return (*times)[static_cast<std::size_t>(n)];
      return n == steps ? end : begin + static_cast<double>(n) * h;
    }
    double length(long n) const {
      if (times != nullptr) return time(n) - time(n - 1);
      return n == steps ? last_h : h;
    }
  };

  solution<Y> fixed_loop(long n, double h, double last_h) {
    const long most = option_.max_evaluations > 0 ? option_.max_evaluations : std::numeric_limits<long>::max();
    const double begin = at_.t;
    if (at_.t == progress_.t1) return finish(status::success);
    long step = 1;
    if constexpr (small_state<Y> && requires { Solver::stages; }) {
      if (!progress_.watched && !progress_.limited && option_.jump_times.empty() && option_.step_times.empty()) {
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
    return along({.steps = n, .begin = begin, .end = progress_.t1, .h = h, .last_h = last_h}, step);
  }

  /// The grid's steps from number `first` on. One that would pass over a time where steps must end is taken in pieces.
  solution<Y> along(const grid& steps, long first) {
    const double direction = progress_.direction;
    const auto stops = forced_stops(option_.step_times, option_.jump_times, at_.t, progress_.t1);
    std::size_t stop = 0;
    for (long step = first; step <= steps.steps; ++step) {
      double length = steps.length(step);
      const double end = steps.time(step);
      const double rounding = 1e-9 * std::abs(length);
      for (; stop < stops.size() && direction * (end - stops[stop].t) > rounding; ++stop) {
        if (direction * (stops[stop].t - at_.t) <= rounding) continue;
        if (auto over = fixed_step_to(stops[stop].t, stops[stop].t - at_.t, stops[stop].jump)) return std::move(*over);
        length = end - at_.t;
      }
      bool jumps_here = false;
      for (; stop < stops.size() && direction * (stops[stop].t - end) <= rounding; ++stop)
        jumps_here = jumps_here || stops[stop].jump;
      if (auto over = fixed_step_to(end, length, jumps_here)) return std::move(*over);
    }
    return finish(status::success);
  }

  /// One step; how the solve ended, if it did.
  std::optional<solution<Y>> fixed_step_to(double end, double length, bool jumps_here) {
    if (option_.max_evaluations > 0 && at_.f.count >= option_.max_evaluations)
      return fail(status::max_evaluations, length);
    if (progress_.limited && progress_.too_late()) return fail(status::wall_time, length);
    const double stage_end = jumps_here ? progress_.before(end) : end;
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
    if (progress_.watched) {
      dense_.level = 0;
      const auto fill = inside(end, h);
      const auto s = progress_.look(end, h, stage_end, at_.f.count, inside_step<Y>(fill));
      if (s != status::success) return s;
    }
    solver_.accept(at_.work);
    at_.t = end;
    using std::swap;
    swap(at_.y, at_.next);
    return status::success;
  }

  /// Fills `out` with the state at theta of the step from at_.t to `end`, which at_.work still describes.
  auto inside(double end, double h) {
    return [this, end, h](double theta, Y& out) {
      solver_.interpolate(at_.f, at_.t, h, end, at_.y, at_.next, at_.work, dense_, theta, option_.interpolation, out);
    };
  }
  solution<Y> land_inside(double end, double h) {
    dense_.level = 0;
    const auto fill = inside(end, h);
    return progress_.land_inside(end, h, counts(), inside_step<Y>(fill));
  }

  work_counts counts() const {
    if constexpr (requires { at_.work.newton_iterations; })
      return {at_.f.count, at_.work.newton_iterations};
    else
      return {at_.f.count, 0};
  }
  solution<Y> finish(status s) { return progress_.finish(s, counts()); }
  solution<Y> fail(status s, double h, const std::string& leaf = "", const std::string& text = "") {
    return progress_.fail(s, h, counts(), leaf, text);
  }

  Solver solver_;
  const options<Y>& option_;
  cursor at_;
  progress<Y> progress_;
  dense_cache<Y> dense_{};
};

}  // namespace fathom::ode::detail
