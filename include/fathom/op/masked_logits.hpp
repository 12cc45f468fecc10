// SPDX-License-Identifier: Apache-2.0
// Masking the logits of an attention whose queries and keys are the same masked elements.
#pragma once

#include <fathom/op/elementwise.hpp>

namespace fathom {

namespace functor {
/// Masks are 0 or 1. A key that is masked counts as -inf for a valid query, whatever it holds; a masked query sees all
/// keys, shifted alike, as the additive bias inf (mask_i mask_j - 1) of the reference has it.
struct masked_logit {
  double inf;
  template <class T>
  FATHOM_HD T operator()(T logit, T query, T key) const {
    if (query < T(0.5)) return logit - T(inf);
    return key < T(0.5) ? T(-inf) : logit;
  }
};
struct masked_logit_pullback {
  template <class T>
  FATHOM_HD T operator()(T cotangent, T query, T key) const {
    return query >= T(0.5) && key < T(0.5) ? T(0) : cotangent;
  }
};
}  // namespace functor

/// logits [h, i, j], query mask [i], key mask [j]; masks are constants.
struct masked_logits_op {
  static constexpr const char* name = "masked_logits";

  template <class B>
  static auto forward(const tensor<B, 3>& logits, const tensor<B, 1>& query, const tensor<B, 1>& key, double inf) {
    detail::expect_extents<1>(name, "the query mask", query, {logits.extent(1)});
    detail::expect_extents<1>(name, "the key mask", key, {logits.extent(2)});
    tensor<B, 3> y(logits.backend(), logits.shape());
    logits.backend().map(functor::masked_logit{inf}, y.mutable_view(), logits.view(), rows(query, logits.shape()),
                         detail::broadcast_to_view(key.view(), logits.shape()));
    return op_result{y, std::tuple(query, key)};
  }
  template <class B>
  static auto vjp(const std::tuple<tensor<B, 1>, tensor<B, 1>>& residuals, const tensor<B, 3>& dy) {
    const auto& [query, key] = residuals;
    tensor<B, 3> dx(dy.backend(), dy.shape());
    dy.backend().map(functor::masked_logit_pullback{}, dx.mutable_view(), dy.view(), rows(query, dy.shape()),
                     detail::broadcast_to_view(key.view(), dy.shape()));
    return std::tuple(dx, none{}, none{}, none{});
  }

 private:
  template <class B>
  static strided_view<const scalar_of<B>> rows(const tensor<B, 1>& mask, const extents<3>& e) {
    strided_view<const scalar_of<B>> view{mask.data(), 3, {}, {}};
    for (int a = 0; a < 3; ++a) view.extent[a] = e[static_cast<std::size_t>(a)];
    view.stride[1] = mask.stride(0);
    return view;
  }
};

/// See masked_logits_op.
template <class B>
tensor<B, 3> masked_logits(const tensor<B, 3>& logits, const tensor<B, 1>& query, const tensor<B, 1>& key, double inf) {
  return apply<masked_logits_op>(logits, query, key, inf);
}

}  // namespace fathom
