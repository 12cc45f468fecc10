// SPDX-License-Identifier: Apache-2.0
// Coefficients of the implicit methods (Hairer and Wanner, Solving ODEs II; Kvaerno 2004 for the pair).
#pragma once

#include <fathom/ode/tableau.hpp>

namespace fathom::ode::tableau {

inline constexpr double sqrt2 = 1.4142135623730950488, sqrt3 = 1.7320508075688772935, sqrt6 = 2.4494897427831780982,
                        sqrt15 = 3.8729833462074168852;

struct implicit_fixed {
  static constexpr int error_order = 0;
  static constexpr bool fsal = false;
};

struct implicit_euler : implicit_fixed {
  static constexpr const char* name = "implicit_euler";
  static constexpr std::size_t stages = 1;
  static constexpr int order = 1;
  static constexpr std::array<double, 1> c{1};
  static constexpr tableau_matrix<1> a{{{1}}};
  static constexpr std::array<double, 1> b{1};
};
struct implicit_midpoint : implicit_fixed {
  static constexpr const char* name = "implicit_midpoint";
  static constexpr std::size_t stages = 1;
  static constexpr int order = 2;
  static constexpr std::array<double, 1> c{0.5};
  static constexpr tableau_matrix<1> a{{{0.5}}};
  static constexpr std::array<double, 1> b{1};
};
struct trapezoid : implicit_fixed {
  static constexpr const char* name = "trapezoid";
  static constexpr std::size_t stages = 2;
  static constexpr int order = 2;
  static constexpr std::array<double, 2> c{0, 1};
  static constexpr tableau_matrix<2> a{{{0, 0}, {0.5, 0.5}}};
  static constexpr std::array<double, 2> b{0.5, 0.5};
};
struct gauss_legendre4 : implicit_fixed {
  static constexpr const char* name = "gauss_legendre4";
  static constexpr std::size_t stages = 2;
  static constexpr int order = 4;
  static constexpr std::array<double, 2> c{0.5 - sqrt3 / 6, 0.5 + sqrt3 / 6};
  static constexpr tableau_matrix<2> a{{{0.25, 0.25 - sqrt3 / 6}, {0.25 + sqrt3 / 6, 0.25}}};
  static constexpr std::array<double, 2> b{0.5, 0.5};
};
struct gauss_legendre6 : implicit_fixed {
  static constexpr const char* name = "gauss_legendre6";
  static constexpr std::size_t stages = 3;
  static constexpr int order = 6;
  static constexpr std::array<double, 3> c{0.5 - sqrt15 / 10, 0.5, 0.5 + sqrt15 / 10};
  static constexpr tableau_matrix<3> a{{{5.0 / 36, 2.0 / 9 - sqrt15 / 15, 5.0 / 36 - sqrt15 / 30},
                                        {5.0 / 36 + sqrt15 / 24, 2.0 / 9, 5.0 / 36 - sqrt15 / 24},
                                        {5.0 / 36 + sqrt15 / 30, 2.0 / 9 + sqrt15 / 15, 5.0 / 36}}};
  static constexpr std::array<double, 3> b{5.0 / 18, 4.0 / 9, 5.0 / 18};
};
struct radau_iia3 : implicit_fixed {
  static constexpr const char* name = "radau_iia3";
  static constexpr std::size_t stages = 2;
  static constexpr int order = 3;
  static constexpr std::array<double, 2> c{1.0 / 3, 1};
  static constexpr tableau_matrix<2> a{{{5.0 / 12, -1.0 / 12}, {0.75, 0.25}}};
  static constexpr std::array<double, 2> b{0.75, 0.25};
};
struct radau_iia5 : implicit_fixed {
  static constexpr const char* name = "radau_iia5";
  static constexpr std::size_t stages = 3;
  static constexpr int order = 5;
  static constexpr std::array<double, 3> c{0.4 - sqrt6 / 10, 0.4 + sqrt6 / 10, 1};
  static constexpr tableau_matrix<3> a{
      {{11.0 / 45 - 7 * sqrt6 / 360, 37.0 / 225 - 169 * sqrt6 / 1800, -2.0 / 225 + sqrt6 / 75},
       {37.0 / 225 + 169 * sqrt6 / 1800, 11.0 / 45 + 7 * sqrt6 / 360, -2.0 / 225 - sqrt6 / 75},
       {4.0 / 9 - sqrt6 / 36, 4.0 / 9 + sqrt6 / 36, 1.0 / 9}}};
  static constexpr std::array<double, 3> b{4.0 / 9 - sqrt6 / 36, 4.0 / 9 + sqrt6 / 36, 1.0 / 9};
};
/// Alexander's L-stable method of order 2.
struct sdirk2 : implicit_fixed {
  static constexpr const char* name = "sdirk2";
  static constexpr std::size_t stages = 2;
  static constexpr int order = 2;
  static constexpr double gamma = 1 - sqrt2 / 2;
  static constexpr std::array<double, 2> c{gamma, 1};
  static constexpr tableau_matrix<2> a{{{gamma, 0}, {1 - gamma, gamma}}};
  static constexpr std::array<double, 2> b{1 - gamma, gamma};
};
/// Trapezoidal rule, then the second backward differentiation formula (Bank et al. 1985).
struct tr_bdf2 : implicit_fixed {
  static constexpr const char* name = "tr_bdf2";
  static constexpr std::size_t stages = 3;
  static constexpr int order = 2;
  static constexpr double gamma = 1 - sqrt2 / 2, beta = sqrt2 / 4;
  static constexpr std::array<double, 3> c{0, 2 * gamma, 1};
  static constexpr tableau_matrix<3> a{{{0, 0, 0}, {gamma, gamma, 0}, {beta, beta, gamma}}};
  static constexpr std::array<double, 3> b{beta, beta, gamma};
};
/// Kvaerno's ESDIRK 3(2): L-stable, explicit first stage, last stage at the new point.
struct kvaerno3 {
  static constexpr const char* name = "kvaerno3";
  static constexpr std::size_t stages = 4;
  static constexpr int order = 3;
  static constexpr int error_order = 3;
  static constexpr bool fsal = true;
  static constexpr double g = 0.43586652150845899941601945;
  static constexpr double a31 = (-4 * g * g + 6 * g - 1) / (4 * g), a32 = (1 - 2 * g) / (4 * g);
  static constexpr double b1 = (6 * g - 1) / (12 * g), b2 = -1 / ((24 * g - 12) * g),
                          b3 = (-6 * g * g + 6 * g - 1) / (6 * g - 3);
  static constexpr std::array<double, 4> c{0, 2 * g, 1, 1};
  static constexpr tableau_matrix<4> a{{{0, 0, 0, 0}, {g, g, 0, 0}, {a31, a32, g, 0}, {b1, b2, b3, g}}};
  static constexpr std::array<double, 4> b{b1, b2, b3, g};
  static constexpr std::array<double, 4> e{b1 - a31, b2 - a32, b3 - g, g};
};

}  // namespace fathom::ode::tableau
