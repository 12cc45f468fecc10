// SPDX-License-Identifier: Apache-2.0
// Triangle self-attention (AF2 Suppl. Alg. 13 around the starting node, Alg. 14 around the ending node).
#pragma once

#include <tuple>

#include <fathom/autodiff/chunked.hpp>
#include <fathom/evoformer/attention_options.hpp>
#include <fathom/nn/attention.hpp>
#include <fathom/nn/batched.hpp>
#include <fathom/nn/chunk_rows.hpp>
#include <fathom/nn/layer_norm.hpp>

namespace fathom {

/// Row i of z attends over its pairs; the logit of query (i, j) and key (i, k) gets linear(LN(z))[j, k]. The ending node
/// does the same to z with its first two axes swapped, read and written in place.
template <backend B, index_t C, index_t Hidden, index_t Heads, bool Starting>
struct triangle_attention {
  using backend_type = B;

  fathom::layer_norm<B, C> layer_norm;
  fathom::linear<B, C, Heads, false> linear;
  multihead_attention<B, C, C, C, Hidden, Heads> mha;
  attention_options options;

  triangle_attention() = default;
  explicit triangle_attention(const B& b) : layer_norm(b), linear(b, init::normal), mha(b) {}

  void visit(auto&& v) {
    v("layer_norm", layer_norm);
    v("linear", linear);
    v("mha", mha);
  }
  template <class B2>
  using rebind = triangle_attention<B2, C, Hidden, Heads, Starting>;

  /// z [i, j, C], mask [i, j]: the update of z, without the residual.
  tensor<B, 3> operator()(const tensor<B, 3>& z, const tensor<B, 2>& mask) const {
    if constexpr (Starting)
      return around_rows(z, mask);
    else
      return transpose(around_rows(transpose(z, 0, 1), transpose(mask, 0, 1)), 0, 1);
  }
  /// z + (*this)(z, mask), in place where nobody else holds z.
  tensor<B, 3> residual(tensor<B, 3> z, const tensor<B, 2>& mask) const {
    if constexpr (Starting) {
      return onto_rows(std::move(z), mask);
    } else {
      auto columns = transpose(z, 0, 1);
      z = {};
      return transpose(onto_rows(std::move(columns), transpose(mask, 0, 1)), 0, 1);
    }
  }
  /// With a leading batch axis.
  tensor<B, 4> operator()(const tensor<B, 4>& z, const tensor<B, 3>& mask) const { return batched(*this, z, mask); }

 private:
  static constexpr auto attend_rows = [](const auto& shared, const auto& rows, const auto& key_bias) {
    const auto& [norm, attend, bias] = shared;
    const auto x = norm(rows);
    return attend(x, x, key_bias, bias);
  };
  static constexpr auto map_rows = [](const auto& maps, const auto& rows) {
    return std::get<1>(maps)(std::get<0>(maps)(rows));
  };
  index_t rows_at_a_time(const tensor<B, 3>& z) const { return chunk_rows(z.extent(0), mha.scratch(z.extent(1))); }
  /// [Heads, j, k]
  tensor<B, 3> pair_bias(const tensor<B, 3>& z) const {
    const index_t rows = chunk_rows(z.extent(0), z.extent(1) * (C + Heads));
    return permute(chunked(map_rows, std::tuple(layer_norm, linear), rows, z), {2, 0, 1});
  }
  tensor<B, 3> around_rows(const tensor<B, 3>& z, const tensor<B, 2>& mask) const {
    return chunked(attend_rows, std::tuple(layer_norm, mha, pair_bias(z)), rows_at_a_time(z), z,
                   mask_bias(mask, options.inf));
  }
  tensor<B, 3> onto_rows(tensor<B, 3> z, const tensor<B, 2>& mask) const {
    const index_t rows = rows_at_a_time(z);
    const auto shared = std::tuple(layer_norm, mha, pair_bias(z));
    return chunked_onto(attend_rows, shared, rows, std::move(z), mask_bias(mask, options.inf));
  }
};

template <backend B, index_t C, index_t Hidden, index_t Heads>
using triangle_attention_starting = triangle_attention<B, C, Hidden, Heads, true>;
template <backend B, index_t C, index_t Hidden, index_t Heads>
using triangle_attention_ending = triangle_attention<B, C, Hidden, Heads, false>;

}  // namespace fathom
