// SPDX-License-Identifier: Apache-2.0
// value_and_gradient, vjp, constants, and the life of the graph.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include <fathom/autodiff/directional_derivative.hpp>
#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/op/indexing.hpp>
#include <fathom/op/matmul.hpp>
#include <fathom/op/reduction.hpp>

#include "support/random.hpp"

using namespace fathom;
using B = reference<double>;
using A = autodiff<B>;
using testing::normal;

TEST_CASE("autodiff: the gradient of sum(x^2 y)") {
  const B b;
  const auto x = normal<1>(b, {4}, 1), y = normal<1>(b, {4}, 2);
  const auto [value, gradient] = value_and_gradient(
      [](const auto& inputs) {
        const auto& [u, v] = inputs;
        return sum(square(u) * v);
      },
      std::tuple(x, y));
  const auto hx = to_host(x), hy = to_host(y), gx = to_host(std::get<0>(gradient)), gy = to_host(std::get<1>(gradient));
  double expected = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    expected += hx.data[i] * hx.data[i] * hy.data[i];
    CHECK(gx.data[i] == doctest::Approx(2 * hx.data[i] * hy.data[i]).epsilon(1e-14));
    CHECK(gy.data[i] == doctest::Approx(hx.data[i] * hx.data[i]).epsilon(1e-14));
  }
  CHECK(value == doctest::Approx(expected).epsilon(1e-14));
}

TEST_CASE("autodiff: a value used many times collects every cotangent") {
  const auto x = full<1>(B{}, {3}, 2.0);
  const auto [value, gradient] = value_and_gradient(
      [](const auto& u) {
        const auto v = u * u;
        return sum(v + v * u + u);  // u^2 + u^3 + u
      },
      x);
  CHECK(value == 3 * (4 + 8 + 2));
  for (const double g : to_host(gradient).data) CHECK(g == 2 * 2 + 3 * 4 + 1);
}

TEST_CASE("autodiff: inputs and earlier results keep their values when cotangents are added in place") {
  const auto x = normal<1>(B{}, {5}, 1);
  const auto before = to_host(x).data;
  const auto f = [](const auto& u) {
    const auto v = u + u;
    return sum(v + v * v);
  };
  const auto first = to_host(value_and_gradient(f, x).second).data;
  CHECK(to_host(value_and_gradient(f, x).second).data == first);
  CHECK(to_host(x).data == before);
}

TEST_CASE("autodiff: constants and detached values get no gradient") {
  const B b;
  const auto x = normal<1>(b, {4}, 1), y = normal<1>(b, {4}, 2);
  const auto gradient =
      value_and_gradient([&](const auto& u) { return sum(u * constant(u.backend(), y) + detach(u) * u); }, x);
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(to_host(gradient.second).data[i] == doctest::Approx(to_host(y).data[i] + to_host(x).data[i]));
  const auto nothing = value_and_gradient([&](const auto& u) { return sum(constant(u.backend(), y)); }, x);
  for (const double g : to_host(nothing.second).data) CHECK(g == 0);
  CHECK(nothing.first == doctest::Approx(item(sum(y))));
}

TEST_CASE("autodiff: vjp gives the value and a pullback that may be called again") {
  const B b;
  const auto m = normal<2>(b, {3, 4}, 1), v = normal<2>(b, {4, 2}, 2);
  const auto [value, pullback] = vjp(
      b, [](const auto& p, const auto& q) { return matmul(p, q); }, m, v);
  CHECK(to_host(value).data == to_host(matmul(m, v)).data);
  const auto ct = normal<2>(b, {3, 2}, 3);
  const auto [dm, dv] = pullback(ct);
  const auto expected = to_host(matmul(ct, transpose(v, 0, 1)));
  for (std::size_t i = 0; i < expected.data.size(); ++i)
    CHECK(to_host(dm).data[i] == doctest::Approx(expected.data[i]).epsilon(1e-13));
  CHECK(dv.shape() == v.shape());
  const auto [again, dv_again] = pullback(ct);
  CHECK(to_host(again).data == to_host(dm).data);
  CHECK(to_host(dv_again).data == to_host(dv).data);
  const auto doubled = std::get<0>(pullback(ct * 2.0));
  for (std::size_t i = 0; i < expected.data.size(); ++i)
    CHECK(to_host(doubled).data[i] == doctest::Approx(2 * expected.data[i]).epsilon(1e-13));
}

TEST_CASE_TEMPLATE("autodiff: the derivative along a direction of products and sigmoids", C, B, cpu<float>) {
  const C b;
  const auto x = normal<2>(b, {5, 7}, 1), dx = normal<2>(b, {5, 7}, 2);
  const auto w = normal<2>(b, {7, 3}, 3), dw = normal<2>(b, {7, 3}, 4);
  const auto where = from_host<1>(b, host_tensor<index_t>({2}, {4, 1}));
  const auto f = [](const auto& u, const auto& v, const auto& rows) { return gather(sigmoid(matmul(u, v)), rows); };
  auto along = no_direction(std::tuple(x, w, where));
  std::get<0>(along) = dx;
  const auto close = [](const auto& p, const auto& q) {
    for (std::size_t i = 0; i < to_host(q).data.size(); ++i)
      CHECK(std::abs(to_host(p).data[i] - to_host(q).data[i]) <= 16 * std::numeric_limits<scalar_of<C>>::epsilon());
  };
  const auto y = sigmoid(matmul(x, w)), slope = y * (y * (-1.0) + 1.0);
  close(directional_derivative(b, f, std::tuple(x, w, where), along), gather(slope * matmul(dx, w), where));
  std::get<1>(along) = dw;
  close(directional_derivative(b, f, std::tuple(x, w, where), along),
        gather(slope * (matmul(dx, w) + matmul(x, dw)), where));
  std::get<0>(along) = dw;
  CHECK_THROWS_WITH_AS(directional_derivative(b, f, std::tuple(x, w, where), along),
                       doctest::Contains("a tensor has extents [5, 7], its direction [7, 3]"), shape_error);
}

