// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include <fathom/ode/ode.hpp>

#include "problems.hpp"

namespace ode = fathom::ode;
using namespace problems;

namespace {

template <class Solver, class Field>
double slope(const Field& field, const vec2& y0, double t1, const vec2& exact, long n) {
  const auto error = [&](long steps) {
    return distance(ode::solve(field, y0, {0, t1}, Solver{}, ode::fixed_steps{steps}).y1, exact);
  };
  return std::log2(error(n) / error(2 * n));
}
vec2 lotka_volterra_at(double t) {
  return ode::solve(lotka_volterra{}, vec2{1, 1}, {0, t}, ode::dopri8{}, ode::i{.rtol = 1e-13, .atol = 1e-14}).y1;
}

/// The field of `problems::lotka_volterra` as three parts.
struct parted {
  vec2 operator()(double t, const vec2& y) const { return lotka_volterra{}(t, y); }
  std::size_t parts() const { return 3; }
  vec2 part(std::size_t n, double, const vec2& y) const {
    if (n == 0) return {1.5 * y[0], 0};
    if (n == 1) return {0, -3 * y[1]};
    return {-y[0] * y[1], y[0] * y[1]};
  }
};

/// Residual layers y + g_i(y), each with weights of its own per unit of time.
struct residual_stack {
  std::size_t parts() const { return 2; }
  std::vector<float> part(std::size_t n, double t, const std::vector<float>& y) const {
    std::vector<float> g(y.size());
    const float w = 0.37f + 0.11f * static_cast<float>(std::floor(t)) + 0.05f * static_cast<float>(n);
    for (std::size_t k = 0; k < y.size(); ++k) g[k] = std::tanh(w * y[(k + 1 + n) % y.size()]);
    return g;
  }
};

}  // namespace

TEST_CASE("ode: Adams weights are the tabulated ones") {
  using ode::detail::adams_weights;
  CHECK(adams_weights<2>(false) == std::array<double, 2>{1.5, -0.5});
  CHECK(adams_weights<4>(false) == std::array<double, 4>{55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24});
  CHECK(adams_weights<4>(true) == std::array<double, 4>{9.0 / 24, 19.0 / 24, -5.0 / 24, 1.0 / 24});
  const auto eleven = adams_weights<11>(false);
  CHECK(eleven[0] == 2132509567.0 / 479001600);
  CHECK(eleven[5] == -63176201472.0 / 479001600);
  CHECK(eleven[10] == 134211265.0 / 479001600);
  CHECK(adams_weights<11>(true)[0] == 134211265.0 / 479001600);
  for (const bool implicit : {false, true}) {
    double sum = 0;
    for (const double w : adams_weights<12>(implicit)) sum += w;
    CHECK(sum == doctest::Approx(1).epsilon(1e-12));
  }
}

TEST_CASE("ode: slopes of the multistep methods") {
  const auto exact = lotka_volterra_at(2);
  const vec2 y0{1, 1};
  const lotka_volterra f;
  CHECK(std::abs(slope<ode::adams_bashforth<1>>(f, y0, 2, exact, 512) - 1) < 0.15);
  CHECK(std::abs(slope<ode::adams_bashforth<2>>(f, y0, 2, exact, 512) - 2) < 0.15);
  CHECK(std::abs(slope<ode::adams_bashforth<3>>(f, y0, 2, exact, 512) - 3) < 0.15);
  CHECK(std::abs(slope<ode::adams_bashforth<4>>(f, y0, 2, exact, 512) - 4) < 0.15);
  CHECK(std::abs(slope<ode::adams_bashforth_moulton<2>>(f, y0, 2, exact, 512) - 2) < 0.15);
  CHECK(std::abs(slope<ode::adams_bashforth_moulton<4>>(f, y0, 2, exact, 512) - 4) < 0.15);
  CHECK(std::abs(slope<ode::adams_bashforth<5>>(f, y0, 2, exact, 1024) - 5) < 0.15);
  CHECK(std::abs(slope<ode::adams_bashforth_moulton<5, ode::dopri8>>(f, y0, 2, exact, 256) - 5) < 0.15);
  // Either start serves to its order.
  CHECK(std::abs(slope<ode::adams_bashforth<2, ode::heun>>(f, y0, 2, exact, 512) - 2) < 0.15);
  CHECK(std::abs(slope<ode::adams_bashforth<3, ode::rk4>>(f, y0, 2, exact, 512) - 3) < 0.15);
}

