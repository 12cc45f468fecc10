// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <sstream>
#include <vector>

#include <fathom/ode/ode.hpp>

#include "problems.hpp"

namespace ode = fathom::ode;
using namespace problems;

namespace {

template <class Solver>
auto orbit(double tol) {
  return ode::solve(arenstorf{}, arenstorf::start, {0, arenstorf::period}, Solver{}, ode::i{.rtol = tol, .atol = tol});
}
double position_error(const vec4& y) { return std::hypot(y[0] - arenstorf::start[0], y[1] - arenstorf::start[1]); }

}  // namespace

TEST_CASE("ode: Arenstorf orbit, error and evaluations") {
  // Position error and evaluations of an independent implementation; the gates are three times and 1.1 times those.
  const auto check = [](const auto& s, double error, long evaluations) {
    CHECK(position_error(s.y1) <= 3 * error);
    CHECK(static_cast<double>(s.stats.evaluations) <= 1.1 * static_cast<double>(evaluations));
  };
  check(orbit<ode::dopri5>(1e-6), 1.0e-4, 1005);
  check(orbit<ode::dopri5>(1e-8), 1.0e-6, 2115);
  check(orbit<ode::dopri5>(1e-10), 2.1e-8, 4773);
  check(orbit<ode::dopri5>(1e-12), 2.4e-10, 11991);
  check(orbit<ode::tsit5>(1e-8), 6.0e-7, 2157);
  CHECK(orbit<ode::dopri5>(1e-8).stats.evaluations <= 2330);
  CHECK(position_error(orbit<ode::dopri5>(1e-8).y1) <= 3e-6);
}

TEST_CASE("ode: the error is proportional to the tolerance") {
  std::vector<double> logs;
  for (const double tol : {1e-6, 1e-8, 1e-10, 1e-12})
    logs.push_back(std::log10(position_error(orbit<ode::dopri5>(tol).y1)));
  const double slope = (logs.front() - logs.back()) / 6;
  CHECK(slope > 0.8);
  CHECK(slope < 1.2);
}

TEST_CASE("ode: first-same-as-last: evaluations are two to start and s - 1 per trial") {
  const auto count = [](const auto& s) { return s.stats.accepted + s.stats.rejected; };
  const auto five = orbit<ode::dopri5>(1e-6);
  CHECK(five.stats.evaluations == 2 + 6 * count(five));
  const auto eight = orbit<ode::dopri8>(1e-6);
  CHECK(eight.stats.evaluations == 2 + 13 * count(eight));
  // A method that does not hand its last slope over: k_1 is computed after every accepted step, kept after a rejection.
  const auto two =
      ode::solve(arenstorf{}, arenstorf::start, {0, 1}, ode::adaptive_heun{}, ode::i{.rtol = 1e-4, .atol = 1e-4});
  CHECK(two.stats.evaluations == 2 + count(two) + two.stats.accepted - 1);
}

TEST_CASE("ode: a jump costs one more evaluation and is met exactly") {
  const auto kicked = [](double t, double) { return t < 0.5 ? 1.0 : -2.0; };
  const ode::i control{.rtol = 1e-6, .atol = 1e-6};
  const auto s = ode::solve(kicked, 0.0, {0, 1}, ode::dopri5{}, control, {.jump_times = {0.5}, .record_steps = true});
  CHECK(s.stats.rejected <= 1);
  CHECK(s.stats.evaluations == 3 + 6 * (s.stats.accepted + s.stats.rejected));
  bool met = false;
  for (const auto& step : s.steps) met = met || step.t1 == 0.5;
  CHECK(met);
  const auto blind = ode::solve(kicked, 0.0, {0, 1}, ode::dopri5{}, control);
  CHECK(blind.stats.evaluations > s.stats.evaluations);
}

TEST_CASE("ode: the first step is Hairer's") {
  // The formula written out for one component: sizes d0, d1, an Euler step, the change of slope d2.
  const double y0 = 0.7, rtol = 1e-5, atol = 1e-8;
  const auto field = [](double t, double y) { return y * std::cos(t) + t; };
  const double scale = atol + rtol * y0, f0 = field(0.3, y0);
  const double h0 = 0.01 * (y0 / scale) / (std::abs(f0) / scale);
  const double f1 = field(0.3 + h0, y0 + h0 * f0);
  const double d2 = std::abs(f1 - f0) / scale / h0;
  const double h1 = std::pow(0.01 / std::max(std::abs(f0) / scale, d2), 0.2);
  const double want = std::min(100 * h0, h1);
  ode::detail::evaluator<decltype(field), double> f{&field};
  const ode::norm_options<double> plain;
  const ode::detail::error_measure<double> norm(plain, {rtol, atol});
  CHECK(ode::detail::initial_step(f, 0.3, 1.0, y0, f0, 5, norm) == doctest::Approx(want).epsilon(1e-12));
  CHECK(f.count == 1);
}

