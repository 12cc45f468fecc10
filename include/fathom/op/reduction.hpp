// SPDX-License-Identifier: Apache-2.0
// Sums and means over axes.
#pragma once

#include <fathom/op/layout.hpp>

namespace fathom {

/// y = sum of x over one axis, kept with extent 1
struct sum_op {
  static constexpr const char* name = "sum";
  template <class B, int R>
  static auto forward(const tensor<B, R>& x, int axis) {
    auto e = x.shape();
    e[static_cast<std::size_t>(detail::checked_axis<R>(name, axis))] = 1;
    return op_result{detail::reduce_to<B, R>(x.backend(), e, functor::identity{}, x.view()), x.shape()};
  }
  template <class B, int R>
  static auto vjp(const extents<R>& whole, const tensor<B, R>& dy) {
    return std::tuple(kernel<broadcast_op<R>, B>::forward(dy, whole).value, none{});
  }
};

/// Sum of products: y = sum over one axis of f(a, b), kept with extent 1, without storing f(a, b).
template <class F>
struct sum_binary_op {
  static constexpr const char* name = F::name;
  template <class B, int R>
  static auto forward(const tensor<B, R>& a, const tensor<B, R>& b, int axis, const F& f) {
    const auto whole = detail::broadcast_extents<R, R>(name, a.shape(), b.shape());
    auto e = whole;
    e[static_cast<std::size_t>(detail::checked_axis<R>(name, axis))] = 1;
    auto y = detail::reduce_to<B, R>(a.backend(), e, functor::value_of<F>{f},
                                     detail::broadcast_to_view(a.view(), whole),
                                     detail::broadcast_to_view(b.view(), whole));
    return op_result{y, std::tuple(a, b, f, whole)};
  }
  template <class B, int R>
  static auto vjp(const std::tuple<tensor<B, R>, tensor<B, R>, F, extents<R>>& residuals, const tensor<B, R>& dy) {
    const auto& [a, b, f, whole] = residuals;
    const auto va = detail::broadcast_to_view(a.view(), whole);
    const auto vb = detail::broadcast_to_view(b.view(), whole);
    const auto vy = detail::broadcast_to_view(dy.view(), whole);
    return std::tuple(detail::reduce_to<B, R>(a.backend(), a.shape(), functor::first_pullback<F>{f}, va, vb, vy),
                      detail::reduce_to<B, R>(a.backend(), b.shape(), functor::second_pullback<F>{f}, va, vb, vy),
                      none{}, none{});
  }
};

/// Sum over an axis, which disappears.
template <class B, int R>
tensor<B, R - 1> sum(const tensor<B, R>& x, int axis) {
  return squeeze(apply<sum_op>(x, axis), axis);
}
/// Sum over an axis, which stays with extent 1.
template <class B, int R>
tensor<B, R> sum_keep(const tensor<B, R>& x, int axis) {
  return apply<sum_op>(x, axis);
}
template <class B, int R>
tensor<B, R - 1> mean(const tensor<B, R>& x, int axis) {
  return sum(x, axis) / static_cast<double>(x.extent(axis));
}
/// sum over the last axis of (a - b)^2, broadcasting; the axis disappears.
template <class B, int R>
tensor<B, R - 1> sum_squared_difference(const tensor<B, R>& a, const tensor<B, R>& b) {
  return squeeze(apply<sum_binary_op<functor::squared_difference>>(a, b, R - 1, functor::squared_difference{}), R - 1);
}
/// sum over the last axis of a b, broadcasting; the axis disappears.
template <class B, int R>
tensor<B, R - 1> sum_product(const tensor<B, R>& a, const tensor<B, R>& b) {
  return squeeze(apply<sum_binary_op<functor::multiply>>(a, b, R - 1, functor::multiply{}), R - 1);
}
/// Sum over all elements.
template <class B, int R>
tensor<B, 0> sum(const tensor<B, R>& x) {
  if constexpr (R == 0)
    return x;
  else
    return squeeze(sum_keep(reshape<1>(x, {x.size()}), 0), 0);
}
template <class B, int R>
tensor<B, 0> mean(const tensor<B, R>& x) {
  return sum(x) / static_cast<double>(x.size());
}
/// mean of x^2 over all elements
template <class B, int R>
tensor<B, 0> mean_square(const tensor<B, R>& x) {
  return mean(square(x));
}

}  // namespace fathom
