// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <vector>

#include <fathom/ode/ode.hpp>

#include "problems.hpp"

namespace ode = fathom::ode;
using namespace problems;

namespace {

/// Slope of the error between the last two of `counts` steps.
template <class Solver, class Field, class Y>
double slope(const Field& field, const Y& y0, double t1, const Y& exact, std::vector<long> counts) {
  double previous = 0, last = 0;
  for (const long n : counts) {
    previous = last;
    last = distance(ode::solve(field, y0, {0, t1}, Solver{}, ode::fixed_steps{n}).y1, exact);
  }
  return std::log2(previous / last);
}

}  // namespace

TEST_CASE_TEMPLATE("ode: convergence slope equals the order", Solver, ode::euler, ode::midpoint, ode::heun,
                   ode::ralston, ode::heun3, ode::ssp3, ode::rk4, ode::rk4_38, ode::bosh3, ode::adaptive_heun,
                   ode::fehlberg2) {
  INFO(Solver::name);
  const vec2 y0{1, 1};
  const auto exact = ode::solve(lotka_volterra{}, y0, {0, 2}, ode::dopri8{}, ode::i{.rtol = 1e-13, .atol = 1e-13}).y1;
  const double measured = slope<Solver>(lotka_volterra{}, y0, 2, exact, {256, 512});
  CHECK(measured == doctest::Approx(Solver::order).epsilon(0.15 / Solver::order));
}

TEST_CASE("ode: slopes and errors of the fifth-order methods on DETEST A3") {
  const double exact = std::exp(std::sin(20.0));
  CHECK(std::abs(slope<ode::dopri5>(detest_a3{}, 1.0, 20, exact, {200, 400}) - 5) < 0.15);
  CHECK(std::abs(slope<ode::tsit5>(detest_a3{}, 1.0, 20, exact, {400, 800}) - 5) < 0.15);
  const auto error = [&](auto solver, long n) {
    return std::abs(ode::solve(detest_a3{}, 1.0, {0, 20}, solver, ode::fixed_steps{n}).y1 / exact - 1);
  };
  CHECK(error(ode::dopri5{}, 100) == doctest::Approx(2.73e-7).epsilon(0.02));
  CHECK(error(ode::tsit5{}, 100) == doctest::Approx(8.37e-8).epsilon(0.02));
  CHECK(error(ode::rk4{}, 100) == doctest::Approx(1.22e-5).epsilon(0.02));
  CHECK(error(ode::tsit5{}, 800) == doctest::Approx(1.68e-12).epsilon(0.05));
}

TEST_CASE("ode: dopri8 has order eight") {
  // A forced oscillator, y = cos t + sin 2t: no nonlinearity in which errors of other orders could hide.
  const auto field = [](double t, const vec2& y) { return vec2{y[1], -y[0] - 3 * std::sin(2 * t)}; };
  const vec2 exact{std::cos(10.0) + std::sin(20.0), -std::sin(10.0) + 2 * std::cos(20.0)};
  CHECK(std::abs(slope<ode::dopri8>(field, vec2{1, 2}, 10, exact, {20, 40}) - 8) < 0.15);
}

TEST_CASE("ode: the embedded error estimate shrinks with its order") {
  const auto estimate = [](auto solver, double h) {
    using solver_type = decltype(solver);
    const vec2 y0{1, 1};
    const lotka_volterra field;
    ode::detail::evaluator<lotka_volterra, vec2> g{&field};
    auto work = solver_type::make_workspace(y0);
    vec2 y1 = y0;
    solver_type::step(g, 0, h, h, y0, y1, work);
    const ode::norm_options<vec2> none;
    const ode::detail::error_measure<vec2> norm(none, {0, 1});
    return solver_type::error_norm(h, y0, y1, work, norm).value();
  };
  const auto order = [&](auto solver) { return std::log2(estimate(solver, 0.02) / estimate(solver, 0.01)); };
  CHECK(order(ode::adaptive_heun{}) == doctest::Approx(2).epsilon(0.05));
  CHECK(order(ode::fehlberg2{}) == doctest::Approx(2).epsilon(0.05));
  CHECK(order(ode::bosh3{}) == doctest::Approx(3).epsilon(0.05));
  CHECK(order(ode::dopri5{}) == doctest::Approx(5).epsilon(0.05));
  CHECK(order(ode::tsit5{}) == doctest::Approx(5).epsilon(0.05));
}

