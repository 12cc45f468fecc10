// SPDX-License-Identifier: Apache-2.0
// outer_product_op with everything between its two products stored as bfloat16: half the bytes of its largest array.
#pragma once

#include <algorithm>
#include <memory>

#include <fathom/cuda/kernels/tiled_copy.cuh>
#include <fathom/op/outer_product.hpp>

namespace fathom::cuda::kernels {

/// Base of kernel<outer_product_op, B> where products may round their inputs; needs multiply_bf16 (triangle.cuh). The
/// backward pass is the portable one.
template <class B>
struct outer_product_on : outer_product_op {
  static auto forward(const tensor<B, 3>& a, const tensor<B, 3>& b, const tensor<B, 2>& weight,
                      const tensor<B, 1>& bias, const tensor<B, 2>& scale) {
    check(a, b, weight, bias, scale);
    if (a.size() == 0 || b.size() == 0 || weight.size() == 0)
      return outer_product_op::forward(a, b, weight, bias, scale);
    const B& backend = a.backend();
    const index_t s = a.extent(0), n = a.extent(1), c = a.extent(2), columns = b.extent(1), d = b.extent(2);
    const index_t c_z = weight.extent(0), wide = columns * d;
    const auto left = rounded(a), right = rounded(b);
    const auto w = rounded(weight);
    const auto all_right = right.reinterpret(extents<2>{s, wide}, extents<2>{wide, 1});
    const auto to_z = w.reinterpret(extents<2>{c * d, c_z}, extents<2>{1, c * d});
    tensor<B, 3> z(backend, {n, columns, c_z});
    for (index_t from = 0, step = rows(a, b); from < n; from += step) {
      const index_t m = std::min(n, from + step) - from;
      const auto some_left = left.reinterpret(extents<2>{m * c, s}, extents<2>{1, n * c}, from * c);
      tensor<B, 2, bf16> outer(backend, {m * c, wide});
      multiply_bf16(backend, some_left.view(), all_right.view(), outer.mutable_view());
      const auto vec = by_pairs(outer, m, columns, c, d);
      auto window = z.reinterpret(extents<2>{m * columns, c_z}, extents<2>{c_z, 1}, from * columns * c_z);
      multiply_bf16(backend, vec.view(), to_z.view(), window.mutable_view());
    }
    const strided_view<const float> sums = z.view();
    backend.map(shifted_and_scaled{}, z.mutable_view(), sums, fathom::detail::broadcast_to_view(bias.view(), z.shape()),
                per_pair(scale, z.shape()));
    return op_result{z, residuals_t<B>{a, b, weight, bias, scale, z}};
  }

 private:
  template <int R>
  static tensor<B, R, bf16> rounded(const tensor<B, R>& x) {
    tensor<B, R, bf16> y(x.backend(), x.shape());
    copy_into(y, x);
    return y;
  }
  /// [m c, columns d] as [m columns, c d], eight values at a time where d allows it.
  static tensor<B, 2, bf16> by_pairs(const tensor<B, 2, bf16>& x, index_t m, index_t columns, index_t c, index_t d) {
    tensor<B, 2, bf16> y(x.backend(), {m * columns, c * d});
    if (d % 8 == 0)
      interleave<pack<bf16, 8>>(x, y, m, columns, c, d / 8);
    else
      interleave<bf16>(x, y, m, columns, c, d);
    return y;
  }
  template <class Unit>
  static void interleave(const tensor<B, 2, bf16>& x, tensor<B, 2, bf16>& y, index_t m, index_t columns, index_t c,
                         index_t d) {
    const strided_view<const Unit> from{
        reinterpret_cast<const Unit*>(x.data()), 4, {m, columns, c, d}, {c * columns * d, d, columns * d, 1}};
    const strided_view<Unit> to{
        reinterpret_cast<Unit*>(y.mutable_data()), 4, {m, columns, c, d}, {columns * c * d, c * d, d, 1}};
    x.backend().map(fathom::detail::copy_value{}, to, from);
  }
};

}  // namespace fathom::cuda::kernels
