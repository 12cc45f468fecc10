// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include <fathom/model/solver_choice.hpp>

using namespace fathom;

namespace {

/// y' = -y + cos t in two parts.
struct two_parts {
  std::size_t parts() const { return 2; }
  double part(std::size_t n, double t, double y) const { return n == 0 ? -y : std::cos(t); }
  double operator()(double t, double y) const { return part(0, t, y) + part(1, t, y); }
};

}  // namespace

TEST_CASE("model: solvers by name, splitting methods among them for fields that are sums of parts") {
  const auto by_name = [](const std::string& name) {
    return solve(two_parts{}, 1.0, {0, 2}, name, control_choice(ode::fixed_steps{16})).y1;
  };
  CHECK(by_name("lie_trotter") == ode::solve(two_parts{}, 1.0, {0, 2}, ode::lie_trotter{}, ode::fixed_steps{16}).y1);
  CHECK(by_name("strang") == ode::solve(two_parts{}, 1.0, {0, 2}, ode::strang{}, ode::fixed_steps{16}).y1);
  CHECK(by_name("rk4") == ode::solve(two_parts{}, 1.0, {0, 2}, ode::rk4{}, ode::fixed_steps{16}).y1);
  CHECK(by_name("strang") != by_name("lie_trotter"));
  CHECK(
      solve(two_parts{}, 1.0, {0, 2}, std::string("dopri5"), control_choice(ode::pid{.rtol = 1e-9, .atol = 1e-9})).y1 ==
      doctest::Approx((std::cos(2.0) + std::sin(2.0)) / 2 + std::exp(-2.0) / 2).epsilon(1e-7));
}

TEST_CASE("model: names, fields and controls that do not go together are refused in words") {
  const auto whole = [](double, double y) { return -y; };
  const control_choice fixed = ode::fixed_steps{4}, adaptive = ode::pid{};
  CHECK_THROWS_WITH_AS(solve(whole, 1.0, {0, 1}, std::string("strang"), fixed),
                       doctest::Contains("needs a field that is a sum of parts"), error);
  CHECK_THROWS_WITH_AS(solve(two_parts{}, 1.0, {0, 1}, std::string("strang"), adaptive),
                       doctest::Contains("give it a number of steps"), error);
  CHECK_THROWS_WITH_AS(solve(whole, 1.0, {0, 1}, std::string("rk5"), fixed), doctest::Contains("there are euler, "),
                       error);
  CHECK_THROWS_WITH_AS(solve(whole, 1.0, {0, 1}, std::string("heun"), adaptive),
                       doctest::Contains("does not estimate its error"), error);
}
