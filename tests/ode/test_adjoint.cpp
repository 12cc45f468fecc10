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

template <class Solver>
double central(const Solver& solver, double h, int which, std::size_t n, long steps) {
  const auto value = [&](double by) {
    small_network field;
    vec3 y = start;
    ode::interval span{0.1, 1.7};
    if (which == 0) y[n] += by;
    if (which == 1) field.p[n] += by;
    if (which == 2) (n == 0 ? span.t0 : span.t1) += by;
    return inner(seed, ode::solve(field, y, span, solver, ode::fixed_steps{steps}).y1);
  };
  return (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h);
}

}  // namespace

TEST_CASE("ode: binomial schedules take the number of steps of the formula") {
  const auto c = [](long n, long slots) { return ode::binomial_advances(n, slots); };
  CHECK(c(48, 3) == 170);
  CHECK(c(48, 4) == 136);
  CHECK(c(48, 6) == 108);
  CHECK(c(48, 8) == 89);
  CHECK(c(48, 10) == 84);
  CHECK(c(100, 10) == 222);
  CHECK(c(1000, 10) == 3636);
  CHECK(c(1000, 4) == 7998);
  CHECK(c(48, 1) == 48 * 47 / 2);
  CHECK(c(48, 48) == 47);
}

TEST_CASE_TEMPLATE("ode: the discrete adjoint equals finite differences of the same grid", Solver, ode::euler,
                   ode::midpoint, ode::heun, ode::heun3, ode::rk4, ode::rk4_38, ode::bosh3, ode::dopri5, ode::tsit5,
                   ode::dopri8) {
  INFO(Solver::name);
  const auto [s, pullback] = ode::solve_with_gradient(small_network{}, start, {0.1, 1.7}, Solver{},
                                                      ode::fixed_steps{12}, ode::checkpointed{.times = true});
  const auto g = pullback(seed);
  CHECK(s.y1 == ode::solve(small_network{}, start, {0.1, 1.7}, Solver{}, ode::fixed_steps{12}).y1);
  for (std::size_t n = 0; n < 3; ++n)
    CHECK(g.y0[n] == doctest::Approx(central(Solver{}, 1e-3, 0, n, 12)).epsilon(1e-9));
  for (std::size_t n = 0; n < 4; ++n)
    CHECK(g.parameters[n] == doctest::Approx(central(Solver{}, 1e-3, 1, n, 12)).epsilon(1e-9));
  CHECK(g.t0 == doctest::Approx(central(Solver{}, 1e-3, 2, 0, 12)).epsilon(1e-8));
  CHECK(g.t1 == doctest::Approx(central(Solver{}, 1e-3, 2, 1, 12)).epsilon(1e-8));
}

TEST_CASE("ode: every number of slots gives the same gradient, bitwise, at the cost of the formula") {
  const long n = 48;
  const auto run = [&](std::int64_t slots) {
    auto [s, pullback] = ode::solve_with_gradient(small_network{}, start, {0, 2}, ode::dopri5{}, ode::fixed_steps{n},
                                                  ode::checkpointed{.slots = slots});
    return pullback(seed);
  };
  const auto all = run(n);
  CHECK(all.stats.accepted == 0);
  for (std::int64_t slots = 1; slots < n; ++slots) {
    const auto few = run(slots);
    CHECK(few.y0 == all.y0);
    CHECK(few.parameters == all.parameters);
    // The formula counts the first sweep up to the last step, which the forward solve has made.
    CHECK(few.stats.accepted == ode::binomial_advances(n, slots) - (n - 1));
  }
  // Stages: six of seven are in use, the last of those is evaluated by its own product.
  CHECK(all.stats.vjp_evaluations == 6 * n);
  CHECK(all.stats.recompute_evaluations == 5 * n);
}

