// SPDX-License-Identifier: Apache-2.0
// Linear layers on a GPU: bias and ReLU in the product's own pass, gradients added where they gather.
#pragma once

#include <optional>
#include <tuple>
#include <utility>

#include <fathom/cuda/gpu.hpp>
#include <fathom/cuda/lt_gemm.hpp>
#include <fathom/op/linear.hpp>

namespace fathom {

namespace cuda {

/// x as rows over its last axis: contiguous values, one row stride; copied only where it is not like that already.
template <class P, int R>
tensor<gpu<P>, 2> rows_over_last_axis(const tensor<gpu<P>, R>& x) {
  const index_t c = x.extent(-1);
  const index_t n = x.size() / (c > 0 ? c : 1);
  index_t step = c, count = 1;
  bool uniform = c == 1 || x.stride(R - 1) == 1;
  for (int axis = R - 2; axis >= 0; --axis) {
    if (x.extent(axis) == 1) continue;
    if (count == 1)
      step = x.stride(axis);
    else
      uniform = uniform && x.stride(axis) == step * count;
    count *= x.extent(axis);
  }
  if (uniform && step >= c) return x.reinterpret(extents<2>{n, c}, extents<2>{step, 1});
  return contiguous(x).reinterpret(extents<2>{n, c}, extents<2>{c, 1});
}

}  // namespace cuda

template <class P>
struct kernel<linear_op, cuda::gpu<P>> : linear_op {
  using B = cuda::gpu<P>;
  using T = scalar_of<B>;
  template <int R>
  using residuals_t = std::tuple<tensor<B, R>, tensor<B, 2>, bool>;

  template <int R>
  static auto forward(const tensor<B, R>& x, const tensor<B, 2>& weight, const std::optional<tensor<B, 1>>& bias) {
    return op_result{product(x, weight, bias, false), residuals_t<R>(x, weight, bias.has_value())};
  }

  template <int R>
  static auto vjp(const residuals_t<R>& residuals, const tensor<B, R>& dy) {
    tensor<B, R> dx;
    tensor<B, 2> dw;
    std::optional<tensor<B, 1>> db;
    if (std::get<2>(residuals)) db.emplace();
    add(residuals, dy, &dx, &dw, db ? &*db : nullptr);
    return std::tuple(dx, dw, db);
  }

  template <int R, class X, class Weight, class Bias>
  static void add_gradients(const residuals_t<R>& residuals, const tensor<B, R>& dy, const X& x, const Weight& weight,
                            const Bias& bias) {
    add(residuals, dy, x.target(), weight.target(), bias.target());
  }

  /// f(x W^T + b), f ReLU or nothing, in one pass where cuBLASLt has it.
  template <int R>
  static tensor<B, R> product(const tensor<B, R>& x, const tensor<B, 2>& weight,
                              const std::optional<tensor<B, 1>>& bias, bool relu) {
    check(x, weight, bias);
    const auto rows = cuda::rows_over_last_axis(x);
    auto e = x.shape();
    e[R - 1] = weight.extent(0);
    tensor<B, 2> y(x.backend(), {rows.extent(0), weight.extent(0)});
    const auto w = detail::transposed(weight);
    const auto b = bias ? contiguous(*bias) : tensor<B, 1>();
    if (y.size() > 0 && rows.extent(1) > 0) {
      const auto plan = device::plan_gemm(rows.view(), w.view(), y.mutable_view());
      if (cuda::fits_lt(plan, bias.has_value()) &&
          cuda::run_lt(*x.backend().context(), plan, cuda::precision<P>::product, T(1), rows.data(), w.data(), T(0),
                       y.mutable_data(), b.data(), relu))
        return y.reinterpret(e, detail::row_major_strides<R>(e));
    }
    x.backend().gemm(T(1), rows.view(), w.view(), T(0), y.mutable_view());
    using view = strided_view<const T>;
    if (bias)
      x.backend().map(functor::value_of<functor::add>{}, y.mutable_view(), view(y.view()),
                      detail::broadcast_to_view(b.view(), y.shape()));
    if (relu) x.backend().map(functor::value_of<functor::relu>{}, y.mutable_view(), view(y.view()));
    return y.reinterpret(e, detail::row_major_strides<R>(e));
  }

  /// *dx += dy W, *dw += dy^T x and *db += the sum of dy, in place where they hold something already; null: not wanted.
  template <int R>
  static void add(const residuals_t<R>& residuals, const tensor<B, R>& dy, tensor<B, R>* dx, tensor<B, 2>* dw,
                  tensor<B, 1>* db) {
    const auto& [x, weight, has_bias] = residuals;
    const B& b = dy.backend();
    const auto from = cuda::rows_over_last_axis(dy);
    if (dx != nullptr) {
      const T beta = detail::opened(*dx, b, x.shape());
      auto to = dx->reinterpret(extents<2>{from.extent(0), weight.extent(1)}, extents<2>{weight.extent(1), 1});
      b.gemm(T(1), from.view(), weight.view(), beta, to.mutable_view());
    }
    if (dw != nullptr) {
      const T beta = detail::opened(*dw, b, weight.shape());
      const auto rows = cuda::rows_over_last_axis(x);
      b.gemm(T(1), detail::transposed(from).view(), rows.view(), beta, dw->mutable_view());
    }
    if (db != nullptr) {
      const auto sums = detail::reduce_to<B, 1>(b, {from.extent(1)}, functor::identity{}, from.view());
      if (detail::opened(*db, b, sums.shape()) == T(0))
        *db = sums;
      else
        detail::add_into(*db, sums);
    }
  }
};

template <class P>
struct kernel<linear_then_op<functor::relu>, cuda::gpu<P>> : linear_then_op<functor::relu> {
  using B = cuda::gpu<P>;
  using linear_kernel = kernel<linear_op, B>;
  template <int R>
  using residuals_t = std::tuple<typename linear_kernel::template residuals_t<R>, tensor<B, R>>;

  template <int R>
  static auto forward(const tensor<B, R>& x, const tensor<B, 2>& weight, const std::optional<tensor<B, 1>>& bias) {
    const auto y = linear_kernel::product(x, weight, bias, true);
    return op_result{y, residuals_t<R>({x, weight, bias.has_value()}, y)};
  }
  template <int R>
  static auto vjp(const residuals_t<R>& residuals, const tensor<B, R>& dy) {
    return linear_kernel::vjp(std::get<0>(residuals), slope(residuals, dy));
  }
  template <int R, class X, class Weight, class Bias>
  static void add_gradients(const residuals_t<R>& residuals, const tensor<B, R>& dy, const X& x, const Weight& weight,
                            const Bias& bias) {
    linear_kernel::add_gradients(std::get<0>(residuals), slope(residuals, dy), x, weight, bias);
  }

 private:
  template <int R>
  static tensor<B, R> slope(const residuals_t<R>& residuals, const tensor<B, R>& dy) {
    const auto& y = std::get<1>(residuals);
    tensor<B, R> to(y.backend(), y.shape());
    y.backend().map(functor::unary_pullback<functor::relu>{}, to.mutable_view(), y.view(), y.view(), dy.view());
    return to;
  }
};

}  // namespace fathom
