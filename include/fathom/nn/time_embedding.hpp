// SPDX-License-Identifier: Apache-2.0
// Depth t as features of a layer: what makes a vector field depend on where along the depth it is evaluated.
#pragma once

#include <fathom/nn/linear.hpp>
#include <fathom/op/elementwise.hpp>

namespace fathom {

/// t -> linear_2(tanh(linear_1([t]))) with Out values. Smooth in t, so that solvers keep their order; linear_2 starts at
/// zero, so that training starts from an autonomous field.
template <backend B, index_t Out, index_t Hidden = 64>
struct time_embedding {
  using backend_type = B;
  linear<B, 1, Hidden> linear_1;
  linear<B, Hidden, Out> linear_2;

  time_embedding() = default;
  explicit time_embedding(const B& b) : linear_1(b), linear_2(b, init::final) {}

  void visit(auto&& v) {
    v("linear_1", linear_1);
    v("linear_2", linear_2);
  }
  template <class B2>
  using rebind = time_embedding<B2, Out, Hidden>;

  /// [Out]
  tensor<B, 1> operator()(const ode_time<B>& t) const {
    return linear_2(tanh(linear_1(reshape<1>(t, {1}))));
  }
};

}  // namespace fathom
