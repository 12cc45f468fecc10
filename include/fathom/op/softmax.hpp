// SPDX-License-Identifier: Apache-2.0
// Softmax over the last axis; masks enter as an additive bias inf * (mask - 1), as in the reference implementations.
#pragma once

#include <fathom/op/matmul.hpp>

namespace fathom {

namespace functor {
struct exp_difference {
  template <class T>
  FATHOM_HD T operator()(T x, T top) const {
    return exp(x - top);
  }
};
struct quotient {
  template <class T>
  FATHOM_HD T operator()(T a, T b) const {
    return a / b;
  }
};
struct softmax_pullback {
  template <class T>
  FATHOM_HD T operator()(T y, T dy, T dot) const {
    return y * (dy - dot);
  }
};
/// inf * (mask - 1)
struct mask_to_bias {
  static constexpr const char* name = "mask_bias";
  double inf;
  template <class T>
  FATHOM_HD T value(T mask) const {
    return T(inf) * (mask - T(1));
  }
  template <class T>
  FATHOM_HD T derivative(T, T) const {
    return T(inf);
  }
};
}  // namespace functor

/// y_i = exp(x_i - max x) / sum_j exp(x_j - max x)
struct softmax_op {
  static constexpr const char* name = "softmax";
  template <class B, int R>
  static auto forward(const tensor<B, R>& x) {
    const auto& b = x.backend();
    auto e = x.shape();
    e[R - 1] = 1;
    tensor<B, R> top(b, e);
    b.reduce(functor::maximum{}, functor::identity{}, top.mutable_view(), x.view());
    tensor<B, R> y(b, x.shape());
    b.map(functor::exp_difference{}, y.mutable_view(), x.view(), detail::broadcast_to_view(top.view(), x.shape()));
    const auto sum = detail::reduce_to<B, R>(b, e, functor::identity{}, y.view());
    b.map(functor::quotient{}, y.mutable_view(), strided_view<const scalar_of<B>>(y.view()),
          detail::broadcast_to_view(sum.view(), x.shape()));
    return op_result{y, y};
  }
  template <class B, int R>
  static auto vjp(const tensor<B, R>& y, const tensor<B, R>& dy) {
    auto e = y.shape();
    e[R - 1] = 1;
    const auto dot = detail::reduce_to<B, R>(y.backend(), e, functor::product{}, y.view(), dy.view());
    tensor<B, R> dx(y.backend(), y.shape());
    y.backend().map(functor::softmax_pullback{}, dx.mutable_view(), y.view(), dy.view(),
                    detail::broadcast_to_view(dot.view(), y.shape()));
    return std::tuple(dx);
  }
};

template <class B, int R>
tensor<B, R> softmax(const tensor<B, R>& x) {
  return apply<softmax_op>(x);
}
/// inf * (mask - 1): 0 where mask is 1, -inf where it is 0.
template <class B, int R>
tensor<B, R> mask_bias(const tensor<B, R>& mask, double inf) {
  return apply<unary_op<functor::mask_to_bias>>(mask, functor::mask_to_bias{inf});
}

}  // namespace fathom