TEST_CASE("ode: checkpoints while the number of steps is unknown: the optimum, or close to it, for every number") {
  using store_t = ode::detail::checkpoint_store<double>;
  for (std::int64_t slots = 1; slots <= 8; ++slots) {
    store_t store(slots, {}, ode::storage::backend);
    std::int64_t sweeps = 1;
    double worst = 1;
    for (std::int64_t n = 2; n <= 400; ++n) {
      // The solve might end with step n - 1, whose state is there: the others' have been offered.
      store.offer(n - 2, static_cast<double>(n - 2));
      std::int64_t total = n - 1, end = n - 1, left = slots - static_cast<std::int64_t>(store.states().size());
      REQUIRE(left >= 0);
      for (auto it = store.states().rbegin(); it != store.states().rend(); ++it) {
        total += ode::binomial_advances(end - it->first, ++left);
        end = it->first;
        CHECK(it->second.load(0) == static_cast<double>(it->first));
      }
      REQUIRE(end == 0);
      const std::int64_t optimum = ode::binomial_advances(n, slots);
      while (ode::detail::binomial_coefficient(slots + sweeps, slots) < n) ++sweeps;
      if (sweeps <= 2) CHECK(total == optimum);
      CHECK(total >= optimum);
      CHECK(total <= sweeps * (n - 1));
      worst = std::max(worst, static_cast<double>(total) / static_cast<double>(optimum));
    }
    CHECK(worst <= (slots == 2 ? 1.13 : 1.1));
  }
}

TEST_CASE("ode: steps made again by a gradient are as many as the store promises, with the same bits") {
  const auto run = [](std::int64_t slots, std::int64_t n) {
    // fixed_step: how many there will be is not asked for.
    return ode::solve_with_gradient(small_network{}, start, {0, static_cast<double>(n)}, ode::euler{},
                                    ode::fixed_step{1}, ode::checkpointed{.slots = slots})
        .second(seed);
  };
  for (const std::int64_t n : {1, 2, 3, 9, 10, 28, 29, 44, 45, 46, 150}) {
    const auto all = run(1000, n);
    CHECK(all.stats.accepted == 0);
    for (const std::int64_t slots : {1, 2, 3, 8}) {
      const auto few = run(slots, n);
      CHECK(few.y0 == all.y0);
      CHECK(few.parameters == all.parameters);
      const std::int64_t total = few.stats.accepted + n - 1, optimum = ode::binomial_advances(n, slots);
      CHECK(total >= optimum);
      CHECK(static_cast<double>(total) <= 1.13 * static_cast<double>(optimum));
      if (n <= ode::detail::binomial_coefficient(slots + 2, 2)) CHECK(total == optimum);
    }
  }
}

TEST_CASE("ode: gradients of an adaptive solve from few stored states") {
  const ode::i control{.rtol = 1e-7, .atol = 1e-9};
  const auto run = [&](std::int64_t slots) {
    auto [s, pullback] = ode::solve_with_gradient(small_network{}, start, {0, 12}, ode::dopri5{}, control,
                                                  ode::checkpointed{.slots = slots}, {.save_at = {3, 7.5}});
    CHECK(s.times == std::vector<double>{3, 7.5});
    return std::pair(pullback(seed, {vec3{1, 0, 0}, vec3{0, 2, 0}}), s.stats.accepted);
  };
  const auto [all, steps] = run(1000);
  CHECK(all.stats.accepted == 0);
  for (const std::int64_t slots : {1, 2, 3, 5, 8, 13}) {
    const auto few = run(slots).first;
    CHECK(few.y0 == all.y0);
    CHECK(few.parameters == all.parameters);
    // The forward solve is the first sweep.
    const long total = few.stats.accepted + steps - 1, optimum = ode::binomial_advances(steps, slots);
    CHECK(total >= optimum);
    CHECK(static_cast<double>(total) <= 1.13 * static_cast<double>(optimum));
  }
  // Central differences of the adaptive map, whose steps move with the parameter: equal up to the tolerance.
  const auto loss = [&](double by) {
    small_network field;
    field.p[1] += by;
    const auto s = ode::solve(field, start, {0, 12}, ode::dopri5{}, ode::i{.rtol = 1e-11, .atol = 1e-12},
                              {.save_at = {3, 7.5}, .step_times = {3, 7.5}});
    return inner(seed, s.y1) + s.values[0][0] + 2 * s.values[1][1];
  };
  CHECK(all.parameters[1] == doctest::Approx((loss(1e-5) - loss(-1e-5)) / 2e-5).epsilon(1e-5));
}

