// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <vector>

#include <fathom/ode/ode.hpp>

#include "network_field.hpp"

namespace ode = fathom::ode;
using namespace problems;

namespace {

using gradient = ode::solve_gradient<vec3, std::vector<double>>;

double worst(const gradient& a, const gradient& b) {
  double error = 0;
  for (std::size_t n = 0; n < 3; ++n) error = std::max(error, std::abs(a.y0[n] - b.y0[n]));
  for (std::size_t n = 0; n < 4; ++n) error = std::max(error, std::abs(a.parameters[n] - b.parameters[n]));
  return std::max({error, std::abs(a.t0 - b.t0), std::abs(a.t1 - b.t1)});
}

/// Gradients of <seed, y1> + <a, y(0.9)> with respect to everything.
template <class Solver, class Control, class Policy>
gradient gradient_of(const Solver& solver, const Control& control, const Policy& policy) {
  const auto [s, pullback] =
      ode::solve_with_gradient(small_network{}, start, {0.1, 1.7}, solver, control, policy, {.save_at = {0.9}});
  return pullback(seed, {vec3{0.3, 0.1, -0.8}});
}

/// The same by differences of fourth order.
template <class Solver, class Control>
gradient differences(const Solver& solver, const Control& control) {
  const auto value = [&](int which, std::size_t n, double by) {
    small_network field;
    vec3 y = start;
    ode::interval span{0.1, 1.7};
    if (which == 0) y[n] += by;
    if (which == 1) field.p[n] += by;
    if (which == 2) span.t0 += by;
    if (which == 3) span.t1 += by;
    // The middle of the grid, wherever its ends are.
    ode::options<vec3> option;
    vec3 middle = y;
    long step = 0;
    option.observer = [&](const ode::step_view<vec3>& v) {
      if (++step == 12) middle = v.y1;
      return true;
    };
    const auto s = ode::solve(field, y, span, solver, control, option);
    return inner(seed, s.y1) + inner({0.3, 0.1, -0.8}, middle);
  };
  const double h = 1e-3;
  const auto slope = [&](int which, std::size_t n) {
    return (8 * (value(which, n, h) - value(which, n, -h)) - (value(which, n, 2 * h) - value(which, n, -2 * h))) /
           (12 * h);
  };
  gradient g{{slope(0, 0), slope(0, 1), slope(0, 2)}, {}, slope(2, 0), slope(3, 0)};
  for (std::size_t n = 0; n < 4; ++n) g.parameters.push_back(slope(1, n));
  return g;
}

}  // namespace

TEST_CASE_TEMPLATE("ode: recording and checkpoints give the gradient of the same discrete map", Solver, ode::euler,
                   ode::ralston, ode::rk4, ode::bosh3, ode::dopri5, ode::dopri8, ode::lie_trotter) {
  INFO(Solver::name);
  const ode::fixed_steps control{24};
  const auto recorded = gradient_of(Solver{}, control, ode::direct{.times = true});
  const auto stored = gradient_of(Solver{}, control, ode::checkpointed{.slots = 3, .times = true});
  CHECK(worst(recorded, stored) < 1e-13);
  CHECK(worst(recorded, differences(Solver{}, control)) < 1e-10);
}

TEST_CASE_TEMPLATE("ode: recording differentiates methods with a memory", Solver, ode::adams_bashforth<2>,
                   ode::adams_bashforth<4>, ode::adams_bashforth_moulton<3>, ode::adams_bashforth_moulton<5>,
                   ode::reversible_heun, ode::coupled<ode::midpoint>) {
  INFO(Solver::name);
  const ode::fixed_steps control{24};
  CHECK(worst(gradient_of(Solver{}, control, ode::direct{.times = true}), differences(Solver{}, control)) < 1e-10);
}

