// SPDX-License-Identifier: Apache-2.0
// What the fused kernels are compared with reference<double> on, the same on the emulator and on a GPU.
#pragma once

#include "../conformance/support.hpp"

#include <fathom/backend/reference.hpp>
#include <fathom/op/attention.hpp>
#include <fathom/op/layer_norm.hpp>
#include <fathom/op/outer_product.hpp>
#include <fathom/op/softmax.hpp>
#include <fathom/op/triangle.hpp>

namespace kernel_cases {

using namespace conformance;

/// Largest distances allowed, in units of a tensor's largest value.
struct limits {
  double value, gradient;
};
inline constexpr limits float_limits{1e-5, 1e-4}, bf16_limits{2e-2, 2e-2};

/// The first value of every record is the result, the others are cotangents.
inline void compare(const records& got, const records& expected, const limits& most) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t c = 0; c < got.size(); ++c) {
    CAPTURE(expected[c].name);
    REQUIRE(got[c].values.size() == expected[c].values.size());
    for (std::size_t v = 0; v < got[c].values.size(); ++v) {
      CAPTURE(v);
      REQUIRE(got[c].values[v].shape == expected[c].values[v].shape);
      CHECK(distance(got[c].values[v], expected[c].values[v]) <= (v == 0 ? most.value : most.gradient));
    }
  }
}

struct attention_case {
  index_t batch, queries, keys, heads, channels;
  bool masked, pair, gated;
  layout lie;
};
/// Below, at and above the tiles (64 queries; 32 or 64 keys), channels of every tile width and none of them.
inline constexpr attention_case attention_cases[] = {
    {1, 1, 1, 1, 1, false, false, false, layout::dense},    {2, 5, 7, 3, 8, true, true, true, layout::dense},
    {2, 64, 64, 1, 16, false, true, false, layout::dense},  {1, 70, 33, 2, 32, true, true, true, layout::dense},
    {1, 17, 130, 1, 64, true, true, true, layout::dense},   {3, 20, 9, 2, 32, true, false, true, layout::reversed},
    {2, 9, 40, 2, 8, true, true, true, layout::transposed}, {2, 33, 21, 2, 5, true, true, false, layout::strided}};

template <class B>
records attention_records(const B& b, const attention_case& c) {
  const maker<B> make{b, c.lie}, plain{b, layout::dense};
  records all;
  const index_t width = c.heads * c.channels;
  const auto q = make.template real<3>({c.batch, c.queries, width}, 1),
             k = make.template real<3>({c.batch, c.keys, width}, 2);
  const auto v = make.template real<3>({c.batch, c.keys, width}, 3);
  std::optional<tensor<B, 2>> key_bias;
  std::optional<tensor<B, 3>> pair_bias, gate;
  if (c.masked) {
    auto mask = fathom::to_host(plain.template real<2>({c.batch, c.keys}, 4));
    for (index_t i = 0; i < mask.size(); ++i) {
      auto& m = mask.data[static_cast<std::size_t>(i)];
      m = i % c.keys != 0 && m < -0.3 ? typename B::scalar(-1e9) : typename B::scalar(0);
    }
    key_bias = fathom::from_host<2>(b, mask);
  }
  if (c.pair) pair_bias = make.template real<3>({c.heads, c.queries, c.keys}, 5, -2, 2);
  if (c.gated) gate = make.template real<3>({c.batch, c.queries, width}, 6, -3, 3);
  conformance::run<fathom::attention_op>(
      all, fathom::to_string_extents(extents<5>{c.batch, c.queries, c.keys, c.heads, c.channels}), make, q, k, v,
      key_bias, pair_bias, gate, c.heads);
  return all;
}

