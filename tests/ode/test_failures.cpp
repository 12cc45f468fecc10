// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <string>

#include <fathom/ode/ode.hpp>

#include "problems.hpp"

namespace ode = fathom::ode;
using namespace problems;

namespace {
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
}

TEST_CASE("ode: a field that breaks at step 3 is reported with the last good state") {
  const auto breaks = [](double t, double y) { return t > 0.25 ? not_a_number : y; };
  const auto s = ode::solve(breaks, 1.0, {0, 1}, ode::euler{}, ode::fixed_steps{10},
                            {.on_failure = ode::on_failure::return_status});
  CHECK(s.status == ode::status::non_finite);
  CHECK(s.t1 == doctest::Approx(0.3));
  CHECK(s.stats.accepted == 3);
  CHECK(s.y1 == doctest::Approx(1.331));
  CHECK(s.failed_step == doctest::Approx(0.1));
  try {
    ode::solve(breaks, 1.0, {0, 1}, ode::euler{}, ode::fixed_steps{10});
    FAIL("no exception");
  } catch (const ode::solver_error& e) {
    CHECK(e.code == ode::status::non_finite);
    CHECK(e.t == doctest::Approx(0.3));
    CHECK(e.dt == doctest::Approx(0.1));
    CHECK(e.last_good<double>() == doctest::Approx(1.331));
    CHECK(std::string(e.what()).find("euler") == 0);
  }
}

TEST_CASE("ode: adaptive control ends at a broken field within few evaluations") {
  const auto breaks = [](double t, double y) { return t > 0.25 ? not_a_number : y; };
  const auto s = ode::solve(breaks, 1.0, {0, 1}, ode::dopri5{}, ode::pi{.rtol = 1e-6, .atol = 1e-6},
                            {.on_failure = ode::on_failure::return_status});
  CHECK(s.status == ode::status::non_finite);
  CHECK(s.t1 <= 0.25);
  CHECK(s.t1 > 0.2);
  CHECK(s.y1 == doctest::Approx(std::exp(s.t1)).epsilon(1e-5));
  CHECK(s.stats.evaluations < 500);
  const auto never = [](double, double) { return not_a_number; };
  CHECK(
      ode::solve(never, 1.0, {0, 1}, ode::dopri5{}, ode::i{}, {.on_failure = ode::on_failure::return_status}).status ==
      ode::status::non_finite);
}

TEST_CASE_TEMPLATE("ode: blow-up of y' = y^2 ends in a step underflow", Solver, ode::dopri5, ode::tsit5, ode::bosh3) {
  const auto square = [](double, double y) { return y * y; };
  try {
    ode::solve(square, 1.0, {0, 2}, Solver{}, ode::i{.rtol = 1e-6, .atol = 1e-6}, {.max_evaluations = 10000});
    FAIL("no exception");
  } catch (const ode::solver_error& e) {
    CHECK(e.code == ode::status::step_underflow);
    CHECK(e.t == doctest::Approx(1).epsilon(1e-5));
    CHECK(e.last_good<double>() > 1e5);
  }
}

TEST_CASE("ode: the budget of evaluations and of time is kept") {
  const auto spent = ode::solve(van_der_pol{1e6}, vec2{2, 0}, {0, 2}, ode::dopri5{}, ode::i{.rtol = 1e-6, .atol = 1e-6},
                                {.max_evaluations = 1000, .on_failure = ode::on_failure::return_status});
  CHECK(spent.status == ode::status::max_evaluations);
  CHECK(spent.stats.evaluations >= 1000);
  CHECK(spent.stats.evaluations <= 1007);
  const auto capped = ode::solve(van_der_pol{1e6}, vec2{2, 0}, {0, 2}, ode::dopri5{},
                                 ode::i{.rtol = 1e-6, .atol = 1e-6}, {.on_failure = ode::on_failure::return_status});
  CHECK(capped.status == ode::status::max_evaluations);
  CHECK(capped.stats.evaluations <= 100007);
  const auto late = ode::solve(detest_a3{}, 1.0, {0, 1}, ode::rk4{}, ode::fixed_steps{1000000000},
                               {.max_seconds = 0.02, .on_failure = ode::on_failure::return_status});
  CHECK(late.status == ode::status::wall_time);
  CHECK(late.t1 > 0);
  CHECK(late.stats.seconds < 2);
  const auto counted = ode::solve(detest_a3{}, 1.0, {0, 1}, ode::rk4{}, ode::fixed_steps{100},
                                  {.max_evaluations = 40, .on_failure = ode::on_failure::return_status});
  CHECK(counted.status == ode::status::max_evaluations);
  CHECK(counted.stats.evaluations == 40);
}

