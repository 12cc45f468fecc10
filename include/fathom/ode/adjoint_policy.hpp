// SPDX-License-Identifier: Apache-2.0
// How the gradient of a solve is found: one argument, four policies. What each costs stands in docs/ode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/ode/solution.hpp>

namespace fathom::ode {

/// Where stored states lie: beside the solve, or in the host's memory when the backend's memory is elsewhere.
enum class storage { backend, host };

/// How much of a step is held while it is differentiated. All give the same bits.
enum class step_memory {
  automatic,  ///< chunks of layers as far as `bytes` leaves room for their graphs, then whole stages (activation_plan)
  step,       ///< the residuals of all stages: forward 1, repeated 1, backward 2
  stage       ///< one stage at a time: one more evaluation of all stages but the last
};

/// Every evaluation of the forward solve is recorded. Exact. Memory: steps * stages * residuals of one evaluation.
/// Cost: 3 (one evaluation of every stage, and its derivative, which counts 2).
struct direct {
  bool times = false;  ///< also the gradient with respect to t0 and t1
};

/// Exact gradients of the discrete solve from stored states; what lies between them is computed again. States are
/// stored at as many steps as fit into half of `bytes` (or exactly `slots`, the initial state counted): all of them, or
/// else where binomial checkpointing wants them. `bytes` also limits what the backward pass holds beside them, down to
/// one stage's residuals. Memory: slots + stages + 3 states and, as far as it fits, one step's residuals. Cost: 4, plus
/// the repeated steps (binomial_advances).
struct checkpointed {
  std::size_t bytes = std::size_t(1) << 31;
  std::int64_t slots = 0;  ///< 0: as many as fit
  bool times = false;      ///< also the gradient with respect to t0 and t1
  storage where = storage::backend;
  step_memory memory = step_memory::automatic;
};

/// The continuous adjoint: state, cotangent and parameter gradient are integrated backwards as one ODE. Approximate;
/// solve_gradient::reconstruction_error says how far it can be trusted. Memory: one evaluation.
struct backsolve {
  bool seminorm = false;   ///< leave the parameters' gradient out of the error norm (Kidger et al. 2021): fewer steps
  bool times = false;      ///< also gradients with respect to the times
  bool overshoot = false;  ///< let the last step of every interval pass its end and interpolate, as torchdiffeq does
  /// Hold the time's gradient to the tolerances even where it is not asked for, as torchdiffeq does.
  bool time_in_norm = false;
};

/// Exact up to rounding for reversible methods (reversible_heun, coupled<Method>): the steps are undone one by one.
/// Memory: one step, whatever their number. A pass whose initial state comes out further off than `tolerance`
/// (relative) is refused with that number: its gradient would be wrong by as much.
struct reversible {
  double tolerance = 0;                      ///< 0: the square root of the scalar's unit of rounding
  bool times = false;                        ///< also the gradient with respect to t0 and t1
  std::size_t bytes = std::size_t(1) << 31;  ///< that the backward pass may hold
  step_memory memory = step_memory::automatic;
};

/// Gradients of <a, y1> + sum_n <a_n, values_n>, the same for every policy.
template <class Y, class Gradient>
struct solve_gradient {
  Y y0;
  Gradient parameters;
  double t0 = 0, t1 = 0;  ///< with policy.times; where an event ended the solve, t1 only stretches the grid
  statistics stats{};
  double reconstruction_error = 0;  ///< backsolve and reversible: |y0 found backwards - y0| / |y0|
};

namespace detail {

struct step_cotangent {
  double t = 0;  ///< with respect to the time at the start, the length held
  double h = 0;  ///< with respect to the length
};

/// Collects the derivatives with respect to the grid's points into those of t0 and t1.
class time_account {
 public:
  /// `steps`: of the whole interval. `proportional`: every point is a fixed fraction of it (fixed_steps); otherwise the
  /// inner points stand still. `ends_on_event`: the last point is where an event was found, and moves with that alone.
  time_account(std::int64_t steps, bool proportional, bool ends_on_event, std::int64_t taken)
      : steps_(static_cast<double>(steps)), taken_(taken), proportional_(proportional), event_(ends_on_event) {}

  void add(std::int64_t n, step_cotangent c) {
    point(n, c.t - c.h);
    point(n + 1, c.h);
  }
  double t0 = 0, t1 = 0;

 private:
  void point(std::int64_t n, double derivative) {
    if (n == taken_ && event_) return;
    if (proportional_) {
      const double share = static_cast<double>(n) / steps_;
      t0 += derivative * (1 - share);
      t1 += derivative * share;
    } else {
      if (n == 0) t0 += derivative;
      if (n == taken_) t1 += derivative;
    }
  }
  double steps_;
  std::int64_t taken_;
  bool proportional_, event_;
};

}  // namespace detail

}  // namespace fathom::ode
