// SPDX-License-Identifier: Apache-2.0
// The transition of the structure module (AF2 Suppl. Alg. 20, lines 8-9).
#pragma once

#include <vector>

#include <fathom/nn/layer_norm.hpp>
#include <fathom/nn/linear.hpp>
#include <fathom/op/dropout.hpp>
#include <fathom/op/elementwise.hpp>

namespace fathom {

/// s + W_3 relu(W_2 relu(W_1 s))
template <backend B, index_t C>
struct structure_transition_layer {
  using backend_type = B;
  linear<B, C, C> linear_1, linear_2, linear_3;

  structure_transition_layer() = default;
  explicit structure_transition_layer(const B& b)
      : linear_1(b, init::he), linear_2(b, init::he), linear_3(b, init::final) {}
  void visit(auto&& v) {
    v("linear_1", linear_1);
    v("linear_2", linear_2);
    v("linear_3", linear_3);
  }
  template <class B2>
  using rebind = structure_transition_layer<B2, C>;

  tensor<B, 2> operator()(const tensor<B, 2>& s) const { return s + linear_3(relu(linear_2(relu(linear_1(s))))); }
};

/// Layers, dropout, then a layer norm: s [n, C] to the new s.
template <backend B, index_t C>
struct structure_transition {
  using backend_type = B;
  std::vector<structure_transition_layer<B, C>> layers;
  fathom::layer_norm<B, C> layer_norm;

  structure_transition() = default;
  explicit structure_transition(const B& b, index_t count = 1)
      : layers(static_cast<std::size_t>(count), structure_transition_layer<B, C>(b)), layer_norm(b) {}
  void visit(auto&& v) {
    v("layers", layers);
    v("layer_norm", layer_norm);
  }
  template <class B2>
  using rebind = structure_transition<B2, C>;

  tensor<B, 2> operator()(tensor<B, 2> s, const dropout_key& key = {}) const {
    for (const auto& layer : layers) s = layer(s);
    return layer_norm(dropout(s, key));
  }
};

}  // namespace fathom
