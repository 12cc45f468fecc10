// SPDX-License-Identifier: Apache-2.0
// Values inside a step: Hermite interpolants as weights of what a step has computed.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>

namespace fathom::ode {

/// Slopes taken inside the current step for interpolation::full, and the order they serve; 0: none yet.
template <class Y>
struct dense_cache {
  std::vector<Y> slopes{};
  int level = 0;
};

namespace detail {

/// Weights of y0, y1, h f0, h f1 in the cubic Hermite polynomial at theta.
constexpr std::array<double, 4> cubic_hermite(double theta) {
  const double s = 1 - theta;
  return {(1 + 2 * theta) * s * s, theta * theta * (3 - 2 * theta), theta * s * s, -theta * theta * s};
}

/// Weights of y0, y1, y(1/2), h f0, h f1 in the quartic through the midpoint.
constexpr std::array<double, 5> quartic_hermite(double theta) {
  const double s = 1 - theta, u = 1 - 2 * theta;
  return {s * s * u * (1 + 4 * theta), theta * theta * (2 * theta - 1) * (5 - 4 * theta), 16 * theta * theta * s * s,
          theta * s * s * u, theta * theta * s * u};
}

/// Weights of y0, y1, h f0, h f1, h f(x_1) ... h f(x_M) in the polynomial of degree M + 3 that has these values and
/// slopes (Hermite-Birkhoff). A linear system of M + 4 unknowns, solved by elimination with pivoting.
template <std::size_t M>
std::array<double, M + 4> hermite_birkhoff(double theta, const std::array<double, M>& nodes) {
  constexpr std::size_t n = M + 4;
  // Row j: what the data functionals say of x^j, against theta^j. Centred at one half for conditioning.
  std::array<std::array<double, n + 1>, n> system{};
  const auto power = [](double x, std::size_t j) { return std::pow(2 * x - 1, static_cast<double>(j)); };
  const auto slope = [&](double x, std::size_t j) {
    return j == 0 ? 0.0 : 2 * static_cast<double>(j) * power(x, j - 1);
  };
  for (std::size_t j = 0; j < n; ++j) {
    system[j][0] = power(0, j);
    system[j][1] = power(1, j);
    system[j][2] = slope(0, j);
    system[j][3] = slope(1, j);
    for (std::size_t m = 0; m < M; ++m) system[j][4 + m] = slope(nodes[m], j);
    system[j][n] = power(theta, j);
  }
  for (std::size_t column = 0; column < n; ++column) {
    std::size_t pivot = column;
    for (std::size_t row = column + 1; row < n; ++row)
      if (std::abs(system[row][column]) > std::abs(system[pivot][column])) pivot = row;
    std::swap(system[pivot], system[column]);
    for (std::size_t row = 0; row < n; ++row) {
      if (row == column) continue;
      const double ratio = system[row][column] / system[column][column];
      for (std::size_t k = column; k <= n; ++k) system[row][k] -= ratio * system[column][k];
    }
  }
  std::array<double, n> weights{};
  for (std::size_t j = 0; j < n; ++j) weights[j] = system[j][n] / system[j][j];
  return weights;
}

/// Where the slopes of a bootstrapped interpolant are taken: inner points that keep the system above well conditioned.
template <std::size_t M>
std::array<double, M> interior_nodes() {
  std::array<double, M> nodes{};
  for (std::size_t m = 0; m < M; ++m)
    nodes[m] = 0.5 - 0.5 * std::cos(3.14159265358979323846 * static_cast<double>(m + 1) / static_cast<double>(M + 1));
  return nodes;
}

}  // namespace detail

}  // namespace fathom::ode
