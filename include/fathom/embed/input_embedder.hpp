// SPDX-License-Identifier: Apache-2.0
// Target and alignment features to the first m and z (AF2 Suppl. Alg. 3), with relative positions (Alg. 4, 5).
#pragma once

#include <tuple>

#include <fathom/autodiff/chunked.hpp>
#include <fathom/evoformer/dims.hpp>
#include <fathom/evoformer/state.hpp>
#include <fathom/nn/chunk_rows.hpp>
#include <fathom/nn/linear.hpp>
#include <fathom/op/indexing.hpp>

namespace fathom {

namespace functor {
/// clip(a - b, -reach, reach) + reach
struct relative_position {
  index_t reach;
  FATHOM_HD index_t operator()(index_t a, index_t b) const {
    const index_t apart = a - b;
    return (apart < -reach ? -reach : apart > reach ? reach : apart) + reach;
  }
};
}  // namespace functor

/// Bins of relative positions, row-major [n n]: clip(r_i - r_j, -reach, reach) + reach for residue numbers r [n].
template <class B>
tensor<B, 1, index_t> relative_positions(const tensor<B, 1, index_t>& residue_index, index_t reach) {
  if constexpr (plain_backend<B>) {
    const index_t n = residue_index.extent(0);
    tensor<B, 2, index_t> bins(residue_index.backend(), {n, n});
    const auto rows = residue_index.reinterpret(extents<2>{n, 1}, extents<2>{residue_index.stride(0), 0});
    residue_index.backend().map(functor::relative_position{reach}, bins.mutable_view(),
                                detail::broadcast_to_view(rows.view(), bins.shape()),
                                detail::broadcast_to_view(residue_index.view(), bins.shape()));
    return bins.reinterpret(extents<1>{n * n}, extents<1>{1});
  } else {
    return constant(residue_index.backend(), relative_positions(residue_index.primal(), reach));
  }
}

/// m[s, i] = linear_msa_m(msa[s, i]) + linear_tf_m(tf[i]);
/// z[i, j] = linear_tf_z_i(tf[i]) + linear_tf_z_j(tf[j]) + linear_relpos(one_hot(bin(r_i - r_j))).
template <backend B, evoformer_dims D>
struct input_embedder {
  using backend_type = B;

  linear<B, D::tf_dim, D::c_z> linear_tf_z_i, linear_tf_z_j;
  linear<B, D::tf_dim, D::c_m> linear_tf_m;
  linear<B, D::msa_dim, D::c_m> linear_msa_m;
  linear<B, 2 * D::relpos_k + 1, D::c_z> linear_relpos;

  input_embedder() = default;
  explicit input_embedder(const B& b)
      : linear_tf_z_i(b), linear_tf_z_j(b), linear_tf_m(b), linear_msa_m(b), linear_relpos(b) {}

  void visit(auto&& v) {
    v("linear_tf_z_i", linear_tf_z_i);
    v("linear_tf_z_j", linear_tf_z_j);
    v("linear_tf_m", linear_tf_m);
    v("linear_msa_m", linear_msa_m);
    v("linear_relpos", linear_relpos);
  }
  template <class B2>
  using rebind = input_embedder<B2, D>;

  /// target_feat [n, 22], residue_index [n], msa_feat [s, n, 49].
  msa_pair<B> operator()(const tensor<B, 2>& target_feat, const tensor<B, 1, index_t>& residue_index,
                         const tensor<B, 3>& msa_feat) const {
    const char* const name = "input_embedder";
    const index_t n = target_feat.extent(0);
    detail::expect_extents<1>(name, "residue_index", residue_index, {n});
    detail::expect_extents<3>(name, "msa_feat", msa_feat, {msa_feat.extent(0), n, D::msa_dim});
    return {embed_msa(target_feat, msa_feat), embed_pairs(target_feat, residue_index)};
  }

 private:
  tensor<B, 3> embed_msa(const tensor<B, 2>& target_feat, const tensor<B, 3>& msa_feat) const {
    return chunked([](const auto& shared, const auto& rows) { return std::get<0>(shared)(rows) + std::get<1>(shared); },
                   std::tuple(linear_msa_m, linear_tf_m(target_feat)),
                   chunk_rows(msa_feat.extent(0), 2 * msa_feat.extent(1) * D::c_m), msa_feat);
  }
  /// A linear map of a one-hot vector is a row of the transposed weights.
  tensor<B, 3> embed_pairs(const tensor<B, 2>& target_feat, const tensor<B, 1, index_t>& residue_index) const {
    const index_t n = target_feat.extent(0);
    const auto ends = unsqueeze(linear_tf_z_i(target_feat), 1) + unsqueeze(linear_tf_z_j(target_feat), 0);
    const auto rows = transpose(linear_relpos.weight, 0, 1) + linear_relpos.bias;
    return reshape<3>(gather(rows, relative_positions(residue_index, D::relpos_k)), {n, n, D::c_z}) + ends;
  }
};

}  // namespace fathom