TEST_CASE("ode: a tolerance that float32 cannot meet is refused with the floor") {
  const auto field = [](double, const std::array<float, 2>& y) { return std::array<float, 2>{y[1], -y[0]}; };
  try {
    ode::solve(field, std::array<float, 2>{1, 0}, {0, 1}, ode::dopri5{}, ode::i{.rtol = 1e-9, .atol = 1e-12});
    FAIL("no exception");
  } catch (const ode::solver_error& e) {
    CHECK(e.code == ode::status::tolerance_below_floor);
    const std::string text = e.what();
    CHECK(text.find("dopri5: tolerance 1e-09 is below what float32 can meet here (floor ") == 0);
    CHECK(text.find("use double") != std::string::npos);
    CHECK(e.leaf == "y");
  }
  CHECK(
      ode::solve(field, std::array<float, 2>{1, 0}, {0, 1}, ode::dopri5{}, ode::i{.rtol = 1e-5, .atol = 1e-6}).y1[0] ==
      doctest::Approx(std::cos(1.0)).epsilon(1e-4));
}

TEST_CASE("ode: a field computed in bfloat16 sets the floor through field_epsilon") {
  // Rounds to eight bits of mantissa, as a bfloat16 network would.
  const auto coarse = [](double t, double y) {
    const double exact = 20 * std::cos(20 * t) - y;
    int exponent = 0;
    const double mantissa = std::frexp(exact, &exponent);
    return std::ldexp(std::nearbyint(mantissa * 256) / 256, exponent);
  };
  const auto solve = [&](double rtol) {
    return ode::solve(
        coarse, 1.0, {0, 1}, ode::dopri5{}, ode::i{.rtol = rtol, .atol = rtol},
        {.max_evaluations = 10000, .on_failure = ode::on_failure::return_status, .field_epsilon = 1.0 / 256});
  };
  CHECK(solve(1e-2).status == ode::status::success);
  const auto refused = solve(1e-9);
  CHECK(refused.status == ode::status::tolerance_below_floor);
  CHECK(refused.stats.evaluations < 10000);
}

TEST_CASE("ode: senseless requests are refused in words") {
  const double inf = std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(ode::solve(detest_a3{}, 1.0, {0, inf}, ode::rk4{}, ode::fixed_steps{1}), fathom::error);
  CHECK_THROWS_WITH_AS(ode::solve(detest_a3{}, 1.0, {0, 1}, ode::rk4{}, ode::fixed_steps{0}),
                       doctest::Contains("n >= 1"), fathom::error);
  CHECK_THROWS_AS(ode::solve(detest_a3{}, 1.0, {0, 1}, ode::rk4{}, ode::fixed_step{-1}), fathom::error);
  CHECK_THROWS_AS(ode::solve(detest_a3{}, 1.0, {0, 1}, ode::dopri5{}, ode::i{.rtol = -1}), fathom::error);
  CHECK_THROWS_WITH_AS(ode::solve(detest_a3{}, 1.0, {0, 1}, ode::rk4{}, ode::fixed_steps{4}, {.save_at = {0.5, 0.2}}),
                       doctest::Contains("save_at"), fathom::error);
}

