// SPDX-License-Identifier: Apache-2.0
// Operations that the CPU backend computes with kernels of its own instead of compositions of map, reduce and gemm.
#pragma once

#include <fathom/backend/cpu.hpp>
#include <fathom/backend/cpu/layer_norm.hpp>
#include <fathom/op/layer_norm.hpp>
#include <fathom/op/linear.hpp>

namespace fathom {

namespace detail {
/// x as rows over its last axis: contiguous values, one row stride; copied only where it is not like that already.
template <class T, int R>
tensor<cpu<T>, 2> as_rows(const tensor<cpu<T>, R>& x) {
  const index_t c = x.extent(-1);
  const index_t n = x.size() / (c > 0 ? c : 1);
  if (c == 1 || x.stride(R - 1) == 1) {
    index_t step = 0, count = 1;
    bool uniform = true;
    for (int axis = R - 2; axis >= 0; --axis) {
      if (x.extent(axis) == 1) continue;
      if (count == 1)
        step = x.stride(axis);
      else
        uniform = uniform && x.stride(axis) == step * count;
      count *= x.extent(axis);
    }
    if (uniform && (count == 1 || step >= c)) return x.reinterpret(extents<2>{n, c}, extents<2>{count == 1 ? c : step, 1});
  }
  return contiguous(x).reinterpret(extents<2>{n, c}, extents<2>{c, 1});
}
}  // namespace detail

template <class T>
struct kernel<layer_norm_op, cpu<T>> : layer_norm_op {
  template <int R>
  static auto forward(const tensor<cpu<T>, R>& x, const tensor<cpu<T>, 1>& weight, const tensor<cpu<T>, 1>& bias,
                      double eps) {
    check(x, weight, bias);
    const auto rows = detail::as_rows(x);
    const auto w = contiguous(weight), b = contiguous(bias);
    tensor<cpu<T>, R> y(x.backend(), x.shape());
    auto statistics = x.shape();
    statistics[R - 1] = 1;
    tensor<cpu<T>, R> mean(x.backend(), statistics), rstd(x.backend(), statistics);
    cpu_kernels::layer_norm_args<T> args;
    args.rows = rows.extent(0);
    args.channels = rows.extent(1);
    args.x = rows.data();
    args.x_stride = rows.stride(0);
    args.weight = w.data();
    args.bias = b.data();
    args.eps = static_cast<T>(eps);
    args.y = y.mutable_data();
    args.y_stride = rows.extent(1);
    args.mean = mean.mutable_data();
    args.rstd = rstd.mutable_data();
    cpu_kernels::layer_norm_forward(x.backend().pool(), args);
    return op_result{y, std::tuple(x, weight, mean, rstd)};
  }
  template <int R>
  static auto vjp(
      const std::tuple<tensor<cpu<T>, R>, tensor<cpu<T>, 1>, tensor<cpu<T>, R>, tensor<cpu<T>, R>>& residuals,
      const tensor<cpu<T>, R>& dy) {
    const auto& [x, weight, mean, rstd] = residuals;
    const auto rows = detail::as_rows(x), dy_rows = detail::as_rows(dy);
    const auto w = contiguous(weight);
    tensor<cpu<T>, R> dx(x.backend(), x.shape());
    tensor<cpu<T>, 1> dweight(x.backend(), weight.shape()), dbias(x.backend(), weight.shape());
    cpu_kernels::layer_norm_args<T> args;
    args.rows = rows.extent(0);
    args.channels = rows.extent(1);
    args.x = rows.data();
    args.x_stride = rows.stride(0);
    args.weight = w.data();
    args.mean = const_cast<T*>(mean.data());
    args.rstd = const_cast<T*>(rstd.data());
    cpu_kernels::layer_norm_backward(x.backend().pool(), args, dy_rows.data(), dy_rows.stride(0), dx.mutable_data(),
                                     rows.extent(1), dweight.mutable_data(), dbias.mutable_data());
    return std::tuple(dx, dweight, dbias, none{});
  }
};

template <class T>
struct kernel<linear_op, cpu<T>> : linear_op {
  template <int R>
  static auto forward(const tensor<cpu<T>, R>& x, const tensor<cpu<T>, 2>& weight,
                      const std::optional<tensor<cpu<T>, 1>>& bias) {
    check(x, weight, bias);
    const auto rows = detail::as_rows(x);
    const auto w = contiguous(weight);
    auto e = x.shape();
    e[R - 1] = weight.extent(0);
    tensor<cpu<T>, R> y(x.backend(), e);
    const index_t m = rows.extent(0), k = rows.extent(1), n = weight.extent(0);
    const auto product = [&](auto&& epilogue) {
      cpu_kernels::gemm(x.backend().pool(), false, true, m, n, k, T(1), rows.data(), rows.stride(0), w.data(), k, T(0),
                        y.mutable_data(), n, epilogue);
    };
    if (bias) {
      const auto b = contiguous(*bias);
      product([values = b.data()](index_t, index_t j, index_t tile_rows, index_t tile_columns, T* c, index_t ldc) {
        cpu_kernels::run_multiversion<add_bias>(values + j, tile_rows, tile_columns, c, ldc);
      });
    } else {
      product(cpu_kernels::no_epilogue{});
    }
    return op_result{y, std::tuple(x, weight, bias.has_value())};
  }

 private:
  struct add_bias {
    template <int>
    static FATHOM_INLINE void run(const T* bias, index_t rows, index_t columns, T* c, index_t ldc) {
      for (index_t i = 0; i < rows; ++i)
        for (index_t j = 0; j < columns; ++j) c[i * ldc + j] += bias[j];
    }
  };
};

}  // namespace fathom
