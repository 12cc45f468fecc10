// SPDX-License-Identifier: Apache-2.0
// Every operation's vjp against central differences, in float64.
#include <doctest/doctest.h>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/op/attention.hpp>
#include <fathom/op/dropout.hpp>
#include <fathom/op/indexing.hpp>
#include <fathom/op/layer_norm.hpp>
#include <fathom/op/linear.hpp>
#include <fathom/op/outer_product.hpp>
#include <fathom/op/reduction.hpp>
#include <fathom/op/scaled_difference.hpp>
#include <fathom/op/softmax.hpp>
#include <fathom/op/triangle.hpp>

#include "support/random.hpp"

using namespace fathom;
using testing::normal;
using testing::probe;

namespace {

constexpr double bound = 1e-6;
constexpr gradient_check_options thorough{1e-5, 12, 1};

/// The worst relative error of f(tensors...), a function to one tensor.
template <class F, class... X>
double check(const F& f, const X&... xs) {
  const double worst = gradient_check(
      [&](const auto& inputs) { return std::apply([&](const auto&... x) { return probe(f(x...)); }, inputs); },
      std::tuple(xs...), thorough);
  CHECK(live_gradient_nodes() == 0);
  return worst;
}

}  // namespace

#define BACKENDS reference<double>, cpu<double>

TEST_CASE_TEMPLATE("op: gradients of elementwise functions", B, BACKENDS) {
  const B b;
  const auto x = normal<2>(b, {3, 4}, 1), positive = square(x) + 0.5;
  CHECK(check([](const auto& a) { return -a; }, x) < bound);
  CHECK(check([](const auto& a) { return exp(a); }, x) < bound);
  CHECK(check([](const auto& a) { return log(a); }, positive) < bound);
  CHECK(check([](const auto& a) { return sqrt(a); }, positive) < bound);
  CHECK(check([](const auto& a) { return square(a); }, x) < bound);
  CHECK(check([](const auto& a) { return reciprocal(a); }, positive) < bound);
  CHECK(check([](const auto& a) { return sigmoid(a); }, x) < bound);
  CHECK(check([](const auto& a) { return relu(a); }, x) < bound);
  CHECK(check([](const auto& a) { return tanh(a); }, x) < bound);
  CHECK(check([](const auto& a) { return softplus(a); }, x) < bound);
  CHECK(check([](const auto& a) { return sin(a); }, x) < bound);
  CHECK(check([](const auto& a) { return cos(a); }, x) < bound);
  CHECK(check([](const auto& a) { return at_least(a, 0.1); }, x) < bound);
  CHECK(check([](const auto& a) { return affine(a, -3.0, 0.5); }, x) < bound);
  CHECK(check([](const auto& a) { return mask_bias(a, 100.0); }, x) < bound);
}

TEST_CASE_TEMPLATE("op: gradients of binary functions, broadcast in every way", B, BACKENDS) {
  const B b;
  const auto whole = normal<3>(b, {2, 3, 4}, 1), same = normal<3>(b, {2, 3, 4}, 2), middle = normal<3>(b, {2, 1, 4}, 3);
  const auto row = normal<1>(b, {4}, 4);
  const auto outer = normal<3>(b, {1, 3, 1}, 5);
  const auto all = [&](const auto& f) {
    CHECK(check(f, whole, same) < bound);
    CHECK(check(f, whole, middle) < bound);
    CHECK(check(f, row, whole) < bound);
    CHECK(check(f, middle, outer) < bound);
  };
  all([](const auto& x, const auto& y) { return x + y; });
  all([](const auto& x, const auto& y) { return x - y; });
  all([](const auto& x, const auto& y) { return x * y; });
  all([](const auto& x, const auto& y) { return x / (square(y) + 1.0); });
  all([](const auto& x, const auto& y) { return gate(x, y); });
}

TEST_CASE_TEMPLATE("op: gradients of scaled differences", B, BACKENDS) {
  const B b;
  CHECK(check([](const auto& x, const auto& y, const auto& factor) { return square(scaled_difference(x, y, factor)); },
              normal<3>(b, {2, 3, 4}, 1), normal<3>(b, {2, 3, 4}, 2), normal<1>(b, {1}, 3)) < bound);
  // The storage of a temporary first argument is taken over, that of a shared one is not.
  const auto x = normal<2>(b, {3, 4}, 4), y = normal<2>(b, {3, 4}, 5), kept = clone(x);
  const auto factor = normal<1>(b, {1}, 6);
  const auto apart = scaled_difference(x, y, factor);
  CHECK(to_host(x).data == to_host(kept).data);
  CHECK(to_host(scaled_difference(clone(x), y, factor)).data == to_host(apart).data);
}

