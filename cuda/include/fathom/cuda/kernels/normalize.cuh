// SPDX-License-Identifier: Apache-2.0
// layer_norm_op and softmax_op through the kernels that work on rows.
#pragma once

#include <cstdint>

#include <fathom/cuda/kernels/layer_norm_rows.cuh>
#include <fathom/cuda/kernels/softmax_rows.cuh>
#include <fathom/cuda/kernels/tiled_copy.cuh>
#include <fathom/op/layer_norm.hpp>
#include <fathom/op/softmax.hpp>

namespace fathom::cuda::kernels {

/// Whether rows of x can be read four values at a time.
template <class B, int R>
bool rows_of_fours(const tensor<B, R>& x) {
  bool fours = reinterpret_cast<std::uintptr_t>(x.data()) % (4 * sizeof(scalar_of<B>)) == 0 && x.extent(-1) % 4 == 0;
  for (int axis = 0; axis < R - 1; ++axis) fours = fours && (x.extent(axis) == 1 || x.stride(axis) % 4 == 0);
  return fours;
}
/// Where the rows of x and y, all axes but the last, begin.
template <class B, int R>
device::lattice<2> row_starts(const tensor<B, R>& x, const tensor<B, R>& y) {
  device::lattice<2> rows;
  for (int axis = 0; axis < R - 1; ++axis) rows.append(x.extent(axis), {x.stride(axis), y.stride(axis)});
  return rows;
}

/// Base of kernel<layer_norm_op, B>. Rows of more than longest_row values take the portable way.
template <class B>
struct layer_norm_on : layer_norm_op {
  using T = scalar_of<B>;

  template <int R>
  static auto forward(const tensor<B, R>& given, const tensor<B, 1>& weight, const tensor<B, 1>& bias, double eps) {
    check(given, weight, bias);
    if (given.extent(-1) > longest_row || given.size() == 0) return layer_norm_op::forward(given, weight, bias, eps);
    using columns = layer_norm_columns<T>;
    const bool by_columns = given.extent(-1) > 1 && given.stride(-1) != 1 && given.extent(-1) <= columns::most;
    const auto x = by_columns ? given : with_rows(given);
    const auto w = contiguous(weight), shift = contiguous(bias);
    auto e = x.shape();
    e[R - 1] = 1;
    tensor<B, R> y(x.backend(), x.shape()), mean(x.backend(), e), rstd(x.backend(), e);
    auto a = arguments(x, x, w, mean, rstd);
    a.bias = shift.data();
    a.eps = static_cast<T>(eps);
    a.y = y.mutable_data();
    a.aligned = a.aligned && rows_of_fours(shift);
    if (by_columns)
      launch(x.backend(), columns{a, x.stride(-1)}, x);
    else
      by_quads(a.length, [&](auto quads) { launch(x.backend(), layer_norm_forward<T, decltype(quads)::value>{a}, x); });
    return op_result{y, std::tuple(x, weight, mean, rstd)};
  }

  template <int R>
  static auto vjp(const std::tuple<tensor<B, R>, tensor<B, 1>, tensor<B, R>, tensor<B, R>>& residuals,
                  const tensor<B, R>& d_y) {
    const auto& [kept, weight, mean, rstd] = residuals;
    if (kept.extent(-1) > longest_row || kept.size() == 0) return layer_norm_op::vjp(residuals, d_y);
    const auto x = with_rows(kept), dy = with_rows(d_y);
    const auto w = contiguous(weight);
    const B& b = x.backend();
    tensor<B, R> dx(b, x.shape());
    auto a = arguments(x, dy, w, mean, rstd);
    a.dy = dy.data();
    a.y = dx.mutable_data();
    a.aligned = a.aligned && rows_of_fours(dy);
    tensor<B, 2> sums(b, {2, x.extent(-1)});
    by_quads(a.length, [&](auto quads) {
      layer_norm_backward<T, decltype(quads)::value> body{a, nullptr};
      tensor<B, 3> partial(b, {body.blocks(), 2, x.extent(-1)});
      body.partial = partial.mutable_data();
      launch(b, body, x);
      launch(b, sum_rows<T>{partial.data(), sums.mutable_data(), body.blocks(), 2 * x.extent(-1)}, x);
    });
    const auto half = [&, n = x.extent(-1)](index_t which) {
      return sums.reinterpret(extents<1>{n}, extents<1>{1}, which * n);
    };
    return std::tuple(dx, half(0), half(1), none{});
  }

 private:
  template <class Body, int R>
  static void launch(const B& b, const Body& body, const tensor<B, R>& x) {
    launch_blocks(b, body.blocks(), body, name, x.view());
  }
  template <int R>
  static layer_norm_args<T> arguments(const tensor<B, R>& x, const tensor<B, R>& dy, const tensor<B, 1>& weight,
                                      const tensor<B, R>& mean, const tensor<B, R>& rstd) {
    layer_norm_args<T> a;
    a.rows = row_starts(x, dy);
    a.length = static_cast<int>(x.extent(-1));
    a.x = x.data();
    a.weight = weight.data();
    a.mean = const_cast<T*>(mean.data());  // written by the forward pass, which has just made them
    a.rstd = const_cast<T*>(rstd.data());
    a.aligned = rows_of_fours(x) && rows_of_fours(weight);
    return a;
  }
};

/// Base of kernel<softmax_op, B>.
template <class B>
struct softmax_on : softmax_op {
  using T = scalar_of<B>;

  template <int R>
  static auto forward(const tensor<B, R>& given) {
    if (given.extent(-1) > longest_row || given.size() == 0) return softmax_op::forward(given);
    const auto x = with_rows(given);
    tensor<B, R> y(x.backend(), x.shape());
    by_quads(x.extent(-1), [&](auto quads) {
      const softmax_forward<T, decltype(quads)::value> body{row_starts(x, x), static_cast<int>(x.extent(-1)), x.data(),
                                                            y.mutable_data(), rows_of_fours(x)};
      launch_blocks(x.backend(), body.blocks(), body, name, x.view());
    });
    return op_result{y, y};
  }
  template <int R>
  static auto vjp(const tensor<B, R>& kept, const tensor<B, R>& d_y) {
    if (kept.extent(-1) > longest_row || kept.size() == 0) return softmax_op::vjp(kept, d_y);
    const auto y = with_rows(kept), dy = with_rows(d_y);
    tensor<B, R> dx(y.backend(), y.shape());
    by_quads(y.extent(-1), [&](auto quads) {
      const softmax_backward<T, decltype(quads)::value> body{row_starts(y, dy), static_cast<int>(y.extent(-1)),
                                                             y.data(),          dy.data(),
                                                             dx.mutable_data(), rows_of_fours(y) && rows_of_fours(dy)};
      launch_blocks(y.backend(), body.blocks(), body, name, y.view());
    });
    return std::tuple(dx);
  }
};

}  // namespace fathom::cuda::kernels
