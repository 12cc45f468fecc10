// SPDX-License-Identifier: Apache-2.0
// The channel sizes of the golden cases; their numbers of sequences, residues and blocks are in the files.
#pragma once

#include <fathom/evoformer/dims.hpp>

namespace fathom::golden {

struct dims : alphafold2 {
  static constexpr index_t c_m = 16, c_z = 12, c_s = 18;
  static constexpr index_t c_hidden_msa_att = 6, no_heads_msa = 4;
  static constexpr index_t c_hidden_opm = 4, c_hidden_mul = 9;
  static constexpr index_t c_hidden_pair_att = 5, no_heads_pair = 2;
  static constexpr index_t transition_n = 4;
  static constexpr index_t relpos_k = 4;
  static constexpr index_t c_e = 8, c_hidden_extra_att = 6, no_heads_extra = 4;
  static constexpr index_t c_t = 10, c_hidden_tri_att_t = 5, c_hidden_tri_mul_t = 9, no_heads_t = 2;
  static constexpr index_t pair_transition_n_t = 2, c_hidden_template_att = 5, no_heads_template_att = 2;
  static constexpr index_t c_ipa = 6, no_heads_ipa = 3, no_qk_points = 4, no_v_points = 5;
  static constexpr index_t c_resnet = 14;
};

}  // namespace fathom::golden
