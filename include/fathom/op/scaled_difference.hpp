// SPDX-License-Identifier: Apache-2.0
// A difference times one number, as rates of change are written.
#pragma once

#include <fathom/op/elementwise.hpp>

namespace fathom {

namespace functor {
struct scaled_difference {
  template <class T>
  FATHOM_HD T operator()(T a, T b, T factor) const {
    return (a - b) * factor;
  }
};
}  // namespace functor

/// y = factor (a - b); a, b and y of one shape, factor [1]
struct scaled_difference_op {
  static constexpr const char* name = "scaled_difference";

  template <class B, int R>
  static void check(const tensor<B, R>& a, const tensor<B, R>& b, const tensor<B, 1>& factor) {
    detail::expect_extents<R>(name, "the second input", b, a.shape());
    detail::expect_extents<1>(name, "the factor", factor, {1});
  }
  template <class B, int R>
  static auto forward(const tensor<B, R>& a, const tensor<B, R>& b, const tensor<B, 1>& factor) {
    check(a, b, factor);
    tensor<B, R> y(a.backend(), a.shape());
    a.backend().map(functor::scaled_difference{}, y.mutable_view(), a.view(), b.view(),
                    detail::broadcast_to_view(factor.view(), a.shape()));
    return op_result{y, std::tuple(a, b, factor)};
  }
  template <class B, int R>
  static auto vjp(const std::tuple<tensor<B, R>, tensor<B, R>, tensor<B, 1>>& residuals, const tensor<B, R>& dy) {
    const auto& [a, b, factor] = residuals;
    const auto& backend = dy.backend();
    tensor<B, R> da(backend, dy.shape()), db(backend, dy.shape());
    backend.map(functor::value_of<functor::multiply>{}, da.mutable_view(), dy.view(),
                detail::broadcast_to_view(factor.view(), dy.shape()));
    backend.map(functor::value_of<functor::negate>{}, db.mutable_view(), std::as_const(da).view());
    auto dfactor =
        detail::reduce_to<B, 1>(backend, factor.shape(), functor::scaled_difference{}, a.view(), b.view(), dy.view());
    return std::tuple(da, db, dfactor);
  }
};

/// factor (a - b). On a plain backend the result takes over the storage of a where nobody else holds it: hand it over
/// by std::move.
template <class B, int R>
tensor<B, R> scaled_difference(tensor<B, R> a, const tensor<B, R>& b, const tensor<B, 1>& factor) {
  if constexpr (plain_backend<B>) {
    if (a.is_unique() && a.is_contiguous()) {
      scaled_difference_op::check(a, b, factor);
      const strided_view<const scalar_of<B>> before = a.view();
      a.backend().map(functor::scaled_difference{}, a.mutable_view(), before, b.view(),
                      detail::broadcast_to_view(factor.view(), a.shape()));
      return a;
    }
  }
  return apply<scaled_difference_op>(a, b, factor);
}

}  // namespace fathom
