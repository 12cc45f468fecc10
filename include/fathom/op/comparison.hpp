// SPDX-License-Identifier: Apache-2.0
// Comparisons: 1 where they hold, else 0. They are constant almost everywhere, so no gradient flows through them.
#pragma once

#include <fathom/op/elementwise.hpp>

namespace fathom {

namespace functor {
struct less {
  static constexpr const char* name = "less";
  template <class T>
  FATHOM_HD T operator()(T a, T b) const {
    return a < b ? T(1) : T(0);
  }
};
struct less_than {
  static constexpr const char* name = "less_than";
  double bound;
  template <class T>
  FATHOM_HD T operator()(T x) const {
    return x < T(bound) ? T(1) : T(0);
  }
};
struct greater_than {
  static constexpr const char* name = "greater_than";
  double bound;
  template <class T>
  FATHOM_HD T operator()(T x) const {
    return x > T(bound) ? T(1) : T(0);
  }
};
/// Numbers (residue indices, types) as reals.
struct real_of_number {
  FATHOM_HD double operator()(index_t i) const { return static_cast<double>(i); }
};
}  // namespace functor

/// y = f(x) with a gradient of zero
template <class F>
struct unary_predicate_op {
  static constexpr const char* name = F::name;
  template <class B, int R>
  static auto forward(const tensor<B, R>& x, const F& f) {
    tensor<B, R> y(x.backend(), x.shape());
    x.backend().map(f, y.mutable_view(), x.view());
    return op_result{y, none{}};
  }
  template <class Cotangent>
  static auto vjp(const none&, const Cotangent&) {
    return std::tuple(none{}, none{});
  }
};
/// y = f(a, b), broadcasting, with gradients of zero
template <class F>
struct binary_predicate_op {
  static constexpr const char* name = F::name;
  template <class B, int Ra, int Rb>
  static auto forward(const tensor<B, Ra>& a, const tensor<B, Rb>& b, const F& f) {
    const auto e = detail::broadcast_extents<Ra, Rb>(name, a.shape(), b.shape());
    tensor<B, (Ra > Rb ? Ra : Rb)> y(a.backend(), e);
    a.backend().map(f, y.mutable_view(), detail::broadcast_to_view(a.view(), e),
                    detail::broadcast_to_view(b.view(), e));
    return op_result{y, none{}};
  }
  template <class Cotangent>
  static auto vjp(const none&, const Cotangent&) {
    return std::tuple(none{}, none{}, none{});
  }
};
/// Numbers as reals.
struct real_op {
  static constexpr const char* name = "to_real";
  template <class B, int R>
  static auto forward(const tensor<B, R, index_t>& numbers) {
    tensor<B, R> y(numbers.backend(), numbers.shape());
    numbers.backend().map(functor::real_of_number{}, y.mutable_view(), numbers.view());
    return op_result{y, none{}};
  }
  template <class Cotangent>
  static auto vjp(const none&, const Cotangent&) {
    return std::tuple(none{});
  }
};

/// [a < b], broadcasting
template <class B, int Ra, int Rb>
auto less(const tensor<B, Ra>& a, const tensor<B, Rb>& b) {
  return apply<binary_predicate_op<functor::less>>(a, b, functor::less{});
}
/// [x < bound]
template <class B, int R>
tensor<B, R> less_than(const tensor<B, R>& x, double bound) {
  return apply<unary_predicate_op<functor::less_than>>(x, functor::less_than{bound});
}
/// [x > bound]
template <class B, int R>
tensor<B, R> greater_than(const tensor<B, R>& x, double bound) {
  return apply<unary_predicate_op<functor::greater_than>>(x, functor::greater_than{bound});
}
/// Integers as reals of the same backend; exact up to 2^24 in float32.
template <class B, int R>
tensor<B, R> to_real(const tensor<B, R, index_t>& numbers) {
  return apply<real_op>(numbers);
}

}  // namespace fathom
