// SPDX-License-Identifier: Apache-2.0
// Solves of a trunk that keep a record of their steps.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <variant>
#include <vector>

#include <fathom/model/depth_step.hpp>
#include <fathom/model/solver_choice.hpp>
#include <fathom/op/elementwise.hpp>
#include <fathom/op/reduction.hpp>

namespace fathom {

namespace detail {

/// rms(part) / rms(whole)
template <class Z>
double rms_share(const Z& part, const Z& whole) {
  const auto rms = [](const Z& x) { return std::sqrt(static_cast<double>(item(mean(square(x))))); };
  const double size = rms(whole);
  return size > 0 ? rms(part) / size : 0;
}

/// Collects depth_step records through the hooks of a solve: a few passes over z for every step, no evaluation.
template <class Y>
class depth_recorder {
 public:
  depth_recorder(index_t cycle, std::vector<depth_step>& log) : cycle_(cycle), log_(log) {}
  depth_recorder(const depth_recorder&) = delete;
  depth_recorder& operator=(const depth_recorder&) = delete;

  /// Hooks that refer to this recorder. `adaptive`: the method estimates its error, which costs one more state to see.
  ode::options<Y> hooks(bool adaptive) {
    ode::options<Y> hooks;
    hooks.observer = [this](const ode::step_view<Y>& step) {
      const double error = errors_.empty() ? std::numeric_limits<double>::quiet_NaN() : errors_.back();
      // Of the trials since the last accepted step only the last one was good.
      for (std::size_t k = 0; k + 1 < errors_.size(); ++k)
        log_.push_back({cycle_, step.t0, step.t0, false, 0, errors_[k]});
      log_.push_back({cycle_, step.t0, step.t1, true, rms_share(step.y1.z - step.y0.z, step.y1.z), error});
      errors_.clear();
      return true;
    };
    if (adaptive)
      hooks.norm.extra.push_back({"pair", [this](const Y& error, const Y& y0, const Y& y1) {
                                    // Norms of one state alone choose the first step and find the rounding floor.
                                    if (&y0 != &y1) errors_.push_back(rms_share(error.z, y1.z));
                                    return 0.0;
                                  }});
    return hooks;
  }

 private:
  index_t cycle_;
  std::vector<depth_step>& log_;
  std::vector<double> errors_;
};

/// Counts of two solves, one after the other.
inline void add_statistics(ode::statistics& total, const ode::statistics& one) {
  if (total.accepted == 0) total.first_step = one.first_step;
  total.evaluations += one.evaluations;
  total.accepted += one.accepted;
  total.rejected += one.rejected;
  total.seconds += one.seconds;
  total.last_step = one.last_step;
  total.smallest_step = std::min(total.smallest_step, one.smallest_step);
  total.largest_step = std::max(total.largest_step, one.largest_step);
}

}  // namespace detail

/// solve(field, y0, span, solver, control) with a record of every step in `log`.
template <class Field, class Y>
ode::solution<Y> logged_solve(const Field& field, const Y& y0, ode::interval span, const solver_choice& solver,
                              const control_choice& control, index_t cycle, std::vector<depth_step>& log) {
  detail::depth_recorder<Y> recorder(cycle, log);
  const bool adaptive = std::holds_alternative<ode::pid>(control) && is_adaptive(solver);
  return fathom::solve(field, y0, span, solver, control, recorder.hooks(adaptive));
}

/// Fills `drift` of the accepted steps of `cycle` in the log of a solve with fixed steps: solves twice, with as many
/// steps and with twice as many, and compares z at the ends of the log's steps. Three times the log's evaluations.
template <class Field, class Y>
void measure_drift(const Field& field, const Y& y0, ode::interval span, const solver_choice& solver,
                   ode::fixed_steps steps, index_t cycle, std::vector<depth_step>& log) {
  const auto states = [&](long every) {
    std::vector<Y> kept;
    long n = 0;
    ode::options<Y> hooks;
    hooks.observer = [&](const ode::step_view<Y>& step) {
      if (++n % every == 0) kept.push_back(ode::state_traits<Y>::clone(step.y1));
      return true;
    };
    fathom::solve(field, y0, span, solver, control_choice{ode::fixed_steps{steps.n * every}}, hooks);
    return kept;
  };
  const auto coarse = states(1), fine = states(2);
  std::size_t k = 0;
  for (auto& step : log)
    if (step.cycle == cycle && step.accepted && k < coarse.size() && k < fine.size()) {
      step.drift = detail::rms_share(coarse[k].z - fine[k].z, fine[k].z);
      ++k;
    }
}

}  // namespace fathom