TEST_CASE_TEMPLATE("ode: Adams methods of every order to 11: exact to degree N, and their error per step is h^(N + 1)",
                   Order, std::integral_constant<int, 1>, std::integral_constant<int, 2>,
                   std::integral_constant<int, 3>, std::integral_constant<int, 4>, std::integral_constant<int, 5>,
                   std::integral_constant<int, 6>, std::integral_constant<int, 7>, std::integral_constant<int, 8>,
                   std::integral_constant<int, 9>, std::integral_constant<int, 10>, std::integral_constant<int, 11>) {
  constexpr int n = Order::value;
  const auto error = [](auto solver, int degree, long steps) {
    const auto power = [=](double t, double) { return degree * std::pow(t, degree - 1); };
    return std::abs(ode::solve(power, 0.0, {0, 1}, solver, ode::fixed_steps{steps}).y1 - 1);
  };
  const auto check = [&](auto solver) {
    CHECK(error(solver, n, 40) < 2e-9);
    // The derivative that makes the error is constant; the first N - 1 steps are the start's.
    const auto per_step = [&](long steps) { return error(solver, n + 1, steps) / static_cast<double>(steps - n + 1); };
    CHECK(std::abs(std::log2(per_step(24) / per_step(48)) - (n + 1)) < 0.15);
  };
  check(ode::adams_bashforth<n, ode::dopri8>{});
  check(ode::adams_bashforth_moulton<n, ode::dopri8>{});
}

TEST_CASE("ode: a multistep method costs one evaluation per step and restarts at a jump") {
  const auto s = ode::solve(lotka_volterra{}, vec2{1, 1}, {0, 2}, ode::adams_bashforth<2>{}, ode::fixed_steps{16});
  CHECK(s.stats.evaluations == 17);  // Heun's first step has two
  const auto kicked = [](double t, double) { return t < 0.5 ? 1.0 : -2.0; };
  const auto through =
      ode::solve(kicked, 0.0, {0, 1}, ode::adams_bashforth<4>{}, ode::fixed_steps{20}, {.jump_times = {0.5}});
  CHECK(through.y1 == doctest::Approx(-0.5).epsilon(1e-14));
  CHECK(std::abs(ode::solve(kicked, 0.0, {0, 1}, ode::adams_bashforth<4>{}, ode::fixed_steps{20}).y1 + 0.5) > 1e-3);
}

TEST_CASE("ode: a shortened last step and values in between keep the order") {
  const auto exact = lotka_volterra_at(2), half = lotka_volterra_at(1.003);
  const auto s = ode::solve(lotka_volterra{}, vec2{1, 1}, {0, 2}, ode::adams_bashforth<3>{}, ode::fixed_step{0.0101},
                            {.save_at = {1.003}});
  const auto even = ode::solve(lotka_volterra{}, vec2{1, 1}, {0, 2}, ode::adams_bashforth<3>{}, ode::fixed_steps{198});
  CHECK(distance(s.y1, exact) < 1.1 * distance(even.y1, exact));
  CHECK(distance(s.values[0], half) < distance(even.y1, exact));
}

TEST_CASE("ode: slopes of the splitting methods") {
  const auto exact = lotka_volterra_at(2);
  CHECK(std::abs(slope<ode::lie_trotter>(parted{}, vec2{1, 1}, 2, exact, 512) - 1) < 0.15);
  CHECK(std::abs(slope<ode::strang>(parted{}, vec2{1, 1}, 2, exact, 512) - 2) < 0.15);
}

TEST_CASE("ode: a Lie-Trotter step of length one is the stack of residual layers, bitwise in float32") {
  const residual_stack field;
  std::vector<float> y{0.3f, -1.2f, 0.77f, 0.01f}, discrete = y;
  for (int block = 0; block < 48; ++block)
    for (std::size_t n = 0; n < 2; ++n) {
      const auto g = field.part(n, block, discrete);
      for (std::size_t k = 0; k < 4; ++k) discrete[k] = discrete[k] + g[k];
    }
  const auto s = ode::solve(field, y, {0, 48}, ode::lie_trotter{}, ode::fixed_steps{48});
  CHECK(s.y1 == discrete);
  CHECK(s.stats.evaluations == 48);
  // The same field under another method: the sum of the parts.
  CHECK(ode::solve(field, y, {0, 1}, ode::rk4{}, ode::fixed_steps{4}).y1.size() == 4);
}
