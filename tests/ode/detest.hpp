// SPDX-License-Identifier: Apache-2.0
// The 25 problems of DETEST (Hull, Enright, Fellen, Sedgwick 1972), all on t in [0, 20].
#pragma once

#include <cmath>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace detest {

using state = std::vector<double>;

struct problem {
  std::string name;
  std::function<void(double, const state&, state&)> field;
  state start;
};

/// -2 y_i and its neighbours: the heat equation on a rod.
inline problem rod(const std::string& name, std::size_t n) {
  state start(n, 0.0);
  start[0] = 1;
  return {name,
          [n](double, const state& y, state& f) {
            for (std::size_t k = 0; k < n; ++k) f[k] = -2 * y[k] + (k > 0 ? y[k - 1] : 0) + (k + 1 < n ? y[k + 1] : 0);
          },
          start};
}

/// A body of eccentricity e around a fixed one, from its closest point.
inline problem orbit(const std::string& name, double e) {
  return {name,
          [](double, const state& y, state& f) {
            const double cube = std::pow(y[0] * y[0] + y[1] * y[1], 1.5);
            f = {y[2], y[3], -y[0] / cube, -y[1] / cube};
          },
          {1 - e, 0, 0, std::sqrt((1 + e) / (1 - e))}};
}

/// C5: the five outer planets, three coordinates each, then their velocities.
inline void outer_planets(double, const state& y, state& f) {
  constexpr double gravity = 2.95912208286, sun = 1.00000597682;
  constexpr double mass[] = {0.000954786104043, 0.000285583733151, 0.0000437273164546, 0.0000517759138449,
                             0.00000277777777778};
  const auto cube = [](double x, double z, double w) { return std::pow(x * x + z * z + w * w, 1.5); };
  for (std::size_t n = 0; n < 15; ++n) f[n] = y[15 + n];
  for (std::size_t j = 0; j < 5; ++j) {
    const double* a = &y[3 * j];
    const double own = cube(a[0], a[1], a[2]);
    for (std::size_t i = 0; i < 3; ++i) f[15 + 3 * j + i] = -gravity * (sun + mass[j]) * a[i] / own;
    for (std::size_t k = 0; k < 5; ++k) {
      if (k == j) continue;
      const double* b = &y[3 * k];
      const double between = cube(b[0] - a[0], b[1] - a[1], b[2] - a[2]), other = cube(b[0], b[1], b[2]);
      for (std::size_t i = 0; i < 3; ++i)
        f[15 + 3 * j + i] += gravity * mass[k] * ((b[i] - a[i]) / between - b[i] / other);
    }
  }
}

inline std::vector<problem> problems() {
  state first(10, 0.0);
  first[0] = 1;
  return {
      {"A1", [](double, const state& y, state& f) { f[0] = -y[0]; }, {1}},
      {"A2", [](double, const state& y, state& f) { f[0] = -0.5 * y[0] * y[0] * y[0]; }, {1}},
      {"A3", [](double t, const state& y, state& f) { f[0] = y[0] * std::cos(t); }, {1}},
      {"A4", [](double, const state& y, state& f) { f[0] = 0.25 * y[0] * (1 - y[0] / 20); }, {1}},
      {"A5", [](double t, const state& y, state& f) { f[0] = (y[0] - t) / (y[0] + t); }, {4}},
      {"B1",
       [](double, const state& y, state& f) {
         f = {2 * (y[0] - y[0] * y[1]), -(y[1] - y[0] * y[1])};
       },
       {1, 3}},
      {"B2",
       [](double, const state& y, state& f) {
         f = {-y[0] + y[1], y[0] - 2 * y[1] + y[2], y[1] - y[2]};
       },
       {2, 0, 1}},
      {"B3",
       [](double, const state& y, state& f) {
         f = {-y[0], y[0] - y[1] * y[1], y[1] * y[1]};
       },
       {1, 0, 0}},
      {"B4",
       [](double, const state& y, state& f) {
         const double r = std::hypot(y[0], y[1]);
         f = {-y[1] - y[0] * y[2] / r, y[0] - y[1] * y[2] / r, y[0] / r};
       },
       {3, 0, 0}},
      {"B5",
       [](double, const state& y, state& f) {
         f = {y[1] * y[2], -y[0] * y[2], -0.51 * y[0] * y[1]};
       },
       {0, 1, 1}},
      {"C1",
       [](double, const state& y, state& f) {
         f[0] = -y[0];
         for (std::size_t n = 1; n < 9; ++n) f[n] = y[n - 1] - y[n];
         f[9] = y[8];
       },
       first},
      {"C2",
       [](double, const state& y, state& f) {
         f[0] = -y[0];
         for (std::size_t n = 1; n < 9; ++n)
           f[n] = static_cast<double>(n) * y[n - 1] - static_cast<double>(n + 1) * y[n];
         f[9] = 9 * y[8];
       },
       first},
      rod("C3", 10),
      rod("C4", 51),
      {"C5", outer_planets, {3.42947415189,   3.35386959711,   1.35494901715,   6.64145542550,   5.97156957878,
                             2.18231499728,   11.2630437207,   14.6952576794,   6.27960525067,   -30.1552268759,
                             1.65699966404,   1.43785752721,   -21.1238353380,  28.4465098142,   15.3882659679,
                             -0.557160570446, 0.505696783289,  0.230578543901,  -0.415570776342, 0.365682722812,
                             0.169143213293,  -0.325325669158, 0.189706021964,  0.0877265322780, -0.0240476254170,
                             -0.287659532608, -0.117219543175, -0.176860753121, -0.216393453025, -0.0148647893090}},
      orbit("D1", 0.1),
      orbit("D2", 0.3),
      orbit("D3", 0.5),
      orbit("D4", 0.7),
      orbit("D5", 0.9),
      {"E1",  // Bessel's equation, y(0) and y'(0) those of J_(1/2) at 1
       [](double t, const state& y, state& f) {
         f = {y[1], -(y[1] / (t + 1) + (1 - 0.25 / ((t + 1) * (t + 1))) * y[0])};
       },
       {0.6713967071418030, 0.09540051444747446}},
      {"E2",
       [](double, const state& y, state& f) {
         f = {y[1], (1 - y[0] * y[0]) * y[1] - y[0]};
       },
       {2, 0}},
      {"E3",
       [](double t, const state& y, state& f) {
         f = {y[1], y[0] * y[0] * y[0] / 6 - y[0] + 2 * std::sin(2.78535 * t)};
       },
       {0, 0}},
      {"E4",
       [](double, const state& y, state& f) {
         f = {y[1], 0.032 - 0.4 * y[1] * y[1]};
       },
       {30, 0}},
      {"E5",
       [](double t, const state& y, state& f) {
         f = {y[1], std::sqrt(1 + y[1] * y[1]) / (25 - t)};
       },
       {0, 0}},
  };
}

}  // namespace detest
