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

// A loop worth the name is one function with everything in it: fields are called from several places, which talks
// compilers out of inlining them.
#if (defined(__GNUC__) || defined(__clang__)) && !defined(FATHOM_ODE_INSTRUMENTED)
#define FATHOM_ODE_LOOP __attribute__((flatten, noinline))
#else
#define FATHOM_ODE_LOOP
#endif
// g++ packs pairs of a few numbers into vectors whose shuffles cost more than the arithmetic saves.
#if defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__)
#define FATHOM_ODE_UNPACKED __attribute__((optimize("no-tree-slp-vectorize")))
#else
#define FATHOM_ODE_UNPACKED
#endif
// Programs for any x86-64 processor choose wider vectors at run time, without fused multiply-adds: every number stays
// the same to the last bit.
#if defined(__x86_64__) && !defined(__AVX2__) && !defined(__CUDACC__) && (defined(__GNUC__) || defined(__clang__)) && \
    !defined(FATHOM_ODE_INSTRUMENTED)
#define FATHOM_ODE_WIDE_LOOPS 1
#if defined(__clang__)
#define FATHOM_ODE_TARGET(...) __attribute__((target(__VA_ARGS__)))
#else
#define FATHOM_ODE_TARGET(...) __attribute__((target(__VA_ARGS__), optimize("fp-contract=off,no-tree-slp-vectorize")))
#endif
#else
#define FATHOM_ODE_WIDE_LOOPS 0
#endif

namespace fathom::ode::detail {

/// States of fixed size that a register file or two cache lines can hold.
template <class Y>
inline constexpr bool small_state = false;
template <flat_state Y>
inline constexpr bool small_state<Y> = flat_layout<Y>::extent >= 1 && flat_layout<Y>::extent <= 64;

template <class Body>
FATHOM_ODE_LOOP FATHOM_ODE_UNPACKED void run_loop(const Body& body) {
  body();
}
#if FATHOM_ODE_WIDE_LOOPS
enum class loop_width { baseline, avx2, avx512 };
inline const loop_width widest_loop = [] {
  __builtin_cpu_init();
#if !defined(__clang__)  // which would fuse: AVX-512 has no way without
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
    return loop_width::avx512;
#endif
  return __builtin_cpu_supports("avx2") ? loop_width::avx2 : loop_width::baseline;
}();
template <class Body>
FATHOM_ODE_LOOP FATHOM_ODE_TARGET("avx2") void run_avx2_loop(const Body& body) {
  body();
}
#if !defined(__clang__)
template <class Body>
FATHOM_ODE_LOOP FATHOM_ODE_TARGET("avx512f,avx512vl,avx512dq") void run_avx512_loop(const Body& body) {
  body();
}
#endif
#endif

/// body(), a lambda marked FATHOM_ODE_INLINE_LAMBDA, in a function of its own.
template <class Body>
void in_own_function(const Body& body) {
#if FATHOM_ODE_WIDE_LOOPS
#if !defined(__clang__)
  if (widest_loop == loop_width::avx512) return run_avx512_loop(body);
#endif
  if (widest_loop == loop_width::avx2) return run_avx2_loop(body);
#endif
  run_loop(body);
}

/// `n` steps of equal length (t = begin + step h); the state before them is lost. Nothing looks at the numbers.
template <class Solver, class Eval, class Y, class Work>
void unchecked_steps(Eval& f_, Y& y_, Work& work_, double begin, double h, long first, long n) {
  constexpr std::size_t extent = flat_layout<Y>::extent;
  if (n <= 0) return;
  in_own_function([&]() FATHOM_ODE_INLINE_LAMBDA {
    Eval f = f_;
    Y y = y_, next = y_;
    Work work = work_;
    Solver::prepare(f, begin + static_cast<double>(first) * h, y, work);
    // Written so that the loop holds no test of what the method hands over: a test would split its registers.
    for (long step = first;; ++step) {
      const double t = begin + static_cast<double>(step) * h;
      const double end = begin + static_cast<double>(step + 1) * h;
      if constexpr (extent > 8) {
        // The new state takes the old one's place: elements are combined one by one, each read before it is written.
        Solver::step_from_slope(f, t, h, end, y, y, work);
      } else {
        Solver::step_from_slope(f, t, h, end, y, next, work);
        y = next;
      }
      Solver::accept(work);
      if (step + 1 == first + n) break;
      if constexpr (!Solver::hands_over) f(end, y, work.k[0]);
    }
    f_ = f;
    y_ = y;
    work_ = work;
  });
}

/// Up to `n` steps of equal length, fewer when the state is no longer finite: then y is the last good state. Returns
/// the number of good steps. What is not finite stays so under every sum y + h b_i k_i: one look at the end of a run of
/// steps finds it, and only a run that went wrong is taken again step by step.
template <class Solver, class Eval, class Y, class Work>
long burst_fixed(Eval& f, Y& y, Work& work, double begin, double h, long n, bool guarded) {
  constexpr long run = 256;
  long done = 0;
  while (done < n) {
    const long next = guarded && n - done > run ? run : n - done;
    const Eval f_before = f;
    const Y y_before = y;
    const Work work_before = work;
    unchecked_steps<Solver>(f, y, work, begin, h, done, next);
    if (!guarded || state_traits<Y>::finite(y)) {
      done += next;
      continue;
    }
    f = f_before;
    y = y_before;
    work = work_before;
    for (;; ++done) {
      const Y last = y;
      unchecked_steps<Solver>(f, y, work, begin, h, done, 1);
      if (!state_traits<Y>::finite(y)) {
        y = last;
        return done;
      }
    }
  }
  return done;
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
burst_end burst_adaptive(Eval& f_, Y& y_, Work& work_, double& t_, statistics& stats_, Controller& controller_,
                         double start_size, double direction, double limit, double smallest, double largest, long most,
                         const tolerances& tolerance) {
  burst_end result{start_size};
  in_own_function([&]() FATHOM_ODE_INLINE_LAMBDA {
    constexpr double eps = std::numeric_limits<double>::epsilon();
    Eval f = f_;
    Y y = y_, next = y_;
    Work work = work_;
    Controller controller = controller_;
    double t = t_, last = 0, shortest = std::numeric_limits<double>::infinity(), longest = 0;
    long accepted = 0;
    const double first = start_size;
    double size = start_size;
    const tolerances tol = tolerance;
    burst_end end{size};
    const auto norm = [&](const Y& a, const Y& b, const auto& c, const auto& k)
                          FATHOM_ODE_INLINE_LAMBDA { return state_traits<Y>::error_norm(a, b, c, k, tol); };
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
    result = end;
  });
  return result;
}

}  // namespace fathom::ode::detail