TEST_CASE("ode: one Euler step of length one is y + f, bitwise") {
  const vec2 y0{0.1, 0.7};
  const lotka_volterra field;
  const auto f = field(0, y0);
  const auto y1 = ode::solve(field, y0, {0, 1}, ode::euler{}, ode::fixed_steps{1}).y1;
  CHECK(y1[0] == y0[0] + f[0]);
  CHECK(y1[1] == y0[1] + f[1]);
}

TEST_CASE("ode: backward time equals the negated field, bitwise") {
  const vec2 y0{1, 1};
  const auto back = ode::solve(lotka_volterra{}, y0, {0, -1}, ode::rk4{}, ode::fixed_steps{20}).y1;
  const auto negated = [](double t, const vec2& y) {
    const auto f = lotka_volterra{}(-t, y);
    return vec2{-f[0], -f[1]};
  };
  CHECK(back == ode::solve(negated, y0, {0, 1}, ode::rk4{}, ode::fixed_steps{20}).y1);
  const auto there = ode::solve(lotka_volterra{}, y0, {0, 2}, ode::dopri5{}, ode::pi{.rtol = 1e-10, .atol = 1e-12});
  const auto again =
      ode::solve(lotka_volterra{}, there.y1, {2, 0}, ode::dopri5{}, ode::pi{.rtol = 1e-10, .atol = 1e-12});
  CHECK(distance(again.y1, y0) < 1e-8);
}

TEST_CASE("ode: scalar, array, vector and float states agree; a field may fill in its result") {
  const auto as_vector = [](double, const std::vector<double>& y) {
    return std::vector<double>{1.5 * y[0] - y[0] * y[1], -3 * y[1] + y[0] * y[1]};
  };
  const auto fills = [](double, const vec2& y, vec2& out) { out = lotka_volterra{}(0, y); };
  const auto in_float = [](double, const std::array<float, 2>& y) {
    return std::array<float, 2>{1.5f * y[0] - y[0] * y[1], -3 * y[1] + y[0] * y[1]};
  };
  const auto want = ode::solve(lotka_volterra{}, vec2{1, 1}, {0, 1}, ode::rk4{}, ode::fixed_steps{10}).y1;
  const auto vector = ode::solve(as_vector, std::vector<double>{1, 1}, {0, 1}, ode::rk4{}, ode::fixed_steps{10}).y1;
  CHECK(vector == std::vector<double>(want.begin(), want.end()));
  CHECK(ode::solve(fills, vec2{1, 1}, {0, 1}, ode::rk4{}, ode::fixed_steps{10}).y1 == want);
  const auto single = ode::solve(in_float, std::array<float, 2>{1, 1}, {0, 1}, ode::rk4{}, ode::fixed_steps{10}).y1;
  CHECK(single[0] == doctest::Approx(want[0]).epsilon(1e-5));
}

TEST_CASE("ode: what a field is bound to is referred to when it has a name and held when it is a temporary") {
  const auto scaled = [](double, double y, const std::vector<double>& factor) { return factor[0] * y; };
  const auto bound = [&] { return ode::with_context(scaled, std::vector<double>(1, -2.0)); }();
  CHECK(ode::solve(bound, 1.0, {0, 1}, ode::rk4{}, ode::fixed_steps{64}).y1 == doctest::Approx(std::exp(-2.0)));

  std::vector<double> factor(1, 1.0);
  const auto referring = ode::with_context(scaled, factor);
  factor[0] = -1;
  CHECK(ode::solve(referring, 1.0, {0, 1}, ode::rk4{}, ode::fixed_steps{64}).y1 == doctest::Approx(std::exp(-1.0)));
}

