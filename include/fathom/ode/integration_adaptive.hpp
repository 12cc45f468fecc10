// SPDX-License-Identifier: Apache-2.0
// The loop of an adaptive solve: accept or reject by the scaled error, until t1.
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
#include <fathom/ode/error_measure.hpp>
#include <fathom/ode/integration.hpp>

namespace fathom::ode::detail {

/// Scaled error that rounding alone causes in a step of length h: of the state, which cannot be represented better, and
/// of the field's values in the error estimate (four times their root mean square).
template <class Y>
leaf_error rounding_error(const error_measure<Y>& norm, const Y& y, const Y& slope, double h, double error_weight,
                          double field_epsilon) {
  constexpr double state_floor = 10;
  const double epsilon = state_traits<Y>::epsilon(y);
  if (field_epsilon <= 0) field_epsilon = epsilon;
  using one = std::array<const Y*, 1>;
  const leaf_error state = norm(y, y, std::array<double, 1>{state_floor * epsilon}, one{&y});
  const leaf_error slopes = norm(y, y, std::array<double, 1>{4 * error_weight * 0.5 * field_epsilon * h}, one{&slope});
  return slopes.square > state.square ? slopes : state;
}

/// An adaptive solve one trial step at a time: while (propose()) judge(attempt()). Whoever solves several samples at
/// once makes the attempts of all of them together.
template <class Field, class Y, class Solver>
template <class Control>
class integration<Field, Y, Solver>::adaptive_loop {
 public:
  adaptive_loop(integration& of, const Control& control)
      : of_(of),
        at_(of.at_),
        limits_(control.limits),
        tolerances_{control.rtol, control.atol},
        controller_(control),
        norm_(of.option_.norm, tolerances_),
        most_(of.option_.max_evaluations > 0 ? of.option_.max_evaluations : 100000) {
    if (!(control.rtol >= 0) || !(control.atol >= 0) || control.rtol + control.atol == 0)
      of.progress_.refuse("rtol and atol must not be negative nor both zero, got ", control.rtol, " and ",
                          control.atol);
  }
  adaptive_loop(const adaptive_loop&) = delete;
  adaptive_loop& operator=(const adaptive_loop&) = delete;

  /// The first slope and the first step's length.
  void begin() {
    if (at_.t == of_.progress_.t1) return end_with(of_.finish(status::success));
    Y& slope = of_.solver_.first_slope(at_.work);
    at_.f(at_.t, at_.y, slope);
    of_.solver_.first_slope_is_ready(at_.work);
    if (!traits::finite(at_.y) || !traits::finite(slope)) return end_with(of_.fail(status::non_finite, 0));
    if (const auto lowest = floor(0); lowest.square > 1) return refuse(lowest, 0);
    size_ = limits_.first_step > 0
                ? limits_.first_step
                : initial_step(at_.f, at_.t, of_.progress_.direction, at_.y, slope, Solver::error_order, norm_);
    if (!std::isfinite(size_) || size_ == 0) size_ = 1e-6;
    size_ = std::clamp(size_, limits_.min_step, limits_.max_step);
    stops_ = forced_stops(of_.option_.step_times, of_.option_.jump_times, at_.t, of_.progress_.t1);
    limit_ = next_stop();
    plain_ = !of_.progress_.watched && !of_.progress_.limited && norm_.plain() && !of_.option_.norm.weights &&
             limits_.min_step == 0;
  }

  /// Chooses the next trial step; false when the solve is over and `result` says how. `alone`: ordinary steps of small
  /// states may be taken at once.
  bool propose(bool alone = true) {
    constexpr double eps = std::numeric_limits<double>::epsilon();
    if (result) return false;
    if (!(of_.progress_.direction * (of_.progress_.t1 - at_.t) > 0)) return over(of_.finish(status::success));
    run_ = {size_};
    if constexpr (small_state<Y> && requires { Solver::stages; }) {
      if (alone && plain_ && broken_ == 0)
        run_ = burst_adaptive<Solver>(
            at_.f, at_.y, at_.work, at_.t, at_.stats, controller_, size_, of_.progress_.direction,
            of_.option_.overshoot && of_.progress_.direction * (limit_ - of_.progress_.t1) > 0 ? of_.progress_.t1
                                                                                               : limit_,
            limits_.min_step, limits_.max_step, most_, tolerances_);
      size_ = run_.size;
    }
    if (!run_.tried && at_.f.count >= most_) return over(of_.fail(status::max_evaluations, size_));
    if (of_.progress_.limited && of_.progress_.too_late()) return over(of_.fail(status::wall_time, size_));
    h_ = of_.progress_.direction * size_;
    end_ = at_.t + h_;
    // A step that would leave less than a rounding error before the stop goes all the way.
    clipped_ = of_.progress_.direction * (limit_ - end_) <= 8 * eps * size_;
    if (clipped_) {
      end_ = limit_;
      h_ = end_ - at_.t;
    }
    if (std::abs(h_) <= 4 * eps * std::abs(at_.t) || end_ == at_.t)
      return over(of_.fail(broken_ > 0 ? status::non_finite : status::step_underflow, h_));
    jumps_here_ = clipped_ && stop_ < stops_.size() && stops_[stop_].jump;
    return true;
  }

