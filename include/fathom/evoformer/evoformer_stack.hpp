// SPDX-License-Identifier: Apache-2.0
// The Evoformer as a stack of blocks (AF2 Suppl. Alg. 6).
#pragma once

#include <vector>

#include <fathom/evoformer/evoformer_block.hpp>

namespace fathom {

/// What the trunk hands on: m [s, i, c_m], z [i, j, c_z], and the single representation s [i, c_s].
template <backend B>
struct evoformer_output {
  using backend_type = B;
  tensor<B, 3> m, z;
  tensor<B, 2> s;

  void visit(auto&& v) {
    v("m", m);
    v("z", z);
    v("s", s);
  }
  template <class B2>
  using rebind = evoformer_output<B2>;
};

/// Blocks one after the other, then s = linear(m[0]).
template <backend B, evoformer_dims D, bool Fused = false>
struct evoformer_stack {
  using backend_type = B;
  using dims_type = D;
  using block = evoformer_block<B, D, false, Fused>;

  std::vector<block> blocks;
  fathom::linear<B, D::c_m, D::c_s> linear;

  evoformer_stack() = default;
  explicit evoformer_stack(const B& b, index_t no_blocks = 48)
      : blocks(static_cast<std::size_t>(no_blocks), block(b)), linear(b) {}

  void visit(auto&& v) {
    v("blocks", blocks);
    v("linear", linear);
  }
  template <class B2>
  using rebind = evoformer_stack<B2, D, Fused>;

  /// Every block derives its own dropout from the key.
  evoformer_output<B> operator()(msa_pair<B> x, const masks<B>& mask, dropout_key key = {}) const {
    std::uint64_t number = 0;
    for (const auto& one : blocks) x = one(std::move(x), mask, key.split(number++));
    const auto s = linear(select(x.m, 0, 0));
    return {x.m, x.z, s};
  }
};

}  // namespace fathom
