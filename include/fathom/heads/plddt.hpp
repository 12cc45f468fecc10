// SPDX-License-Identifier: Apache-2.0
// Predicted lDDT-CA per residue (AF2 Suppl. Alg. 29).
#pragma once

#include <fathom/nn/layer_norm.hpp>
#include <fathom/nn/linear.hpp>
#include <fathom/op/indexing.hpp>
#include <fathom/op/reduction.hpp>
#include <fathom/op/softmax.hpp>

namespace fathom {

/// s [i, c_s] (the structure module's last single representation) -> logits [i, 50]
template <backend B, index_t C, index_t Hidden = 128, index_t Bins = 50>
struct plddt_head {
  using backend_type = B;
  static constexpr index_t no_bins = Bins;
  fathom::layer_norm<B, C> layer_norm;
  linear<B, C, Hidden> linear_1;
  linear<B, Hidden, Hidden> linear_2;
  linear<B, Hidden, Bins> linear_3;

  plddt_head() = default;
  explicit plddt_head(const B& b)
      : layer_norm(b), linear_1(b, init::he), linear_2(b, init::he), linear_3(b, init::final) {}

  void visit(auto&& v) {
    v("layer_norm", layer_norm);
    v("linear_1", linear_1);
    v("linear_2", linear_2);
    v("linear_3", linear_3);
  }
  template <class B2>
  using rebind = plddt_head<B2, C, Hidden, Bins>;

  tensor<B, 2> operator()(const tensor<B, 2>& s) const {
    return linear_3(relu(linear_2(relu(linear_1(layer_norm(s))))));
  }
};

/// Logits [i, bins] -> expected lDDT [i] in 0..100: bin centres (b + 1/2) / bins.
template <backend B>
tensor<B, 1> expected_plddt(const tensor<B, 2>& logits) {
  const index_t bins = logits.extent(1);
  host_tensor<scalar_of<B>> centre({1, bins});
  for (index_t b = 0; b < bins; ++b)
    centre(0, b) = static_cast<scalar_of<B>>(100 * (static_cast<double>(b) + 0.5) / static_cast<double>(bins));
  return sum_product(softmax(logits), from_host<2>(logits.backend(), centre));
}

}  // namespace fathom
