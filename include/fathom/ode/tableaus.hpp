// SPDX-License-Identifier: Apache-2.0
// Coefficients of the explicit methods up to order 5 (Hairer, Norsett, Wanner, Solving ODEs I, chapter II;
// Bogacki and Shampine 1989; Tsitouras 2011; Shampine 1986 for the midpoint of dopri5).
#pragma once

#include <fathom/ode/tableau.hpp>

namespace fathom::ode::tableau {

struct fixed_only {
  static constexpr int error_order = 0;
  static constexpr bool fsal = false;
  static constexpr bool has_mid = false;
};

struct euler : fixed_only {
  static constexpr const char* name = "euler";
  static constexpr std::size_t stages = 1;
  static constexpr int order = 1;
  static constexpr std::array<double, 1> c{0};
  static constexpr tableau_matrix<1> a{};
  static constexpr std::array<double, 1> b{1};
};

struct midpoint : fixed_only {
  static constexpr const char* name = "midpoint";
  static constexpr std::size_t stages = 2;
  static constexpr int order = 2;
  static constexpr std::array<double, 2> c{0, 0.5};
  static constexpr tableau_matrix<2> a{{{0, 0}, {0.5, 0}}};
  static constexpr std::array<double, 2> b{0, 1};
};

/// Heun's second-order method, the explicit trapezoidal rule.
struct heun2 : fixed_only {
  static constexpr const char* name = "heun2";
  static constexpr std::size_t stages = 2;
  static constexpr int order = 2;
  static constexpr std::array<double, 2> c{0, 1};
  static constexpr tableau_matrix<2> a{{{0, 0}, {1, 0}}};
  static constexpr std::array<double, 2> b{0.5, 0.5};
};

/// Ralston's second-order method: the smallest bound on the local error with two stages.
struct ralston : fixed_only {
  static constexpr const char* name = "ralston";
  static constexpr std::size_t stages = 2;
  static constexpr int order = 2;
  static constexpr std::array<double, 2> c{0, 2.0 / 3};
  static constexpr tableau_matrix<2> a{{{0, 0}, {2.0 / 3, 0}}};
  static constexpr std::array<double, 2> b{0.25, 0.75};
};

struct heun3 : fixed_only {
  static constexpr const char* name = "heun3";
  static constexpr std::size_t stages = 3;
  static constexpr int order = 3;
  static constexpr std::array<double, 3> c{0, 1.0 / 3, 2.0 / 3};
  static constexpr tableau_matrix<3> a{{{0, 0, 0}, {1.0 / 3, 0, 0}, {0, 2.0 / 3, 0}}};
  static constexpr std::array<double, 3> b{0.25, 0, 0.75};
};

/// The third-order strong-stability-preserving method of Shu and Osher.
struct ssp3 : fixed_only {
  static constexpr const char* name = "ssp3";
  static constexpr std::size_t stages = 3;
  static constexpr int order = 3;
  static constexpr std::array<double, 3> c{0, 1, 0.5};
  static constexpr tableau_matrix<3> a{{{0, 0, 0}, {1, 0, 0}, {0.25, 0.25, 0}}};
  static constexpr std::array<double, 3> b{1.0 / 6, 1.0 / 6, 2.0 / 3};
};

struct rk4 : fixed_only {
  static constexpr const char* name = "rk4";
  static constexpr std::size_t stages = 4;
  static constexpr int order = 4;
  static constexpr std::array<double, 4> c{0, 0.5, 0.5, 1};
  static constexpr tableau_matrix<4> a{{{0, 0, 0, 0}, {0.5, 0, 0, 0}, {0, 0.5, 0, 0}, {0, 0, 1, 0}}};
  static constexpr std::array<double, 4> b{1.0 / 6, 1.0 / 3, 1.0 / 3, 1.0 / 6};
};

/// The 3/8 rule, which torchdiffeq calls rk4.
struct rk4_38 : fixed_only {
  static constexpr const char* name = "rk4_38";
  static constexpr std::size_t stages = 4;
  static constexpr int order = 4;
  static constexpr std::array<double, 4> c{0, 1.0 / 3, 2.0 / 3, 1};
  static constexpr tableau_matrix<4> a{{{0, 0, 0, 0}, {1.0 / 3, 0, 0, 0}, {-1.0 / 3, 1, 0, 0}, {1, -1, 1, 0}}};
  static constexpr std::array<double, 4> b{0.125, 0.375, 0.375, 0.125};
};

/// Heun's method with the Euler step as its error estimate.
struct adaptive_heun {
  static constexpr const char* name = "adaptive_heun";
  static constexpr std::size_t stages = 2;
  static constexpr int order = 2;
  static constexpr int error_order = 2;
  static constexpr bool fsal = false;
  static constexpr std::array<double, 2> c{0, 1};
  static constexpr tableau_matrix<2> a{{{0, 0}, {1, 0}}};
  static constexpr std::array<double, 2> b{0.5, 0.5};
  static constexpr std::array<double, 2> e{0.5, -0.5};
  static constexpr bool has_mid = false;
  static constexpr std::array<double, 2> mid{0.5, 0};
};

/// Fehlberg 1(2).
struct fehlberg2 {
  static constexpr const char* name = "fehlberg2";
  static constexpr std::size_t stages = 3;
  static constexpr int order = 2;
  static constexpr int error_order = 2;
  static constexpr bool fsal = false;
  static constexpr std::array<double, 3> c{0, 0.5, 1};
  static constexpr tableau_matrix<3> a{{{0, 0, 0}, {0.5, 0, 0}, {1.0 / 256, 255.0 / 256, 0}}};
  static constexpr std::array<double, 3> b{1.0 / 512, 255.0 / 256, 1.0 / 512};
  static constexpr std::array<double, 3> e{-1.0 / 512, 0, 1.0 / 512};
  static constexpr bool has_mid = false;
  static constexpr std::array<double, 3> mid{0, 0.5, 0};
};

/// Bogacki-Shampine 3(2).
struct bosh3 {
  static constexpr const char* name = "bosh3";
  static constexpr std::size_t stages = 4;
  static constexpr int order = 3;
  static constexpr int error_order = 3;
  static constexpr bool fsal = true;
  static constexpr std::array<double, 4> c{0, 0.5, 0.75, 1};
  static constexpr tableau_matrix<4> a{{{0, 0, 0, 0}, {0.5, 0, 0, 0}, {0, 0.75, 0, 0}, {2.0 / 9, 1.0 / 3, 4.0 / 9, 0}}};
  static constexpr std::array<double, 4> b{2.0 / 9, 1.0 / 3, 4.0 / 9, 0};
  static constexpr std::array<double, 4> e{2.0 / 9 - 7.0 / 24, 1.0 / 3 - 1.0 / 4, 4.0 / 9 - 1.0 / 3, -1.0 / 8};
  static constexpr bool has_mid = false;
  static constexpr std::array<double, 4> mid{0, 0.5, 0, 0};
};

/// Dormand-Prince 5(4); the midpoint is Shampine's.
struct dopri5 {
  static constexpr const char* name = "dopri5";
  static constexpr std::size_t stages = 7;
  static constexpr int order = 5;
  static constexpr int error_order = 5;
  static constexpr bool fsal = true;
  static constexpr std::array<double, 7> c{0, 0.2, 0.3, 0.8, 8.0 / 9, 1, 1};
  static constexpr tableau_matrix<7> a{{
      {0, 0, 0, 0, 0, 0, 0},
      {1.0 / 5, 0, 0, 0, 0, 0, 0},
      {3.0 / 40, 9.0 / 40, 0, 0, 0, 0, 0},
      {44.0 / 45, -56.0 / 15, 32.0 / 9, 0, 0, 0, 0},
      {19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729, 0, 0, 0},
      {9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656, 0, 0},
      {35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84, 0},
  }};
  static constexpr std::array<double, 7> b{35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84, 0};
  static constexpr std::array<double, 7> e{35.0 / 384 - 5179.0 / 57600,
                                           0,
                                           500.0 / 1113 - 7571.0 / 16695,
                                           125.0 / 192 - 393.0 / 640,
                                           -2187.0 / 6784 + 92097.0 / 339200,
                                           11.0 / 84 - 187.0 / 2100,
                                           -1.0 / 40};
  static constexpr bool has_mid = true;
  static constexpr std::array<double, 7> mid{0.5 * 6025192743 / 30085553152,     0,
                                             0.5 * 51252292925 / 65400821598,    -0.5 * 2691868925 / 45128329728,
                                             0.5 * 187940372067 / 1594534317056, -0.5 * 1776094331 / 19743644256,
                                             0.5 * 11237099 / 235043384};
};

/// Dormand-Prince 5(4) with Shampine's embedded formula of 1986, as torchdiffeq has it: another error estimate.
struct dopri5_shampine : dopri5 {
  static constexpr std::array<double, 7> e{35.0 / 384 - 1951.0 / 21600,
                                           0,
                                           500.0 / 1113 - 22642.0 / 50085,
                                           125.0 / 192 - 451.0 / 720,
                                           -2187.0 / 6784 + 12231.0 / 42400,
                                           11.0 / 84 - 649.0 / 6300,
                                           -1.0 / 60};
};

/// Tsitouras 5(4), "Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying assumption" (2011).
struct tsit5 {
  static constexpr const char* name = "tsit5";
  static constexpr std::size_t stages = 7;
  static constexpr int order = 5;
  static constexpr int error_order = 5;
  static constexpr bool fsal = true;
  static constexpr std::array<double, 7> c{0, 0.161, 0.327, 0.9, 0.9800255409045096857298102862870, 1, 1};
  static constexpr tableau_matrix<7> a{{
      {0, 0, 0, 0, 0, 0, 0},
      {0.161, 0, 0, 0, 0, 0, 0},
      {-0.0084806554923569885, 0.33548065549235698854, 0, 0, 0, 0, 0},
      {2.8971530571054934321, -6.3594484899750748431, 4.3622954328695814110, 0, 0, 0, 0},
      {5.3258648284392566044, -11.748883564062827878, 7.4955393428898362083, -0.092495066361755249257, 0, 0, 0},
      {5.8614554429464200287, -12.920969317847109292, 8.1593678985761586432, -0.071584973281400997225,
       -0.028269050394068382909, 0, 0},
      {0.096460766818065229518, 0.01, 0.47988965041449957478, 1.3790085741037418932, -3.2900695154360806799,
       2.3247105240997739824, 0},
  }};
  static constexpr std::array<double, 7> b{
      0.096460766818065229518, 0.01, 0.47988965041449957478, 1.3790085741037418932, -3.2900695154360806799,
      2.3247105240997739824,   0};
  // The embedded solution minus the solution, up to sign: the sign does not matter to a norm.
  static constexpr std::array<double, 7> e{-0.00178001105222577144,
                                           -0.00081643445965674690,
                                           0.00788087801026199601,
                                           -0.14471100717326290754,
                                           0.58235716545255522502,
                                           -0.45808210592918694666,
                                           1.0 / 66};
  static constexpr bool has_mid = true;

