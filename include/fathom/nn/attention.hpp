// SPDX-License-Identifier: Apache-2.0
// Multi-head attention with optional gating and additive biases: the core of AF2 Suppl. Alg. 7, 8, 13, 14 and 17.
#pragma once

#include <optional>

#include <fathom/nn/linear.hpp>
#include <fathom/op/attention.hpp>

namespace fathom {

/// q = W_q q_x, k = W_k kv_x, v = W_v kv_x (no biases), o = softmax(q k^T / sqrt(Hidden) + biases) v,
/// y = W_o (sigmoid(W_g q_x) o) + b_o; without the gate where Gated is false. Hidden is per head, channels head-major.
template <backend B, index_t Cq, index_t Ck, index_t Cv, index_t Hidden, index_t Heads, bool Gated = true>
struct multihead_attention {
  using backend_type = B;
  static constexpr index_t hidden = Hidden, heads = Heads;

  linear<B, Cq, Hidden * Heads, false> linear_q;
  linear<B, Ck, Hidden * Heads, false> linear_k;
  linear<B, Cv, Hidden * Heads, false> linear_v;
  linear<B, Cq, Hidden * Heads> linear_g;
  linear<B, Hidden * Heads, Cq> linear_o;

  multihead_attention() = default;
  explicit multihead_attention(const B& b)
      : linear_q(b, init::glorot),
        linear_k(b, init::glorot),
        linear_v(b, init::glorot),
        linear_g(b, init::gating),
        linear_o(b, init::final) {}

  void visit(auto&& v) {
    v("linear_q", linear_q);
    v("linear_k", linear_k);
    v("linear_v", linear_v);
    if constexpr (Gated) v("linear_g", linear_g);
    v("linear_o", linear_o);
  }
  template <class B2>
  using rebind = multihead_attention<B2, Cq, Ck, Cv, Hidden, Heads, Gated>;

  /// q_x [b, q, Cq], kv_x [b, k, Ck = Cv], key_bias [b, k], pair_bias [Heads, q, k]: [b, q, Cq].
  tensor<B, 3> operator()(const tensor<B, 3>& q_x, const tensor<B, 3>& kv_x,
                          const std::optional<tensor<B, 2>>& key_bias = {},
                          const std::optional<tensor<B, 3>>& pair_bias = {}) const {
    static_assert(Ck == Cv, "fathom: keys and values are maps of one input");
    const auto gate_logits = [&]() -> std::optional<tensor<B, 3>> {
      if constexpr (Gated)
        return linear_g(q_x);
      else
        return std::nullopt;
    }();
    return linear_o(attention<B>(linear_q(q_x), linear_k(kv_x), linear_v(kv_x), key_bias, pair_bias, gate_logits, Heads));
  }

  /// Elements that one batch entry of n queries and keys needs on the way.
  static constexpr index_t scratch(index_t n) { return n * (2 * Cq + (Gated ? 5 : 4) * Hidden * Heads); }
};

}  // namespace fathom