TEST_CASE("ode: a batch's gradients are those of its samples, each with its own steps, bitwise") {
  const ode::i control{.rtol = 1e-7, .atol = 1e-9};
  const std::vector<vec3> states{start, {0.1, 0.2, -0.3}, {2, -1, 0}}, seeds{seed, {0, 1, 0}, {0.5, 0, -2}};
  const std::vector<ode::interval> spans{{0, 12}, {0, 2}, {3, 1}};
  const ode::checkpointed policy{.slots = 5, .times = true};
  const auto [all, pullback] =
      ode::solve_batch_with_gradient(small_network{}, states, spans, ode::dopri5{}, control, policy);
  const auto g = pullback(seeds);
  std::vector<double> sum(4, 0.0);
  for (std::size_t n = 0; n < 3; ++n) {
    const auto [alone, one] =
        ode::solve_with_gradient(small_network{}, states[n], spans[n], ode::dopri5{}, control, policy);
    const auto expected = one(seeds[n]);
    CHECK(all.samples[n].y1 == alone.y1);
    CHECK(all.samples[n].stats.accepted == alone.stats.accepted);
    CHECK(g.y0[n] == expected.y0);
    CHECK(g.t0[n] == expected.t0);
    CHECK(g.t1[n] == expected.t1);
    CHECK(g.stats[n].accepted == expected.stats.accepted);
    for (std::size_t k = 0; k < 4; ++k) sum[k] += expected.parameters[k];
  }
  CHECK(g.parameters == sum);
  CHECK(all.samples[0].stats.accepted > 2 * all.samples[1].stats.accepted);
  CHECK(pullback.consume(seeds).parameters == g.parameters);
  CHECK_THROWS_WITH_AS(pullback({seed}), doctest::Contains("3 samples, got 1 cotangents of their ends"),
                       fathom::shape_error);
  // A sample that fails is named when all are done, or returned.
  ode::options<vec3> option{.max_evaluations = all.samples[0].stats.evaluations * 3 / 4};
  CHECK_THROWS_WITH_AS(
      ode::solve_batch_with_gradient(small_network{}, states, spans, ode::dopri5{}, control, policy, {option}),
      doctest::Contains("sample 0 of 3"), ode::batch_error<vec3>);
  option.on_failure = ode::on_failure::return_status;
  CHECK(ode::solve_batch_with_gradient(small_network{}, states, spans, ode::dopri5{}, control, policy, {option})
            .first.failed() == std::vector<std::size_t>{0});
}

TEST_CASE("ode: the discrete gradient converges to the true one with the method's order") {
  const auto gradient = [&](auto solver, long n) {
    return ode::solve_with_gradient(small_network{}, start, {0, 2}, solver, ode::fixed_steps{n}).second(seed).y0;
  };
  const auto exact = gradient(ode::dopri8{}, 200);
  const double coarse = distance(gradient(ode::rk4{}, 24), exact), fine = distance(gradient(ode::rk4{}, 48), exact);
  CHECK(std::abs(std::log2(coarse / fine) - 4) < 0.3);
}

TEST_CASE("ode: what has no gradient is refused in words") {
  CHECK_THROWS_WITH_AS(
      ode::solve_with_gradient(small_network{}, start, {0, 1}, ode::rk4{}, ode::fixed_steps{4}, {}, {.save_at = {0.3}}),
      doctest::Contains("0.3 is no end of a step"), fathom::error);
  auto [s, pullback] = ode::solve_with_gradient(small_network{}, start, {0, 1}, ode::rk4{}, ode::fixed_steps{4});
  CHECK_THROWS_AS(pullback(seed, {seed}), fathom::shape_error);
}
