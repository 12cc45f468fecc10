// SPDX-License-Identifier: Apache-2.0
// MSA column-wise global attention (AF2 Suppl. Alg. 19), for stacks of thousands of sequences.
#pragma once

#include <fathom/autodiff/chunked.hpp>
#include <fathom/nn/batched.hpp>
#include <fathom/nn/chunk_rows.hpp>
#include <fathom/nn/global_attention.hpp>
#include <fathom/nn/layer_norm.hpp>

namespace fathom {

/// Every residue attends over the sequences with one query, the mean of the present ones.
template <backend B, index_t C, index_t Hidden, index_t Heads>
struct msa_column_global_attention {
  using backend_type = B;

  layer_norm<B, C> layer_norm_m;
  fathom::global_attention<B, C, Hidden, Heads> global_attention;

  msa_column_global_attention() = default;
  explicit msa_column_global_attention(const B& b) : layer_norm_m(b), global_attention(b) {}

  void visit(auto&& v) {
    v("layer_norm_m", layer_norm_m);
    v("global_attention", global_attention);
  }
  template <class B2>
  using rebind = msa_column_global_attention<B2, C, Hidden, Heads>;

  /// m [s, i, C], mask [s, i]: the update of m, without the residual.
  tensor<B, 3> operator()(const tensor<B, 3>& m, const tensor<B, 2>& mask) const {
    const index_t residues = m.extent(1);
    return transpose(chunked(
                         [](const auto& self, const auto& columns, const auto& present) {
                           return self.global_attention(self.layer_norm_m(columns), present);
                         },
                         *this, chunk_rows(residues, global_attention.scratch(m.extent(0))), transpose(m, 0, 1),
                         transpose(mask, 0, 1)),
                     0, 1);
  }
  /// With a leading batch axis.
  tensor<B, 4> operator()(const tensor<B, 4>& m, const tensor<B, 3>& mask) const { return batched(*this, m, mask); }
};

}  // namespace fathom
