// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include <fathom/ode/ode.hpp>

#include "network_field.hpp"

namespace ode = fathom::ode;
using namespace problems;

namespace {

double end_error(double got) { return std::abs(got - std::exp(std::sin(2.0))); }

/// Slope of the error at t = 2 of y' = y cos t between two step sizes.
template <class Solver>
double order_of(const Solver& solver, long steps) {
  const auto error = [&](long n) {
    return end_error(ode::solve(detest_a3{}, 1.0, {0, 2}, solver, ode::fixed_steps{n}).y1);
  };
  return std::log2(error(steps) / error(2 * steps));
}

template <class Solver>
void gradient_equals_the_recorded_one(const Solver& solver, long steps, double tolerance) {
  INFO(Solver::name);
  const auto run = [&](const auto& policy) {
    const auto [s, pullback] = ode::solve_with_gradient(small_network{}, start, {0.1, 1.7}, solver,
                                                        ode::fixed_steps{steps}, policy, {.save_at = {0.9}});
    return pullback(seed, {vec3{0.3, 0.1, -0.8}});
  };
  const auto want = run(ode::direct{.times = true}), got = run(ode::reversible{.times = true});
  CHECK(distance(got.y0, want.y0) < tolerance);
  for (std::size_t n = 0; n < 4; ++n) CHECK(std::abs(got.parameters[n] - want.parameters[n]) < tolerance);
  CHECK(std::abs(got.t0 - want.t0) < tolerance);
  CHECK(std::abs(got.t1 - want.t1) < tolerance);
  CHECK(got.reconstruction_error < 1e-10);
}

/// y' = -d y, with its derivative.
struct decay {
  using gradient_type = double;
  double d;
  double zero_gradient() const { return 0; }
  double operator()(double, double y) const { return -d * y; }
  ode::field_cotangent<double> vjp(double, double y, double a, double& gradient) const {
    gradient -= y * a;
    return {-d * a, 0};
  }
};

}  // namespace

TEST_CASE("ode: reversible methods converge with their order") {
  CHECK(order_of(ode::reversible_heun{}, 64) == doctest::Approx(2).epsilon(0.075));
  CHECK(order_of(ode::coupled<ode::euler>{}, 128) == doctest::Approx(1).epsilon(0.15));
  CHECK(order_of(ode::coupled<ode::midpoint>{}, 64) == doctest::Approx(2).epsilon(0.075));
  CHECK(order_of(ode::coupled<ode::rk4>{}, 32) == doctest::Approx(4).epsilon(0.0375));
}

TEST_CASE("ode: reversible methods take adaptive steps and save values inside them") {
  ode::options<double> option{.save_at = {0.3, 1.1}};
  const ode::i control{.rtol = 1e-8, .atol = 1e-10};
  const auto heun = ode::solve(detest_a3{}, 1.0, {0, 2}, ode::reversible_heun{}, control, option);
  const auto fifth = ode::solve(detest_a3{}, 1.0, {0, 2}, ode::coupled<ode::dopri5>{}, control, option);
  CHECK(end_error(heun.y1) < 1e-6);
  CHECK(end_error(fifth.y1) < 1e-7);
  for (std::size_t n = 0; n < 2; ++n) {
    CHECK(heun.values[n] == doctest::Approx(std::exp(std::sin(option.save_at[n]))).epsilon(1e-6));
    CHECK(fifth.values[n] == doctest::Approx(std::exp(std::sin(option.save_at[n]))).epsilon(1e-4));
  }
}

TEST_CASE("ode: undone steps give the recorded gradient") {
  gradient_equals_the_recorded_one(ode::reversible_heun{}, 200, 1e-11);
  gradient_equals_the_recorded_one(ode::coupled<ode::midpoint>{}, 100, 1e-11);
  gradient_equals_the_recorded_one(ode::coupled<ode::rk4>{}, 100, 1e-11);
  gradient_equals_the_recorded_one(ode::coupled<ode::rk4>{.lambda = 0.99}, 100, 1e-11);
  gradient_equals_the_recorded_one(ode::coupled<ode::dopri5>{}, 50, 1e-11);
}

TEST_CASE("ode: undone steps give the recorded gradient across a jump of the field and in both directions of time") {
  const auto run = [](const auto& solver, ode::interval span, const auto& policy) {
    ode::options<vec3> option;
    option.jump_times = {0.9};
    return ode::solve_with_gradient(small_network{}, start, span, solver, ode::fixed_steps{40}, policy, option)
        .second(seed);
  };
  const auto check = [&](const auto& solver) {
    for (const ode::interval span : {ode::interval{0.1, 1.7}, ode::interval{1.7, 0.1}}) {
      const auto want = run(solver, span, ode::direct{.times = true});
      const auto got = run(solver, span, ode::reversible{.times = true});
      CHECK(distance(got.y0, want.y0) < 1e-12);
      CHECK(got.t0 == doctest::Approx(want.t0).epsilon(1e-9));
      CHECK(got.t1 == doctest::Approx(want.t1).epsilon(1e-9));
    }
  };
  check(ode::reversible_heun{});
  check(ode::coupled<ode::heun3>{});
}

TEST_CASE("ode: rounding grows like lambda^-N, and what would grow too far is refused") {
  const auto error = [](double lambda, long n) {
    const auto pullback = ode::solve_with_gradient(small_network{}, start, {0, 1}, ode::coupled<ode::rk4>{lambda},
                                                   ode::fixed_steps{n}, ode::reversible{.tolerance = 1e-3})
                              .second;
    return pullback(seed).reconstruction_error;
  };
  CHECK(error(0.99, 200) < 1e-13);
  const double grown = error(0.9, 200), law = std::pow(0.9, -200) * 2.2e-16;
  CHECK(grown > 1e-3 * law);
  CHECK(grown < 1e3 * law);
  CHECK_THROWS_WITH_AS(ode::solve_with_gradient(small_network{}, start, {0, 1}, ode::coupled<ode::rk4>{0.9},
                                                ode::fixed_steps{400}, ode::reversible{}),
                       doctest::Contains("would amplify rounding"), fathom::numerical_error);
}

TEST_CASE("ode: a field that contracts too much for a reversible method is found out") {
  const auto pullback = ode::solve_with_gradient(decay{40}, 1.0, {0, 2}, ode::coupled<ode::rk4>{},
                                                 ode::fixed_steps{200}, ode::reversible{})
                            .second;
  CHECK_THROWS_WITH_AS(pullback(1.0), doctest::Contains("off by"), fathom::numerical_error);
  const auto mild =
      ode::solve_with_gradient(decay{1}, 1.0, {0, 1}, ode::coupled<ode::rk4>{}, ode::fixed_steps{50}, ode::reversible{})
          .second(1.0);
  CHECK(mild.y0 == doctest::Approx(std::exp(-1.0)).epsilon(1e-6));
  CHECK(mild.parameters == doctest::Approx(-std::exp(-1.0)).epsilon(1e-6));
}
