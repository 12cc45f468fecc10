// SPDX-License-Identifier: Apache-2.0
// What the fields of "Protein Folding with Neural ODEs" (arXiv 2510.16253) share: sizes, the gates that depend on time,
// and their small perceptrons. Names of parameters are those of the paper's state dicts.
#pragma once

#include <tuple>
#include <utility>

#include <fathom/autodiff/chunked.hpp>
#include <fathom/evoformer/state.hpp>
#include <fathom/nn/chunk_rows.hpp>
#include <fathom/nn/layer_norm.hpp>
#include <fathom/nn/linear.hpp>
#include <fathom/op/elementwise.hpp>
#include <fathom/op/scaled_difference.hpp>

namespace fathom {

/// The sizes of the trained model; derive and override for others.
struct paper_dims {
  static constexpr index_t c_m = 256, c_z = 128, hidden_dim = 64, num_heads = 4;
};

/// Any type with these members.
template <class D>
concept paper_field_dims = requires {
  index_t{D::c_m};
  index_t{D::c_z};
  index_t{D::hidden_dim};
};

/// t -> sigmoid(W_2 silu(W_1 t + b_1) + b_2): the factors of dm/dt and dz/dt, all that depends on t in these fields.
template <backend B, index_t Hidden>
struct paper_time_gates {
  using backend_type = B;
  linear<B, 1, Hidden> linear_1;
  linear<B, Hidden, 2> linear_2;

  paper_time_gates() = default;
  explicit paper_time_gates(const B& b) : linear_1(b), linear_2(b) {}

  void visit(auto&& v) {
    v("0", linear_1);
    v("2", linear_2);
  }
  template <class B2>
  using rebind = paper_time_gates<B2, Hidden>;

  /// [2]: of m, of z.
  tensor<B, 1> operator()(const ode_time<B>& t) const {
    const auto hidden = linear_1(reshape<1>(t, {1}));
    return sigmoid(linear_2(gate(hidden, hidden)));
  }
};

/// Layer norm, then a linear map.
template <backend B, index_t In, index_t Out>
struct paper_projection {
  using backend_type = B;
  fathom::layer_norm<B, In> layer_norm;
  fathom::linear<B, In, Out> linear;

  paper_projection() = default;
  explicit paper_projection(const B& b) : layer_norm(b), linear(b) {}

  void visit(auto&& v) {
    v("0", layer_norm);
    v("1", linear);
  }
  template <class B2>
  using rebind = paper_projection<B2, In, Out>;

  template <int R>
  tensor<B, R> operator()(const tensor<B, R>& x) const {
    return linear(layer_norm(x));
  }
};

/// Layer norm, linear, ReLU, linear, at every position: [..., C] -> [..., C].
template <backend B, index_t C, index_t Hidden>
struct paper_perceptron {
  using backend_type = B;
  fathom::layer_norm<B, C> layer_norm;
  linear<B, C, Hidden> linear_1;
  linear<B, Hidden, C> linear_2;

  paper_perceptron() = default;
  explicit paper_perceptron(const B& b) : layer_norm(b), linear_1(b, init::he), linear_2(b) {}

  void visit(auto&& v) {
    v("0", layer_norm);
    v("1", linear_1);
    v("3", linear_2);
  }
  template <class B2>
  using rebind = paper_perceptron<B2, C, Hidden>;

  template <int R>
  tensor<B, R> operator()(const tensor<B, R>& x) const {
    return linear_2(linear_1.rectified(layer_norm(x)));
  }
  /// Elements that one row of n positions needs on the way.
  static constexpr index_t scratch(index_t n) { return n * (2 * C + 2 * Hidden); }
};

namespace detail {

/// x + module(x), a few rows of x [r, n, C] at a time, in place where nobody else holds x.
template <class Module, class B>
tensor<B, 3> onto_rows(const Module& module, tensor<B, 3> x) {
  const index_t rows_at_a_time = chunk_rows(x.extent(0), Module::scratch(x.extent(1)));
  return chunked_onto([](const auto& self, const auto& rows) { return self(rows); }, module, rows_at_a_time,
                      std::move(x));
}

/// mix[which] (after - before), in place where nobody else holds `after`.
template <class B>
tensor<B, 3> paper_rate(const tensor<B, 1>& mix, index_t which, tensor<B, 3> after, const tensor<B, 3>& before) {
  return scaled_difference(std::move(after), before, slice(mix, 0, which, which + 1));
}

/// Weight [out_a + out_b, in] and bias of two linear layers of one input as one layer: one product instead of two.
template <class A, class C>
auto joint_maps(const A& first, const C& second) {
  return std::pair(join(first.weight, second.weight, 0), join(first.bias, second.bias, 0));
}

template <class D, class B>
void check_paper_state(const char* name, const msa_pair<B>& y) {
  const index_t s = y.m.extent(0), n = y.m.extent(1);
  expect_extents<3>(name, "m", y.m, {s, n, D::c_m});
  expect_extents<3>(name, "z", y.z, {n, n, D::c_z});
}

}  // namespace detail

}  // namespace fathom
