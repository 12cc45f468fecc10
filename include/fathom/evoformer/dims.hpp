// SPDX-License-Identifier: Apache-2.0
// Channel and head counts of a model, as a type: derive from one of these and override what differs. Numbers of
// sequences, residues and blocks stay run-time values.
#pragma once

#include <fathom/core/config.hpp>

namespace fathom {

/// AlphaFold2's own sizes (Suppl. Table and Alg. 3-24); names are OpenFold's configuration keys.
struct alphafold2 {
  // trunk
  static constexpr index_t c_m = 256, c_z = 128, c_s = 384;
  static constexpr index_t c_hidden_msa_att = 32, no_heads_msa = 8;
  static constexpr index_t c_hidden_opm = 32, c_hidden_mul = 128;
  static constexpr index_t c_hidden_pair_att = 32, no_heads_pair = 4;
  static constexpr index_t transition_n = 4;
  // input features
  static constexpr index_t tf_dim = 22, msa_dim = 49, relpos_k = 32;
  static constexpr index_t recycle_bins = 15;
  // extra-MSA stack
  static constexpr index_t c_e = 64, extra_msa_dim = 25;
  static constexpr index_t c_hidden_extra_att = 8, no_heads_extra = 8;
  // templates
  static constexpr index_t c_t = 64, template_angle_dim = 57, template_pair_dim = 88, template_bins = 39;
  static constexpr index_t c_hidden_tri_att_t = 16, c_hidden_tri_mul_t = 64, no_heads_t = 4, pair_transition_n_t = 2;
  static constexpr index_t c_hidden_template_att = 16, no_heads_template_att = 4;
  // structure module
  static constexpr index_t c_ipa = 16, no_heads_ipa = 12, no_qk_points = 4, no_v_points = 8;
  static constexpr index_t c_resnet = 128, no_resnet_blocks = 2, no_angles = 7, no_transition_layers = 1;
};

/// A model that trains on one processor in hours.
struct small : alphafold2 {
  static constexpr index_t c_m = 64, c_z = 64, c_s = 128;
  static constexpr index_t c_hidden_msa_att = 16, no_heads_msa = 4;
  static constexpr index_t c_hidden_opm = 16, c_hidden_mul = 64;
  static constexpr index_t c_hidden_pair_att = 16, no_heads_pair = 4;
  static constexpr index_t transition_n = 2;
  static constexpr index_t c_e = 32, c_t = 32;
  static constexpr index_t c_hidden_tri_att_t = 8, c_hidden_tri_mul_t = 32;
  static constexpr index_t no_heads_ipa = 8, c_resnet = 64;
};

/// Any type with these members.
template <class D>
concept evoformer_dims = requires {
  index_t{D::c_m};
  index_t{D::c_z};
  index_t{D::c_s};
  index_t{D::c_hidden_msa_att};
  index_t{D::no_heads_msa};
  index_t{D::c_hidden_opm};
  index_t{D::c_hidden_mul};
  index_t{D::c_hidden_pair_att};
  index_t{D::no_heads_pair};
  index_t{D::transition_n};
};

}  // namespace fathom
