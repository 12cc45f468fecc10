// SPDX-License-Identifier: Apache-2.0
// One recycling pass's features as tensors of a backend.
#pragma once

#include <fathom/features/features.hpp>
#include <fathom/tensor/tensor.hpp>
#include <fathom/tree/tree.hpp>

namespace fathom {

/// Features of a query of i residues: s cluster rows, e extra rows (AF2 Suppl. table 1).
template <backend B>
struct fold_inputs {
  using backend_type = B;
  tensor<B, 1, index_t> aatype, residue_index;              // [i]
  tensor<B, 2> target_feat;                                 // [i, 22]
  tensor<B, 1> seq_mask;                                    // [i]
  tensor<B, 3> msa_feat;                                    // [s, i, 49]
  tensor<B, 2> msa_mask;                                    // [s, i]
  tensor<B, 2, index_t> extra_msa;                          // [e, i]
  tensor<B, 2> extra_has_deletion, extra_deletion_value;    // [e, i]
  tensor<B, 2> extra_msa_mask;                              // [e, i]

  void visit(auto&& v) {
    v("aatype", aatype);
    v("residue_index", residue_index);
    v("target_feat", target_feat);
    v("seq_mask", seq_mask);
    v("msa_feat", msa_feat);
    v("msa_mask", msa_mask);
    v("extra_msa", extra_msa);
    v("extra_has_deletion", extra_has_deletion);
    v("extra_deletion_value", extra_deletion_value);
    v("extra_msa_mask", extra_msa_mask);
  }
  template <class B2>
  using rebind = fold_inputs<B2>;
};

/// Uploads the features of one pass.
template <backend B>
fold_inputs<B> upload(const B& b, const features& query, const pass_features& pass) {
  fold_inputs<B> in;
  in.aatype = from_host<1>(b, query.aatype);
  in.residue_index = from_host<1>(b, query.residue_index);
  in.target_feat = from_host<2>(b, query.target_feat);
  in.seq_mask = from_host<1>(b, query.seq_mask);
  in.msa_feat = from_host<3>(b, pass.msa_feat);
  in.msa_mask = from_host<2>(b, pass.msa_mask);
  in.extra_msa = from_host<2>(b, pass.extra_msa);
  in.extra_has_deletion = from_host<2>(b, pass.extra_has_deletion);
  in.extra_deletion_value = from_host<2>(b, pass.extra_deletion_value);
  in.extra_msa_mask = from_host<2>(b, pass.extra_msa_mask);
  return in;
}

}  // namespace fathom
