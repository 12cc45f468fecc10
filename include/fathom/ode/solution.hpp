// SPDX-License-Identifier: Apache-2.0
// What a solve returns, and what it says when it cannot go on.
#pragma once

#include <any>
#include <cmath>
#include <limits>
#include <ostream>
#include <string>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>

namespace fathom::ode {

/// How a solve ended.
enum class status {
  success,                ///< reached t1
  event,                  ///< a terminal event stopped it before t1
  stopped,                ///< the observer asked it to stop
  max_evaluations,        ///< the budget of field evaluations is spent
  wall_time,              ///< the time limit is reached
  step_underflow,         ///< the step became too short for the time to advance (blow-up, discontinuity, stiffness)
  non_finite,             ///< the field or the state is not finite
  tolerance_below_floor,  ///< the arithmetic cannot meet the tolerance
  newton_failed           ///< the equations of an implicit step could not be solved
};

inline const char* to_string(status s) {
  switch (s) {
    case status::success:
      return "success";
    case status::event:
      return "event";
    case status::stopped:
      return "stopped";
    case status::max_evaluations:
      return "max_evaluations";
    case status::wall_time:
      return "wall_time";
    case status::step_underflow:
      return "step_underflow";
    case status::non_finite:
      return "non_finite";
    case status::tolerance_below_floor:
      return "tolerance_below_floor";
    case status::newton_failed:
      return "newton_failed";
  }
  return "unknown";
}
inline std::ostream& operator<<(std::ostream& out, status s) { return out << to_string(s); }
inline bool succeeded(status s) { return s == status::success || s == status::event || s == status::stopped; }

/// Counts of one solve. Step sizes are magnitudes.
struct statistics {
  long evaluations = 0;            ///< of the field, in the forward solve
  long recompute_evaluations = 0;  ///< of the field, repeated in the backward pass
  long vjp_evaluations = 0;        ///< vector-Jacobian products of the field
  long accepted = 0;
  long rejected = 0;
  long newton_iterations = 0;
  double first_step = 0;
  double last_step = 0;
  double smallest_step = std::numeric_limits<double>::infinity();
  double largest_step = 0;
  double seconds = 0;

  FATHOM_HD void count_step(double h) {
    const double size = h < 0 ? -h : h;
    if (accepted == 0) first_step = size;
    ++accepted;
    last_step = size;
    if (size < smallest_step) smallest_step = size;
    if (size > largest_step) largest_step = size;
  }
};

inline std::ostream& operator<<(std::ostream& out, const statistics& s) {
  out << "evaluations " << s.evaluations << ", accepted " << s.accepted << ", rejected " << s.rejected;
  if (s.accepted > 0)
    out << ", step sizes " << s.smallest_step << " to " << s.largest_step << " (first " << s.first_step << ", last "
        << s.last_step << ")";
  if (s.newton_iterations > 0) out << ", newton iterations " << s.newton_iterations;
  if (s.vjp_evaluations > 0)
    out << ", backward: recomputed " << s.recompute_evaluations << ", vector-Jacobian products " << s.vjp_evaluations;
  return out << ", seconds " << s.seconds;
}

/// Thrown by solve when it cannot reach t1 (unless options ask for a returned status).
struct solver_error : numerical_error {
  status code;
  double t;          ///< time of the last good state
  double dt;         ///< step that was tried from there
  std::string leaf;  ///< leaf with the worst error, where that is known
  std::any last;     ///< the last good state; last_good<Y>() gives it with its type

  solver_error(const std::string& text, status code_, double t_, double dt_, std::string leaf_, std::any last_)
      : numerical_error(text), code(code_), t(t_), dt(dt_), leaf(std::move(leaf_)), last(std::move(last_)) {}

  template <class Y>
  const Y& last_good() const {
    return std::any_cast<const Y&>(last);
  }
};

/// One accepted step: from t over dt to t1 (= t + dt up to rounding; the value the solver uses). Stages at the end of
/// the step were taken at `stage_end`, which is t1, or just before it where the field jumps there.
struct step_record {
  double t, dt, t1, stage_end;
};

/// A zero crossing of event function number `which`.
template <class Y>
struct event_record {
  std::size_t which;
  double t;
  Y y;
};

template <class Y>
struct solution {
  Y y1;                         ///< state at t1
  double t1 = 0;                ///< options' end, or where an event, the observer or a failure stopped
  std::vector<double> times{};  ///< options.save_at, as far as it was reached
  std::vector<Y> values{};      ///< the states there
  std::vector<event_record<Y>> events{};
  std::vector<step_record> steps{};  ///< filled when options.record_steps is set
  statistics stats{};
  ode::status status = ode::status::success;
  std::string message{};               ///< for a failure: what happened, where, and what to do
  double failed_step = 0;              ///< the step that was tried when it failed
  std::string leaf{};                  ///< leaf with the worst error at that moment
  double y0_reconstruction_error = 0;  ///< set by the adjoints that integrate backwards
};

}  // namespace fathom::ode
