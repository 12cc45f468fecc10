// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include <fathom/ode/adams.hpp>
#include <fathom/ode/explicit_rk.hpp>
#include <fathom/ode/implicit_rk.hpp>
#include <fathom/ode/solve.hpp>
#include <fathom/ode/splitting.hpp>

#include "problems.hpp"

namespace ode = fathom::ode;
using namespace problems;

namespace {

/// Largest error at many times inside n steps of y' = y cos t on [0, 4].
template <class Solver>
double inside_error(long n, ode::interpolation kind) {
  ode::options<double> option{.interpolation = kind};
  for (int k = 1; k < 400; ++k) option.save_at.push_back(0.01 * k);
  const auto s = ode::solve(detest_a3{}, 1.0, {0, 4}, Solver{}, ode::fixed_steps{n}, option);
  REQUIRE(s.values.size() == 399);
  double worst = 0;
  for (std::size_t k = 0; k < s.values.size(); ++k)
    worst = std::max(worst, std::abs(s.values[k] - std::exp(std::sin(s.times[k]))));
  return worst;
}
template <class Solver>
double inside_slope(long n, ode::interpolation kind) {
  return std::log2(inside_error<Solver>(n, kind) / inside_error<Solver>(2 * n, kind));
}

}  // namespace

TEST_CASE("ode: natural dense output has its order inside the steps") {
  const auto natural = ode::interpolation::natural;
  CHECK(inside_slope<ode::euler>(64, natural) > 0.85);
  CHECK(inside_slope<ode::heun>(64, natural) > 1.85);
  CHECK(inside_slope<ode::bosh3>(64, natural) > 2.85);
  CHECK(inside_slope<ode::rk4>(32, natural) > 3.5);
  CHECK(inside_slope<ode::dopri5>(16, natural) > 4.5);
  CHECK(inside_slope<ode::tsit5>(16, natural) > 4.5);
  CHECK(inside_slope<ode::dopri8>(8, natural) > 5.5);
}

TEST_CASE("ode: full dense output has the method's order") {
  const auto full = ode::interpolation::full;
  CHECK(inside_slope<ode::rk4>(32, full) > 3.8);
  CHECK(inside_slope<ode::dopri5>(16, full) > 4.8);
  CHECK(inside_slope<ode::dopri8>(6, full) > 7);
  CHECK(inside_error<ode::dopri5>(16, full) < inside_error<ode::dopri5>(16, ode::interpolation::natural));
  CHECK(inside_slope<ode::dopri5>(16, ode::interpolation::linear) < 2.3);
}

TEST_CASE("ode: Adams methods have their own order inside the steps, for no evaluation") {
  const auto natural = ode::interpolation::natural, full = ode::interpolation::full;
  CHECK(inside_slope<ode::adams_bashforth<2>>(128, natural) > 1.85);
  CHECK(inside_slope<ode::adams_bashforth<3>>(128, natural) > 2.85);
  CHECK(inside_slope<ode::adams_bashforth<4>>(128, natural) > 3.85);
  CHECK(inside_slope<ode::adams_bashforth<6, ode::dopri8>>(128, full) > 5.85);
  CHECK(inside_slope<ode::adams_bashforth_moulton<4>>(128, natural) > 3.85);
  CHECK(inside_slope<ode::adams_bashforth_moulton<5, ode::dopri8>>(128, full) > 4.85);
  CHECK(inside_slope<ode::adams_bashforth_moulton<7, ode::dopri8>>(64, full) > 6.85);
  const auto count = [](std::vector<double> at) {
    return ode::solve(detest_a3{}, 1.0, {0, 4}, ode::adams_bashforth<5>{}, ode::fixed_steps{40}, {.save_at = at})
        .stats.evaluations;
  };
  CHECK(count({}) == count({1.03, 1.07, 2.01, 3.99}));
  // At the end of a step the weights are the method's.
  const auto explicit_weights = ode::detail::adams_interpolation_weights<11>(1, 0);
  const auto implicit_weights = ode::detail::adams_interpolation_weights<8>(1, 1);
  for (std::size_t j = 0; j < 11; ++j)
    CHECK(explicit_weights[j] == doctest::Approx(ode::detail::adams_weights<11>(false)[j]).epsilon(1e-12));
  for (std::size_t j = 0; j < 8; ++j)
    CHECK(implicit_weights[j] == doctest::Approx(ode::detail::adams_weights<8>(true)[j]).epsilon(1e-12));
}