TEST_CASE_TEMPLATE("ode: whatever the method, a field that breaks ends the solve at its last good state", Solver,
                   ode::euler, ode::rk4, ode::dopri5, ode::dopri8, ode::adams_bashforth<3>,
                   ode::adams_bashforth_moulton<5>, ode::lie_trotter, ode::strang, ode::implicit_euler, ode::tr_bdf2,
                   ode::gauss_legendre4, ode::kvaerno3) {
  const auto breaks = [](double t, double y) { return t > 0.25 ? not_a_number : -y; };
  const auto s =
      ode::solve(breaks, 1.0, {0, 1}, Solver{}, ode::fixed_steps{10}, {.on_failure = ode::on_failure::return_status});
  const bool known = s.status == ode::status::non_finite || s.status == ode::status::newton_failed;
  CHECK(known);
  CHECK(s.t1 >= 0.2 - 1e-12);
  CHECK(s.t1 <= 0.3 + 1e-12);
  CHECK(s.y1 == doctest::Approx(std::exp(-s.t1)).epsilon(0.05));
  CHECK(s.failed_step == doctest::Approx(0.1));
  CHECK(s.message.find(Solver::name) == 0);
  CHECK(s.stats.evaluations < 10000);
}

TEST_CASE_TEMPLATE("ode: blow-up and an impossible tolerance by every pair, within 10,000 evaluations", Solver,
                   ode::adaptive_heun, ode::fehlberg2, ode::bosh3, ode::tsit5, ode::dopri5, ode::dopri8,
                   ode::kvaerno3) {
  const auto square = [](double, double y) { return y * y; };
  const double tol = Solver::order <= 3 ? 1e-4 : 1e-6;
  // The budget is looked at between steps: a little below the limit.
  ode::options<double> option{.max_evaluations = 9800, .on_failure = ode::on_failure::return_status};
  const auto s = ode::solve(square, 1.0, {0, 2}, Solver{}, ode::i{.rtol = tol, .atol = tol}, option);
  // An implicit step near the pole takes so many iterations that the budget may be spent before time stands still.
  const bool implicit_method = Solver::order == 3 && !requires { typename Solver::tableau_type; };
  const bool spent = implicit_method && s.status == ode::status::max_evaluations;
  CHECK((spent || s.status == ode::status::step_underflow));
  CHECK(s.t1 == doctest::Approx(1).epsilon(1e-2));
  CHECK(s.y1 > 1e5);
  CHECK(s.stats.evaluations <= 10000);
  // In double precision 1e-17 is nobody's tolerance; refused before the first step.
  const auto refused = ode::solve(square, 1.0, {0, 0.5}, Solver{}, ode::i{.rtol = 1e-17, .atol = 0}, option);
  CHECK(refused.status == ode::status::tolerance_below_floor);
  CHECK(refused.message.find("is below what float64 can meet here (floor ") != std::string::npos);
  CHECK(refused.t1 == 0);
  CHECK(refused.y1 == 1);
  CHECK(refused.stats.evaluations <= 2);
}

TEST_CASE("ode: the wall time ends adaptive solves, slow fields and batches of events") {
  const auto slow = [](double, double y) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(2);
    while (std::chrono::steady_clock::now() < until) {
    }
    return -y;
  };
  ode::options<double> option{.max_seconds = 0.03, .on_failure = ode::on_failure::return_status};
  option.events.push_back({[](double, double y) { return y - 2; }});
  const auto s = ode::solve(slow, 1.0, {0, 1000}, ode::dopri5{}, ode::i{.rtol = 1e-9, .atol = 1e-9}, option);
  CHECK(s.status == ode::status::wall_time);
  CHECK(s.stats.seconds < 1);
  CHECK(s.y1 == doctest::Approx(std::exp(-s.t1)).epsilon(1e-6));
  CHECK(s.message.find("time limit of 0.03 s") != std::string::npos);
}

TEST_CASE("ode: blow-up under fixed steps, and errors of the field itself, are passed on") {
  const auto square = [](double, double y) { return y * y; };
  const auto s =
      ode::solve(square, 1.0, {0, 4}, ode::rk4{}, ode::fixed_steps{40}, {.on_failure = ode::on_failure::return_status});
  CHECK(s.status == ode::status::non_finite);
  CHECK(std::isfinite(s.y1));
  CHECK(s.t1 > 0.9);
  CHECK(s.t1 < 2);
  const auto throws = [](double t, double y) -> double {
    if (t > 0.5) throw fathom::io_error("the field's own");
    return y;
  };
  CHECK_THROWS_WITH_AS(ode::solve(throws, 1.0, {0, 1}, ode::dopri5{}, ode::i{}), "the field's own", fathom::io_error);
}