/// All keys of one batch entry are shut by -1e9: in float32 that leaves nothing of the logits, so that every key counts
/// alike. The other entries do not notice.
template <class B>
void check_shut_rows(const B& b, const limits& most) {
  constexpr index_t batch = 2, queries = 5, keys = 37, heads = 2, width = 16;
  const maker<B> make{b, layout::dense};
  const auto q = make.template real<3>({batch, queries, width}, 1), k = make.template real<3>({batch, keys, width}, 2);
  const auto v = make.template real<3>({batch, keys, width}, 3);
  host_tensor<float> mask({batch, keys}, 0.0f);
  for (index_t j = 0; j < keys; ++j) mask(1, j) = -1e9f;
  const auto run = [&](const auto& key_bias) {
    return fathom::kernel<fathom::attention_op, B>::forward(q, k, v, key_bias, std::optional<tensor<B, 3>>(),
                                                            std::optional<tensor<B, 3>>(), heads);
  };
  const auto shut = run(std::optional(fathom::from_host<2>(b, mask)));
  const auto open = fathom::to_host(run(std::optional<tensor<B, 2>>()).value), got = fathom::to_host(shut.value);
  const auto values = fathom::to_host(v);
  for (index_t i = 0; i < queries; ++i)
    for (index_t c = 0; c < width; ++c) {
      double mean = 0;
      for (index_t j = 0; j < keys; ++j) mean += static_cast<double>(values(1, j, c)) / keys;
      CHECK(std::abs(static_cast<double>(got(1, i, c)) - mean) <= most.value);
      CHECK(got(0, i, c) == open(0, i, c));
    }
  record gradients;
  gradients.add(fathom::kernel<fathom::attention_op, B>::vjp(shut.residuals, cotangent_like(make, shut.value)));
  for (const auto& gradient : gradients.values)
    for (const double x : gradient.data) CHECK(std::isfinite(x));
}

/// Values together, apart with rows together (channel-major), and neither.
inline constexpr layout row_layouts[] = {layout::dense, layout::reversed, layout::strided};
/// Layer norm and softmax over rows of every number of registers, with rows and values anywhere; the triangle's
/// contraction and the layer norm of its result.
template <class B>
records row_records(const B& b, layout lie) {
  const maker<B> make{b, lie};
  records all;
  for (const extents<3>& e :
       {extents<3>{1, 1, 1}, extents<3>{3, 5, 8}, extents<3>{2, 19, 33}, extents<3>{2, 3, 200}, extents<3>{2, 2, 320},
        extents<3>{1, 3, 777}, extents<3>{1, 2, 1025}, extents<3>{0, 2, 4}}) {
    const std::string shape = fathom::to_string_extents(e);
    const auto x = make.template real<3>(e, 11, -3, 5);
    conformance::run<fathom::layer_norm_op>(all, shape, make, x, make.template real<1>({e[2]}, 12),
                                            make.template real<1>({e[2]}, 13), 1e-5);
    conformance::run<fathom::softmax_op>(all, shape, make, x);
  }
  const auto far = make.template real<2>({7, 24}, 14, 10, 11);  // variance by differences, not by squares
  conformance::run<fathom::layer_norm_op>(all, "far from 0", make, far, make.template real<1>({24}, 12),
                                          make.template real<1>({24}, 13), 1e-5);
  return all;
}
template <class B>
records triangle_records(const B& b, layout lie) {
  const maker<B> make{b, lie};
  records all;
  for (const extents<4>& e : {extents<4>{1, 1, 1, 1}, extents<4>{5, 7, 4, 3}, extents<4>{19, 33, 34, 35},
                              extents<4>{3, 0, 4, 2}, extents<4>{3, 4, 0, 2}}) {
    const auto a = make.template real<3>({e[0], e[2], e[3]}, 21), other = make.template real<3>({e[1], e[2], e[3]}, 22);
    conformance::run<fathom::triangle_op>(all, fathom::to_string_extents(e), make, a, other);
    if (fathom::detail::product<4>(e) == 0) continue;
    conformance::run<fathom::layer_norm_op>(all, "of a triangle", make, fathom::triangle(a, other),
                                            make.template real<1>({e[3]}, 23), make.template real<1>({e[3]}, 24), 1e-5);
  }
  return all;
}

/// Outer products whose channels go eight at a time, and others.
template <class B>
records outer_product_records(const B& b, layout lie) {
  const maker<B> make{b, lie};
  records all;
  struct shapes {
    index_t sequences, rows, columns, c, d;
  };
  for (const shapes& e : {shapes{1, 1, 1, 1, 1}, shapes{9, 5, 7, 4, 8}, shapes{6, 7, 3, 5, 6}, shapes{0, 3, 2, 2, 2}})
    conformance::run<fathom::outer_product_op>(
        all, fathom::to_string_extents(extents<5>{e.sequences, e.rows, e.columns, e.c, e.d}), make,
        make.template real<3>({e.sequences, e.rows, e.c}, 41), make.template real<3>({e.sequences, e.columns, e.d}, 42),
        make.template real<2>({6, e.c * e.d}, 43), make.template real<1>({6}, 44),
        make.template real<2>({e.rows, e.columns}, 45, 0.5, 2));
  return all;
}

}  // namespace kernel_cases