TEST_CASE_TEMPLATE("op: gradients of linear combinations", B, BACKENDS) {
  const B b;
  for (const std::size_t terms : {1u, 4u, 6u}) {
    std::vector<tensor<B, 2>> x;
    std::vector<double> c;
    for (std::size_t i = 0; i < terms; ++i) {
      x.push_back(normal<2>(b, {2, 3}, i));
      c.push_back(i == 2 ? 0.0 : 0.7 - 0.4 * static_cast<double>(i));
    }
    CHECK(gradient_check([&](const auto& xs) { return probe(linear_combination(xs, c)); }, x, thorough) < bound);
  }
}

TEST_CASE_TEMPLATE("op: gradients of layout operations", B, BACKENDS) {
  const B b;
  const auto x = normal<3>(b, {2, 3, 4}, 1), y = normal<3>(b, {2, 5, 4}, 2);
  // square: a layout operation alone is linear, and a wrong order of elements must not hide behind that.
  CHECK(check([](const auto& a) { return square(permute(a, {2, 0, 1})); }, x) < bound);
  CHECK(check([](const auto& a) { return square(transpose(a, 0, 2)); }, x) < bound);
  CHECK(check([](const auto& a) { return square(slice(a, 1, 1, 3)); }, x) < bound);
  CHECK(check([](const auto& a) { return square(select(a, -1, 2)); }, x) < bound);
  CHECK(check([](const auto& a) { return square(reshape<2>(a, {6, 4})); }, x) < bound);
  CHECK(check([](const auto& a) { return square(reshape<2>(transpose(a, 0, 1), {3, 8})); }, x) < bound);
  CHECK(check([](const auto& a) { return square(unsqueeze(a, 1)); }, x) < bound);
  CHECK(check([](const auto& a) { return square(squeeze(slice(a, 0, 1, 2), 0)); }, x) < bound);
  CHECK(check([](const auto& a) { return square(broadcast_to<4>(slice(a, 1, 0, 1), {3, 2, 5, 4})); }, x) < bound);
  CHECK(check([](const auto& a, const auto& c) { return square(join(a, join(c, a, 1), 1)); }, x, y) < bound);
  CHECK(check([](const auto& a, const auto& c) { return square(concatenate(std::vector{a, c, a}, 1)); }, x, y) < bound);
  CHECK(check([](const auto& a) { return square(stack(std::vector{a, a}, 2)); }, x) < bound);
}

TEST_CASE_TEMPLATE("op: gradients of reductions", B, BACKENDS) {
  const B b;
  const auto x = normal<3>(b, {2, 3, 4}, 1), y = normal<3>(b, {2, 1, 4}, 2);
  for (const int axis : {0, 1, 2}) {
    CHECK(check([&](const auto& a) { return square(sum(a, axis)); }, x) < bound);
    CHECK(check([&](const auto& a) { return square(sum_keep(a, axis)); }, x) < bound);
    CHECK(check([&](const auto& a) { return square(mean(a, axis)); }, x) < bound);
  }
  CHECK(check([](const auto& a, const auto& c) { return sum_squared_difference(a, c); }, x, y) < bound);
  CHECK(check([](const auto& a, const auto& c) { return sum_product(a, c); }, x, y) < bound);
  CHECK(check([](const auto& a) { return square(sum(a)); }, x) < bound);
  CHECK(check([](const auto& a) { return mean_square(a); }, x) < bound);
}

TEST_CASE_TEMPLATE("op: gradients of matrix products", B, BACKENDS) {
  const B b;
  const auto product = [](const auto& x, const auto& y) { return matmul(x, y, 0.7); };
  CHECK(check(product, normal<2>(b, {3, 4}, 1), normal<2>(b, {4, 5}, 2)) < bound);
  CHECK(check(product, normal<3>(b, {2, 3, 4}, 1), normal<3>(b, {2, 4, 5}, 2)) < bound);
  CHECK(check(product, normal<3>(b, {1, 3, 4}, 1), normal<3>(b, {2, 4, 5}, 2)) < bound);
  CHECK(check(product, normal<4>(b, {2, 3, 2, 3}, 1), normal<4>(b, {2, 1, 3, 4}, 2)) < bound);
  CHECK(check([](const auto& x, const auto& y) { return matmul(transpose(x, 0, 1), transpose(y, 0, 1)); },
              normal<2>(b, {4, 3}, 1), normal<2>(b, {5, 4}, 2)) < bound);
}