TEST_CASE("ode: PI and PID control solve to tolerance, and limits hold") {
  const double exact = std::exp(std::sin(20.0));
  const auto pi = ode::solve(detest_a3{}, 1.0, {0, 20}, ode::dopri5{}, ode::pi{.rtol = 1e-8, .atol = 1e-8});
  const auto pid = ode::solve(detest_a3{}, 1.0, {0, 20}, ode::tsit5{}, ode::pid{.rtol = 1e-8, .atol = 1e-8, .d = 0.05});
  CHECK(std::abs(pi.y1 - exact) < 1e-6);
  CHECK(std::abs(pid.y1 - exact) < 1e-6);
  const auto clipped = ode::solve(detest_a3{}, 1.0, {0, 20}, ode::dopri5{},
                                  ode::i{.rtol = 1e-3, .atol = 1e-3, .limits = {.max_step = 0.05, .first_step = 0.01}});
  CHECK(clipped.stats.largest_step <= 0.05 * (1 + 1e-12));
  CHECK(clipped.stats.first_step == 0.01);
  const auto coarse = ode::solve(detest_a3{}, 1.0, {0, 20}, ode::dopri5{},
                                 ode::i{.rtol = 1e-12, .atol = 1e-12, .limits = {.min_step = 0.5}});
  CHECK(coarse.stats.accepted <= 41);
}

TEST_CASE("ode: Lorenz system at t = 1") {
  const auto s = ode::solve(lorenz{}, vec3{10, 10, 10}, {0, 1}, ode::dopri8{}, ode::pi{.rtol = 1e-12, .atol = 1e-12});
  CHECK(distance(s.y1, vec3{-5.55680402234756, -0.79511990288465, 29.67329366144301}) < 1e-9);
}

TEST_CASE("ode: van der Pol with an explicit method: evaluations grow with the stiffness") {
  const auto solve = [](double mu) {
    return ode::solve(van_der_pol{mu}, vec2{2, 0}, {0, 2}, ode::dopri5{}, ode::i{.rtol = 1e-6, .atol = 1e-6});
  };
  const auto stiff = solve(1000);
  CHECK(stiff.y1[0] == doctest::Approx(1.99866615).epsilon(1e-6));
  const double ratio = static_cast<double>(stiff.stats.evaluations) / static_cast<double>(solve(100).stats.evaluations);
  CHECK(ratio > 7);
  CHECK(ratio < 13);
}

TEST_CASE("ode: masked elements change neither steps nor values") {
  using padded = std::array<double, 6>;
  const auto field = [](double, const padded& y) {
    const auto f = lotka_volterra{}(0, {y[0], y[1]});
    return padded{f[0], f[1], 1e3 * y[2], -40 * y[3], 7 * y[4], y[5] * y[5]};
  };
  const ode::i control{.rtol = 1e-7, .atol = 1e-9};
  const auto alone = ode::solve(lotka_volterra{}, vec2{1, 1}, {0, 2}, ode::dopri5{}, control, {.record_steps = true});
  ode::options<padded> option{.record_steps = true};
  option.norm.weights = padded{1, 1, 0, 0, 0, 0};
  for (const double garbage : {0.0, 0.3, -1.0}) {
    const auto with = ode::solve(field, padded{1, 1, garbage * 1e-300, garbage, garbage, -std::abs(garbage)}, {0, 2},
                                 ode::dopri5{}, control, option);
    REQUIRE(with.steps.size() == alone.steps.size());
    for (std::size_t n = 0; n < with.steps.size(); ++n) CHECK(with.steps[n].dt == alone.steps[n].dt);
    CHECK(with.y1[0] == alone.y1[0]);
    CHECK(with.y1[1] == alone.y1[1]);
  }
}

TEST_CASE("ode: a named extra leaf tightens the steps and is reported") {
  const ode::i control{.rtol = 1e-4, .atol = 1e-6};
  const auto plain = ode::solve(lotka_volterra{}, vec2{1, 1}, {0, 2}, ode::dopri5{}, control);
  ode::options<vec2> option;
  option.norm.extra.push_back({"prey", [](const vec2& e, const vec2& a, const vec2&) {
                                 return std::abs(e[0]) / (1e-9 + 1e-8 * std::abs(a[0]));
                               }});
  const auto strict = ode::solve(lotka_volterra{}, vec2{1, 1}, {0, 2}, ode::dopri5{}, control, option);
  CHECK(strict.stats.accepted > 2 * plain.stats.accepted);
}

TEST_CASE("ode: statistics print in one line") {
  std::ostringstream text;
  text << orbit<ode::dopri5>(1e-6).stats;
  CHECK(text.str().find("evaluations 10") == 0);
  CHECK(text.str().find("rejected") != std::string::npos);
  CHECK(text.str().find('\n') == std::string::npos);
}
