// SPDX-License-Identifier: Apache-2.0
// Runs of ordinary steps of small states, in loops that hold nothing but local variables: what a compiler needs to keep
// the state in registers. Everything out of the ordinary is left to the loops in integration.hpp.
#pragma once

#include <limits>

#include <fathom/core/config.hpp>
#include <fathom/ode/error_measure.hpp>
#include <fathom/ode/field.hpp>
#include <fathom/ode/solution.hpp>
#include <fathom/ode/state.hpp>

// The field is called from several places, which talks compilers out of inlining it; here it must be.
#if defined(__GNUC__) || defined(__clang__)
#define FATHOM_ODE_FLATTEN __attribute__((flatten))
#else
#define FATHOM_ODE_FLATTEN
#endif

namespace fathom::ode::detail {

/// States of fixed size that a register file or two cache lines can hold.
template <class Y>
inline constexpr bool small_state = false;
template <flat_state Y>
inline constexpr bool small_state<Y> = flat_layout<Y>::extent >= 1 && flat_layout<Y>::extent <= 64;

/// `n` steps of equal length from `first` (t = begin + first h), or fewer when the state is no longer finite: then y is
/// the last good state. Returns the number of good steps.
template <class Solver, class Eval, class Y, class Work>
FATHOM_ODE_FLATTEN long burst_fixed(Eval& f_, Y& y_, Work& work_, double begin, double h, long first, long n,
                                    bool guarded) {
  Eval f = f_;
  Y y = y_, next = y_;
  Work work = work_;
  long step = 0;
  if (n > 0) Solver::prepare(f, begin + static_cast<double>(first) * h, y, work);
  for (; step < n; ++step) {
    const double t = begin + static_cast<double>(first + step) * h;
    const double end = begin + static_cast<double>(first + step + 1) * h;
    Solver::step_from_slope(f, t, h, end, y, next, work);
    if (guarded && !state_traits<Y>::finite(next)) break;
    Solver::accept(work);
    y = next;
    // Written so that the loop holds no test of what the method hands over: a test would split its registers.
    if constexpr (!Solver::hands_over) {
      if (step + 1 == n) {
        ++step;
        break;
      }
      f(end, y, work.k[0]);
    }
  }
  f_ = f;
  y_ = y;
  work_ = work;
  return step;
}

/// How an adaptive run ended: `tried` says that a trial step from the returned state was rejected or not finite.
struct burst_end {
  double size;
  bool tried = false;
  double h = 0;
  double square = 0;
};

/// Trial steps as long as they are accepted, end before `limit` and stay within `most` evaluations.
template <class Solver, class Eval, class Y, class Work, class Controller>
FATHOM_ODE_FLATTEN burst_end burst_adaptive(Eval& f_, Y& y_, Work& work_, double& t_, statistics& stats_,
                                            Controller& controller_, double size, double direction, double limit,
                                            double smallest, double largest, long most, const tolerances& tol) {
  constexpr double eps = std::numeric_limits<double>::epsilon();
  Eval f = f_;
  Y y = y_, next = y_;
  Work work = work_;
  Controller controller = controller_;
  double t = t_, last = 0, shortest = std::numeric_limits<double>::infinity(), longest = 0;
  long accepted = 0;
  const double first = size;
  const auto norm = [&](const Y& a, const Y& b, const auto& c, const auto& k) {
    return state_traits<Y>::error_norm(a, b, c, k, tol);
  };
  burst_end end{size};
  Solver::prepare(f, t, y, work);
  while (f.count < most) {
    const double h = direction * size;
    const double stop = t + h;
    if (direction * (limit - stop) <= 8 * eps * size || size <= 4 * eps * (t < 0 ? -t : t)) break;
    Solver::step_from_slope(f, t, h, stop, y, next, work);
    const double square = Solver::error_norm(h, y, next, work, norm).square;
    if (!(square <= 1)) {
      end.tried = true;
      end.h = h;
      end.square = square;
      break;
    }
    if constexpr (!Solver::fsal) {
      if (!state_traits<Y>::finite(next)) {
        end.tried = true;
        end.h = h;
        end.square = std::numeric_limits<double>::quiet_NaN();
        break;
      }
    }
    ++accepted;
    last = size;
    if (size < shortest) shortest = size;
    if (size > longest) longest = size;
    size *= controller.factor(square, true);
    if (size > largest) size = largest;
    if (size < smallest) size = smallest;
    Solver::accept(work);
    t = stop;
    y = next;
    if constexpr (!Solver::hands_over) Solver::prepare(f, t, y, work);
  }
  f_ = f;
  y_ = y;
  work_ = work;
  controller_ = controller;
  t_ = t;
  if (accepted > 0) {
    if (stats_.accepted == 0) stats_.first_step = first;
    stats_.accepted += accepted;
    stats_.last_step = last;
    if (shortest < stats_.smallest_step) stats_.smallest_step = shortest;
    if (longest > stats_.largest_step) stats_.largest_step = longest;
  }
  end.size = size;
  return end;
}

}  // namespace fathom::ode::detail
