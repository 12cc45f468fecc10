// SPDX-License-Identifier: Apache-2.0
// Whether an atom would be seen in an experiment, as logits (AF2 Suppl. 1.9.10).
#pragma once

#include <fathom/nn/linear.hpp>

namespace fathom {

/// single [i, c_s] (the trunk's, before the structure module) -> logits [i, 37]
template <backend B, index_t C, index_t Atoms = 37>
struct experimentally_resolved_head {
  using backend_type = B;
  static constexpr index_t c_out = Atoms;
  fathom::linear<B, C, Atoms> linear;

  experimentally_resolved_head() = default;
  explicit experimentally_resolved_head(const B& b) : linear(b, init::final) {}
  void visit(auto&& v) { v("linear", linear); }
  template <class B2>
  using rebind = experimentally_resolved_head<B2, C, Atoms>;

  tensor<B, 2> operator()(const tensor<B, 2>& single) const { return linear(single); }
};

}  // namespace fathom