TEST_CASE("autodiff: second derivatives: the gradient of a derivative along a direction, and of the direction") {
  const B b;
  const auto x = normal<1>(b, {4}, 1), v = normal<1>(b, {4}, 2);
  // d/dx and d/dv of sum(J v) for f = x^3: 6 x v and 3 x^2.
  const auto gradient =
      value_and_gradient(
          [](const auto& in) {
            const auto& [u, d] = in;
            return sum(directional_derivative(
                u.backend(), [](const auto& z) { return square(z) * z; }, std::tuple(u), std::tuple(d)));
          },
          std::tuple(x, v))
          .second;
  for (std::size_t i = 0; i < 4; ++i) {
    const double at = to_host(x).data[i], along = to_host(v).data[i];
    CHECK(to_host(std::get<0>(gradient)).data[i] == doctest::Approx(6 * at * along).epsilon(1e-14));
    CHECK(to_host(std::get<1>(gradient)).data[i] == doctest::Approx(3 * at * at).epsilon(1e-14));
  }
  CHECK(live_gradient_nodes() == 0);
  CHECK_THROWS_WITH_AS(
      directional_derivative(
          b, [](const auto& z) { return z.front(); }, std::tuple(std::vector{x, v}), std::tuple(std::vector{x})),
      doctest::Contains("begin with no_direction(x)"), shape_error);
}

TEST_CASE("autodiff: integer leaves of a tree pass through") {
  const B b;
  const auto table = normal<2>(b, {3, 2}, 1);
  const auto where = from_host<1>(b, host_tensor<index_t>({2}, {2, 2}));
  const auto gradient = value_and_gradient([](const auto& in) { return sum(gather(std::get<0>(in), std::get<1>(in))); },
                                           std::tuple(table, where))
                            .second;
  CHECK(to_host(std::get<0>(gradient)).data == std::vector<double>{0, 0, 0, 0, 2, 2});
}

TEST_CASE("autodiff: no node outlives the tensors that need it") {
  REQUIRE(live_gradient_nodes() == 0);
  const B b;
  const auto x = normal<1>(b, {4}, 1);
  {
    const auto pair = vjp(
        b, [](const auto& u) { return square(u) + u; }, x);
    CHECK(live_gradient_nodes() > 0);
    pair.second(x);
  }
  CHECK(live_gradient_nodes() == 0);
  value_and_gradient([](const auto& u) { return sum(exp(u)); }, x);
  CHECK(live_gradient_nodes() == 0);
  // A function that throws on the way leaves nothing behind.
  CHECK_THROWS_AS(value_and_gradient(
                      [](const auto& u) {
                        const auto v = square(u);
                        return sum(v + reshape<1>(v, {7}));
                      },
                      x),
                  shape_error);
  CHECK(live_gradient_nodes() == 0);
  // Nested: a gradient inside a function whose gradient is asked for.
  const auto outer = value_and_gradient(
      [&](const auto& u) {
        const auto inner = value_and_gradient([](const auto& w) { return sum(square(w) * w); }, primal(u)).second;
        return sum(u * constant(u.backend(), inner));
      },
      x);
  for (std::size_t i = 0; i < 4; ++i)
    CHECK(to_host(outer.second).data[i] == doctest::Approx(3 * to_host(x).data[i] * to_host(x).data[i]));
  CHECK(live_gradient_nodes() == 0);
}

TEST_CASE("autodiff: a chain of a hundred thousand operations is released without recursion") {
  const auto x = full<0>(B{}, {}, 1.0);
  const auto [value, gradient] = value_and_gradient(
      [](const auto& u) {
        auto v = u;
        for (int i = 0; i < 100000; ++i) v = v + 1.0;
        return v;
      },
      x);
  CHECK(value == 100001);
  CHECK(item(gradient) == 1);
  CHECK(live_gradient_nodes() == 0);
}

TEST_CASE("autodiff: nothing is recorded for constants") {
  const A b;
  const auto x = full<1>(b, {3}, 1.0);
  CHECK((exp(x) + x).node() == nullptr);
  CHECK(live_gradient_nodes() == 0);
}

TEST_CASE("autodiff: gradient_check finds a wrong derivative") {
  const auto x = normal<1>(B{}, {4}, 1);
  // The value is sum(x^2), the gradient that of sum(x detach(x)): half of it.
  CHECK(gradient_check([](const auto& u) { return sum(u * detach(u)); }, x) > 0.1);
  CHECK(gradient_check([](const auto& u) { return sum(u * u); }, x) < 1e-9);
  // One wrong element among many small ones is seen too.
  CHECK(gradient_check([](const auto& u) { return sum(square(slice(u, 0, 0, 3))) + sum(detach(slice(u, 0, 3, 4))); },
                       x) > 0.1);
}

TEST_CASE("autodiff: a tree without values is refused") {
  CHECK_THROWS_WITH_AS(value_and_gradient([](const auto& u) { return sum(u); }, (tensor<B, 1>())),
                       doctest::Contains("initialise"), error);
}
