// SPDX-License-Identifier: Apache-2.0
// Pair features of a template (AF2 Suppl. 1.2.9 and Alg. 2, lines 9-10): distances, residue types, directions.
#pragma once

#include <tuple>
#include <vector>

#include <fathom/autodiff/chunked.hpp>
#include <fathom/embed/distance_bins.hpp>
#include <fathom/embed/template_single_embedder.hpp>
#include <fathom/evoformer/dims.hpp>
#include <fathom/geometry/atom_names.hpp>
#include <fathom/geometry/rigid.hpp>
#include <fathom/nn/chunk_rows.hpp>
#include <fathom/nn/linear.hpp>

namespace fathom {

/// Edges of the distance bins in Angstrom. Without `use_unit_vector` (AlphaFold2's monomer models) the three channels
/// of the direction are 0. eps stands under roots.
struct template_pair_options {
  double min_bin = 3.25, max_bin = 50.75, eps = 1e-8;
  bool use_unit_vector = false;
};

/// One template as its pair features see it.
template <backend B>
struct template_geometry {
  using backend_type = B;
  tensor<B, 2> aatype;            ///< [n, 22] one-hot
  tensor<B, 2> pseudo_beta;       ///< [n, 3]
  tensor<B, 1> pseudo_beta_mask;  ///< [n]
  rigid<B> backbone;              ///< [n], C on the x axis, N in the xy plane
  tensor<B, 1> backbone_mask;     ///< [n], 1 where N, CA and C are known

  void visit(auto&& v) {
    v("aatype", aatype);
    v("pseudo_beta", pseudo_beta);
    v("pseudo_beta_mask", pseudo_beta_mask);
    v("backbone", backbone);
    v("backbone_mask", backbone_mask);
  }
  template <class B2>
  using rebind = template_geometry<B2>;
};

/// aatype [n] (0..21), atoms [n, 37, 3] with mask [n, 37], pseudo-beta [n, 3] with mask [n].
template <class B>
template_geometry<B> make_template_geometry(const tensor<B, 1, index_t>& aatype, const tensor<B, 3>& positions,
                                            const tensor<B, 2>& mask, const tensor<B, 2>& pseudo_beta,
                                            const tensor<B, 1>& pseudo_beta_mask, double eps = 1e-8) {
  const index_t n = atom37_index("N"), ca = atom37_index("CA"), c = atom37_index("C");
  return {one_hot(aatype, template_residue_classes), pseudo_beta, pseudo_beta_mask,
          frame_from_reference(select(positions, 1, n), select(positions, 1, ca), select(positions, 1, c), eps),
          select(mask, 1, n) * select(mask, 1, ca) * select(mask, 1, c)};
}

/// linear(features): [n, n, 88] to [n, n, c_t], for features or for a template's geometry in chunks of rows.
template <backend B, evoformer_dims D>
struct template_pair_embedder {
  using backend_type = B;
  static_assert(D::template_pair_dim == D::template_bins + 2 * template_residue_classes + 5,
                "fathom: template_pair_dim must be template_bins + 49");

  fathom::linear<B, D::template_pair_dim, D::c_t> linear;
  template_pair_options options;

  template_pair_embedder() = default;
  explicit template_pair_embedder(const B& b) : linear(b, init::he) {}
  void visit(auto&& v) { v("linear", linear); }
  template <class B2>
  using rebind = template_pair_embedder<B2, D>;

  tensor<B, 3> operator()(const tensor<B, 3>& features) const { return linear(features); }

  /// The whole [n, n, 88]: bins of the pseudo-beta distance, both have a pseudo-beta, type of j, type of i, direction
  /// of j's CA from frame i, both have a backbone. Everything is 0 where a backbone is missing.
  tensor<B, 3> features(const template_geometry<B>& x) const {
    return rows(options, x, x.aatype, x.pseudo_beta, x.pseudo_beta_mask, x.backbone.rotation, x.backbone.translation,
                x.backbone_mask);
  }
  tensor<B, 3> operator()(const template_geometry<B>& x) const {
    const index_t n = x.aatype.extent(0);
    return chunked(
        [settings = options](const auto& shared, const auto&... of_rows) {
          return std::get<0>(shared)(rows(settings, std::get<1>(shared), of_rows...));
        },
        std::tuple(linear, x), chunk_rows(n, 3 * n * D::template_pair_dim), x.aatype, x.pseudo_beta, x.pseudo_beta_mask,
        x.backbone.rotation, x.backbone.translation, x.backbone_mask);
  }

 private:
  /// Features of r rows against all columns: [r, n, 88].
  template <class A>
  static tensor<A, 3> rows(const template_pair_options& settings, const template_geometry<A>& all,
                           const tensor<A, 2>& aatype, const tensor<A, 2>& beta, const tensor<A, 1>& beta_mask,
                           const tensor<A, 3>& rotation, const tensor<A, 2>& ca, const tensor<A, 1>& backbone_mask) {
    const index_t r = aatype.extent(0), n = all.aatype.extent(0);
    const auto both = [&](const tensor<A, 1>& of_rows, const tensor<A, 1>& of_columns) {
      return unsqueeze(unsqueeze(of_rows, 1) * unsqueeze(of_columns, 0), 2);
    };
    const extents<3> types{r, n, template_residue_classes};
    const auto present = both(backbone_mask, all.backbone_mask);
    const auto parts = concatenate(
        std::vector{distance_bins(beta, all.pseudo_beta, {settings.min_bin, settings.max_bin, D::template_bins}),
                    both(beta_mask, all.pseudo_beta_mask), broadcast_to<3>(unsqueeze(all.aatype, 0), types),
                    broadcast_to<3>(unsqueeze(aatype, 1), types), direction(settings, all, rotation, ca), present},
        2);
    return parts * present;
  }
  template <class A>
  static tensor<A, 3> direction(const template_pair_options& settings, const template_geometry<A>& all,
                                const tensor<A, 3>& rotation, const tensor<A, 2>& ca) {
    if (!settings.use_unit_vector)
      return full<3>(ca.backend(), {ca.extent(0), all.backbone.translation.extent(0), 3}, scalar_of<A>(0));
    // Rows of points times R are columns times R^T.
    const auto apart = unsqueeze(all.backbone.translation, 0) - unsqueeze(ca, 1);
    return unit_vector(matmul(apart, rotation), settings.eps);
  }
};

}  // namespace fathom
