// SPDX-License-Identifier: Apache-2.0
// Everything about a solve that is neither the method nor the step control.
#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/ode/control.hpp>
#include <fathom/ode/solution.hpp>
#include <fathom/ode/state.hpp>

namespace fathom::ode {

/// Integration from t0 to t1; t1 < t0 goes backwards.
struct interval {
  double t0 = 0;
  double t1 = 1;
};

enum class on_failure { raise, return_status };

/// How values between the ends of a step are found.
enum class interpolation {
  natural,  ///< cubic Hermite (euler: linear), or the method's own continuous extension: no stage beyond the slope
            ///< at the end, which the next step uses as its first
  full,     ///< raised to the method's order by further evaluations, made only in steps that need a value inside
  linear    ///< second order, whatever the method
};

enum class crossing { any, rising, falling };

/// Derivatives of an event's value.
template <class Y>
struct event_slope {
  double t;
  Y y;
};

/// A zero of value(t, y) to be located. Terminal events end the solve there.
template <class Y>
struct event {
  std::function<double(double, const Y&)> value;
  crossing direction = crossing::any;
  bool terminal = true;
  std::function<event_slope<Y>(double, const Y&)> slope{};  ///< of a terminal event, where gradients are asked for
};

/// What an observer sees after every accepted step. Return false to stop the solve.
template <class Y>
struct step_view {
  double t0, t1;
  const Y& y0;
  const Y& y1;
  const statistics& stats;
};

/// An extra term of the error norm: a part of the state held to tolerances of its own, such as the MSA's first row.
template <class Y>
struct named_norm {
  std::string name;
  std::function<double(const Y& error, const Y& y0, const Y& y1)> value;  ///< scaled: at most 1 is acceptable
};

/// The error norm. Without anything set: maximum over the leaves of the rms of err/(atol + rtol max(|y0|, |y1|)).
template <class Y>
struct norm_options {
  std::optional<Y> weights{};          ///< of every element; a mask of 0 and 1 leaves the padding out of the mean
  std::vector<named_norm<Y>> extra{};  ///< joined to the leaves by the maximum
  std::function<leaf_error(const Y& error, const Y& y0, const Y& y1, const tolerances&)> custom{};  ///< instead of all
};

template <class Y>
struct options {
  std::vector<double> save_at{};                        ///< times in the direction of integration
  std::function<bool(const step_view<Y>&)> observer{};  ///< streamed: nothing is stored for it
  std::vector<event<Y>> events{};
  std::vector<double> jump_times{};  ///< discontinuities of the field in t: steps end there
  std::vector<double> step_times{};  ///< steps end there
  ode::interpolation interpolation = ode::interpolation::natural;
  norm_options<Y> norm{};
  long max_evaluations = 0;  ///< 0: 100,000 when adaptive, no limit when fixed
  double max_seconds = std::numeric_limits<double>::infinity();
  ode::on_failure on_failure = ode::on_failure::raise;
  bool record_steps = false;
  bool overshoot = false;    ///< let the last step pass t1 and interpolate, as torchdiffeq does
  bool check_finite = true;  ///< fixed steps: look at every state (adaptive control always does)
  bool check_floor = true;   ///< refuse a tolerance that the arithmetic cannot meet
  double field_epsilon = 0;  ///< unit of rounding inside the field, 0: the state's (bf16 fields: 2^-8)
};

}  // namespace fathom::ode