  /// Length of the proposed step, and the time that its stages at c = 1 see.
  double length() const { return h_; }
  double stage_end() const { return jumps_here_ ? of_.progress_.before(end_) : end_; }

  /// Takes the proposed step and measures its error; what is not a number stands for equations without a solution.
  leaf_error attempt() {
    if (run_.tried) return {run_.square, 0};
    if (!of_.solver_.step(at_.f, at_.t, h_, stage_end(), at_.y, at_.next, at_.work))
      return {std::numeric_limits<double>::quiet_NaN(), 0};
    return measure();
  }
  leaf_error measure() const { return of_.solver_.error_norm(h_, at_.y, at_.next, at_.work, norm_); }

  /// Accepts or rejects the step that was tried.
  void judge(const leaf_error& e) {
    bool finite = e.square <= std::numeric_limits<double>::max();
    const bool small_enough = e.square <= 1 || (limits_.min_step > 0 && std::abs(h_) <= limits_.min_step);
    // The last stage of an FSAL method shows whether the new state is finite; others must look at it.
    if constexpr (!Solver::fsal) finite = finite && (!small_enough || traits::finite(at_.next));
    if (finite && small_enough)
      accept(e);
    else
      reject(e, finite);
    if (size_ > limits_.max_step) size_ = limits_.max_step;
    if (size_ < limits_.min_step) size_ = limits_.min_step;
  }

  std::optional<solution<Y>> result{};

 private:
  void accept(const leaf_error& e) {
    if (++calm_ == 8) broken_ = 0;
    double wanted = std::abs(h_) * controller_.factor(e.square, true);
    if (of_.option_.overshoot && of_.progress_.direction * (end_ - of_.progress_.t1) >= 0)
      return end_with(of_.land_inside(end_, h_));
    if (const auto s = of_.advance(end_, h_, stage_end()); s != status::success) return end_with(of_.finish(s));
    if (clipped_) {
      // A step cut short to end on a given time says little about the length that suits the error.
      if (!of_.option_.overshoot && size_ > wanted) wanted = size_;
      if (jumps_here_) {
        of_.solver_.restart(at_.work);
        at_.t = of_.progress_.after(at_.t);
      }
      ++stop_;
      limit_ = next_stop();
    }
    size_ = wanted;
  }

  void reject(const leaf_error& e, bool finite) {
    ++at_.stats.rejected;
    of_.solver_.reject(at_.work);
    calm_ = 0;
    if (finite) {
      if (const auto lowest = floor(h_); lowest.square > 1) return refuse(lowest, h_);
      size_ = std::abs(h_) * controller_.factor(e.square, false);
    } else {
      // Either the step was far too long or the field itself is broken here: shorten hard, but not for ever.
      if (++broken_ > 12) return end_with(of_.fail(status::non_finite, h_, norm_.leaf_name(at_.y, e.leaf)));
      size_ = std::abs(h_) * limits_.min_factor;
    }
  }

  double next_stop() const {
    if (stop_ < stops_.size()) return stops_[stop_].t;
    return of_.option_.overshoot ? of_.progress_.direction * std::numeric_limits<double>::infinity() : of_.progress_.t1;
  }
  /// What rounding does to the error, when it alone is above the tolerance.
  leaf_error floor(double h) const {
    if (!of_.option_.check_floor) return {};
    return rounding_error(norm_, at_.y, of_.solver_.first_slope(at_.work), h, Solver::error_weight(),
                          of_.option_.field_epsilon);
  }
  void refuse(const leaf_error& lowest, double h) {
    const auto leaf = norm_.leaf_name(at_.y, lowest.leaf);
    const bool single = traits::epsilon(at_.y) > 1e-10;
    const double rtol = tolerances_.rtol;
    end_with(
        of_.fail(status::tolerance_below_floor, h, leaf,
                 fathom::detail::concat("tolerance ", rtol, " is below what ", single ? "float32" : "float64",
                                        " can meet here (floor ", rtol * lowest.value(), " at t = ", at_.t, ", leaf ",
                                        leaf, "); raise rtol or atol", single ? " or use double" : "")));
  }
  void end_with(solution<Y> s) { result = std::move(s); }
  bool over(solution<Y> s) {
    end_with(std::move(s));
    return false;
  }

  integration& of_;
  cursor& at_;
  adaptive_limits limits_;
  tolerances tolerances_;
  step_controller<Control, Solver::error_order> controller_;
  error_measure<Y> norm_;
  long most_;
  double size_ = 0;
  std::vector<forced_stop> stops_{};
  std::size_t stop_ = 0;
  double limit_ = 0;
  // Trial steps that were not finite, until eight good steps in a row: a solver that creeps up to a wall is stopped.
  int broken_ = 0, calm_ = 0;
  bool plain_ = false;
  burst_end run_{0};
  double h_ = 0, end_ = 0;
  bool clipped_ = false, jumps_here_ = false;
};

template <class Field, class Y, class Solver>
template <class Control>
solution<Y> integration<Field, Y, Solver>::adaptive(const Control& control) {
  adaptive_loop<Control> loop(*this, control);
  loop.begin();
  while (loop.propose()) loop.judge(loop.attempt());
  return std::move(*loop.result);
}

}  // namespace fathom::ode::detail
