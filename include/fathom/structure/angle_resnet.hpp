// SPDX-License-Identifier: Apache-2.0
// Torsion angles of every residue by a small residual network (AF2 Suppl. Alg. 20, lines 11-14).
#pragma once

#include <vector>

#include <fathom/nn/linear.hpp>
#include <fathom/op/elementwise.hpp>
#include <fathom/op/reduction.hpp>

namespace fathom {

/// a + W_2 relu(W_1 relu(a))
template <backend B, index_t C>
struct angle_resnet_block {
  using backend_type = B;
  linear<B, C, C> linear_1, linear_2;

  angle_resnet_block() = default;
  explicit angle_resnet_block(const B& b) : linear_1(b, init::he), linear_2(b, init::final) {}
  void visit(auto&& v) {
    v("linear_1", linear_1);
    v("linear_2", linear_2);
  }
  template <class B2>
  using rebind = angle_resnet_block<B2, C>;

  tensor<B, 2> operator()(const tensor<B, 2>& a) const { return a + linear_2(relu(linear_1(relu(a)))); }
};

/// Angles as (sin, cos) [n, angles, 2], of length one and as they came.
template <backend B>
struct predicted_angles {
  using backend_type = B;
  tensor<B, 3> unnormalized, angles;

  void visit(auto&& v) {
    v("unnormalized", unnormalized);
    v("angles", angles);
  }
  template <class B2>
  using rebind = predicted_angles<B2>;
};

/// eps bounds the squared length that angles are divided by from below.
struct angle_resnet_options {
  double eps = 1e-8;
};

/// s and the initial s, both [n, In]; `Angles` angles, hidden width C.
template <backend B, index_t In, index_t C, index_t Angles>
struct angle_resnet {
  using backend_type = B;
  linear<B, In, C> linear_in, linear_initial;
  std::vector<angle_resnet_block<B, C>> layers;
  linear<B, C, 2 * Angles> linear_out;
  angle_resnet_options options;

  angle_resnet() = default;
  explicit angle_resnet(const B& b, index_t blocks = 2)
      : linear_in(b),
        linear_initial(b),
        layers(static_cast<std::size_t>(blocks), angle_resnet_block<B, C>(b)),
        linear_out(b) {}
  void visit(auto&& v) {
    v("linear_in", linear_in);
    v("linear_initial", linear_initial);
    v("layers", layers);
    v("linear_out", linear_out);
  }
  template <class B2>
  using rebind = angle_resnet<B2, In, C, Angles>;

  predicted_angles<B> operator()(const tensor<B, 2>& s, const tensor<B, 2>& s_initial) const {
    auto a = linear_in(relu(s)) + linear_initial(relu(s_initial));
    for (const auto& layer : layers) a = layer(a);
    const auto raw = reshape<3>(linear_out(relu(a)), {s.extent(0), Angles, 2});
    return {raw, raw / sqrt(at_least(unsqueeze(sum_product(raw, raw), 2), options.eps))};
  }
};

}  // namespace fathom
