// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <type_traits>

#include <fathom/ode/dual_field.hpp>
#include <fathom/ode/implicit_rk.hpp>
#include <fathom/ode/solve.hpp>

#include "problems.hpp"

namespace ode = fathom::ode;
using namespace problems;

namespace {

template <class Solver>
double slope(double t1, long n) {
  const auto exact =
      ode::solve(lotka_volterra{}, vec2{1, 1}, {0, t1}, ode::dopri8{}, ode::i{.rtol = 1e-13, .atol = 1e-14}).y1;
  const auto error = [&](long steps) {
    return distance(
        ode::solve(lotka_volterra{}, vec2{1, 1}, {0, t1}, Solver{{.tolerance = 1e-13}}, ode::fixed_steps{steps}).y1,
        exact);
  };
  return std::log2(error(n) / error(2 * n));
}

/// Robertson's chemical reaction.
struct robertson {
  template <class T>
  std::array<T, 3> operator()(double, const std::array<T, 3>& y) const {
    const T r1 = y[0] * 0.04, r2 = y[1] * y[1] * 3e7, r3 = y[1] * y[2] * 1e4;
    return {r3 - r1, r1 - r3 - r2, r2};
  }
};

}  // namespace

TEST_CASE("ode: slopes of the implicit methods") {
  CHECK(std::abs(slope<ode::implicit_euler>(2, 256) - 1) < 0.15);
  CHECK(std::abs(slope<ode::implicit_midpoint>(2, 128) - 2) < 0.15);
  CHECK(std::abs(slope<ode::trapezoid>(2, 128) - 2) < 0.15);
  CHECK(std::abs(slope<ode::sdirk2>(2, 128) - 2) < 0.15);
  CHECK(std::abs(slope<ode::tr_bdf2>(2, 128) - 2) < 0.15);
  CHECK(std::abs(slope<ode::radau_iia3>(2, 64) - 3) < 0.15);
  CHECK(std::abs(slope<ode::kvaerno3>(2, 64) - 3) < 0.15);
  CHECK(std::abs(slope<ode::gauss_legendre4>(2, 32) - 4) < 0.15);
  CHECK(std::abs(slope<ode::radau_iia5>(2, 32) - 5) < 0.15);
  CHECK(std::abs(slope<ode::gauss_legendre6>(2, 32) - 6) < 0.15);
}

TEST_CASE_TEMPLATE("ode: stiff decay to a moving equilibrium is damped at once", Solver, ode::implicit_euler,
                   ode::sdirk2, ode::tr_bdf2, ode::radau_iia3, ode::radau_iia5, ode::kvaerno3) {
  INFO(Solver::name);
  const auto stiff = [](double t, double y) { return -1e6 * (y - std::cos(t)); };
  const auto s = ode::solve(stiff, 1.5, {0, 2}, Solver{{.tolerance = 1e-8}}, ode::fixed_step{0.1});
  CHECK(std::abs(s.y1 - std::cos(2.0)) < 1e-4);
  CHECK(s.stats.newton_iterations > 0);
}

TEST_CASE("ode: van der Pol with mu = 1000 in few adaptive steps") {
  const auto s = ode::solve(van_der_pol{1000}, vec2{2, 0}, {0, 2}, ode::kvaerno3{}, ode::i{.rtol = 1e-6, .atol = 1e-6});
  CHECK(s.stats.accepted + s.stats.rejected < 200);
  CHECK(s.y1[0] == doctest::Approx(1.99866615).epsilon(1e-6));
  CHECK(s.y1[1] == doctest::Approx(-6.6720e-4).epsilon(1e-3));
}

TEST_CASE(
    "ode: van der Pol with mu = 1000 by every implicit method, in steps a thousand times those of an explicit one") {
  const auto check = [](auto solver, long steps, double slope_error) {
    INFO(std::string(decltype(solver)::name));
    const auto s = ode::solve(van_der_pol{1000}, vec2{2, 0}, {0, 2}, solver, ode::fixed_steps{steps});
    CHECK(s.y1[0] == doctest::Approx(1.99866615).epsilon(1e-7));
    CHECK(s.y1[1] == doctest::Approx(-6.6740850e-4).epsilon(slope_error));
  };
  check(ode::implicit_euler{}, 100, 1e-5);
  check(ode::sdirk2{}, 100, 1e-5);
  check(ode::tr_bdf2{}, 100, 1e-5);
  check(ode::radau_iia3{}, 50, 1e-5);
  check(ode::radau_iia5{}, 20, 1e-5);
  check(ode::kvaerno3{}, 50, 1e-5);
  // Not damped at infinity: what the first step leaves of the fast component stays.
  check(ode::trapezoid{}, 100, 1e-2);
  check(ode::implicit_midpoint{}, 100, 1e-2);
  check(ode::gauss_legendre4{}, 50, 1e-2);
  check(ode::gauss_legendre6{}, 50, 1e-2);
}

