// SPDX-License-Identifier: Apache-2.0
// How long the next step is: fixed steps, or I, PI and PID control of the scaled error.
#pragma once

#include <cmath>
#include <concepts>
#include <limits>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/ode/root_table.hpp>
#include <fathom/ode/state.hpp>

namespace fathom::ode {

/// n steps of equal length.
struct fixed_steps {
  long n = 1;
};

/// Steps of length h; the last one is shortened to end at t1.
struct fixed_step {
  double h = 0.1;
};

/// Steps from one of these times to the next; the first is t0, the last t1.
struct fixed_grid {
  std::vector<double> times;
};

/// Limits that every adaptive control shares. After a trial step with scaled error E the next step is
/// h * clamp(factor(E), min_factor, max_factor), and a step is accepted when E <= 1.
struct adaptive_limits {
  double safety = 0.9;
  double min_factor = 0.2;
  double max_factor = 10;
  double min_step = 0;  ///< 0: what floating point time can resolve
  double max_step = std::numeric_limits<double>::infinity();
  double first_step = 0;       ///< 0: Hairer's choice
  bool keep_accepted = false;  ///< the step after an accepted one is never shorter
};

/// Integral ("elementary") control: factor = safety E^(-1/k), k the order of the error estimate.
struct i {
  double rtol = 1e-3, atol = 1e-6;
  adaptive_limits limits{};
};

/// PI control, factor = safety E_n^(-(p + i)/k) E_(n-1)^(p/k) (Gustafsson; Hairer and Wanner IV.2).
struct pi {
  double rtol = 1e-3, atol = 1e-6;
  double p = 0.4, i = 0.3;
  adaptive_limits limits{};
};

/// PID control, factor = safety E_n^(-(p + i + d)/k) E_(n-1)^((p + 2 d)/k) E_(n-2)^(-d/k) (Soderlind 2003).
struct pid {
  double rtol = 1e-3, atol = 1e-6;
  double p = 0.3, i = 0.4, d = 0;
  adaptive_limits limits{};
};

template <class C>
concept adaptive_control = std::same_as<C, i> || std::same_as<C, pi> || std::same_as<C, pid>;
template <class C>
concept fixed_control = std::same_as<C, fixed_steps> || std::same_as<C, fixed_step> || std::same_as<C, fixed_grid>;

namespace detail {

/// The controller at work. Order: of the error estimate.
template <class Control, int Order>
class step_controller {
 public:
  explicit step_controller(const Control& c) : control_(c) {
    const auto& limits = c.limits;
    if (!(limits.safety > 0 && limits.safety <= 1) || !(limits.min_factor > 0 && limits.min_factor < 1) ||
        !(limits.max_factor > 1))
      throw error(
          fathom::detail::concat("ode: step control needs 0 < safety <= 1, 0 < min_factor < 1 < max_factor; got ",
                                 limits.safety, ", ", limits.min_factor, ", ", limits.max_factor));
    if constexpr (std::same_as<Control, pi>) {
      now_ = (c.p + c.i) / Order;
      last_ = -c.p / Order;
    } else if constexpr (std::same_as<Control, pid>) {
      now_ = (c.p + c.i + c.d) / Order;
      last_ = -(c.p + 2 * c.d) / Order;
      before_last_ = c.d / Order;
    }
  }

  /// Factor for the step after a trial with this error.
  FATHOM_ODE_INLINE double factor(double squared_error, bool accepted) {
    const adaptive_limits& limits = control_.limits;
    double value = limits.max_factor;
    if (squared_error != 0) {
      if constexpr (std::same_as<Control, i>) {
        value = inverse_root<2 * Order>(squared_error, limits.safety);
      } else {
        value = limits.safety * std::pow(squared_error, -0.5 * now_) * std::pow(previous_, -0.5 * last_);
        if (before_last_ != 0) value *= std::pow(before_previous_, -0.5 * before_last_);
      }
    }
    const double lowest = accepted && limits.keep_accepted ? 1.0 : limits.min_factor;
    if (!(value > lowest)) value = lowest;
    const double highest = accepted ? limits.max_factor : 1.0;
    if (value > highest) value = highest;
    if constexpr (!std::same_as<Control, i>) {
      if (accepted) {
        before_previous_ = previous_;
        previous_ = squared_error > smallest_error ? squared_error : smallest_error;
      }
    }
    return value;
  }

 private:
  // An error of exactly zero would make the next factor infinite.
  static constexpr double smallest_error = 1e-16;

  Control control_;
  double now_ = 0, last_ = 0, before_last_ = 0;
  double previous_ = 1, before_previous_ = 1;
};

}  // namespace detail

}  // namespace fathom::ode
