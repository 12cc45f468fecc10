// SPDX-License-Identifier: Apache-2.0
// Checks a field's derivative along a direction against differences and against reverse mode.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <tuple>

#include <fathom/autodiff/directional_derivative.hpp>
#include <fathom/autodiff/gradient.hpp>

#include "support/random.hpp"

namespace fathom::testing {

/// J v of field(t, y, context...) in float64, in the product with random u: within 1e-10 |u| |J v| of differences of
/// sixth order, and within 1e-12 of <J^T u, v>.
template <class Field, class Y, class... Context>
void check_directional(const Field& field, double t, const Y& y, const Context&... context) {
  using B = tree::backend_of_t<Y>;
  const B b = *detail::first_backend<B>(y);
  const auto evaluate = [](const auto& f, const auto&... x) { return f(x...); };
  const auto dot = [](const Y& p, const Y& q) {
    double total = 0;
    tree::for_each_zipped(
        [&](const auto& x, const auto& z) {
          total += item(sum_product(reshape<1>(x, {x.size()}), reshape<1>(z, {z.size()})));
        },
        p, q);
    return total;
  };
  std::uint64_t seed = 31;
  const auto random = [&](const auto& leaf) {
    return normal<std::remove_cvref_t<decltype(leaf)>::rank>(b, leaf.shape(), seed++);
  };
  const auto at = std::tuple(field, full<0>(b, {}, t), y, context...);
  auto along = no_direction(at);
  const Y v = std::get<2>(along) = tree::map(random, y);
  const Y jv = directional_derivative(b, evaluate, at, along);
  const auto pullback = std::apply([&](const auto&... x) { return vjp(b, evaluate, x...).second; }, at);
  for (int n = 0; n < 3; ++n) {
    const Y u = tree::map(random, y);
    const double size = std::sqrt(dot(u, u) * dot(jv, jv));
    REQUIRE(size > 0);
    const auto moved = [&](double by) {
      auto x = at;
      std::get<2>(x) = tree::map_zipped([&](const auto& p, const auto& d) { return p + d * by; }, y, v);
      return dot(u, std::apply(evaluate, x));
    };
    const double h = 3e-5;  // so small that no ReLU passes its kink
    const double quotient =
        (45 * (moved(h) - moved(-h)) - 9 * (moved(2 * h) - moved(-2 * h)) + moved(3 * h) - moved(-3 * h)) / (60 * h);
    CHECK(std::abs(dot(u, jv) - quotient) <= 1e-10 * size);
    CHECK(std::abs(dot(u, jv) - dot(std::get<2>(pullback(u)), v)) <= 1e-12 * size);
  }
}

}  // namespace fathom::testing
