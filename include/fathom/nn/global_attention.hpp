// SPDX-License-Identifier: Apache-2.0
// Global attention (AF2 Suppl. Alg. 19): one query, the masked mean, for all positions; keys and values have one head.
#pragma once

#include <cmath>

#include <fathom/nn/linear.hpp>
#include <fathom/op/reduction.hpp>
#include <fathom/op/softmax.hpp>

namespace fathom {

/// Masked logits get inf (mask - 1); eps keeps the mean of nothing finite.
struct global_attention_options {
  double inf = 1e9, eps = 1e-10;
};

/// q = W_q (sum_s mask m / (sum_s mask + eps)) / sqrt(Hidden), k = W_k m, v = W_v m,
/// o[h] = softmax_s(q[h] k + inf (mask - 1)) v, y[s] = W_o (sigmoid(W_g m[s]) o) + b_o.
template <backend B, index_t C, index_t Hidden, index_t Heads>
struct global_attention {
  using backend_type = B;

  linear<B, C, Hidden * Heads, false> linear_q;
  linear<B, C, Hidden, false> linear_k, linear_v;
  linear<B, C, Hidden * Heads> linear_g;
  linear<B, Hidden * Heads, C> linear_o;
  global_attention_options options;

  global_attention() = default;
  explicit global_attention(const B& b)
      : linear_q(b, init::glorot),
        linear_k(b, init::glorot),
        linear_v(b, init::glorot),
        linear_g(b, init::gating),
        linear_o(b, init::final) {}

  void visit(auto&& v) {
    v("linear_q", linear_q);
    v("linear_k", linear_k);
    v("linear_v", linear_v);
    v("linear_g", linear_g);
    v("linear_o", linear_o);
  }
  template <class B2>
  using rebind = global_attention<B2, C, Hidden, Heads>;

  /// m [b, s, C], mask [b, s]: [b, s, C].
  tensor<B, 3> operator()(const tensor<B, 3>& m, const tensor<B, 2>& mask) const {
    const index_t b = m.extent(0);
    const auto row = unsqueeze(mask, 1);
    const auto mean = matmul(row, m) / (sum_keep(row, 2) + options.eps);
    const auto q = reshape<3>(linear_q(mean), {b, Heads, Hidden});
    const auto logits = matmul(q, transpose(linear_k(m), 1, 2), 1 / std::sqrt(static_cast<double>(Hidden)));
    const auto p = softmax(logits + mask_bias(row, options.inf));
    const auto o = reshape<3>(matmul(p, linear_v(m)), {b, 1, Heads * Hidden});
    return linear_o(gate(linear_g(m), o));
  }

  /// Elements that one batch entry of n positions needs on the way.
  static constexpr index_t scratch(index_t n) { return n * (2 * C + 2 * Hidden * Heads + 2 * Hidden); }
};

}  // namespace fathom
