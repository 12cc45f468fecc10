// SPDX-License-Identifier: Apache-2.0
// Data of the feature room: options, features of the query, and the clustered alignment of one pass.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/host_tensor.hpp>
#include <fathom/geometry/residue_types.hpp>

namespace fathom {

/// Tokens of alignment rows: `restype_letters`, then gap and the mask of the masked-MSA task.
inline constexpr int token_gap = 21;
inline constexpr int token_mask = 22;
inline constexpr int token_count = 23;

/// How features are drawn from an alignment.
struct feature_options {
  std::uint64_t seed = 0;
  index_t clusters = 128;       ///< most rows of msa_feat, N_clust
  index_t extra = 1024;         ///< most rows of extra_msa, N_extra_seq
  bool masked = false;          ///< hide positions for the masked-MSA task; off at inference
  double mask_fraction = 0.15;  ///< share of positions that are hidden when `masked`
  double uniform_share = 0.1;   ///< of the hidden: replaced by one of the 20 amino acids,
  double profile_share = 0.1;   ///< drawn from the column's profile,
  double same_share = 0.1;      ///< left as they are; the rest becomes `token_mask` (AF2 Suppl. 1.2.7)
};

/// Which rows of the alignment play which part in one pass, and what the clusters' rows read after masking.
struct row_choice {
  std::vector<index_t> clusters;  ///< centres, the query (row 0) first
  std::vector<index_t> others;    ///< all other rows; each joins its nearest centre
  std::vector<index_t> extra;     ///< those of `others` that enter extra_msa
  host_tensor<int> tokens;        ///< [s, i], row clusters[s] with hidden positions replaced
  host_tensor<float> bert_mask;   ///< [s, i], 1 where a position was hidden
};

/// The alignment as one pass sees it: s cluster centres, e extra rows, i residues (AF2 Suppl. 1.2.9, table 1).
/// An alignment without extra rows gets one that is masked throughout, as the padding of OpenFold has it.
struct pass_features {
  host_tensor<float> msa_feat;              ///< [s, i, 49] token, has_deletion, deletion_value, cluster's profile and
                                            ///< mean deletion_value
  host_tensor<float> msa_mask;              ///< [s, i]
  host_tensor<int> true_msa;                ///< [s, i] tokens before masking
  host_tensor<float> bert_mask;             ///< [s, i] 1 where true_msa is to be predicted
  host_tensor<int> extra_msa;               ///< [e, i] tokens
  host_tensor<float> extra_has_deletion;    ///< [e, i]
  host_tensor<float> extra_deletion_value;  ///< [e, i]
  host_tensor<float> extra_msa_mask;        ///< [e, i]
  std::vector<index_t> cluster_of;          ///< centre that row_choice::others[k] belongs to
};

/// Features of a query of i residues and its alignment of r rows.
struct feature_data {
  host_tensor<int> aatype;             ///< [i] index into restype_letters
  host_tensor<int> residue_index;      ///< [i] 0, 1, ...
  host_tensor<float> seq_mask;         ///< [i]
  host_tensor<float> target_feat;      ///< [i, 22] domain break (always 0), then aatype one-hot
  host_tensor<float> hhblits_profile;  ///< [i, 22] share of each token in the column of the whole alignment
  host_tensor<std::uint8_t> msa;       ///< [r, i] tokens of the whole alignment
  host_tensor<float> deletions;        ///< [r, i] residues deleted in front of position i
  feature_options options;

  index_t length() const { return aatype.size(); }
  index_t depth() const { return msa.shape.empty() ? 0 : msa.shape[0]; }
  /// The query in one-letter code.
  std::string sequence() const {
    std::string letters;
    for (const int type : aatype.data) letters += restype_letter(type);
    return letters;
  }
};

}  // namespace fathom