TEST_CASE("ode: Robertson at t = 100 by the methods without an error estimate, on a grid that grows with t") {
  const auto check = [](auto solver, int per_decade, double tolerance) {
    INFO(std::string(decltype(solver)::name));
    ode::fixed_grid grid{{0}};
    for (int k = 0; k < 6 * per_decade; ++k) grid.times.push_back(1e-4 * std::pow(10, k / (1.0 * per_decade)));
    grid.times.push_back(100);
    const auto s = ode::solve(robertson{}, vec3{1, 0, 0}, {0, 100}, solver, grid);
    CHECK(s.y1[0] == doctest::Approx(0.61723488239606716).epsilon(tolerance));
    CHECK(s.y1[1] == doctest::Approx(6.1535912746388841e-6).epsilon(tolerance));
    CHECK(s.y1[2] == doctest::Approx(0.38275896401264059).epsilon(tolerance));
  };
  check(ode::implicit_euler{}, 40, 2e-2);
  check(ode::sdirk2{}, 40, 1e-4);
  check(ode::tr_bdf2{}, 40, 2e-4);
  check(ode::radau_iia3{}, 20, 1e-5);
  check(ode::radau_iia5{}, 40, 1e-6);
}

TEST_CASE("ode: Robertson at t = 100") {
  const auto s = ode::solve(robertson{}, vec3{1, 0, 0}, {0, 100}, ode::kvaerno3{}, ode::i{.rtol = 1e-6, .atol = 1e-11});
  CHECK(s.y1[0] == doctest::Approx(0.61723488239606716).epsilon(1e-5));
  CHECK(s.y1[1] == doctest::Approx(6.1535912746388841e-6).epsilon(1e-5));
  CHECK(s.y1[2] == doctest::Approx(0.38275896401264059).epsilon(1e-5));
  CHECK(s.y1[0] + s.y1[1] + s.y1[2] == doctest::Approx(1).epsilon(1e-9));
}

TEST_CASE("ode: Newton's method with exact products J v: the same solution, no more evaluations") {
  const ode::i control{.rtol = 1e-6, .atol = 1e-11};
  const auto exact = ode::solve(ode::by_dual_numbers(robertson{}), vec3{1, 0, 0}, {0, 100}, ode::kvaerno3{}, control);
  const auto differenced = ode::solve(robertson{}, vec3{1, 0, 0}, {0, 100}, ode::kvaerno3{}, control);
  for (std::size_t n = 0; n < 3; ++n) CHECK(exact.y1[n] == doctest::Approx(differenced.y1[n]).epsilon(1e-6));
  CHECK(exact.stats.newton_iterations <= differenced.stats.newton_iterations);
  CHECK(exact.stats.evaluations <= differenced.stats.evaluations);
  // In float32 a one-sided difference leaves three digits of J v: Newton's method then converges linearly.
  const auto iterations = [](const auto& field) {
    return ode::solve(field, std::array<float, 2>{2, 0}, {0, 20}, ode::radau_iia5{}, ode::fixed_steps{20})
        .stats.newton_iterations;
  };
  const auto oscillator = [](double, const auto& y) {
    return std::remove_cvref_t<decltype(y)>{y[1], (1 - y[0] * y[0]) * y[1] * 50.0f - y[0]};
  };
  CHECK(iterations(ode::by_dual_numbers(oscillator)) * 4 < iterations(oscillator) * 3);
}

TEST_CASE("ode: stage equations without a solution are reported") {
  // y = 1 + h exp(y) has no solution for a long step.
  const auto explodes = [](double, double y) { return std::exp(y); };
  const auto s = ode::solve(explodes, 1.0, {0, 4}, ode::implicit_euler{}, ode::fixed_steps{2},
                            {.on_failure = ode::on_failure::return_status});
  CHECK(s.status == ode::status::newton_failed);
  CHECK(s.y1 == 1.0);
}