TEST_CASE_TEMPLATE("ode: Adams methods have checkpoints too: states with the slopes that steps still use", Solver,
                   ode::adams_bashforth<1>, ode::adams_bashforth<2>, ode::adams_bashforth<4>,
                   ode::adams_bashforth_moulton<3>, ode::adams_bashforth_moulton<7>) {
  INFO(Solver::name);
  const ode::fixed_steps control{24};
  const auto recorded = gradient_of(Solver{}, control, ode::direct{.times = true});
  const auto all = gradient_of(Solver{}, control, ode::checkpointed{.times = true});
  CHECK(worst(recorded, all) < 1e-13);
  for (const std::int64_t slots : {1, 2, 5, 24})
    CHECK(worst(all, gradient_of(Solver{}, control, ode::checkpointed{.slots = slots, .times = true})) == 0);
  // A step of another length at the end, and a jump in the middle, begin a new history.
  const auto run = [](const auto& policy) {
    ode::options<vec3> option;
    option.jump_times = {0.83};
    return ode::solve_with_gradient(small_network{}, start, {0.1, 1.7}, Solver{}, ode::fixed_step{0.07}, policy, option)
        .second(seed);
  };
  const auto whole = run(ode::direct{});
  for (const std::int64_t slots : {1, 4, 100}) CHECK(worst(whole, run(ode::checkpointed{.slots = slots})) < 1e-13);
}

TEST_CASE_TEMPLATE("ode: implicit methods: the transposed stage equations give the gradient of the discrete map",
                   Solver, ode::implicit_euler, ode::implicit_midpoint, ode::trapezoid, ode::tr_bdf2, ode::sdirk2,
                   ode::radau_iia3, ode::radau_iia5, ode::gauss_legendre4, ode::gauss_legendre6, ode::kvaerno3) {
  INFO(Solver::name);
  const Solver solver{{.tolerance = 4e-15}};
  const ode::fixed_steps control{24};
  const auto whole = gradient_of(solver, control, ode::direct{.times = true});
  CHECK(worst(whole, differences(solver, control)) < 1e-10);
  for (const std::int64_t slots : {1, 3, 24}) {
    const auto stored = gradient_of(solver, control, ode::checkpointed{.slots = slots, .times = true});
    CHECK(worst(whole, stored) == 0);
  }
  const auto staged = gradient_of(solver, control, ode::checkpointed{.times = true, .memory = ode::step_memory::stage});
  CHECK(worst(whole, staged) == 0);
}

TEST_CASE(
    "ode: implicit methods: adaptive steps, whose lengths are held, have one gradient for every number of states") {
  const ode::kvaerno3 solver{{.tolerance = 1e-13}};
  const ode::pid control{.rtol = 1e-5, .atol = 1e-7};
  const auto whole = gradient_of(solver, control, ode::direct{});
  for (const std::int64_t slots : {1, 2, 4})
    CHECK(worst(whole, gradient_of(solver, control, ode::checkpointed{.slots = slots})) == 0);
  // The continuous adjoint at a tighter tolerance is near.
  const auto near = gradient_of(solver, ode::pid{.rtol = 1e-9, .atol = 1e-11}, ode::backsolve{});
  CHECK(worst(whole, near) < 1e-3);
  CHECK(worst(whole, near) > 0);
}

TEST_CASE("ode: the gradient of a stiff step is damped like the step") {
  // y' = -p (y - cos t) by implicit Euler: dy1/dy0 = (1 + h p)^-n, and the parameter's from the closed form.
  struct stiff {
    using gradient_type = double;
    double p;
    double zero_gradient() const { return 0; }
    double operator()(double t, double y) const { return -p * (y - std::cos(t)); }
    ode::field_cotangent<double> vjp(double t, double y, double a, double& g) const {
      g -= (y - std::cos(t)) * a;
      return {-p * a, -p * std::sin(t) * a};
    }
  };
  for (const double p : {1e2, 1e6}) {
    const ode::implicit_euler solver{{.tolerance = p * 1e-14}};
    const auto [s, pullback] = ode::solve_with_gradient(stiff{p}, 1.5, {0, 0.3}, solver, ode::fixed_steps{3});
    const auto g = pullback(1.0);
    double y = 1.5, of_p = 0;
    for (int n = 1; n <= 3; ++n) {
      const double t = 0.1 * n, next = (y + 0.1 * p * std::cos(t)) / (1 + 0.1 * p);
      of_p = (of_p + 0.1 * (std::cos(t) - next)) / (1 + 0.1 * p);
      y = next;
    }
    CHECK(g.y0 == doctest::Approx(std::pow(1 + 0.1 * p, -3)).epsilon(1e-12));
    CHECK(g.parameters == doctest::Approx(of_p).epsilon(1e-6));
  }
}

