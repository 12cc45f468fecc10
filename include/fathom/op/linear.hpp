// SPDX-License-Identifier: Apache-2.0
// y = x W^T + b over the last axis, and an elementwise function of it.
#pragma once

#include <fathom/op/matmul.hpp>

namespace fathom {

namespace detail {
/// Makes a sum of cotangents writable: 0 where its contents are not to be read, 1 where they are to be added to.
template <class B, int R>
scalar_of<B> opened(tensor<B, R>& to, const B& b, const extents<R>& e) {
  if (to.empty()) {
    to = tensor<B, R>(b, e);
    return scalar_of<B>(0);
  }
  if (!to.is_unique() || !to.is_contiguous()) to = clone(to);
  return scalar_of<B>(1);
}
}  // namespace detail

/// x [..., c_in], weight [c_out, c_in], bias [c_out] or none, y [..., c_out]
struct linear_op {
  static constexpr const char* name = "linear";

  template <class B, int R>
  static void check(const tensor<B, R>& x, const tensor<B, 2>& weight, const std::optional<tensor<B, 1>>& bias) {
    if (x.extent(-1) != weight.extent(1))
      throw shape_error(detail::concat(name, ": the input has extents ", to_string_extents(x.shape()),
                                       ", expected a last axis of ", weight.extent(1), " channels"));
    if (bias) detail::expect_extents<1>(name, "the bias", *bias, {weight.extent(0)});
  }

  template <class B, int R>
  static auto forward(const tensor<B, R>& x, const tensor<B, 2>& weight, const std::optional<tensor<B, 1>>& bias) {
    check(x, weight, bias);
    const index_t c_in = weight.extent(1), c_out = weight.extent(0);
    auto e = x.shape();
    e[R - 1] = c_out;
    const auto rows = detail::reshaped<2>(x, {x.size() / (c_in > 0 ? c_in : 1), c_in});
    auto y = detail::product(rows, detail::transposed(weight));
    if (bias)
      x.backend().map(functor::value_of<functor::add>{}, y.mutable_view(), strided_view<const scalar_of<B>>(y.view()),
                      detail::broadcast_to_view(bias->view(), y.shape()));
    return op_result{detail::reshaped<R>(y, e), std::tuple(x, weight, bias.has_value())};
  }

  template <class B, int R>
  static auto vjp(const std::tuple<tensor<B, R>, tensor<B, 2>, bool>& residuals, const tensor<B, R>& dy) {
    const auto& [x, weight, has_bias] = residuals;
    const index_t c_in = weight.extent(1), c_out = weight.extent(0);
    const index_t n = x.size() / (c_in > 0 ? c_in : 1);
    const auto rows = detail::reshaped<2>(x, {n, c_in});
    const auto dy_rows = detail::reshaped<2>(dy, {n, c_out});
    auto dx = detail::reshaped<R>(detail::product(dy_rows, weight), x.shape());
    auto dw = detail::product(detail::transposed(dy_rows), rows);
    std::optional<tensor<B, 1>> db;
    if (has_bias) db = detail::reduce_to<B, 1>(dy.backend(), {c_out}, functor::identity{}, dy_rows.view());
    return std::tuple(dx, dw, db);
  }
};

/// y = f(x W^T + b), extents as for linear_op; f an elementwise functor whose derivative is a function of its value
/// alone (relu, sigmoid). What f sees is not kept.
template <class F>
struct linear_then_op {
  static constexpr const char* name = "linear_then";

  template <class B, int R>
  static auto forward(const tensor<B, R>& x, const tensor<B, 2>& weight, const std::optional<tensor<B, 1>>& bias) {
    auto made = kernel<linear_op, B>::forward(x, weight, bias);
    tensor<B, R> y = std::move(made.value);
    y.backend().map(functor::value_of<F>{}, y.mutable_view(), strided_view<const scalar_of<B>>(y.view()));
    return op_result{y, std::tuple(std::move(made.residuals), y)};
  }

  template <class B, int R, class Linear>
  static auto vjp(const std::tuple<Linear, tensor<B, R>>& residuals, const tensor<B, R>& dy) {
    const auto& [inner, y] = residuals;
    tensor<B, R> slope(y.backend(), y.shape());
    y.backend().map(functor::unary_pullback<F>{}, slope.mutable_view(), y.view(), y.view(), dy.view());
    return kernel<linear_op, B>::vjp(inner, slope);
  }
};

}  // namespace fathom