TEST_CASE("ode: a field behind a std::function gives the same steps and values, bitwise") {
  const auto returning = [](double t, double y) { return std::cos(t) * y; };
  const auto filling = [](double t, const double& y, double& out) { out = std::cos(t) * y; };
  const auto direct = ode::solve(returning, 1.0, {0, 3}, ode::dopri5{}, ode::pid{.rtol = 1e-8});
  const std::function<double(double, double)> f = returning;
  const std::function<void(double, const double&, double&)> g = filling;
  const auto a = ode::solve(f, 1.0, {0, 3}, ode::dopri5{}, ode::pid{.rtol = 1e-8});
  const auto b = ode::solve(g, 1.0, {0, 3}, ode::dopri5{}, ode::pid{.rtol = 1e-8});
  CHECK(a.y1 == direct.y1);
  CHECK(b.y1 == direct.y1);
  CHECK(a.stats.evaluations == direct.stats.evaluations);
  CHECK(b.stats.accepted == direct.stats.accepted);
}

TEST_CASE("ode: fixed_step shortens the last step only") {
  const auto s = ode::solve(detest_a3{}, 1.0, {0, 1}, ode::rk4{}, ode::fixed_step{0.3}, {.record_steps = true});
  REQUIRE(s.steps.size() == 4);
  CHECK(s.steps[2].dt == 0.3);
  CHECK(s.steps[3].dt == doctest::Approx(0.1));
  CHECK(s.steps[3].t1 == 1.0);
  CHECK(ode::solve(detest_a3{}, 1.0, {0, 1}, ode::rk4{}, ode::fixed_step{0.1}).stats.accepted == 10);
}

TEST_CASE("ode: a field of another size is refused with both sizes") {
  const auto wrong = [](double, const std::vector<double>&) { return std::vector<double>(3); };
  CHECK_THROWS_WITH_AS(ode::solve(wrong, std::vector<double>(2), {0, 1}, ode::euler{}, ode::fixed_steps{1}),
                       doctest::Contains("2 elements, the field returned 3"), fathom::shape_error);
}

TEST_CASE("ode: small states run in a loop of their own: the same steps and values, bitwise, as when watched") {
  using vec20 = std::array<double, 20>;
  const auto field = [](double t, const vec20& y) {
    vec20 f;
    for (std::size_t n = 0; n < 20; ++n) f[n] = std::cos(t) * y[n] - 0.1 * y[(n + 7) % 20];
    return f;
  };
  vec20 y0;
  for (std::size_t n = 0; n < 20; ++n) y0[n] = 1 + 0.3 * static_cast<double>(n);
  const auto check = [&](auto solver, const auto& control) {
    const auto alone = ode::solve(field, y0, {0, 3}, solver, control);
    const auto watched = ode::solve(field, y0, {0, 3}, solver, control, {.record_steps = true});
    CHECK(alone.y1 == watched.y1);
    CHECK(alone.stats.evaluations == watched.stats.evaluations);
    CHECK(alone.stats.accepted == watched.stats.accepted);
    CHECK(alone.stats.rejected == watched.stats.rejected);
    CHECK(alone.stats.last_step == watched.stats.last_step);
  };
  check(ode::rk4{}, ode::fixed_steps{600});
  check(ode::dopri5{}, ode::fixed_steps{70});
  check(ode::bosh3{}, ode::i{.rtol = 1e-7, .atol = 1e-9});
  check(ode::dopri5{}, ode::i{.rtol = 1e-9, .atol = 1e-11});
  check(ode::adaptive_heun{}, ode::pi{.rtol = 1e-5, .atol = 1e-7});
}

TEST_CASE("ode: a state that breaks in the middle of a long run of steps is traced to its step") {
  const vec2 y0{1, 1};
  const auto breaks = [](double t, const vec2& y) {
    return t > 0.7001 ? vec2{std::sqrt(-y[0]), 0} : lotka_volterra{}(0, y);
  };
  const auto s = ode::solve(breaks, y0, {0, 1}, ode::euler{}, ode::fixed_steps{1000},
                            {.on_failure = ode::on_failure::return_status});
  CHECK(s.status == ode::status::non_finite);
  CHECK(s.stats.accepted == 701);
  CHECK(s.stats.evaluations == 702);
  CHECK(s.y1 == ode::solve(lotka_volterra{}, y0, {0, 701 * 0.001}, ode::euler{}, ode::fixed_steps{701}).y1);
}
