// SPDX-License-Identifier: Apache-2.0
// Coefficients of the Adams methods, exact fractions from their generating sums (Hairer, Norsett, Wanner I, III.1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>

#include <fathom/core/config.hpp>

namespace fathom::ode::detail {

struct fraction {
  std::int64_t over = 0, under = 1;

  constexpr fraction operator+(const fraction& other) const {
    const std::int64_t common = std::lcm(under, other.under);
    return fraction{over * (common / under) + other.over * (common / other.under), common}.reduced();
  }
  constexpr fraction operator*(const fraction& other) const {
    const std::int64_t a = std::gcd(over, other.under), b = std::gcd(other.over, under);
    return fraction{(over / a) * (other.over / b), (under / b) * (other.under / a)}.reduced();
  }
  constexpr fraction reduced() const {
    const std::int64_t common = std::gcd(over, under);
    return common == 0 ? fraction{} : fraction{over / common, under / common};
  }
  constexpr double value() const { return static_cast<double>(over) / static_cast<double>(under); }
};

/// gamma_0 = 1, gamma_m = (explicit: 1, implicit: 0) - sum_{k=1..m} gamma_(m-k) / (k + 1): weights of the backward
/// differences of the slopes.
template <std::size_t N>
constexpr std::array<fraction, N> backward_difference_weights(bool implicit) {
  std::array<fraction, N> gamma{};
  for (std::size_t m = 0; m < N; ++m) {
    fraction sum = implicit && m > 0 ? fraction{0, 1} : fraction{1, 1};
    for (std::size_t k = 1; k <= m; ++k) sum = sum + gamma[m - k] * fraction{-1, static_cast<std::int64_t>(k) + 1};
    gamma[m] = sum;
  }
  return gamma;
}

/// y1 = y + h sum_j w_j f_(n-j) (explicit: j = 0 is the slope at t; implicit: at t + h), order N.
template <std::size_t N>
constexpr std::array<double, N> adams_weights(bool implicit) {
  const auto gamma = backward_difference_weights<N>(implicit);
  std::array<double, N> weights{};
  for (std::size_t j = 0; j < N; ++j) {
    fraction sum{};
    std::int64_t binomial = 1;  // C(m, j), starting at m = j
    for (std::size_t m = j; m < N; ++m) {
      sum = sum + fraction{binomial, 1} * gamma[m];
      binomial = binomial * static_cast<std::int64_t>(m + 1) / static_cast<std::int64_t>(m + 1 - j);
    }
    weights[j] = j % 2 == 0 ? sum.value() : -sum.value();
  }
  return weights;
}

}  // namespace fathom::ode::detail