TEST_CASE_TEMPLATE("op: gradients of linear maps and layer norm", B, BACKENDS) {
  const B b;
  const auto x = normal<3>(b, {2, 3, 4}, 1);
  const auto weight = normal<2>(b, {5, 4}, 2);
  CHECK(
      check([](const auto& a, const auto& w, const auto& bias) { return apply<linear_op>(a, w, std::optional(bias)); },
            x, weight, normal<1>(b, {5}, 3)) < bound);
  CHECK(check(
            [](const auto& a, const auto& w) {
              using A = typename std::remove_cvref_t<decltype(w)>::backend_type;
              return apply<linear_op>(a, w, std::optional<tensor<A, 1>>());
            },
            x, weight) < bound);
  CHECK(check([](const auto& a, const auto& w, const auto& bias) { return apply<layer_norm_op>(a, w, bias, 1e-5); }, x,
              normal<1>(b, {4}, 2), normal<1>(b, {4}, 3)) < bound);
  // Rows that are columns of the storage.
  CHECK(check([](const auto& a, const auto& w,
                 const auto& bias) { return apply<layer_norm_op>(transpose(a, 0, 1), w, bias, 1e-5); },
              x, normal<1>(b, {4}, 2), normal<1>(b, {4}, 3)) < bound);
}

TEST_CASE_TEMPLATE("op: gradients of linear maps with an activation", B, BACKENDS) {
  const B b;
  const auto x = normal<3>(b, {2, 3, 4}, 1);
  const auto weight = normal<2>(b, {19, 4}, 2);
  const auto bias = normal<1>(b, {19}, 3);
  const auto both = [](const auto& a, const auto& w, const auto& shift) {
    return apply<linear_then_op<functor::relu>>(a, w, std::optional(shift));
  };
  CHECK(check(both, x, weight, bias) < bound);
  CHECK(check([&](const auto& a, const auto& w, const auto& shift) { return both(transpose(a, 0, 1), w, shift); }, x,
              weight, bias) < bound);
  CHECK(check(
            [](const auto& a, const auto& w) {
              using A = typename std::remove_cvref_t<decltype(w)>::backend_type;
              return apply<linear_then_op<functor::relu>>(a, w, std::optional<tensor<A, 1>>());
            },
            x, weight) < bound);
  CHECK(check(
            [](const auto& a, const auto& w, const auto& shift) {
              return square(apply<linear_then_op<functor::sigmoid>>(a, w, std::optional(shift)));
            },
            x, weight, bias) < bound);
  // A cotangent that others hold too must survive.
  CHECK(check(
            [&](const auto& a, const auto& w, const auto& shift) {
              const auto y = both(a, w, shift);
              return y + slice(join(y, y, 0), 0, 1, 3);
            },
            x, weight, bias) < bound);
}

TEST_CASE_TEMPLATE("op: gradients of linear maps that share arguments, or see constants", B, BACKENDS) {
  const B b;
  const auto x = normal<3>(b, {2, 3, 4}, 1);
  const auto weight = normal<2>(b, {4, 4}, 2);
  const auto bias = normal<1>(b, {4}, 3);
  const auto map = [](const auto& a, const auto& w, const auto& shift) {
    return apply<linear_op>(a, w, std::optional(shift));
  };
  CHECK(check([&](const auto& a, const auto& w,
                  const auto& shift) { return map(a, w, shift) * 0.5 + square(map(map(a, w, shift), w, shift)) + a; },
              x, weight, bias) < bound);
  const auto of = [&](const auto& like, const auto& value) { return constant(like.backend(), value); };
  CHECK(check([&](const auto& a) { return map(a, of(a, weight), of(a, bias)); }, x) < bound);
  CHECK(check([&](const auto& w) { return map(of(w, x), w, of(w, bias)); }, weight) < bound);
  CHECK(check([&](const auto& shift) { return map(of(shift, x), of(shift, weight), shift); }, bias) < bound);
}

TEST_CASE_TEMPLATE("op: gradients of softmax", B, BACKENDS) {
  const B b;
  CHECK(check([](const auto& x) { return softmax(x); }, normal<3>(b, {2, 3, 5}, 1)) < bound);
}

