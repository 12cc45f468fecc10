// SPDX-License-Identifier: Apache-2.0
// Rows of the alignment that are no cluster centres (AF2 Suppl. Alg. 2, line 16).
#pragma once

#include <vector>

#include <fathom/evoformer/dims.hpp>
#include <fathom/nn/linear.hpp>
#include <fathom/op/indexing.hpp>

namespace fathom {

/// tokens [e, n] (0..22), has_deletion and deletion_value [e, n] to [e, n, 25]: one-hot token, then the two.
template <class B>
tensor<B, 3> extra_msa_feature(const tensor<B, 2, index_t>& tokens, const tensor<B, 2>& has_deletion,
                               const tensor<B, 2>& deletion_value) {
  constexpr index_t token_classes = 23;
  return concatenate(
      std::vector{one_hot(tokens, token_classes), unsqueeze(has_deletion, 2), unsqueeze(deletion_value, 2)}, 2);
}

/// a = linear(feature): [e, n, 25] to [e, n, c_e].
template <backend B, evoformer_dims D>
struct extra_msa_embedder {
  using backend_type = B;
  fathom::linear<B, D::extra_msa_dim, D::c_e> linear;

  extra_msa_embedder() = default;
  explicit extra_msa_embedder(const B& b) : linear(b) {}
  void visit(auto&& v) { v("linear", linear); }
  template <class B2>
  using rebind = extra_msa_embedder<B2, D>;

  tensor<B, 3> operator()(const tensor<B, 3>& feature) const { return linear(feature); }
};

}  // namespace fathom
