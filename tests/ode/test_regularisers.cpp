// SPDX-License-Identifier: Apache-2.0
// Penalties as quadratures: their values where a closed form exists, their gradients against differences.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/ode/adjoint.hpp>
#include <fathom/ode/autodiff_field.hpp>
#include <fathom/ode/dual_field.hpp>
#include <fathom/ode/regularisers.hpp>
#include <fathom/op/matmul.hpp>

#include "support/random.hpp"

namespace ode = fathom::ode;
using namespace fathom;

namespace {

using D = reference<double>;

template <class B>
struct state {
  using backend_type = B;
  tensor<B, 2> x;
  tensor<B, 1> z;
  void visit(auto&& v) {
    v("x", x);
    v("z", z);
  }
  template <class B2>
  using rebind = state<B2>;
};

/// dx/dt = tanh(x w) z, dz/dt = -0.3 z + t v
template <class B>
struct small_field {
  using backend_type = B;
  tensor<B, 2> w;
  tensor<B, 1> v;
  void visit(auto&& visitor) {
    visitor("w", w);
    visitor("v", v);
  }
  template <class B2>
  using rebind = small_field<B2>;
  state<B> operator()(const ode_time<B>& t, const state<B>& y) const {
    return {tanh(matmul(y.x, w)) * y.z, y.z * (-0.3) + v * t};
  }
};

/// dx/dt = x w: the Jacobian is known.
template <class B>
struct linear_field {
  using backend_type = B;
  tensor<B, 2> w;
  void visit(auto&& visitor) { visitor("w", w); }
  template <class B2>
  using rebind = linear_field<B2>;
  tensor<B, 2> operator()(const ode_time<B>&, const tensor<B, 2>& y) const { return matmul(y, w); }
};

template <class B>
struct both {
  using backend_type = B;
  small_field<B> field;
  state<B> y0;
  void visit(auto&& v) {
    v("field", field);
    v("y0", y0);
  }
  template <class B2>
  using rebind = both<B2>;
};

const D b;
const both<D> example{{testing::normal<2>(b, {3, 3}, 1), testing::normal<1>(b, {3}, 2)},
                      {testing::normal<2>(b, {2, 3}, 3), testing::normal<1>(b, {3}, 4)}};

}  // namespace

TEST_CASE("ode: the kinetic energy and the Jacobian's norm of fields where they are known") {
  // A field of the constant v: kinetic energy mean(v^2) times the time.
  small_field<D> still{zeros<2>(b, {3, 3}), testing::normal<1>(b, {3}, 2)};
  const ode::penalised_field constant_in_x{still, {.kinetic = 2}};
  state<D> y0{testing::normal<2>(b, {2, 3}, 3), zeros<1>(b, {3})};
  const auto s = ode::solve(constant_in_x, ode::from_zero(y0), {0, 1e-4}, ode::rk4{}, ode::fixed_steps{1});
  // dz/dt = t v to first order: 2 mean(v^2) t^3/3.
  CHECK(item(s.y1.quantity) == doctest::Approx(2 * item(mean_square(still.v)) * 1e-12 / 3).epsilon(1e-3));

  // x w: J = w for each of the rows; |J e|^2 averages to |w|_F^2 a row.
  const linear_field<D> linear{testing::normal<2>(b, {3, 3}, 1)};
  const double frobenius = item(sum(square(linear.w)));
  double mean = 0;
  const int samples = 4000;
  for (int seed = 0; seed < samples; ++seed) {
    const ode::penalised_field penalised{linear, {.jacobian = 1, .seed = static_cast<std::uint64_t>(seed)}};
    mean += item(penalised(full<0>(b, {}, 0.0), ode::from_zero(y0.x)).quantity) / samples;
  }
  CHECK(mean == doctest::Approx(frobenius / 3).epsilon(0.05));
  // Over dual numbers J e is e w, exactly: mean((e w)^2), against the difference's.
  const auto with = [&](const auto& field) {
    const ode::penalised_field penalised{field, {.jacobian = 1, .seed = 5}};
    return item(penalised(full<0>(b, {}, 0.0), ode::from_zero(y0.x)).quantity);
  };
  const auto e = ode::detail::normal_like(y0.x, 5);
  CHECK(with(ode::by_dual_numbers(linear)) == doctest::Approx(item(mean_square(matmul(e, linear.w)))).epsilon(1e-14));
  CHECK(with(linear) == doctest::Approx(with(ode::by_dual_numbers(linear))).epsilon(1e-9));
  // One seed, one estimate.
  const ode::penalised_field one{linear, {.jacobian = 1, .seed = 5}}, again{linear, {.jacobian = 1, .seed = 5}};
  const auto t = full<0>(b, {}, 0.0);
  CHECK(item(one(t, ode::from_zero(y0.x)).quantity) == item(again(t, ode::from_zero(y0.x)).quantity));
}

