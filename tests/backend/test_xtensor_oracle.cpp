// SPDX-License-Identifier: Apache-2.0
// The oracle itself against formulas written in xtensor and LAPACK's BLAS through xtensor-blas: nothing of ours in them.
#include <doctest/doctest.h>

#include <cmath>

#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/backend/xtensor/convert.hpp>
#include <fathom/core/philox.hpp>
#include <fathom/op/attention.hpp>
#include <fathom/op/layer_norm.hpp>
#include <fathom/op/linear.hpp>
#include <fathom/op/reduction.hpp>
#include <fathom/op/softmax.hpp>

#if __has_include(<xtensor/core/xmath.hpp>)
#include <xtensor/core/xmath.hpp>
#include <xtensor/views/xview.hpp>
#else
#include <xtensor/xmath.hpp>
#include <xtensor/xview.hpp>
#endif

// clang 19 does not compile xt::xarray of xtensor 0.24 (ambiguous rebind_container), which xtensor-blas returns.
#if !defined(__clang__) || __clang_major__ < 19 || XTENSOR_VERSION_MAJOR > 0 || XTENSOR_VERSION_MINOR > 24
#include <xtensor-blas/xlinalg.hpp>

using namespace fathom;

namespace {

template <std::size_t N>
xt::xtensor<double, N> draw(const std::array<std::size_t, N>& shape, std::uint64_t seed) {
  xt::xtensor<double, N> x(shape);
  std::uint64_t i = 0;
  for (auto& value : x) value = 2 * philox_uniform(seed, i++) - 1;
  return x;
}

template <class A, class B>
double largest_difference(const A& a, const B& b) {
  REQUIRE(a.dimension() == b.dimension());
  for (std::size_t axis = 0; axis < a.dimension(); ++axis) REQUIRE(a.shape()[axis] == b.shape()[axis]);
  return xt::amax(xt::abs(a - b))();
}

/// [n] as [n, 1]. Reductions are evaluated before they broadcast: lazy ones with keep_dims gave wrong numbers in
/// xtensor 0.24 and 0.27.
auto column(const xt::xtensor<double, 1>& x) { return xt::view(x, xt::all(), xt::newaxis()); }

xt::xtensor<double, 2> softmax_rows(const xt::xtensor<double, 2>& x) {
  const xt::xtensor<double, 1> top = xt::amax(x, {1});
  const xt::xtensor<double, 2> e = xt::exp(x - column(top));
  const xt::xtensor<double, 1> sum = xt::sum(e, {1});
  return e / column(sum);
}

}  // namespace

TEST_CASE_TEMPLATE("backend: products, sums and normalisations equal xtensor's", B, reference<double>, cpu<double>) {
  const B b;
  const auto x = draw<2>({37, 19}, 1), y = draw<2>({19, 23}, 2), z = draw<2>({37, 19}, 3);
  const auto row = draw<1>({19}, 4), shift = draw<1>({19}, 5);
  const auto tx = from_xtensor(b, x), ty = from_xtensor(b, y), tz = from_xtensor(b, z);

  CHECK(largest_difference(to_xtensor(matmul(tx, ty)), xt::linalg::dot(x, y)) < 1e-13);
  CHECK(largest_difference(to_xtensor(matmul(transpose(tx, 0, 1), tz)), xt::linalg::dot(xt::transpose(x), z)) < 1e-13);
  CHECK(largest_difference(to_xtensor(tx * tz + from_xtensor(b, row)), xt::xtensor<double, 2>(x * z + row)) < 1e-15);
  CHECK(largest_difference(to_xtensor(sum(tx, 0)), xt::xtensor<double, 1>(xt::sum(x, {0}))) < 1e-13);
  CHECK(largest_difference(to_xtensor(softmax(tx)), softmax_rows(x)) < 1e-14);

  const xt::xtensor<double, 1> mean = xt::mean(x, {1});
  const xt::xtensor<double, 2> centred = x - column(mean), squares = centred * centred;
  const xt::xtensor<double, 1> variance = xt::mean(squares, {1});
  const xt::xtensor<double, 2> normal = centred / xt::sqrt(column(variance) + 1e-5) * row + shift;
  CHECK(largest_difference(to_xtensor(apply<layer_norm_op>(tx, from_xtensor(b, row), from_xtensor(b, shift), 1e-5)),
                           normal) < 1e-13);

  const auto weight = draw<2>({11, 19}, 6);
  const auto bias = draw<1>({11}, 7);
  const xt::xtensor<double, 2> layer = xt::linalg::dot(x, xt::transpose(weight)) + bias;
  CHECK(largest_difference(
            to_xtensor(apply<linear_op>(tx, from_xtensor(b, weight), std::optional(from_xtensor(b, bias)))), layer) <
        1e-13);
}

TEST_CASE_TEMPLATE("backend: gated attention equals its formula in xtensor", B, reference<double>, cpu<double>) {
  const B b;
  const std::size_t batch = 3, queries = 7, keys = 9, heads = 2, c = 5;
  const auto q = draw<3>({batch, queries, heads * c}, 11), k = draw<3>({batch, keys, heads * c}, 12);
  const auto v = draw<3>({batch, keys, heads * c}, 13), pair = draw<3>({heads, queries, keys}, 14);
  const auto gate = draw<3>({batch, queries, heads * c}, 15);
  xt::xtensor<double, 2> mask_bias = xt::zeros<double>({batch, keys});
  mask_bias(1, 4) = mask_bias(2, 0) = -1e9;

  xt::xtensor<double, 3> expected(std::array<std::size_t, 3>{batch, queries, heads * c});
  for (std::size_t s = 0; s < batch; ++s)
    for (std::size_t h = 0; h < heads; ++h) {
      const auto head = [&](auto& x) { return xt::view(x, s, xt::all(), xt::range(h * c, (h + 1) * c)); };
      const xt::xtensor<double, 2> qh = head(q), kh = head(k), vh = head(v);
      const xt::xtensor<double, 2> logits = xt::linalg::dot(qh, xt::transpose(kh)) / std::sqrt(double(c)) +
                                            xt::view(mask_bias, s, xt::all()) + xt::view(pair, h, xt::all(), xt::all());
      const xt::xtensor<double, 2> o = xt::linalg::dot(softmax_rows(logits), vh);
      head(expected) = o / (1.0 + xt::exp(-head(gate)));
    }
  const auto got = attention(from_xtensor(b, q), from_xtensor(b, k), from_xtensor(b, v),
                             std::optional(from_xtensor(b, mask_bias)), std::optional(from_xtensor(b, pair)),
                             std::optional(from_xtensor(b, gate)), static_cast<index_t>(heads));
  CHECK(largest_difference(to_xtensor(got), expected) < 1e-13);
}
#else
TEST_CASE("backend: skipped, xtensor-blas with clang 19") { MESSAGE("SKIPPED: clang 19 needs xtensor 0.25 or newer"); }
#endif