 private:
  // The free interpolant of the same paper at one half.
  static constexpr double x = 0.5;

 public:
  static constexpr std::array<double, 7> mid{
      -1.0530884977290216 * x * (x - 1.3299890189751412) * (x * x - 1.4364028541716351 * x + 0.7139816917074209),
      0.1017 * x* x*(x* x - 2.1966568338249754 * x + 1.2949852507374631),
      2.490627285651252793 * x* x*(x* x - 2.38535645472061657 * x + 1.57803468208092486),
      -16.54810288924490272 * (x - 1.21712927295533244) * (x - 0.61620406037800089) * x* x,
      47.37952196281928122 * (x - 1.203071208372362603) * (x - 0.658047292653547382) * x* x,
      -34.87065786149660974 * (x - 1.2) * (x - 2.0 / 3) * x* x,
      2.5 * (x - 1) * (x - 0.6) * x* x};
};

/// tsit5 as torchdiffeq has it: it goes on from the embedded fourth-order solution, and takes the seventh stage,
/// which belongs to the fifth-order one, for the slope at the new point.
struct tsit5_embedded : tsit5 {
  static constexpr bool fsal = false;
  static constexpr std::array<double, 7> b = [] {
    std::array<double, 7> sum{};
    for (std::size_t i = 0; i < 7; ++i) sum[i] = tsit5::b[i] + tsit5::e[i];
    return sum;
  }();
};

}  // namespace fathom::ode::tableau
