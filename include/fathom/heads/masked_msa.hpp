// SPDX-License-Identifier: Apache-2.0
// What stood at masked positions of the alignment, as logits (AF2 Suppl. 1.9.9).
#pragma once

#include <fathom/nn/linear.hpp>

namespace fathom {

/// m [s, i, c_m] -> logits [s, i, classes]: 20 amino acids, X, gap, mask token.
template <backend B, index_t C, index_t Classes = 23>
struct masked_msa_head {
  using backend_type = B;
  static constexpr index_t c_out = Classes;
  fathom::linear<B, C, Classes> linear;

  masked_msa_head() = default;
  explicit masked_msa_head(const B& b) : linear(b, init::final) {}
  void visit(auto&& v) { v("linear", linear); }
  template <class B2>
  using rebind = masked_msa_head<B2, C, Classes>;

  tensor<B, 3> operator()(const tensor<B, 3>& m) const { return linear(m); }
};

}  // namespace fathom
