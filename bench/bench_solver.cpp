// SPDX-License-Identifier: Apache-2.0
// Overhead of the solvers per step, beside Boost.odeint in the same run. Ends with RESULT lines. Both are compiled as
// programs usually are, with -O3 for any x86-64 processor: fathom's loops over small states choose wider vectors at run
// time. Under -march=native the arithmetic itself (44 vector operations in a step of rk4 on array<32>) is what is left
// of either, and nobody can be twice as fast.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <vector>

#include <fathom/ode/explicit_rk.hpp>
#include <fathom/ode/solve.hpp>

#include "report.hpp"

#if __has_include(<boost/numeric/odeint.hpp>)
#include <boost/numeric/odeint.hpp>
#define FATHOM_BENCH_HAS_ODEINT 1
#else
#define FATHOM_BENCH_HAS_ODEINT 0
#endif

namespace {
long allocations = 0;
}
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

namespace ode = fathom::ode;
using vec3 = std::array<double, 3>;
using vec32 = std::array<double, 32>;
using dynamic3 = std::vector<double>;

template <class Y>
void lorenz(const Y& y, Y& dydt) {
  dydt[0] = 10.0 * (y[1] - y[0]);
  dydt[1] = 28.0 * y[0] - y[1] - y[0] * y[2];
  dydt[2] = -8.0 / 3.0 * y[2] + y[0] * y[1];
}

/// The cheapest field there is, so that what is timed is the solver.
void decay(const vec32& y, vec32& dydt) {
  for (std::size_t n = 0; n < 32; ++n) dydt[n] = -0.5 * y[n];
}

/// Nanoseconds per unit of `run()`, which returns how many units it did: the best of several repetitions.
template <class Run>
double nanoseconds(Run&& run) {
  double best = 1e300;
  for (int repetition = 0; repetition < 25; ++repetition) {
    const auto begin = std::chrono::steady_clock::now();
    const double units = run();
    const double spent = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count();
    best = std::min(best, spent / units);
  }
  return best;
}

volatile double sink = 0;
/// Every element counts: a solve of which only some are looked at is compiled without the others.
template <class Y>
void consume(const Y& y) {
  double sum = 0;
  for (const auto x : y) sum += static_cast<double>(x);
  sink = sink + 1e-300 * sum;
}
int failures = 0;

void result(const char* name, double value, double goal) {
  if (!fathom::bench::report::of_this_run().result(name, value, goal, true)) ++failures;
}

/// Nanoseconds of a step, and Boost.odeint's where it is there.
void row(const char* name, double ours, double odeint) {
  fathom::bench::report::of_this_run().row(name, {{"ns", ours}, {"peer ns", odeint}, {"ratio", odeint / ours}});
}

template <class Y, class Solver, class Field>
double fathom_fixed(const Field& field, const Y& y0, double t1, long n) {
  return nanoseconds([&] {
    const auto s = ode::solve(field, y0, {0, t1}, Solver{}, ode::fixed_steps{n}, ode::options<Y>{.check_finite = true});
    consume(s.y1);
    return static_cast<double>(s.stats.accepted);
  });
}

template <class Y, class Field>
double fathom_controlled(const Field& field, const Y& y0, double t1, double tol) {
  return nanoseconds([&] {
    const auto s = ode::solve(field, y0, {0, t1}, ode::dopri5{}, ode::i{.rtol = tol, .atol = tol},
                              ode::options<Y>{.max_evaluations = 1L << 40});
    consume(s.y1);
    return static_cast<double>(s.stats.accepted + s.stats.rejected);
  });
}

#if FATHOM_BENCH_HAS_ODEINT
template <class Stepper, class Y, class Field>
double odeint_fixed(const Field& field, const Y& y0, double t1, long n) {
  return nanoseconds([&] {
    Stepper stepper;
    Y y = y0;
    const double h = t1 / static_cast<double>(n);
    for (long step = 0; step < n; ++step) stepper.do_step(field, y, static_cast<double>(step) * h, h);
    consume(y);
    return static_cast<double>(n);
  });
}

template <class Y, class Field>
double odeint_controlled(const Field& field, const Y& y0, double t1, double tol) {
  namespace bo = boost::numeric::odeint;
  return nanoseconds([&] {
    auto stepper = bo::make_controlled(tol, tol, bo::runge_kutta_dopri5<Y>());
    Y y = y0;
    double t = 0, h = 1e-3;
    long trials = 0;
    while (t < t1) {
      if (t + h > t1) h = t1 - t;
      stepper.try_step(field, y, t, h);
      ++trials;
    }
    consume(y);
    return static_cast<double>(trials);
  });
}
#endif

/// Heap allocations that 10 and 1,010 steps differ by.
template <class Y, class Solver, class Field>
double allocations_per_step(const Field& field, const Y& y0) {
  const auto count = [&](long n) {
    const long before = allocations;
    const auto s = ode::solve(field, y0, {0, 1}, Solver{}, ode::fixed_steps{n});
    consume(s.y1);
    return allocations - before;
  };
  count(10);
  return static_cast<double>(count(1010) - count(10)) / 1000;
}

}  // namespace

