// SPDX-License-Identifier: Apache-2.0
// A linear layer with channels in its type; names are OpenFold's.
#pragma once

#include <fathom/nn/initialise.hpp>
#include <fathom/op/linear.hpp>

namespace fathom {

/// y = x W^T + b over the last axis: [..., In] -> [..., Out]. weight [Out, In], bias [Out] unless Bias is false.
template <backend B, index_t In, index_t Out, bool Bias = true>
struct linear {
  static_assert(In > 0 && Out > 0, "fathom: linear<In, Out> needs positive channel counts");
  using backend_type = B;
  static constexpr index_t c_in = In, c_out = Out;

  tensor<B, 2> weight;
  tensor<B, 1> bias;
  init start = init::lecun;

  linear() = default;
  explicit linear(const B& b, init how = init::lecun)
      : weight(tensor<B, 2>::unfilled(b, {Out, In})), bias(tensor<B, 1>::unfilled(b, {Out})), start(how) {}

  void visit(auto&& v) {
    v("weight", weight);
    if constexpr (Bias) v("bias", bias);
  }
  template <class B2>
  using rebind = linear<B2, In, Out, Bias>;

  void initialise(const std::string& path, const initialise_options& options) {
    weight = detail::drawn_weight(weight, start, detail::path_key(options.seed, path + ".weight"), options.final_scale);
    if constexpr (Bias) bias = full<1>(bias.backend(), bias.shape(), scalar_of<B>(start == init::gating ? 1 : 0));
  }

  template <int R>
  tensor<B, R> operator()(const tensor<B, R>& x) const {
    return apply<linear_op>(x, weight, optional_bias());
  }
  /// relu((*this)(x)) in one piece.
  template <int R>
  tensor<B, R> rectified(const tensor<B, R>& x) const {
    return apply<linear_then_op<functor::relu>>(x, weight, optional_bias());
  }

 private:
  std::optional<tensor<B, 1>> optional_bias() const { return Bias ? std::optional<tensor<B, 1>>(bias) : std::nullopt; }
};

}  // namespace fathom