TEST_CASE_TEMPLATE("op: gradients of attention with and without biases and gate", B, BACKENDS) {
  const B b;
  const index_t heads = 2;
  const auto q = normal<3>(b, {3, 5, 6}, 1), k = normal<3>(b, {3, 4, 6}, 2), v = normal<3>(b, {3, 4, 6}, 3);
  const auto key_bias = normal<2>(b, {3, 4}, 4);
  const auto pair_bias = normal<3>(b, {2, 5, 4}, 5), gate_logits = normal<3>(b, {3, 5, 6}, 6);
  const auto run = [&](const auto& q_, const auto& k_, const auto& v_, const auto& kb, const auto& pb, const auto& g) {
    using A = typename std::remove_cvref_t<decltype(q_)>::backend_type;
    return attention<A>(q_, k_, v_, kb, pb, g, heads);
  };
  CHECK(check([&](const auto& q_, const auto& k_,
                  const auto& v_) { return run(q_, k_, v_, std::nullopt, std::nullopt, std::nullopt); },
              q, k, v) < bound);
  CHECK(check([&](const auto& q_, const auto& k_, const auto& v_,
                  const auto& kb) { return run(q_, k_, v_, kb, std::nullopt, std::nullopt); },
              q, k, v, key_bias) < bound);
  CHECK(check([&](const auto& q_, const auto& k_, const auto& v_, const auto& kb, const auto& pb,
                  const auto& g) { return run(q_, k_, v_, kb, pb, g); },
              q, k, v, key_bias, pair_bias, gate_logits) < bound);
  // A bias that is a permuted view, as the pair representation gives it, and slices of one projection.
  CHECK(check(
            [&](const auto& all, const auto& pb) {
              using A = typename std::remove_cvref_t<decltype(all)>::backend_type;
              return attention<A>(slice(all, 2, 0, 6), slice(all, 2, 6, 12), slice(all, 2, 12, 18), std::nullopt,
                                  permute(pb, {2, 0, 1}), slice(all, 2, 18, 24), heads);
            },
            normal<3>(b, {3, 5, 24}, 7), normal<3>(b, {5, 5, 2}, 8)) < bound);
}

TEST_CASE_TEMPLATE("op: gradients of the triangle contraction", B, BACKENDS) {
  const B b;
  const auto a = normal<3>(b, {3, 4, 18}, 1), c = normal<3>(b, {5, 4, 18}, 2);
  CHECK(check([](const auto& x, const auto& y) { return triangle(x, y); }, a, c) < bound);
  CHECK(check([](const auto& x, const auto& y) { return triangle(transpose(x, 0, 1), transpose(y, 0, 1)); },
              normal<3>(b, {4, 3, 18}, 1), normal<3>(b, {4, 5, 18}, 2)) < bound);
  CHECK(check([](const auto& both) { return triangle(slice(both, 2, 0, 3), slice(both, 2, 3, 6)); },
              normal<3>(b, {4, 4, 6}, 3)) < bound);
}

TEST_CASE_TEMPLATE("op: gradients of the outer product", B, BACKENDS) {
  const B b;
  const auto f = [](const auto& x, const auto& y, const auto& w, const auto& bias, const auto& scale) {
    return outer_product(x, y, w, bias, square(scale) + 0.1);
  };
  CHECK(check(f, normal<3>(b, {4, 5, 2}, 1), normal<3>(b, {4, 6, 3}, 2), normal<2>(b, {7, 6}, 3), normal<1>(b, {7}, 4),
              normal<2>(b, {5, 6}, 5)) < bound);
  CHECK(check([&](const auto& ab, const auto& w, const auto& bias,
                  const auto& scale) { return f(slice(ab, 2, 0, 2), slice(ab, 2, 2, 4), w, bias, scale); },
              normal<3>(b, {4, 5, 4}, 1), normal<2>(b, {7, 4}, 3), normal<1>(b, {7}, 4),
              normal<2>(b, {5, 5}, 5)) < bound);
}

TEST_CASE_TEMPLATE("op: gradients of gather, whose rows may repeat", B, BACKENDS) {
  const B b;
  const auto where = from_host<1>(b, host_tensor<index_t>({5}, {2, 0, 2, 1, 2}));
  CHECK(check([&](const auto& table) { return square(gather(table, constant(table.backend(), where))); },
              normal<2>(b, {3, 4}, 1)) < bound);
}

TEST_CASE_TEMPLATE("op: gradients of dropout", B, BACKENDS) {
  const B b;
  for (const int axis : {-1, 0, 1})
    CHECK(check(
              [&](const auto& x) {
                return square(dropout(x, dropout_key{7, 0.4}, axis));
              },
              normal<3>(b, {4, 5, 3}, 1)) < bound);
}
