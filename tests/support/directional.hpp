// SPDX-License-Identifier: Apache-2.0
// Checks a field's derivative along a direction against differences and against reverse mode.
#pragma once

#include <doctest/doctest.h>

#include <array>
#include <cmath>

#include <fathom/ode/autodiff_field.hpp>
#include <fathom/ode/dual_field.hpp>

#include "support/random.hpp"

namespace fathom::testing {

/// J v of field(t, y, context...) in float64, in the product with random u: within 1e-10 |u| |J v| of differences of
/// sixth order, and within 1e-12 of <J^T u, v>.
template <class Field, class Y, class... Context>
void check_directional(const Field& field, double t, const Y& y, const Context&... context) {
  using traits = ode::state_traits<Y>;
  const auto when = traits::time(t, y);
  std::uint64_t seed = 31;
  const auto random = [&](const auto& leaf) {
    using leaf_t = std::remove_cvref_t<decltype(leaf)>;
    return normal<leaf_t::rank>(leaf.backend(), leaf.shape(), seed++);
  };
  const Y v = tree::map(random, y);
  const Y jv = ode::by_dual_numbers(field).directional(when, y, v, context...);
  const auto differentiable = ode::differentiable(field, context...);
  auto gradient = differentiable.zero_gradient();
  for (int n = 0; n < 3; ++n) {
    const Y u = tree::map(random, y);
    const double size = std::sqrt(traits::dot(u, u) * traits::dot(jv, jv));
    REQUIRE(size > 0);
    const auto at = [&](double by) {
      Y moved = y;
      traits::combine(moved, y, std::array<double, 1>{by}, std::array<const Y*, 1>{&v});
      return traits::dot(u, field(when, moved, context...));
    };
    const double h = 3e-5;  // so small that no ReLU passes its kink
    const double quotient = (45 * (at(h) - at(-h)) - 9 * (at(2 * h) - at(-2 * h)) + at(3 * h) - at(-3 * h)) / (60 * h);
    CHECK(std::abs(traits::dot(u, jv) - quotient) <= 1e-10 * size);
    CHECK(std::abs(traits::dot(u, jv) - traits::dot(differentiable.vjp(when, y, u, gradient).y, v)) <= 1e-12 * size);
  }
}

}  // namespace fathom::testing
