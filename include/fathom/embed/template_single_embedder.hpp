// SPDX-License-Identifier: Apache-2.0
// Torsion angles of templates as extra rows of m (AF2 Suppl. Alg. 2, lines 7-8).
#pragma once

#include <vector>

#include <fathom/evoformer/dims.hpp>
#include <fathom/nn/linear.hpp>
#include <fathom/op/elementwise.hpp>
#include <fathom/op/indexing.hpp>

namespace fathom {

/// Residue types of a template: 20 amino acids, X, gap.
inline constexpr index_t template_residue_classes = 22;

/// aatype [t, n], torsions and their alternatives as (sin, cos) [t, n, 7, 2], mask [t, n, 7] to [t, n, 57].
template <class B>
tensor<B, 3> template_single_feature(const tensor<B, 2, index_t>& aatype, const tensor<B, 4>& sin_cos,
                                     const tensor<B, 4>& alt_sin_cos, const tensor<B, 3>& mask) {
  const extents<3> pairs{mask.extent(0), mask.extent(1), 2 * mask.extent(2)};
  return concatenate(std::vector{one_hot(aatype, template_residue_classes), reshape<3>(sin_cos, pairs),
                                 reshape<3>(alt_sin_cos, pairs), mask},
                     2);
}

/// linear_2(relu(linear_1(feature))): [t, n, 57] to [t, n, c_m].
template <backend B, evoformer_dims D>
struct template_single_embedder {
  using backend_type = B;
  linear<B, D::template_angle_dim, D::c_m> linear_1;
  linear<B, D::c_m, D::c_m> linear_2;

  template_single_embedder() = default;
  explicit template_single_embedder(const B& b) : linear_1(b, init::he), linear_2(b, init::he) {}
  void visit(auto&& v) {
    v("linear_1", linear_1);
    v("linear_2", linear_2);
  }
  template <class B2>
  using rebind = template_single_embedder<B2, D>;

  tensor<B, 3> operator()(const tensor<B, 3>& feature) const { return linear_2(relu(linear_1(feature))); }
};

}  // namespace fathom
