// SPDX-License-Identifier: Apache-2.0
// All of DETEST at a tolerance of 1e-8, and stiff problems by implicit methods.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include <fathom/ode/explicit_rk.hpp>
#include <fathom/ode/implicit_rk.hpp>
#include <fathom/ode/solve.hpp>

#include "detest.hpp"
#include "problems.hpp"

namespace ode = fathom::ode;

namespace {

template <class Solver>
detest::state at_20(const detest::problem& p, double tol) {
  return ode::solve(p.field, p.start, {0, 20}, Solver{}, ode::i{.rtol = tol, .atol = tol}).y1;
}

/// Largest |a - b| / max(1, |b|).
double error(const detest::state& a, const detest::state& b) {
  double worst = 0;
  for (std::size_t n = 0; n < a.size(); ++n)
    worst = std::max(worst, std::abs(a[n] - b[n]) / std::max(1.0, std::abs(b[n])));
  return worst;
}

}  // namespace

TEST_CASE("ode: the references of DETEST agree with closed forms and with another tolerance") {
  const auto all = detest::problems();
  REQUIRE(all.size() == 25);
  const auto reference = [&](std::size_t n) { return at_20<ode::dopri8>(all[n], 1e-13); };
  CHECK(error(reference(0), {std::exp(-20.0)}) < 1e-12);
  CHECK(error(reference(1), {1 / std::sqrt(21.0)}) < 1e-12);
  CHECK(error(reference(2), {std::exp(std::sin(20.0))}) < 1e-12);
  CHECK(error(reference(3), {20 / (1 + 19 * std::exp(-5.0))}) < 1e-12);
  // E1: sqrt(2/(pi x)) sin x at x = 21. Kepler's orbits: the energy is -1/2.
  CHECK(reference(20)[0] == doctest::Approx(std::sqrt(2 / (std::acos(-1.0) * 21)) * std::sin(21.0)).epsilon(1e-11));
  for (const std::size_t n : {15, 16, 17, 18, 19}) {
    const auto y = reference(n);
    CHECK(0.5 * (y[2] * y[2] + y[3] * y[3]) - 1 / std::hypot(y[0], y[1]) == doctest::Approx(-0.5).epsilon(1e-11));
  }
  for (std::size_t n = 0; n < all.size(); ++n) {
    INFO(all[n].name);
    CHECK(error(reference(n), at_20<ode::tsit5>(all[n], 3e-13)) < 2e-8);
  }
}

TEST_CASE("ode: DETEST A1 to E5 at 1e-8: 1e-5 by dopri5, 1e-6 by dopri8") {
  for (const auto& p : detest::problems()) {
    INFO(p.name);
    const auto exact = at_20<ode::dopri8>(p, 1e-13);
    const double five = error(at_20<ode::dopri5>(p, 1e-8), exact), eight = error(at_20<ode::dopri8>(p, 1e-8), exact);
    CHECK(five <= 1e-5);
    CHECK(eight <= 1e-6);
  }
}
