// SPDX-License-Identifier: Apache-2.0
// Distances between pseudo-beta atoms, as logits of bins (AF2 Suppl. 1.9.8).
#pragma once

#include <fathom/nn/linear.hpp>

namespace fathom {

/// z [i, j, c_z] -> logits [i, j, bins], symmetric in i and j: the bias counts twice.
template <backend B, index_t C, index_t Bins = 64>
struct distogram_head {
  using backend_type = B;
  static constexpr index_t no_bins = Bins;
  fathom::linear<B, C, Bins> linear;

  distogram_head() = default;
  explicit distogram_head(const B& b) : linear(b, init::final) {}
  void visit(auto&& v) { v("linear", linear); }
  template <class B2>
  using rebind = distogram_head<B2, C, Bins>;

  tensor<B, 3> operator()(const tensor<B, 3>& z) const {
    const auto one_way = linear(z);
    return one_way + transpose(one_way, 0, 1);
  }
};

}  // namespace fathom
