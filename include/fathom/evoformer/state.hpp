// SPDX-License-Identifier: Apache-2.0
// What the Evoformer refines, and the masks that go with it.
#pragma once

#include <fathom/op/layout.hpp>
#include <fathom/tree/tree.hpp>

namespace fathom {

/// The ODE state: MSA representation m [s, i, c_m] and pair representation z [i, j, c_z].
template <backend B>
struct msa_pair {
  using backend_type = B;
  tensor<B, 3> m, z;

  void visit(auto&& v) {
    v("m", m);
    v("z", z);
  }
  template <class B2>
  using rebind = msa_pair<B2>;
};

/// 1 where data is, 0 where there is padding. They belong to the context of a solve, not to its state.
template <backend B>
struct masks {
  using backend_type = B;
  tensor<B, 2> msa;   // [s, i]
  tensor<B, 2> pair;  // [i, j]

  void visit(auto&& v) {
    v("msa", msa);
    v("pair", pair);
  }
  template <class B2>
  using rebind = masks<B2>;
};

/// Masks of ones for s sequences and n residues.
template <backend B>
masks<B> full_masks(const B& b, index_t s, index_t n) {
  return {full<2>(b, {s, n}, scalar_of<B>(1)), full<2>(b, {n, n}, scalar_of<B>(1))};
}

}  // namespace fathom
