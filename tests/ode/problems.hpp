// SPDX-License-Identifier: Apache-2.0
// Initial value problems shared by the tests of the solvers.
#pragma once

#include <array>
#include <cmath>
#include <limits>

namespace problems {

using vec2 = std::array<double, 2>;
using vec3 = std::array<double, 3>;
using vec4 = std::array<double, 4>;

struct lotka_volterra {
  std::array<double, 4> p{1.5, 1, 3, 1};
  vec2 operator()(double, const vec2& y) const {
    return {p[0] * y[0] - p[1] * y[0] * y[1], -p[2] * y[1] + p[3] * y[0] * y[1]};
  }
};

/// DETEST A3: y' = y cos t, y = exp(sin t).
struct detest_a3 {
  double operator()(double t, double y) const { return y * std::cos(t); }
};

/// A periodic orbit of the restricted three-body problem (Hairer, Norsett, Wanner I, II.0).
struct arenstorf {
  static constexpr vec4 start{0.994, 0, 0, -2.00158510637908252240537862224};
  static constexpr double period = 17.0652165601579625588917206249;
  vec4 operator()(double, const vec4& y) const {
    const double mu = 0.012277471, nu = 1 - mu;
    const double d1 = std::pow((y[0] + mu) * (y[0] + mu) + y[1] * y[1], 1.5);
    const double d2 = std::pow((y[0] - nu) * (y[0] - nu) + y[1] * y[1], 1.5);
    return {y[2], y[3], y[0] + 2 * y[3] - nu * (y[0] + mu) / d1 - mu * (y[0] - nu) / d2,
            y[1] - 2 * y[2] - nu * y[1] / d1 - mu * y[1] / d2};
  }
};

struct lorenz {
  vec3 operator()(double, const vec3& y) const {
    return {10 * (y[1] - y[0]), 28 * y[0] - y[1] - y[0] * y[2], y[0] * y[1] - 8.0 / 3 * y[2]};
  }
};

struct van_der_pol {
  double mu = 1;
  vec2 operator()(double, const vec2& y) const { return {y[1], mu * (1 - y[0] * y[0]) * y[1] - y[0]}; }
};

template <std::size_t N>
double distance(const std::array<double, N>& a, const std::array<double, N>& b) {
  double sum = 0;
  for (std::size_t n = 0; n < N; ++n) sum += (a[n] - b[n]) * (a[n] - b[n]);
  return std::sqrt(sum);
}
inline double distance(double a, double b) { return std::abs(a - b); }

}  // namespace problems
