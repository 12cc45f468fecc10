// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <vector>

#include <fathom/autodiff/gradient.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/core/memory.hpp>
#include <fathom/ode/ode.hpp>
#include <fathom/op/reduction.hpp>

#include "problems.hpp"

namespace ode = fathom::ode;
using namespace fathom;

namespace {

/// Two leaves of different rank, as m and z are.
template <class B>
struct pair_state {
  using backend_type = B;
  tensor<B, 1> a;
  tensor<B, 2> b;
  void visit(auto&& v) {
    v("a", a);
    v("b", b);
  }
  template <class B2>
  using rebind = pair_state<B2>;
};

/// da/dt = -sin(t) b_0 + 0.1 a, db/dt = -0.3 b (coupled in one direction so that a closed form exists for b).
struct pair_field {
  template <class B>
  pair_state<B> operator()(const fathom::ode_time<B>& t, const pair_state<B>& y) const {
    return {y.a * 0.1 + t, y.b * (-0.3)};
  }
};

template <class B>
pair_state<B> start(const B& backend) {
  using T = scalar_of<B>;
  return {from_host<1>(backend, host_tensor<T>({3}, std::vector<T>{1, 2, 3})),
          from_host<2>(backend, host_tensor<T>({2, 2}, std::vector<T>{1, -1, T(0.5), 2}))};
}

template <class T>
std::array<T, 7> flat(const host_tensor<T>& a, const host_tensor<T>& b) {
  std::array<T, 7> all{};
  for (std::size_t n = 0; n < 3; ++n) all[n] = a.data[n];
  for (std::size_t n = 0; n < 4; ++n) all[3 + n] = b.data[n];
  return all;
}

const auto flat_field = [](double t, const std::array<double, 7>& y) {
  std::array<double, 7> f{};
  for (std::size_t n = 0; n < 3; ++n) f[n] = y[n] * 0.1 + t;
  for (std::size_t n = 3; n < 7; ++n) f[n] = -0.3 * y[n];
  return f;
};

}  // namespace

TEST_CASE_TEMPLATE("ode: a tree of tensors is integrated like an array", B, reference<double>, cpu<double>) {
  const auto y0 = start(B{});
  const auto want =
      ode::solve(flat_field, flat(to_host(y0.a), to_host(y0.b)), {0, 2}, ode::rk4{}, ode::fixed_steps{8}).y1;
  const auto got = ode::solve(pair_field{}, y0, {0, 2}, ode::rk4{}, ode::fixed_steps{8});
  const auto values = flat(to_host(got.y1.a), to_host(got.y1.b));
  for (std::size_t n = 0; n < 7; ++n) CHECK(values[n] == doctest::Approx(want[n]).epsilon(1e-14));
  // The start is not touched.
  CHECK(to_host(y0.a).data == std::vector<double>{1, 2, 3});
}

TEST_CASE_TEMPLATE("ode: adaptive steps of a tree: the norm is the larger leaf's", B, reference<double>, cpu<double>) {
  const auto y0 = start(B{});
  const ode::i control{.rtol = 1e-8, .atol = 1e-10};
  const auto got =
      ode::solve(pair_field{}, y0, {0, 2}, ode::dopri5{}, control, {.save_at = {0.5, 1.5}, .record_steps = true});
  CHECK(to_host(got.y1.b).data[3] == doctest::Approx(2 * std::exp(-0.6)).epsilon(1e-8));
  REQUIRE(got.values.size() == 2);
  CHECK(to_host(got.values[0].b).data[0] == doctest::Approx(std::exp(-0.15)).epsilon(1e-7));
  // The same maximum written out for the flat state.
  ode::options<std::array<double, 7>> option{.record_steps = true};
  option.norm.custom = [](const auto& e, const auto& a, const auto& b, const ode::tolerances& tol) {
    const auto mean = [&](std::size_t from, std::size_t to) {
      double sum = 0;
      for (std::size_t n = from; n < to; ++n) {
        const double r = e[n] / (tol.atol + tol.rtol * std::max(std::abs(a[n]), std::abs(b[n])));
        sum += r * r;
      }
      return sum / static_cast<double>(to - from);
    };
    return ode::leaf_error{std::max(mean(0, 3), mean(3, 7)), 0};
  };
  const auto flat_start = flat(to_host(y0.a), to_host(y0.b));
  const auto want = ode::solve(flat_field, flat_start, {0, 2}, ode::dopri5{}, control, option);
  REQUIRE(got.steps.size() == want.steps.size());
  for (std::size_t n = 0; n < want.steps.size(); ++n)
    CHECK(got.steps[n].dt == doctest::Approx(want.steps[n].dt).epsilon(1e-6));
  CHECK(ode::state_traits<pair_state<B>>::leaves(y0) == std::vector<std::string>{"a", "b"});
}

