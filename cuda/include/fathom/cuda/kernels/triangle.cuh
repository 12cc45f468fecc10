// SPDX-License-Identifier: Apache-2.0
// triangle_op channel-major: a and b are turned round tile by tile, one batched product does the rest, and its result
// stays channel-major for the layer norm that reads it. What the product reads may be bfloat16:
//   multiply_bf16(backend, a, b, c)   c = a b for views of bf16, bf16 and float
#pragma once

#include <algorithm>
#include <type_traits>

#include <fathom/cuda/kernels/tiled_copy.cuh>
#include <fathom/op/triangle.hpp>

namespace fathom::cuda::kernels {

/// Base of kernel<triangle_op, B>. Packed is how matrices are stored for the products.
template <class B, class Packed = scalar_of<B>>
struct triangle_on : triangle_op {
  using T = scalar_of<B>;
  using packed_tensor = tensor<B, 3, Packed>;

  /// The result [i, j, c] lies as [c, i, j].
  static auto forward(const tensor<B, 3>& a, const tensor<B, 3>& b) {
    check(a, b);
    if (a.size() == 0 || b.size() == 0) return triangle_op::forward(a, b);
    const B& backend = a.backend();
    const index_t rows = a.extent(0), columns = b.extent(0), channels = a.extent(2);
    tensor<B, 3> x(backend, {channels, rows, columns});
    for_groups(channels, a.extent(1) * (rows + columns), [&](index_t from, index_t to) {
      const auto left = matrices(a, from, to), right = matrices(b, from, to);
      auto window = part(x, from, to);
      multiply(left, transposed(right), window);
    });
    return op_result{
        x.reinterpret(extents<3>{rows, columns, channels}, extents<3>{x.stride(1), x.stride(2), x.stride(0)}),
        std::tuple(a, b)};
  }

  static auto vjp(const std::tuple<tensor<B, 3>, tensor<B, 3>>& residuals, const tensor<B, 3>& dx) {
    const tensor<B, 3>&a = std::get<0>(residuals), &b = std::get<1>(residuals);
    if (a.size() == 0 || b.size() == 0) return triangle_op::vjp(residuals, dx);
    const B& backend = dx.backend();
    tensor<B, 3> da(backend, a.shape()), db(backend, b.shape());
    const index_t rows = a.extent(0), columns = b.extent(0), depth = a.extent(1);
    for_groups(a.extent(2), 2 * depth * (rows + columns) + rows * columns, [&](index_t from, index_t to) {
      const auto left = matrices(a, from, to), right = matrices(b, from, to), slope = matrices(dx, from, to);
      tensor<B, 3> left_slope(backend, {to - from, rows, depth}), right_slope(backend, {to - from, columns, depth});
      multiply(slope, right, left_slope);
      multiply(transposed(slope), left, right_slope);
      put_back(left_slope, da, from);
      put_back(right_slope, db, from);
    });
    return std::tuple(da, db);
  }

 private:
  /// f(from, to) for groups of channels whose matrices, `size` values a channel, hold about 128 MB.
  template <class F>
  static void for_groups(index_t channels, index_t size, const F& f) {
    const index_t values = (index_t(128) << 20) / static_cast<index_t>(sizeof(T));
    const index_t group = std::max<index_t>(1, std::min(channels, values / std::max<index_t>(1, size)));
    for (index_t from = 0; from < channels; from += group) f(from, std::min(channels, from + group));
  }
  static void multiply(const packed_tensor& a, const packed_tensor& b, tensor<B, 3>& c) {
    if constexpr (std::is_same_v<Packed, bf16>)
      multiply_bf16(c.backend(), a.view(), b.view(), c.mutable_view());
    else
      c.backend().gemm(T(1), a.view(), b.view(), T(0), c.mutable_view());
  }
  static packed_tensor transposed(const packed_tensor& x) {
    return x.reinterpret(extents<3>{x.extent(0), x.extent(2), x.extent(1)},
                         extents<3>{x.stride(0), x.stride(2), x.stride(1)});
  }
  /// Channels [from, to) of x [i, k, c] as matrices [c, i, k] with rows that products like: x itself where it lies like
  /// that.
  static packed_tensor matrices(const tensor<B, 3>& x, index_t from, index_t to) {
    const auto seen = x.reinterpret(extents<3>{to - from, x.extent(0), x.extent(1)},
                                    extents<3>{x.stride(2), x.stride(0), x.stride(1)}, from * x.stride(2));
    if constexpr (std::is_same_v<Packed, T>)
      if (seen.stride(2) == 1 && seen.stride(1) >= seen.extent(2)) return seen;
    constexpr index_t in_16_bytes = 16 / static_cast<index_t>(sizeof(Packed));
    const index_t line = (x.extent(1) + in_16_bytes - 1) / in_16_bytes * in_16_bytes;
    auto y = packed_tensor(x.backend(), {to - from, x.extent(0), line})
                 .reinterpret(seen.shape(), extents<3>{x.extent(0) * line, line, 1});
    copy_into(y, seen);
    return y;
  }
  static tensor<B, 3> part(const tensor<B, 3>& x, index_t from, index_t to) {
    return x.reinterpret(extents<3>{to - from, x.extent(1), x.extent(2)}, x.strides(), from * x.stride(0));
  }
  /// Matrices [c, i, k] into the channels of y [i, k, c] from number `from` on.
  static void put_back(const tensor<B, 3>& x, const tensor<B, 3>& y, index_t from) {
    auto window = y.reinterpret(extents<3>{x.extent(0), x.extent(1), x.extent(2)},
                                extents<3>{y.stride(2), y.stride(0), y.stride(1)}, from * y.stride(2));
    copy_into(window, x);
  }
};

}  // namespace fathom::cuda::kernels
