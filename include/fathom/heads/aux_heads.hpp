// SPDX-License-Identifier: Apache-2.0
// All heads that training needs, under OpenFold's names (`aux_heads.*` in checkpoints).
#pragma once

#include <optional>

#include <fathom/heads/distogram.hpp>
#include <fathom/heads/experimentally_resolved.hpp>
#include <fathom/heads/masked_msa.hpp>
#include <fathom/heads/plddt.hpp>
#include <fathom/heads/tm.hpp>

namespace fathom {

/// What the heads say of one sample.
template <backend B>
struct aux_logits {
  using backend_type = B;
  tensor<B, 2> plddt;                    ///< [i, 50]
  tensor<B, 3> distogram;                ///< [i, j, 64]
  tensor<B, 3> masked_msa;               ///< [s, i, 23]
  tensor<B, 2> experimentally_resolved;  ///< [i, 37]
  std::optional<tensor<B, 3>> tm;        ///< [i, j, 64], where the model has the head

  void visit(auto&& v) {
    v("plddt", plddt);
    v("distogram", distogram);
    v("masked_msa", masked_msa);
    v("experimentally_resolved", experimentally_resolved);
    v("tm", tm);
  }
  template <class B2>
  using rebind = aux_logits<B2>;
};

/// D: a dimension type with c_m, c_z, c_s. The tm head exists in models trained for pTM only, so it is chosen at run
/// time.
template <backend B, class D, index_t PlddtHidden = 128>
struct aux_heads {
  using backend_type = B;
  plddt_head<B, D::c_s, PlddtHidden> plddt;
  distogram_head<B, D::c_z> distogram;
  masked_msa_head<B, D::c_m> masked_msa;
  experimentally_resolved_head<B, D::c_s> experimentally_resolved;
  std::optional<tm_head<B, D::c_z>> tm;

  aux_heads() = default;
  explicit aux_heads(const B& b, bool with_tm = false)
      : plddt(b), distogram(b), masked_msa(b), experimentally_resolved(b) {
    if (with_tm) tm.emplace(b);
  }

  /// The optional head's leaves stand under `tm` where it exists.
  void visit(auto&& v) {
    v("plddt", plddt);
    v("distogram", distogram);
    v("masked_msa", masked_msa);
    v("experimentally_resolved", experimentally_resolved);
    v("tm", tm);
  }
  template <class B2>
  using rebind = aux_heads<B2, D, PlddtHidden>;

  /// m [s, i, c_m] (cluster rows only), z [i, j, c_z] and single [i, c_s] of the trunk, and the single representation
  /// that the structure module ends with [i, c_s].
  aux_logits<B> operator()(const tensor<B, 3>& m, const tensor<B, 3>& z, const tensor<B, 2>& single,
                           const tensor<B, 2>& structure_single) const {
    aux_logits<B> logits{plddt(structure_single), distogram(z), masked_msa(m), experimentally_resolved(single), {}};
    if (tm) logits.tm = (*tm)(z);
    return logits;
  }
};

}  // namespace fathom