TEST_CASE("ode: implicit and splitting methods have their order inside the steps") {
  const auto natural = ode::interpolation::natural, full = ode::interpolation::full;
  CHECK(inside_slope<ode::implicit_euler>(128, natural) > 0.85);
  CHECK(inside_slope<ode::trapezoid>(64, natural) > 1.85);
  CHECK(inside_slope<ode::sdirk2>(64, natural) > 1.85);
  CHECK(inside_slope<ode::radau_iia3>(64, natural) > 2.85);
  CHECK(inside_slope<ode::kvaerno3>(64, natural) > 2.85);
  CHECK(inside_slope<ode::gauss_legendre4>(16, full) > 3.8);
  CHECK(inside_slope<ode::radau_iia5>(16, full) > 4.8);
  CHECK(inside_slope<ode::gauss_legendre6>(8, full) > 5.5);
  CHECK(inside_slope<ode::strang>(64, natural) > 1.85);
}

TEST_CASE("ode: fixed steps end on jumps and on given times, wherever those lie") {
  const auto kicked = [](double t, double) { return t < 0.47 ? 1.0 : -2.0; };
  const auto check = [&](auto solver, const auto& control) {
    const auto s = ode::solve(kicked, 0.0, {0, 1}, solver, control, {.jump_times = {0.47}, .record_steps = true});
    CHECK(s.y1 == doctest::Approx(0.47 - 2 * 0.53).epsilon(1e-13));
    bool met = false;
    for (const auto& step : s.steps) met = met || step.t1 == 0.47;
    CHECK(met);
    CHECK(s.steps.back().t1 == 1.0);
    for (std::size_t n = 1; n < s.steps.size(); ++n) CHECK(s.steps[n].t == s.steps[n - 1].t1);
  };
  check(ode::rk4{}, ode::fixed_steps{7});
  check(ode::rk4{}, ode::fixed_step{0.3});
  check(ode::dopri5{}, ode::fixed_grid{{0, 0.2, 0.9, 1}});
  check(ode::adams_bashforth<4>{}, ode::fixed_steps{20});
  check(ode::trapezoid{}, ode::fixed_steps{3});
  const auto at = ode::solve(detest_a3{}, 1.0, {2, 0}, ode::rk4{}, ode::fixed_steps{4},
                             {.step_times = {0.3, 1.5, 1.2}, .record_steps = true});
  REQUIRE(at.steps.size() == 6);  // 1.5 is the end of a step anyway
  CHECK(at.steps[1].t1 == 1.2);
  CHECK(at.steps[4].t1 == 0.3);
  CHECK(at.t1 == 0);
}

TEST_CASE("ode: polynomials are recovered inside a step, and the ends exactly") {
  // Degree four, for which dopri5's interpolant is exact.
  const auto slope = [](double t, double) { return 1 - 2 * t + 3 * t * t - 4 * t * t * t; };
  const auto exact = [](double t) { return t - t * t + t * t * t - t * t * t * t; };
  const auto s =
      ode::solve(slope, 0.0, {0, 1.5}, ode::dopri5{}, ode::fixed_steps{2}, {.save_at = {0, 0.1, 0.4, 0.75, 1.3, 1.5}});
  for (std::size_t k = 0; k < s.times.size(); ++k)
    CHECK(s.values[k] == doctest::Approx(exact(s.times[k])).epsilon(1e-12));
  CHECK(s.values.front() == 0.0);
  CHECK(s.values.back() == s.y1);
  const auto half = ode::solve(slope, 0.0, {0, 0.75}, ode::dopri5{}, ode::fixed_steps{1});
  CHECK(s.values[3] == half.y1);
}