TEST_CASE("ode: the continuous adjoint approaches the exact gradient as the steps get shorter") {
  const auto exact = gradient_of(ode::dopri8{}, ode::fixed_steps{100}, ode::direct{.times = true});
  const auto coarse = gradient_of(ode::rk4{}, ode::fixed_steps{16}, ode::backsolve{.times = true});
  const auto fine = gradient_of(ode::rk4{}, ode::fixed_steps{32}, ode::backsolve{.times = true});
  CHECK(worst(coarse, exact) > 1e-9);
  CHECK(std::log2(worst(coarse, exact) / worst(fine, exact)) == doctest::Approx(4).epsilon(0.1));
  // An adaptive solve leaves the middle where it is.
  ode::fixed_grid grid;
  for (int n = 0; n <= 64; ++n) grid.times.push_back(n == 32 ? 0.9 : n == 64 ? 1.7 : 0.1 + 0.025 * n);
  const auto held = gradient_of(ode::dopri8{}, grid, ode::direct{.times = true});
  const auto adaptive = gradient_of(ode::dopri5{}, ode::i{.rtol = 1e-10, .atol = 1e-12}, ode::backsolve{.times = true});
  CHECK(worst(adaptive, held) < 1e-8);
  CHECK(adaptive.reconstruction_error > 0);
  CHECK(adaptive.reconstruction_error < 1e-9);
  const auto implicit = gradient_of(ode::gauss_legendre4{}, ode::fixed_steps{40}, ode::backsolve{.times = true});
  CHECK(worst(implicit, exact) < 1e-6);
}

TEST_CASE("ode: the continuous adjoint shows by its reconstruction error where it cannot be trusted") {
  // Contracts by e^-20 forward, so it expands by as much backwards.
  small_network damped;
  damped.p[3] = 20;
  const ode::i control{.rtol = 1e-6, .atol = 1e-8};
  const auto run = [&](const auto& policy) {
    return ode::solve_with_gradient(damped, start, {0, 1}, ode::dopri5{}, control, policy).second(seed);
  };
  const auto exact = run(ode::checkpointed{}), approximate = run(ode::backsolve{});
  CHECK(exact.reconstruction_error == 0);
  CHECK(approximate.reconstruction_error > 1e-3);
  const auto short_way = ode::solve_with_gradient(damped, start, {0, 0.05}, ode::dopri5{}, control, ode::backsolve{});
  CHECK(short_way.second(seed).reconstruction_error < 1e-5);
}

TEST_CASE("ode: every policy takes adaptive steps, whose lengths it holds") {
  const ode::pi control{.rtol = 1e-9, .atol = 1e-11};
  const auto stored = gradient_of(ode::tsit5{}, control, ode::checkpointed{.slots = 4, .times = true});
  CHECK(worst(stored, gradient_of(ode::tsit5{}, control, ode::direct{.times = true})) < 1e-13);
  CHECK(worst(stored, gradient_of(ode::tsit5{}, control, ode::backsolve{.times = true})) < 1e-7);
}

TEST_CASE("ode: pullbacks may be called again until they are consumed") {
  const auto check = [](const auto& policy) {
    auto [s, pullback] =
        ode::solve_with_gradient(small_network{}, start, {0, 1}, ode::rk4{}, ode::fixed_steps{9}, policy);
    const auto once = pullback(seed), twice = pullback(seed), last = pullback.consume(seed);
    CHECK(once.y0 == twice.y0);
    CHECK(once.parameters == last.parameters);
    CHECK_THROWS_AS(pullback(seed), fathom::error);
  };
  check(ode::direct{});
  check(ode::checkpointed{});
}

TEST_CASE("ode: an interval of no length has the identity's gradient") {
  const auto check = [](const auto& solver, const auto& policy) {
    const auto [s, pullback] =
        ode::solve_with_gradient(small_network{}, start, {0.5, 0.5}, solver, ode::fixed_steps{4}, policy);
    CHECK(s.y1 == start);
    const auto g = pullback(seed);
    CHECK(g.y0 == seed);
    CHECK(g.parameters == std::vector<double>(4, 0.0));
  };
  check(ode::rk4{}, ode::direct{});
  check(ode::rk4{}, ode::checkpointed{});
  check(ode::rk4{}, ode::backsolve{});
  check(ode::reversible_heun{}, ode::reversible{});
}
