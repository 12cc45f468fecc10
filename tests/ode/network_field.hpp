// SPDX-License-Identifier: Apache-2.0
// A small field with parameters whose derivative is written out, for tests of gradients.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include <fathom/ode/linearize.hpp>

#include "problems.hpp"

namespace problems {

namespace ode = fathom::ode;

/// y_i' = tanh(w_i y_(i+1) + sin(t)) - d y_i with its derivative written out.
struct small_network {
  using gradient_type = std::vector<double>;  // w and d
  std::vector<double> p{0.7, -1.1, 0.4, 0.3};

  gradient_type zero_gradient() const { return std::vector<double>(4, 0.0); }
  vec3 operator()(double t, const vec3& y) const {
    vec3 f{};
    for (std::size_t n = 0; n < 3; ++n) f[n] = std::tanh(p[n] * y[(n + 1) % 3] + std::sin(t)) - p[3] * y[n];
    return f;
  }
  ode::field_cotangent<vec3> vjp(double t, const vec3& y, const vec3& a, gradient_type& gradient) const {
    ode::field_cotangent<vec3> c{{0, 0, 0}, 0};
    for (std::size_t n = 0; n < 3; ++n) {
      const double u = std::tanh(p[n] * y[(n + 1) % 3] + std::sin(t)), s = (1 - u * u) * a[n];
      c.y[(n + 1) % 3] += s * p[n];
      c.y[n] -= p[3] * a[n];
      c.t += s * std::cos(t);
      gradient[n] += s * y[(n + 1) % 3];
      gradient[3] -= y[n] * a[n];
    }
    return c;
  }
};

inline double inner(const vec3& a, const vec3& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

inline const vec3 start{0.4, -0.9, 1.3};
inline const vec3 seed{1.0, -0.5, 0.3};

}  // namespace problems
