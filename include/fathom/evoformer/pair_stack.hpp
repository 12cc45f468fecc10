// SPDX-License-Identifier: Apache-2.0
// The pair half of an Evoformer block (AF2 Suppl. Alg. 6, lines 6-10), as five sub-layers that can be taken one by one.
#pragma once

#include <fathom/evoformer/sublayer.hpp>
#include <fathom/evoformer/transitions.hpp>
#include <fathom/evoformer/triangle_attention.hpp>
#include <fathom/evoformer/triangle_multiplication.hpp>
#include <fathom/op/dropout.hpp>

namespace fathom {

/// mask_trans: whether the transition's update is masked. Dropout acts only where a call passes a dropout_key.
struct pair_stack_options {
  bool mask_trans = true;
  double pair_dropout = 0.25;
};

/// Triangle multiplications, triangle attentions and the transition of z, each with its residual.
template <backend B, index_t C, index_t HiddenMul, index_t HiddenAtt, index_t Heads, index_t TransitionN,
          bool Fused = false>
struct pair_stack {
  using backend_type = B;

  triangle_multiplication_outgoing<B, C, HiddenMul, Fused> tri_mul_out;
  triangle_multiplication_incoming<B, C, HiddenMul, Fused> tri_mul_in;
  triangle_attention_starting<B, C, HiddenAtt, Heads> tri_att_start;
  triangle_attention_ending<B, C, HiddenAtt, Heads> tri_att_end;
  fathom::pair_transition<B, C, TransitionN> pair_transition;
  pair_stack_options options;

  pair_stack() = default;
  explicit pair_stack(const B& b)
      : tri_mul_out(b), tri_mul_in(b), tri_att_start(b), tri_att_end(b), pair_transition(b) {}

  void visit(auto&& v) {
    v("tri_mul_out", tri_mul_out);
    v("tri_mul_in", tri_mul_in);
    v("tri_att_start", tri_att_start);
    v("tri_att_end", tri_att_end);
    v("pair_transition", pair_transition);
  }
  template <class B2>
  using rebind = pair_stack<B2, C, HiddenMul, HiddenAtt, Heads, TransitionN, Fused>;

  /// What one of pair_sublayers adds to z [i, j, C]; mask [i, j]. Dropout is shared along i, of the ending attention
  /// along j. Throws error for a sub-layer of m.
  tensor<B, 3> update(evoformer_sublayer which, const tensor<B, 3>& z, const tensor<B, 2>& mask,
                      dropout_key key = {}) const {
    const auto drop = [&](const tensor<B, 3>& x, int shared_axis) {
      return dropout(x, key.with_rate(options.pair_dropout).split(static_cast<std::uint64_t>(which)), shared_axis);
    };
    switch (which) {
      case evoformer_sublayer::triangle_multiplication_outgoing:
        return drop(tri_mul_out(z, mask), 0);
      case evoformer_sublayer::triangle_multiplication_incoming:
        return drop(tri_mul_in(z, mask), 0);
      case evoformer_sublayer::triangle_attention_starting:
        return drop(tri_att_start(z, mask), 0);
      case evoformer_sublayer::triangle_attention_ending:
        return drop(tri_att_end(z, mask), 1);
      case evoformer_sublayer::pair_transition:
        return options.mask_trans ? pair_transition(z, mask) : pair_transition(z);
      default:
        throw error("pair_stack::update: this sub-layer changes m; the pair stack has those of pair_sublayers only");
    }
  }

  /// z + update(which, z, mask, key), in place where nobody else holds z.
  tensor<B, 3> residual(evoformer_sublayer which, tensor<B, 3> z, const tensor<B, 2>& mask, dropout_key key = {}) const {
    const bool drops = key.rate > 0 && options.pair_dropout > 0;
    if (which == evoformer_sublayer::pair_transition)
      return options.mask_trans ? pair_transition.residual(std::move(z), mask) : pair_transition.residual(std::move(z));
    if (!drops && which == evoformer_sublayer::triangle_multiplication_outgoing)
      return tri_mul_out.residual(std::move(z), mask);
    if (!drops && which == evoformer_sublayer::triangle_multiplication_incoming)
      return tri_mul_in.residual(std::move(z), mask);
    if (!drops && which == evoformer_sublayer::triangle_attention_starting)
      return tri_att_start.residual(std::move(z), mask);
    if (!drops && which == evoformer_sublayer::triangle_attention_ending)
      return tri_att_end.residual(std::move(z), mask);
    const auto more = update(which, z, mask, key);
    return std::move(z) + more;
  }

  /// z after all sub-layers.
  tensor<B, 3> operator()(tensor<B, 3> z, const tensor<B, 2>& mask, dropout_key key = {}) const {
    for (const auto which : pair_sublayers) z = residual(which, std::move(z), mask, key);
    return z;
  }
  /// With a leading batch axis; every example draws its own dropout.
  tensor<B, 4> operator()(const tensor<B, 4>& z, const tensor<B, 3>& mask, dropout_key key = {}) const {
    std::uint64_t example = 0;
    return batched([&](const auto& one, const auto& present) { return (*this)(one, present, key.split(example++)); }, z,
                   mask);
  }
};

}  // namespace fathom
