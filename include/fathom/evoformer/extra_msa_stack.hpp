// SPDX-License-Identifier: Apache-2.0
// The extra-MSA stack (AF2 Suppl. Alg. 18): sequences that found no cluster, heard through the pair representation only.
#pragma once

#include <vector>

#include <fathom/evoformer/evoformer_block.hpp>

namespace fathom {

/// Blocks one after the other; only z is handed on.
template <backend B, evoformer_dims D, bool Fused = false>
struct extra_msa_stack {
  using backend_type = B;
  using dims_type = D;
  using block = extra_msa_block<B, D, Fused>;

  std::vector<block> blocks;

  extra_msa_stack() = default;
  explicit extra_msa_stack(const B& b, index_t no_blocks = 4) : blocks(static_cast<std::size_t>(no_blocks), block(b)) {}

  void visit(auto&& v) { v("blocks", blocks); }
  template <class B2>
  using rebind = extra_msa_stack<B2, D, Fused>;

  /// m [extra sequences, i, c_e], z [i, j, c_z]: the new z.
  tensor<B, 3> operator()(msa_pair<B> x, const masks<B>& mask, dropout_key key = {}) const {
    std::uint64_t number = 0;
    for (const auto& one : blocks) x = one(std::move(x), mask, key.split(number++));
    return x.z;
  }
};

}  // namespace fathom
