// SPDX-License-Identifier: Apache-2.0
// Between two steps of a solve: recording, saved values, events and the observer.
#pragma once

#include <algorithm>
#include <limits>
#include <utility>

#include <fathom/core/config.hpp>
#include <fathom/ode/integration.hpp>

namespace fathom::ode::detail {

template <class Field, class Y, class Solver>
status integration<Field, Y, Solver>::look(double end, double h, double stage_end) {
  const double from = at_.t;
  dense_.level = 0;
  // The earliest terminal event decides where the step ends; what lies after it never happened.
  double stop = end;
  const Y* stopped_at = nullptr;
  const std::size_t first = result_.events.size();
  for (std::size_t which = 0; which < option_.events.size(); ++which) {
    const auto& e = option_.events[which];
    const double was = event_values_[which];
    const double is = e.value(end, at_.next);
    event_values_[which] = is;
    const bool rises = was < 0 && is >= 0, falls = was > 0 && is <= 0;
    if (!(rises && e.direction != crossing::falling) && !(falls && e.direction != crossing::rising)) continue;
    Y state = traits::clone(at_.next);
    const double theta = locate(e, was, is, end, h, state);
    const double when = theta == 1 ? end : from + theta * (end - from);
    result_.events.push_back({which, when, std::move(state)});
  }
  const auto begin = result_.events.begin() + static_cast<std::ptrdiff_t>(first);
  std::sort(begin, result_.events.end(), [&](const auto& a, const auto& b) {
    return a.t == b.t ? a.which < b.which : direction_ * (a.t - b.t) < 0;
  });
  for (auto it = begin; it != result_.events.end(); ++it)
    if (option_.events[it->which].terminal) {
      result_.events.erase(it + 1, result_.events.end());
      stop = result_.events.back().t;
      stopped_at = &result_.events.back().y;
      break;
    }
  if (option_.record_steps)
    result_.steps.push_back({from, stopped_at ? stop - from : h, stop, stopped_at ? stop : stage_end});
  save_inside(stop, h, end);
  if (stopped_at) {
    at_.y = traits::clone(*stopped_at);
    at_.t = stop;
    return status::event;
  }
  if (option_.observer) {
    at_.stats.evaluations = at_.f.count;
    if (!option_.observer(step_view<Y>{from, end, at_.y, at_.next, at_.stats})) {
      at_.t = end;
      std::swap(at_.y, at_.next);
      return status::stopped;
    }
  }
  return status::success;
}

/// Finds the zero of an event between the ends of a step on the interpolant by false position (Illinois) with
/// bisection mixed in, to the last bits of t. Returns theta on the far side of the crossing and the state there.
template <class Field, class Y, class Solver>
double integration<Field, Y, Solver>::locate(const event<Y>& e, double was, double is, double end, double h, Y& state) {
  const auto value = [&](double x) {
    inside(x, end, h, state);
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

}  // namespace fathom::ode::detail
