// SPDX-License-Identifier: Apache-2.0
// Layer normalisation with its channels in the type.
#pragma once

#include <fathom/nn/initialise.hpp>
#include <fathom/op/layer_norm.hpp>

namespace fathom {

/// y = (x - mean) / sqrt(var + 1e-5) weight + bias over the last axis of C channels.
template <backend B, index_t C>
struct layer_norm {
  static_assert(C > 0, "fathom: layer_norm<C> needs a positive channel count");
  using backend_type = B;
  static constexpr index_t c_in = C, c_out = C;
  static constexpr double eps = 1e-5;

  tensor<B, 1> weight, bias;

  layer_norm() = default;
  explicit layer_norm(const B& b)
      : weight(tensor<B, 1>::unfilled(b, {C})), bias(tensor<B, 1>::unfilled(b, {C})) {}

  void visit(auto&& v) {
    v("weight", weight);
    v("bias", bias);
  }
  template <class B2>
  using rebind = layer_norm<B2, C>;

  void initialise(const std::string&, const initialise_options&) {
    weight = full<1>(weight.backend(), weight.shape(), scalar_of<B>(1));
    bias = full<1>(bias.backend(), bias.shape(), scalar_of<B>(0));
  }

  template <int R>
  tensor<B, R> operator()(const tensor<B, R>& x) const {
    return apply<layer_norm_op>(x, weight, bias, eps);
  }
};

}  // namespace fathom
