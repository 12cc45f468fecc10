// SPDX-License-Identifier: Apache-2.0
// Small products of vectors with constant coefficients: cross product, quaternion product, quaternion to rotation.
#pragma once

#include <fathom/op/linear.hpp>
#include <fathom/op/reduction.hpp>

namespace fathom {

/// A row-major host table as a constant of the given backend.
template <int R, backend B>
tensor<B, R> constant_table(const B& b, const extents<R>& e, const double* values) {
  const host_tensor<double> host(std::vector<index_t>(e.begin(), e.end()),
                                 std::vector<double>(values, values + detail::product<R>(e)));
  return from_host<R>(b, host);
}

/// y[..., k] = sum_p table[k, p] x[..., p]; `table` holds K x P coefficients in row-major order.
template <class B, int R, std::size_t N>
tensor<B, R> linear_table(const tensor<B, R>& x, const double (&table)[N]) {
  const index_t inputs = x.extent(-1), outputs = static_cast<index_t>(N) / inputs;
  return apply<linear_op>(x, constant_table<2>(x.backend(), {outputs, inputs}, table), std::optional<tensor<B, 1>>());
}

/// c[..., k] = sum_pq table[k, p, q] a[..., p] b[..., q] over the last axes of a and b, whose leading axes broadcast;
/// `table` holds K x P x Q coefficients in row-major order.
template <class B, int R, std::size_t N>
tensor<B, R> bilinear_table(const tensor<B, R>& a, const tensor<B, R>& b, const double (&table)[N]) {
  const auto products = unsqueeze(a, R) * unsqueeze(b, R - 1);
  extents<R> e{};
  for (std::size_t axis = 0; axis < e.size(); ++axis) e[axis] = products.shape()[axis];
  e[R - 1] *= products.extent(-1);
  return linear_table(reshape<R>(products, e), table);
}

/// a x b over last axes of 3 coordinates.
template <class B, int R>
tensor<B, R> cross(const tensor<B, R>& a, const tensor<B, R>& b) {
  static constexpr double table[27] = {0, 0, 0,  0,  0, 1, 0, -1, 0,  //
                                       0, 0, -1, 0,  0, 0, 1, 0,  0,  //
                                       0, 1, 0,  -1, 0, 0, 0, 0,  0};
  return bilinear_table(a, b, table);
}

/// x / sqrt(eps + |x|^2) over the last axis.
template <class B, int R>
tensor<B, R> unit_vector(const tensor<B, R>& x, double eps) {
  return x / sqrt(unsqueeze(sum_product(x, x), R - 1) + eps);
}

}  // namespace fathom
