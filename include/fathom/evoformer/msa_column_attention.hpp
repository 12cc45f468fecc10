// SPDX-License-Identifier: Apache-2.0
// MSA column-wise gated self-attention (AF2 Suppl. Alg. 8).
#pragma once

#include <tuple>

#include <fathom/autodiff/chunked.hpp>
#include <fathom/evoformer/attention_options.hpp>
#include <fathom/nn/attention.hpp>
#include <fathom/nn/batched.hpp>
#include <fathom/nn/chunk_rows.hpp>
#include <fathom/nn/layer_norm.hpp>

namespace fathom {

/// Self-attention along the second axis of x [b, n, C], entries of the batch apart.
template <backend B, index_t C, index_t Hidden, index_t Heads>
struct msa_attention {
  using backend_type = B;

  layer_norm<B, C> layer_norm_m;
  multihead_attention<B, C, C, C, Hidden, Heads> mha;
  attention_options options;

  msa_attention() = default;
  explicit msa_attention(const B& b) : layer_norm_m(b), mha(b) {}

  void visit(auto&& v) {
    v("layer_norm_m", layer_norm_m);
    v("mha", mha);
  }
  template <class B2>
  using rebind = msa_attention<B2, C, Hidden, Heads>;

  /// x [b, n, C], mask [b, n]: the update.
  tensor<B, 3> operator()(const tensor<B, 3>& x, const tensor<B, 2>& mask) const {
    return chunked(attend_rows, *this, rows_at_a_time(x), x, mask_bias(mask, options.inf));
  }
  /// x + (*this)(x, mask), in place where nobody else holds x.
  tensor<B, 3> residual(tensor<B, 3> x, const tensor<B, 2>& mask) const {
    const index_t rows = rows_at_a_time(x);
    return chunked_onto(attend_rows, *this, rows, std::move(x), mask_bias(mask, options.inf));
  }

 private:
  static constexpr auto attend_rows = [](const auto& self, const auto& rows, const auto& key_bias) {
    const auto normed = self.layer_norm_m(rows);
    return self.mha(normed, normed, key_bias);
  };
  index_t rows_at_a_time(const tensor<B, 3>& x) const { return chunk_rows(x.extent(0), mha.scratch(x.extent(1))); }
};

/// Every residue attends over the sequences. Columns are read and written in place: m is never transposed in memory.
template <backend B, index_t C, index_t Hidden, index_t Heads>
struct msa_column_attention {
  using backend_type = B;

  msa_attention<B, C, Hidden, Heads> _msa_att;

  msa_column_attention() = default;
  explicit msa_column_attention(const B& b) : _msa_att(b) {}

  void visit(auto&& v) { v("_msa_att", _msa_att); }
  template <class B2>
  using rebind = msa_column_attention<B2, C, Hidden, Heads>;

  /// m [s, i, C], mask [s, i]: the update of m, without the residual.
  tensor<B, 3> operator()(const tensor<B, 3>& m, const tensor<B, 2>& mask) const {
    return transpose(_msa_att(transpose(m, 0, 1), transpose(mask, 0, 1)), 0, 1);
  }
  /// m + (*this)(m, mask), in place where nobody else holds m.
  tensor<B, 3> residual(tensor<B, 3> m, const tensor<B, 2>& mask) const {
    auto columns = transpose(m, 0, 1);
    m = {};
    return transpose(_msa_att.residual(std::move(columns), transpose(mask, 0, 1)), 0, 1);
  }
  /// With a leading batch axis.
  tensor<B, 4> operator()(const tensor<B, 4>& m, const tensor<B, 3>& mask) const { return batched(*this, m, mask); }
};

}  // namespace fathom
