// SPDX-License-Identifier: Apache-2.0
// Sizes of the model that trains on a few processor cores: nearly all work is in the pair track, so c_z is small.
#pragma once

#include <fathom/evoformer/dims.hpp>

namespace fathom {

/// About 0.6 million parameters with a continuous trunk.
struct compact : alphafold2 {
  static constexpr index_t c_m = 128, c_z = 32, c_s = 128;
  static constexpr index_t c_hidden_msa_att = 16, no_heads_msa = 8;
  static constexpr index_t c_hidden_opm = 8, c_hidden_mul = 32;
  static constexpr index_t c_hidden_pair_att = 16, no_heads_pair = 2;
  static constexpr index_t transition_n = 2;
  static constexpr index_t no_heads_ipa = 8, c_resnet = 64;
};

}  // namespace fathom
