// SPDX-License-Identifier: Apache-2.0
// Minima, maxima and absolute values. Where two candidates are equal they share the gradient.
#pragma once

#include <fathom/op/layout.hpp>

namespace fathom {

namespace functor {
struct minimum_of_two {
  static constexpr const char* name = "minimum";
  template <class T>
  FATHOM_HD T value(T a, T b) const {
    return b < a || !(b == b) ? b : a;
  }
  template <class T>
  FATHOM_HD T first(T a, T b) const {
    return a < b ? T(1) : a == b ? T(0.5) : T(0);
  }
  template <class T>
  FATHOM_HD T second(T a, T b) const {
    return b < a ? T(1) : a == b ? T(0.5) : T(0);
  }
};
struct maximum_of_two {
  static constexpr const char* name = "maximum";
  template <class T>
  FATHOM_HD T value(T a, T b) const {
    return b > a || !(b == b) ? b : a;
  }
  template <class T>
  FATHOM_HD T first(T a, T b) const {
    return a > b ? T(1) : a == b ? T(0.5) : T(0);
  }
  template <class T>
  FATHOM_HD T second(T a, T b) const {
    return b > a ? T(1) : a == b ? T(0.5) : T(0);
  }
};
struct absolute {
  static constexpr const char* name = "abs";
  template <class T>
  FATHOM_HD T value(T x) const {
    return x < T(0) ? -x : x;
  }
  template <class T>
  FATHOM_HD T derivative(T x, T) const {
    return x > T(0) ? T(1) : x < T(0) ? T(-1) : T(0);
  }
};
struct equals {
  template <class T>
  FATHOM_HD T operator()(T x, T top) const {
    return x == top ? T(1) : T(0);
  }
};
struct share_of_top {
  template <class T>
  FATHOM_HD T operator()(T x, T top, T count, T dy) const {
    return x == top ? dy / count : T(0);
  }
};
}  // namespace functor

/// y = maximum of x over one axis, kept with extent 1
struct max_op {
  static constexpr const char* name = "max";
  template <class B, int R>
  static auto forward(const tensor<B, R>& x, int axis) {
    auto e = x.shape();
    auto& extent = e[static_cast<std::size_t>(detail::checked_axis<R>(name, axis))];
    if (extent == 0) throw shape_error(detail::concat(name, ": axis ", axis, " is empty, so it has no maximum"));
    extent = 1;
    tensor<B, R> top(x.backend(), e);
    x.backend().reduce(functor::maximum{}, functor::identity{}, top.mutable_view(), x.view());
    return op_result{top, std::tuple(x, top)};
  }
  template <class B, int R>
  static auto vjp(const std::tuple<tensor<B, R>, tensor<B, R>>& residuals, const tensor<B, R>& dy) {
    const auto& [x, top] = residuals;
    const auto& e = x.shape();
    const auto tops = detail::broadcast_to_view(top.view(), e);
    const auto count = detail::reduce_to<B, R>(x.backend(), top.shape(), functor::equals{}, x.view(), tops);
    tensor<B, R> dx(x.backend(), e);
    x.backend().map(functor::share_of_top{}, dx.mutable_view(), x.view(), tops,
                    detail::broadcast_to_view(count.view(), e), detail::broadcast_to_view(dy.view(), e));
    return std::tuple(dx, none{});
  }
};

/// min(a, b), broadcasting; a NaN stays one.
template <class B, int Ra, int Rb>
auto minimum(const tensor<B, Ra>& a, const tensor<B, Rb>& b) {
  return apply<binary_op<functor::minimum_of_two>>(a, b, functor::minimum_of_two{});
}
/// max(a, b), broadcasting; a NaN stays one.
template <class B, int Ra, int Rb>
auto maximum(const tensor<B, Ra>& a, const tensor<B, Rb>& b) {
  return apply<binary_op<functor::maximum_of_two>>(a, b, functor::maximum_of_two{});
}
/// |x|, with derivative 0 at 0
template <class B, int R>
tensor<B, R> abs(const tensor<B, R>& x) {
  return apply<unary_op<functor::absolute>>(x, functor::absolute{});
}
/// Maximum over an axis, which disappears.
template <class B, int R>
tensor<B, R - 1> max(const tensor<B, R>& x, int axis) {
  return squeeze(apply<max_op>(x, axis), axis);
}

}  // namespace fathom