TEST_CASE("ode: a penalty changes nothing of the solution") {
  const ode::penalised_field penalised{example.field, {.kinetic = 1, .jacobian = 0.5}};
  const auto with = ode::solve(penalised, ode::from_zero(example.y0), {0, 1}, ode::rk4{}, ode::fixed_steps{5}).y1.state;
  const auto without = ode::solve(example.field, example.y0, {0, 1}, ode::rk4{}, ode::fixed_steps{5}).y1;
  CHECK(to_host(with.x).data == to_host(without.x).data);
  CHECK(to_host(with.z).data == to_host(without.z).data);
}

TEST_CASE("ode: gradients of the integrated penalties, recorded and by the checkpointed adjoint") {
  for (const auto& weights : {ode::penalty_weights{.kinetic = 0.7}, ode::penalty_weights{.jacobian = 0.9, .seed = 3},
                              ode::penalty_weights{.kinetic = 0.2, .jacobian = 0.4}}) {
    const auto loss = [&](const auto& x) {
      const ode::penalised_field field{ode::by_dual_numbers(x.field), weights};
      return ode::solve(field, ode::from_zero(x.y0), {0, 1}, ode::rk4{}, ode::fixed_steps{4}).y1.quantity;
    };
    // The Jacobian's estimate is exact, and so is its derivative: reverse mode over dual numbers.
    CHECK(gradient_check(loss, example, {.step = 1e-3, .samples = 3}) <= 1e-9);

    const auto direct = value_and_gradient(loss, example).second;
    const ode::penalised_field field{ode::by_dual_numbers(example.field), weights};
    const auto pullback = ode::solve_with_gradient(ode::differentiable(field), ode::from_zero(example.y0), {0, 1},
                                                   ode::rk4{}, ode::fixed_steps{4})
                              .second;
    const ode::with_quadrature<state<D>> a{{zeros_like(example.y0.x), zeros_like(example.y0.z)}, full<0>(b, {}, 1.0)};
    const auto adjoint = pullback(a);
    const auto same = [](const auto& x, const auto& y) {
      const auto p = to_host(x).data, q = to_host(y).data;
      for (std::size_t n = 0; n < p.size(); ++n) CHECK(p[n] == doctest::Approx(q[n]).epsilon(1e-12));
    };
    same(adjoint.parameters.field.field.w, direct.field.w);
    same(adjoint.parameters.field.field.v, direct.field.v);
    same(adjoint.y0.state.x, direct.y0.x);
    same(adjoint.y0.state.z, direct.y0.z);
  }
  // A difference inside the estimate leaves rounding of its own.
  const auto differenced = [](const auto& x) {
    const ode::penalised_field field{x.field, {.jacobian = 0.9, .seed = 3}};
    return field(full<0>(x.y0.z.backend(), {}, 0.4), ode::from_zero(x.y0)).quantity;
  };
  CHECK(gradient_check(differenced, example, {.step = 1e-3, .samples = 2}) <= 1e-7);
}

TEST_CASE("ode: the local error: what the error norm sees, with a gradient") {
  const auto loss = [](const auto& x) {
    return ode::solve_with_local_error(x.field, x.y0, {0, 1}, ode::bosh3{}, ode::fixed_steps{3}).second * 1e4;
  };
  CHECK(gradient_check(loss, example, {.step = 1e-3, .samples = 2}) <= 1e-7);
  // Adaptive: only accepted steps count, and the solution is that of a solve without.
  const ode::i control{.rtol = 1e-5, .atol = 1e-5, .limits = {.first_step = 0.5}};
  const auto [s, sum] = ode::solve_with_local_error(example.field, example.y0, {0, 1}, ode::dopri5{}, control);
  const auto plain = ode::solve(example.field, example.y0, {0, 1}, ode::dopri5{}, control);
  CHECK(to_host(s.y1.x).data == to_host(plain.y1.x).data);
  CHECK(s.stats.accepted == plain.stats.accepted);
  CHECK(item(sum) > 0);
  // Each of the leaves' errors is at most rtol |y| + atol in its root mean square.
  double largest = 0;
  for (const double x : to_host(s.y1.x).data) largest = std::max(largest, std::abs(x));
  for (const double x : to_host(example.y0.x).data) largest = std::max(largest, std::abs(x));
  CHECK(item(sum) <= 2.0 * static_cast<double>(s.stats.accepted) * std::pow(1e-5 * (2 * largest + 3), 2));
}

