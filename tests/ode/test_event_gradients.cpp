// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include <fathom/backend/reference.hpp>
#include <fathom/ode/ode.hpp>
#include <fathom/op/reduction.hpp>

#include "network_field.hpp"

namespace ode = fathom::ode;
using namespace problems;

namespace {

/// y_0 + t / 2 rises through zero.
ode::options<vec3> until_crossing() {
  ode::options<vec3> option;
  option.events.push_back({[](double t, const vec3& y) { return y[2] * y[0] + 0.5 * t - 1.2; }, ode::crossing::any,
                           true,
                           [](double, const vec3& y) {
                             return ode::event_slope<vec3>{0.5, {y[2], 0, y[0]}};
                           }});
  return option;
}

/// <seed, y(t*)> + 0.7 t*
template <class Solver, class Control>
double loss(const Solver& solver, const Control& control, int which, std::size_t n, double by) {
  small_network field;
  vec3 y = start;
  ode::interval span{0.1, 6};
  if (which == 0) y[n] += by;
  if (which == 1) field.p[n] += by;
  if (which == 2) span.t0 += by;
  // The exact landing of a solve for gradients, not the interpolated one.
  const auto s = ode::solve_with_gradient(field, y, span, solver, control, ode::backsolve{}, until_crossing()).first;
  REQUIRE(s.status == ode::status::event);
  return inner(seed, s.y1) + 0.7 * s.t1;
}

template <class Solver, class Control, class Policy>
void check(const Solver& solver, const Control& control, const Policy& policy) {
  INFO(Solver::name);
  const auto [s, pullback] =
      ode::solve_with_gradient(small_network{}, start, {0.1, 6}, solver, control, policy, until_crossing());
  CHECK(std::abs(until_crossing().events[0].value(s.t1, s.y1)) < 1e-13);
  CHECK(s.events.back().t == s.t1);
  const auto g = pullback(seed, {}, 0.7);
  const double h = 1e-3;
  const auto slope = [&](int which, std::size_t n) {
    const auto at = [&](double by) { return loss(solver, control, which, n, by); };
    return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
  };
  for (std::size_t n = 0; n < 3; ++n) CHECK(std::abs(g.y0[n] - slope(0, n)) < 1e-6);
  for (std::size_t n = 0; n < 4; ++n) CHECK(std::abs(g.parameters[n] - slope(1, n)) < 1e-6);
  CHECK(std::abs(g.t0 - slope(2, 0)) < 1e-6);
  // The end of the interval has no say but through the length of the steps.
  CHECK(std::abs(g.t1) < 1e-8);
}

}  // namespace

TEST_CASE("ode: the time and state of an event have gradients under every policy") {
  const ode::i tight{.rtol = 1e-11, .atol = 1e-12};
  check(ode::dopri5{}, tight, ode::checkpointed{.times = true});
  check(ode::dopri5{}, tight, ode::direct{.times = true});
  check(ode::dopri5{}, tight, ode::backsolve{.times = true});
  check(ode::coupled<ode::rk4>{}, ode::fixed_steps{300}, ode::reversible{.times = true});
  check(ode::coupled<ode::dopri5>{}, ode::fixed_steps{60}, ode::reversible{.times = true});
  check(ode::gauss_legendre6{{.tolerance = 1e-14}}, ode::fixed_steps{100},
        ode::checkpointed{.slots = 4, .times = true});
  check(ode::adams_bashforth<4>{}, ode::fixed_steps{500}, ode::checkpointed{.slots = 4, .times = true});
}

TEST_CASE("ode: policies agree on an event's gradient to rounding, checkpoints bitwise for every number") {
  const auto run = [](const auto& policy) {
    return ode::solve_with_gradient(small_network{}, start, {0.1, 6}, ode::rk4{}, ode::fixed_steps{80}, policy,
                                    until_crossing())
        .second(seed, {}, 0.7);
  };
  const auto all = run(ode::checkpointed{});
  for (const std::int64_t slots : {1, 2, 5, 11}) {
    const auto few = run(ode::checkpointed{.slots = slots});
    CHECK(few.y0 == all.y0);
    CHECK(few.parameters == all.parameters);
  }
  CHECK(distance(run(ode::direct{}).y0, all.y0) < 1e-13);
}

TEST_CASE("ode: an event that coincides with a saved value moves its own gradient only") {
  ode::options<vec3> option = until_crossing();
  const double when = ode::solve_with_gradient(small_network{}, start, {0.1, 6}, ode::dopri5{}, ode::i{.rtol = 1e-10},
                                               ode::checkpointed{}, option)
                          .first.t1;
  option.save_at = {0.5 * (0.1 + when), 6};
  option.save_at.back() = std::nextafter(when, 0.0);
  const auto run = [&](const auto& policy) {
    const auto [s, pullback] = ode::solve_with_gradient(small_network{}, start, {0.1, 6}, ode::dopri5{},
                                                        ode::i{.rtol = 1e-10}, policy, option);
    REQUIRE(s.status == ode::status::event);
    std::vector<vec3> cotangents(s.values.size(), vec3{0.2, -1, 0.4});
    return pullback(seed, cotangents, 0.7);
  };
  const auto exact = run(ode::checkpointed{});
  CHECK(distance(run(ode::direct{}).y0, exact.y0) < 1e-12);
  CHECK(distance(run(ode::backsolve{}).y0, exact.y0) < 1e-6);
}

TEST_CASE("ode: events without derivatives, and those that only touch, are refused in words") {
  ode::options<vec3> option = until_crossing();
  option.events[0].slope = nullptr;
  CHECK_THROWS_WITH_AS(ode::solve_with_gradient(small_network{}, start, {0.1, 6}, ode::rk4{}, ode::fixed_steps{80},
                                                ode::checkpointed{}, option),
                       doctest::Contains("ends the solve, so gradients need its derivatives"), fathom::error);
  option.events[0].slope = [](double, const vec3&) { return ode::event_slope<vec3>{0, {0, 0, 0}}; };
  CHECK_THROWS_WITH_AS(ode::solve_with_gradient(small_network{}, start, {0.1, 6}, ode::rk4{}, ode::fixed_steps{80},
                                                ode::checkpointed{}, option),
                       doctest::Contains("touched, not crossed"), fathom::numerical_error);
}

TEST_CASE("ode: the event of a state of tensors is differentiated by the graph") {
  using B = fathom::reference<double>;
  using state = fathom::tensor<B, 1>;
  const B b;
  const auto e = ode::differentiable_event<state>(
      [](const auto& t, const auto& y) { return fathom::sum(y * y) - t * 2.0; }, ode::crossing::falling);
  const auto y = fathom::from_host<1>(b, fathom::host_tensor<double>({3}, {1, -2, 0.5}));
  CHECK(e.value(1.5, y) == doctest::Approx(5.25 - 3));
  const auto slope = e.slope(1.5, y);
  CHECK(slope.t == -2);
  CHECK(fathom::to_host(slope.y).data == std::vector<double>{2, -4, 1});
}