TEST_CASE("ode: saved values cost nothing but the slope that the next step uses") {
  const auto without = ode::solve(detest_a3{}, 1.0, {0, 4}, ode::rk4{}, ode::fixed_steps{10});
  const auto with =
      ode::solve(detest_a3{}, 1.0, {0, 4}, ode::rk4{}, ode::fixed_steps{10}, {.save_at = {0.3, 0.31, 2.1}});
  CHECK(with.stats.evaluations == without.stats.evaluations);
  CHECK(with.y1 == without.y1);
  const auto adaptive = ode::solve(detest_a3{}, 1.0, {0, 4}, ode::tsit5{}, ode::i{}, {.save_at = {0.3, 0.31, 2.1}});
  CHECK(adaptive.stats.evaluations == ode::solve(detest_a3{}, 1.0, {0, 4}, ode::tsit5{}, ode::i{}).stats.evaluations);
}

TEST_CASE("ode: values are saved backwards in time as well") {
  const ode::i control{.rtol = 1e-9, .atol = 1e-11};
  const auto s =
      ode::solve(detest_a3{}, std::exp(std::sin(4.0)), {4, 0}, ode::dopri5{}, control, {.save_at = {4, 3, 1.5, 0}});
  REQUIRE(s.values.size() == 4);
  for (std::size_t k = 0; k < 4; ++k)
    CHECK(s.values[k] == doctest::Approx(std::exp(std::sin(s.times[k]))).epsilon(1e-7));
}

TEST_CASE("ode: an observer sees every step and may stop the solve") {
  double last = 0;
  long seen = 0;
  ode::options<double> option;
  option.observer = [&](const ode::step_view<double>& view) {
    CHECK(view.t0 == last);
    last = view.t1;
    ++seen;
    return view.t1 < 2;
  };
  const auto s = ode::solve(detest_a3{}, 1.0, {0, 4}, ode::dopri5{}, ode::i{.rtol = 1e-6, .atol = 1e-6}, option);
  CHECK(s.status == ode::status::stopped);
  CHECK(s.t1 == last);
  CHECK(s.t1 >= 2);
  CHECK(seen == s.stats.accepted);
  CHECK(s.y1 == doctest::Approx(std::exp(std::sin(s.t1))).epsilon(1e-4));
}

TEST_CASE("ode: a bouncing ball's times are found, terminal or not, with direction") {
  const double g = 9.81;
  const auto fall = [&](double, const vec2& y) { return vec2{y[1], -g}; };
  const ode::i control{.rtol = 1e-10, .atol = 1e-12};
  ode::options<vec2> option;
  option.events.push_back({[](double, const vec2& y) { return y[0]; }, ode::crossing::falling, true});
  option.events.push_back({[](double, const vec2& y) { return y[1]; }, ode::crossing::falling, false});
  option.events.push_back({[](double, const vec2& y) { return y[0] - 1; }, ode::crossing::rising, false});
  option.save_at = {0.1, 0.2, 5};
  const auto s = ode::solve(fall, vec2{0.5, 6}, {0, 10}, ode::dopri5{}, control, option);
  const double lands = (6 + std::sqrt(36 + 2 * g * 0.5)) / g;
  CHECK(s.status == ode::status::event);
  CHECK(s.t1 == doctest::Approx(lands).epsilon(1e-12));
  CHECK(std::abs(s.y1[0]) < 1e-11);
  REQUIRE(s.events.size() == 3);
  CHECK(s.events[0].which == 2);
  CHECK(s.events[0].t == doctest::Approx((6 - std::sqrt(36 - g)) / g).epsilon(1e-12));
  CHECK(s.events[1].which == 1);
  CHECK(s.events[1].t == doctest::Approx(6 / g).epsilon(1e-12));
  CHECK(s.times == std::vector<double>{0.1, 0.2});
  // Fixed steps find it too.
  const auto fixed = ode::solve(fall, vec2{0.5, 6}, {0, 10}, ode::rk4{}, ode::fixed_steps{20}, option);
  CHECK(fixed.t1 == doctest::Approx(lands).epsilon(1e-12));
}