TEST_CASE("ode: a mask leaves padding out of the mean, and what stands there changes nothing") {
  using B = cpu<double>;
  const B b;
  const auto field = [](const fathom::ode_time<B>&, const tensor<B, 1>& y) { return y * (-0.5) + square(y) * 0.1; };
  const auto solve = [&](std::vector<double> values, std::vector<double> mask) {
    const auto n = static_cast<index_t>(values.size());
    ode::options<tensor<B, 1>> option{.record_steps = true};
    if (!mask.empty()) option.norm.weights = from_host<1>(b, host_tensor<double>({n}, mask));
    return ode::solve(field, from_host<1>(b, host_tensor<double>({n}, values)), {0, 3}, ode::dopri5{},
                      ode::i{.rtol = 1e-10, .atol = 1e-12}, option);
  };
  const auto alone = solve({1, 2, 3}, {});
  const auto zero = solve({1, 2, 3, 0, 0, 0, 0, 0}, {1, 1, 1, 0, 0, 0, 0, 0});
  const auto garbage = solve({1, 2, 3, 4, -3, 2, 1, -7}, {1, 1, 1, 0, 0, 0, 0, 0});
  REQUIRE(zero.steps.size() == garbage.steps.size());
  REQUIRE(zero.steps.size() == alone.steps.size());
  for (std::size_t n = 0; n < zero.steps.size(); ++n) {
    CHECK(zero.steps[n].dt == garbage.steps[n].dt);
    CHECK(zero.steps[n].dt == doctest::Approx(alone.steps[n].dt).epsilon(1e-12));
  }
  for (std::size_t n = 0; n < 3; ++n) CHECK(to_host(zero.y1).data[n] == to_host(garbage.y1).data[n]);
  // Without the mask the zeros would loosen the tolerance.
  CHECK(solve({1, 2, 3, 0, 0, 0, 0, 0}, {}).steps.size() < alone.steps.size());
}

TEST_CASE("ode: failures name the leaf") {
  using B = reference<double>;
  const auto bad = [](const fathom::ode_time<B>& t, const pair_state<B>& y) {
    return pair_state<B>{y.a, item(t) > 0.5 ? log(y.b * 0.0 - 1.0) : y.b};
  };
  const auto s = ode::solve(bad, start(B{}), {0, 1}, ode::dopri5{}, ode::i{.rtol = 1e-6, .atol = 1e-6},
                            {.on_failure = ode::on_failure::return_status});
  CHECK(s.status == ode::status::non_finite);
  CHECK(s.leaf == "b");
  CHECK(ode::state_traits<pair_state<B>>::finite(s.y1));
  const auto single = start(reference<float>{});
  try {
    ode::solve(pair_field{}, single, {0, 1}, ode::tsit5{}, ode::i{.rtol = 1e-9, .atol = 0});
    FAIL("no exception");
  } catch (const ode::solver_error& e) {
    CHECK(e.code == ode::status::tolerance_below_floor);
    CHECK(std::string(e.what()).find("float32") != std::string::npos);
  }
}

TEST_CASE("ode: the field's shape is checked") {
  using B = reference<double>;
  const auto wrong = [](const fathom::ode_time<B>&, const pair_state<B>& y) {
    return pair_state<B>{zeros<1>(B{}, {4}), y.b};
  };
  CHECK_THROWS_WITH_AS(ode::solve(wrong, start(B{}), {0, 1}, ode::euler{}, ode::fixed_steps{1}),
                       doctest::Contains("leaf 0 of the state has extents [3], the field returned [4]"), shape_error);
}

TEST_CASE("ode: taping a solve gives the gradient of its discrete map") {
  using B = reference<double>;
  using D = autodiff<B>;
  const auto loss = [](const auto& y0) {
    using Y = std::remove_cvref_t<decltype(y0)>;
    const auto field = [](const auto& t, const Y& y) { return Y{sin(y.a) * 0.7 + t, y.b * mean(y.a) * (-0.1)}; };
    const auto y1 = ode::solve(field, y0, {0, 1}, ode::heun{}, ode::fixed_steps{8}).y1;
    return mean_square(y1.a) + mean_square(y1.b);
  };
  const auto y0 = start(B{});
  const auto [value, gradient] = value_and_gradient(loss, y0);
  CHECK(value == doctest::Approx(item(loss(y0))).epsilon(1e-15));
  const double h = 1e-6;
  for (std::size_t n = 0; n < 3; ++n) {
    const auto moved = [&](double by) {
      auto host = to_host(y0.a);
      host.data[n] += by;
      return item(loss(pair_state<B>{from_host<1>(B{}, host), y0.b}));
    };
    CHECK(to_host(gradient.a).data[n] == doctest::Approx((moved(h) - moved(-h)) / (2 * h)).epsilon(1e-7));
  }
  // An adaptive solve is recorded as well; the step sizes are taken as given.
  const auto adaptive = [](const pair_state<D>& y) {
    return mean_square(ode::solve(pair_field{}, y, {0, 1}, ode::dopri5{}, ode::i{.rtol = 1e-8, .atol = 1e-8}).y1.b);
  };
  const auto by_tape = value_and_gradient(adaptive, y0).second;
  CHECK(to_host(by_tape.b).data[3] == doctest::Approx(2 * 2.0 / 4 * std::exp(-0.6)).epsilon(1e-6));
  CHECK(live_gradient_nodes() == 0);
}

TEST_CASE("ode: steps of a tree allocate nothing once scratch exists but what the field returns") {
  using B = cpu<float>;
  using Y = pair_state<B>;
  const auto field = [](const fathom::ode_time<B>&, const Y& y, Y& out) {
    ode::state_traits<Y>::combine(out, y, std::array<double, 1>{-1.5}, std::array<const Y*, 1>{&y});
  };
  const auto y0 = start(B{});
  const auto count = [&](long n) {
    const auto before = memory_counter::allocations();
    ode::solve(field, y0, {0, 1}, ode::dopri5{}, ode::fixed_steps{n}, {.check_finite = false});
    return memory_counter::allocations() - before;
  };
  count(2);
  // One rank-0 time per evaluation is the backend's own.
  CHECK(count(20) - count(10) <= 60);
  CHECK(count(20) - count(10) >= 0);
}
