// SPDX-License-Identifier: Apache-2.0
// The contraction of triangle multiplication (AF2 Suppl. Alg. 11 and 12), one matrix product for each channel.
#pragma once

#include <algorithm>

#include <fathom/op/matmul.hpp>

namespace fathom {

/// x[i, j, c] = sum_k a[i, k, c] b[j, k, c]; a [i, k, c], b [j, k, c], x [i, j, c]. The incoming form passes a and b with
/// their first two axes swapped, as views.
struct triangle_op {
  static constexpr const char* name = "triangle";

  template <class B>
  static void check(const tensor<B, 3>& a, const tensor<B, 3>& b) {
    if (a.extent(1) != b.extent(1) || a.extent(2) != b.extent(2))
      throw shape_error(detail::concat(name, ": a has extents ", to_string_extents(a.shape()), ", b ",
                                       to_string_extents(b.shape()), "; expected [i, k, c] and [j, k, c]"));
  }

  template <class B>
  static auto forward(const tensor<B, 3>& a, const tensor<B, 3>& b) {
    check(a, b);
    const index_t channels = a.extent(2);
    tensor<B, 3> x(a.backend(), {a.extent(0), b.extent(0), channels});
    // Groups of channels: their matrices [c, i, j] exist for a few channels only.
    const index_t group = std::max<index_t>(1, std::min<index_t>(channels, 16));
    for (index_t from = 0; from < channels; from += group) {
      const index_t to = std::min(channels, from + group);
      const auto part = detail::product(channel_matrices(a, from, to), detail::transposed(channel_matrices(b, from, to)));
      auto window = channel_matrices(x, from, to);
      x.backend().map(detail::copy_value{}, window.mutable_view(), part.view());
    }
    return op_result{x, std::tuple(a, b)};
  }

  template <class B>
  static auto vjp(const std::tuple<tensor<B, 3>, tensor<B, 3>>& residuals, const tensor<B, 3>& dx) {
    const auto& [a, b] = residuals;
    const auto contract = [](const tensor<B, 3>& p, const tensor<B, 3>& q) {
      return kernel<triangle_op, B>::forward(p, q).value;
    };
    return std::tuple(contract(dx, swapped(b)), contract(swapped(dx), swapped(a)));
  }

 private:
  /// Channels [from, to) of x [i, k, c] as matrices [c, i, k].
  template <class B>
  static tensor<B, 3> channel_matrices(const tensor<B, 3>& x, index_t from, index_t to) {
    return x.reinterpret(extents<3>{to - from, x.extent(0), x.extent(1)},
                         extents<3>{x.stride(2), x.stride(0), x.stride(1)}, from * x.stride(2));
  }
  template <class B>
  static tensor<B, 3> swapped(const tensor<B, 3>& x) {
    return x.reinterpret(extents<3>{x.extent(1), x.extent(0), x.extent(2)},
                         extents<3>{x.stride(1), x.stride(0), x.stride(2)});
  }
};

/// See triangle_op.
template <class B>
tensor<B, 3> triangle(const tensor<B, 3>& a, const tensor<B, 3>& b) {
  return apply<triangle_op>(a, b);
}

}  // namespace fathom