int main() {
  const auto f3 = [](double, const vec3& y, vec3& dydt) { lorenz(y, dydt); };
  const auto f32 = [](double, const vec32& y, vec32& dydt) { decay(y, dydt); };
  const auto fv = [](double, const dynamic3& y, dynamic3& dydt) { lorenz(y, dydt); };
  const vec3 y3{10, 1, 1};
  // All different, and nothing that the compiler may know: it would carry one vector for 32 equal numbers.
  vec32 y32;
  for (std::size_t n = 0; n < 32; ++n) y32[n] = 1.0 + 0.01 * static_cast<double>(n) + sink;
  const dynamic3 yv{10, 1, 1};

  const double rk4_3 = fathom_fixed<vec3, ode::rk4>(f3, y3, 20, 20000);
  const double dopri5_3 = fathom_fixed<vec3, ode::dopri5>(f3, y3, 20, 20000);
  const double rk4_32 = fathom_fixed<vec32, ode::rk4>(f32, y32, 20, 20000);
  const double rk4_v = fathom_fixed<dynamic3, ode::rk4>(fv, yv, 20, 20000);
  const double controlled_3 = fathom_controlled(f3, y3, 100, 1e-8);
  const double controlled_32 = fathom_controlled(f32, y32, 40, 1e-12);
  const double controlled_v = fathom_controlled(fv, yv, 100, 1e-8);
  std::printf("nanoseconds per step: rk4 array<3> %.1f, dopri5 array<3> %.1f, controlled dopri5 array<3> %.1f\n", rk4_3,
              dopri5_3, controlled_3);
  std::printf(
      "                      rk4 array<32> %.1f, controlled array<32> %.1f, rk4 vector(3) %.1f, controlled vector(3) "
      "%.1f\n",
      rk4_32, controlled_32, rk4_v, controlled_v);

#if FATHOM_BENCH_HAS_ODEINT
  namespace bo = boost::numeric::odeint;
  const auto b3 = [](const vec3& y, vec3& dydt, double) { lorenz(y, dydt); };
  const auto b32 = [](const vec32& y, vec32& dydt, double) { decay(y, dydt); };
  const auto bv = [](const dynamic3& y, dynamic3& dydt, double) { lorenz(y, dydt); };
  const double b_rk4_3 = odeint_fixed<bo::runge_kutta4<vec3>>(b3, y3, 20, 20000);
  const double b_dopri5_3 = odeint_fixed<bo::runge_kutta_dopri5<vec3>>(b3, y3, 20, 20000);
  const double b_rk4_32 = odeint_fixed<bo::runge_kutta4<vec32>>(b32, y32, 20, 20000);
  const double b_rk4_v = odeint_fixed<bo::runge_kutta4<dynamic3>>(bv, yv, 20, 20000);
  const double b_controlled_3 = odeint_controlled(b3, y3, 100, 1e-8);
  const double b_controlled_32 = odeint_controlled(b32, y32, 40, 1e-12);
  const double b_controlled_v = odeint_controlled(bv, yv, 100, 1e-8);
  std::printf("Boost.odeint:         rk4 array<3> %.1f, dopri5 array<3> %.1f, controlled dopri5 array<3> %.1f\n",
              b_rk4_3, b_dopri5_3, b_controlled_3);
  std::printf(
      "                      rk4 array<32> %.1f, controlled array<32> %.1f, rk4 vector(3) %.1f, controlled vector(3) "
      "%.1f\n",
      b_rk4_32, b_controlled_32, b_rk4_v, b_controlled_v);
  row("rk4 array<3>", rk4_3, b_rk4_3);
  row("dopri5 array<3>", dopri5_3, b_dopri5_3);
  row("controlled dopri5 array<3>", controlled_3, b_controlled_3);
  row("rk4 array<32>", rk4_32, b_rk4_32);
  row("controlled dopri5 array<32>", controlled_32, b_controlled_32);
  row("rk4 vector(3)", rk4_v, b_rk4_v);
  row("controlled dopri5 vector(3)", controlled_v, b_controlled_v);
  result("solver.rk4_array3_over_odeint", rk4_3 / b_rk4_3, 1.0);
  result("solver.dopri5_array3_over_odeint", dopri5_3 / b_dopri5_3, 1.0);
  result("solver.controlled_array3_over_odeint", controlled_3 / b_controlled_3, 1.0);
  result("solver.rk4_array32_over_odeint", rk4_32 / b_rk4_32, 0.5);
  result("solver.controlled_array32_over_odeint", controlled_32 / b_controlled_32, 0.5);
#else
  std::printf("Boost.odeint was not found when this was compiled: no comparison.\n");
#endif
  result("solver.allocations_per_step_array3", allocations_per_step<vec3, ode::dopri5>(f3, y3), 0);
  result("solver.allocations_per_step_vector3", allocations_per_step<dynamic3, ode::dopri5>(fv, yv), 0);

  // 8,192 numbers are about what an Evoformer block turns over in a millisecond. The solver's time per evaluation,
  // taken with a field that costs next to nothing, beside a millisecond.
  {
    using big = std::vector<float>;
    const auto cheap = [](double, const big& y, big& dydt) {
      for (std::size_t m = 0; m < y.size(); ++m) dydt[m] = -y[m];
    };
    const big start(1 << 13, 1.0f);
    const double spent = nanoseconds([&] {
      const auto s = ode::solve(cheap, start, {0, 1}, ode::dopri5{}, ode::i{.rtol = 1e-4, .atol = 1e-5});
      consume(s.y1);
      return static_cast<double>(s.stats.evaluations);
    });
    result("solver.share_with_1ms_field", spent / (1e6 + spent), 0.02);
  }
  return failures == 0 ? 0 : 1;
}
