// SPDX-License-Identifier: Apache-2.0
// Values inside a step: Hermite interpolants as weights of what a step has computed.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/ode/state.hpp>
#include <fathom/ode/tableau.hpp>

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

/// Interpolants of rising order, from a free one of order Natural to Order: slopes taken on the interpolant of order q
/// make one of order q + 1. `base(theta, out)` is the free one; f0 and f1 are the slopes at the ends.
template <int Natural, int Order>
struct raised_interpolant {
  static_assert(Natural >= 3 && Order >= Natural);
  static constexpr std::size_t half = Order > 3 ? static_cast<std::size_t>(Order - 3) : 1;

  template <class Eval, class Y, class Base>
  static void evaluate(Eval& f, double t, double h, const Y& y, const Y& y1, const Y& f0, const Y& f1,
                       dense_cache<Y>& cache, Y& scratch, double theta, Y& out, const Base& base) {
    if (cache.slopes.empty()) cache.slopes.assign(half * 2, y);
    static_for<static_cast<std::size_t>(Natural) + 1, static_cast<std::size_t>(Order) + 1>([&](auto level) {
      constexpr std::size_t q = decltype(level)::value;
      constexpr std::size_t nodes = q - 3;
      if (cache.level >= static_cast<int>(q)) return;
      // Slopes of this level go to the half that does not hold the last level's.
      const std::size_t first = (q % 2) * half;
      const auto x = interior_nodes<nodes>();
      for (std::size_t m = 0; m < nodes; ++m) {
        at_level<q - 1>(h, y, y1, f0, f1, cache, x[m], scratch, base);
        f(t + x[m] * h, scratch, cache.slopes[first + m]);
      }
      cache.level = static_cast<int>(q);
    });
    at_level<static_cast<std::size_t>(Order)>(h, y, y1, f0, f1, cache, theta, out, base);
  }

 private:
  template <std::size_t Level, class Y, class Base>
  static void at_level(double h, const Y& y, const Y& y1, const Y& f0, const Y& f1, const dense_cache<Y>& cache,
                       double theta, Y& out, const Base& base) {
    if constexpr (Level <= static_cast<std::size_t>(Natural)) {
      base(theta, out);
    } else {
      constexpr std::size_t nodes = Level - 3;
      const std::size_t first = (Level % 2) * half;
      const auto p = hermite_birkhoff<nodes>(theta, interior_nodes<nodes>());
      std::array<double, nodes + 4> c;
      std::array<const Y*, nodes + 4> s;
      c[0] = p[0] - 1, s[0] = &y;
      c[1] = p[1], s[1] = &y1;
      c[2] = h * p[2], s[2] = &f0;
      c[3] = h * p[3], s[3] = &f1;
      for (std::size_t m = 0; m < nodes; ++m) {
        c[4 + m] = h * p[4 + m];
        s[4 + m] = &cache.slopes[first + m];
      }
      state_traits<Y>::combine(out, y, c, s);
    }
  }
};

/// y(t + theta h) = y + h sum_j w_j f(t + (first - j) h): the integral from 0 to theta of the polynomial through N
/// equally spaced slopes, the latest at `first` (0 or 1). At theta = 1 these are the weights of the Adams methods.
template <std::size_t N>
std::array<double, N> adams_interpolation_weights(double theta, int first) {
  // Six points of Gauss integrate degree 11 exactly.
  constexpr std::array<double, 3> x{0.2386191860831969086, 0.6612093864662645136, 0.9324695142031520278},
      weight{0.4679139345726910473, 0.3607615730481386076, 0.1713244923791703450};
  std::array<double, N> w{};
  for (std::size_t q = 0; q < 6; ++q) {
    const double s = 0.5 * theta * (1 + (q % 2 == 0 ? x[q / 2] : -x[q / 2]));
    for (std::size_t j = 0; j < N; ++j) {
      const double node = first - static_cast<double>(j);
      double lagrange = 1;
      for (std::size_t k = 0; k < N; ++k)
        if (k != j) lagrange *= (s - first + static_cast<double>(k)) / (node - first + static_cast<double>(k));
      w[j] += 0.5 * theta * weight[q / 2] * lagrange;
    }
  }
  return w;
}

}  // namespace detail

}  // namespace fathom::ode