TEST_CASE("ode: the local error as a quadrature: its rate in closed form, its integral the sum over steps") {
  // x' = x w: Heun's method and Euler's differ by step^2/2 x w^2.
  const linear_field<D> linear{testing::normal<2>(b, {3, 3}, 1)};
  const auto x = testing::normal<2>(b, {2, 3}, 3), twice = matmul(matmul(x, linear.w), linear.w);
  const double step = 0.05;
  const ode::penalised_field penalised{linear, {.local_error = 2, .step = step}};
  const auto rate = penalised(full<0>(b, {}, 0.0), ode::from_zero(x));
  CHECK(item(rate.quantity) == doctest::Approx(2 * std::pow(step, 3) / 4 * item(mean_square(twice))).epsilon(1e-12));
  CHECK(to_host(rate.state).data == to_host(linear(full<0>(b, {}, 0.0), x)).data);
  // The sum is the integral by the rectangle rule: their difference goes with the step.
  const auto apart = [&](long steps) {
    const double h = 1 / static_cast<double>(steps);
    const ode::fixed_steps control{steps};
    const ode::penalised_field field{example.field, {.local_error = 1, .step = h}, ode::bosh3{}};
    const double integral =
        item(ode::solve(field, ode::from_zero(example.y0), {0, 1}, ode::rk4{}, control).y1.quantity);
    const double sum =
        item(ode::solve_with_local_error(example.field, example.y0, {0, 1}, ode::bosh3{}, control).second);
    return std::abs(integral / sum - 1);
  };
  CHECK(apart(40) < 0.1);
  CHECK(apart(80) / apart(40) == doctest::Approx(0.5).epsilon(0.1));
  const ode::penalised_field without_step{linear, {.local_error = 1}};
  CHECK_THROWS_WITH_AS(without_step(full<0>(b, {}, 0.0), ode::from_zero(x)), doctest::Contains("length of a step"),
                       error);
}

TEST_CASE("ode: all penalties over a random span, their gradients by every adjoint policy") {
  const ode::penalty_weights weights{.kinetic = 0.2, .jacobian = 0.4, .seed = 3, .local_error = 5, .step = 0.3};
  const auto span = ode::random_end({0, 1}, 0.25, 7);
  const ode::penalised_field field{ode::by_dual_numbers(example.field), weights};
  const ode::with_quadrature<state<D>> a{{testing::normal<2>(b, {2, 3}, 99), zeros_like(example.y0.z)},
                                         full<0>(b, {}, 1.0)};
  const auto gradient = [&](const auto& solver, long steps, const auto& policy) {
    return ode::solve_with_gradient(ode::differentiable(field), ode::from_zero(example.y0), span, solver,
                                    ode::fixed_steps{steps}, policy)
        .second(a);
  };
  const auto apart = [](const auto& g, const auto& r) {
    double worst = 0, largest = 0;
    const auto compare = [&](const auto& x, const auto& y) {
      const auto p = to_host(x).data, q = to_host(y).data;
      for (std::size_t n = 0; n < p.size(); ++n) {
        worst = std::max(worst, std::abs(p[n] - q[n]));
        largest = std::max(largest, std::abs(q[n]));
      }
    };
    compare(g.parameters.field.field.w, r.parameters.field.field.w);
    compare(g.parameters.field.field.v, r.parameters.field.field.v);
    compare(g.y0.state.x, r.y0.state.x);
    compare(g.y0.state.z, r.y0.state.z);
    return std::max(worst, std::abs(g.t1 - r.t1)) / largest;
  };
  const auto loss = [&](const auto& x) {
    const ode::penalised_field recorded{ode::by_dual_numbers(x.field), weights};
    const auto s = ode::solve(recorded, ode::from_zero(x.y0), span, ode::rk4{}, ode::fixed_steps{4});
    return s.y1.quantity + testing::probe(s.y1.state.x);
  };
  CHECK(gradient_check(loss, example, {.step = 1e-3, .samples = 2}) <= 1e-9);
  const auto recorded = value_and_gradient(loss, example).second;
  auto stored = gradient(ode::rk4{}, 4, ode::checkpointed{.slots = 2, .times = true});
  auto expected = stored;
  expected.parameters.field.field = recorded.field;
  expected.y0.state = recorded.y0;
  CHECK(apart(stored, expected) <= 1e-12);
  // Another method's direct gradient, undone step by step; the continuous one, which all of them approach.
  const auto direct = gradient(ode::reversible_heun{}, 100, ode::direct{.times = true});
  CHECK(apart(gradient(ode::reversible_heun{}, 100, ode::reversible{.times = true}), direct) <= 1e-9);
  const auto fine = gradient(ode::rk4{}, 60, ode::checkpointed{.times = true});
  CHECK(apart(gradient(ode::rk4{}, 60, ode::backsolve{.times = true}), fine) <= 1e-6);
  CHECK(apart(direct, fine) <= 1e-3);
}

TEST_CASE("ode: a random end lies around t1 and is a function of the seed") {
  double low = 2, high = 0, mean = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    const auto span = ode::random_end({0, 1}, 0.25, seed);
    CHECK(span.t0 == 0);
    low = std::min(low, span.t1), high = std::max(high, span.t1), mean += span.t1 / 1000;
  }
  CHECK(low >= 0.75);
  CHECK(low < 0.76);
  CHECK(high <= 1.25);
  CHECK(high > 1.24);
  CHECK(mean == doctest::Approx(1).epsilon(0.02));
  CHECK(ode::random_end({0, 1}, 0.25, 7).t1 == ode::random_end({0, 1}, 0.25, 7).t1);
  CHECK_THROWS_WITH_AS(ode::random_end({0, 1}, 1, 0), doctest::Contains("below the interval's length 1"), error);
}
