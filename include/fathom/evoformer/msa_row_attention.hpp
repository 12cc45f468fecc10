// SPDX-License-Identifier: Apache-2.0
// MSA row-wise gated self-attention with pair bias (AF2 Suppl. Alg. 7).
#pragma once

#include <tuple>

#include <fathom/autodiff/chunked.hpp>
#include <fathom/evoformer/attention_options.hpp>
#include <fathom/nn/attention.hpp>
#include <fathom/nn/batched.hpp>
#include <fathom/nn/chunk_rows.hpp>
#include <fathom/nn/layer_norm.hpp>

namespace fathom {

/// Every sequence attends over its residues; the logit of query i and key j gets linear_z(LN(z))[i, j].
template <backend B, index_t Cm, index_t Cz, index_t Hidden, index_t Heads>
struct msa_row_attention {
  using backend_type = B;

  layer_norm<B, Cm> layer_norm_m;
  layer_norm<B, Cz> layer_norm_z;
  linear<B, Cz, Heads, false> linear_z;
  multihead_attention<B, Cm, Cm, Cm, Hidden, Heads> mha;
  attention_options options;

  msa_row_attention() = default;
  explicit msa_row_attention(const B& b) : layer_norm_m(b), layer_norm_z(b), linear_z(b, init::normal), mha(b) {}

  void visit(auto&& v) {
    v("layer_norm_m", layer_norm_m);
    v("layer_norm_z", layer_norm_z);
    v("linear_z", linear_z);
    v("mha", mha);
  }
  template <class B2>
  using rebind = msa_row_attention<B2, Cm, Cz, Hidden, Heads>;

  /// m [s, i, Cm], z [i, j, Cz], mask [s, i]: the update of m, without the residual.
  tensor<B, 3> operator()(const tensor<B, 3>& m, const tensor<B, 3>& z, const tensor<B, 2>& mask) const {
    return chunked(attend_rows, std::tuple(layer_norm_m, mha, pair_bias(z)), rows_at_a_time(m), m,
                   mask_bias(mask, options.inf));
  }
  /// m + (*this)(m, z, mask), in place where nobody else holds m.
  tensor<B, 3> residual(tensor<B, 3> m, const tensor<B, 3>& z, const tensor<B, 2>& mask) const {
    const index_t rows = rows_at_a_time(m);
    return chunked_onto(attend_rows, std::tuple(layer_norm_m, mha, pair_bias(z)), rows, std::move(m),
                        mask_bias(mask, options.inf));
  }
  /// With a leading batch axis.
  tensor<B, 4> operator()(const tensor<B, 4>& m, const tensor<B, 4>& z, const tensor<B, 3>& mask) const {
    return batched(*this, m, z, mask);
  }

 private:
  static constexpr auto attend_rows = [](const auto& shared, const auto& rows, const auto& key_bias) {
    const auto& [norm, attend, bias] = shared;
    const auto x = norm(rows);
    return attend(x, x, key_bias, bias);
  };
  static constexpr auto map_rows = [](const auto& maps, const auto& rows) {
    return std::get<1>(maps)(std::get<0>(maps)(rows));
  };
  index_t rows_at_a_time(const tensor<B, 3>& m) const { return chunk_rows(m.extent(0), mha.scratch(m.extent(1))); }
  /// [Heads, i, j]
  tensor<B, 3> pair_bias(const tensor<B, 3>& z) const {
    const index_t n = z.extent(1);
    return permute(chunked(map_rows, std::tuple(layer_norm_z, linear_z), chunk_rows(n, n * (Cz + Heads)), z), {2, 0, 1});
  }
};

}  // namespace fathom
