// SPDX-License-Identifier: Apache-2.0
// The transition of both representations (AF2 Suppl. Alg. 9 and 15): a two-layer perceptron at every position.
#pragma once

#include <fathom/autodiff/chunked.hpp>
#include <fathom/nn/batched.hpp>
#include <fathom/nn/chunk_rows.hpp>
#include <fathom/nn/layer_norm.hpp>
#include <fathom/nn/linear.hpp>

namespace fathom {

/// y = mask (W_2 relu(W_1 LN(x) + b_1) + b_2), the hidden layer N times as wide. Rows are worked on in chunks, so that
/// the hidden layer never exists for all of them, forward or backward.
template <backend B, index_t C, index_t N>
struct transition {
  using backend_type = B;

  fathom::layer_norm<B, C> layer_norm;
  linear<B, C, N * C> linear_1;
  linear<B, N * C, C> linear_2;

  transition() = default;
  explicit transition(const B& b) : layer_norm(b), linear_1(b, init::he), linear_2(b, init::final) {}

  void visit(auto&& v) {
    v("layer_norm", layer_norm);
    v("linear_1", linear_1);
    v("linear_2", linear_2);
  }
  template <class B2>
  using rebind = transition<B2, C, N>;

  /// x [r, n, C]: the update [r, n, C], unmasked.
  tensor<B, 3> operator()(const tensor<B, 3>& x) const { return chunked(plain_rows, *this, rows_at_a_time(x), x); }
  /// x [r, n, C], mask [r, n]: the update [r, n, C].
  tensor<B, 3> operator()(const tensor<B, 3>& x, const tensor<B, 2>& mask) const {
    return chunked(masked_rows, *this, rows_at_a_time(x), x, mask);
  }
  /// x + (*this)(x) and x + (*this)(x, mask), in place where nobody else holds x.
  tensor<B, 3> residual(tensor<B, 3> x) const {
    const index_t rows = rows_at_a_time(x);
    return chunked_onto(plain_rows, *this, rows, std::move(x));
  }
  tensor<B, 3> residual(tensor<B, 3> x, const tensor<B, 2>& mask) const {
    const index_t rows = rows_at_a_time(x);
    return chunked_onto(masked_rows, *this, rows, std::move(x), mask);
  }
  /// With a leading batch axis.
  tensor<B, 4> operator()(const tensor<B, 4>& x, const tensor<B, 3>& mask) const { return batched(*this, x, mask); }

  /// One chunk.
  tensor<B, 3> rows_update(const tensor<B, 3>& x) const { return linear_2(linear_1.rectified(layer_norm(x))); }

 private:
  static constexpr auto plain_rows = [](const auto& self, const auto& rows) { return self.rows_update(rows); };
  static constexpr auto masked_rows = [](const auto& self, const auto& rows, const auto& present) {
    return self.rows_update(rows) * unsqueeze(present, 2);
  };
  static index_t rows_at_a_time(const tensor<B, 3>& x) {
    return chunk_rows(x.extent(0), x.extent(1) * (2 * N + 3) * C);
  }
};

}  // namespace fathom
