// SPDX-License-Identifier: Apache-2.0
// Sizes and inputs small enough for finite differences.
#pragma once

#include <fathom/evoformer/evoformer.hpp>

#include "support/random.hpp"

namespace fathom::testing {

/// All sizes different, so that none can stand for another.
struct tiny : alphafold2 {
  static constexpr index_t c_m = 6, c_z = 5, c_s = 7;
  static constexpr index_t c_hidden_msa_att = 3, no_heads_msa = 2;
  static constexpr index_t c_hidden_opm = 2, c_hidden_mul = 4;
  static constexpr index_t c_hidden_pair_att = 2, no_heads_pair = 3;
  static constexpr index_t transition_n = 2;
  static constexpr index_t c_e = 4, c_hidden_extra_att = 2, no_heads_extra = 3;
};

/// m [s, n, c_m] and z [n, n, c_z], standard normal.
template <class B>
msa_pair<B> random_state(const B& b, index_t s, index_t n, index_t c_m, index_t c_z, std::uint64_t seed) {
  return {normal<3>(b, {s, n, c_m}, seed), normal<3>(b, {n, n, c_z}, seed + 1)};
}

/// Masks with holes, but no empty row or column.
template <class B>
masks<B> random_masks(const B& b, index_t s, index_t n, std::uint64_t seed) {
  return {random_mask(b, s, n, seed), random_mask(b, n, n, seed + 1)};
}

/// The same masks on the backend, plain or autodiff, of x.
template <class X, class B>
masks<typename X::backend_type> masks_on(const X& x, const masks<B>& mask) {
  return {constant(x.backend(), mask.msa), constant(x.backend(), mask.pair)};
}

}  // namespace fathom::testing
