// SPDX-License-Identifier: Apache-2.0
// Cross entropy of logits with class numbers, without storing probabilities.
#pragma once

#include <fathom/op/indexing.hpp>
#include <fathom/op/softmax.hpp>

namespace fathom {

namespace functor {
struct log_of_sum {
  template <class T>
  FATHOM_HD T operator()(T sum, T top) const {
    return log(sum) + top;
  }
};
/// The logit where the channel is the label.
struct pick_label {
  template <class T>
  FATHOM_HD T operator()(T logit, index_t label, T channel) const {
    return label == static_cast<index_t>(channel) ? logit : T(0);
  }
};
struct cross_entropy_pullback {
  template <class T>
  FATHOM_HD T operator()(T logit, T log_sum, index_t label, T channel, T dy) const {
    return (exp(logit - log_sum) - (label == static_cast<index_t>(channel) ? T(1) : T(0))) * dy;
  }
};
}  // namespace functor

/// logits [..., c], labels [...] in [0, c) -> log sum_k exp(logit_k) - logit_label
struct cross_entropy_op {
  static constexpr const char* name = "cross_entropy";

  template <class B, int R>
  static auto forward(const tensor<B, R>& logits, const tensor<B, R - 1, index_t>& labels) {
    const auto& b = logits.backend();
    extents<R - 1> outer{};
    for (std::size_t a = 0; a < outer.size(); ++a) outer[a] = logits.shape()[a];
    detail::expect_extents<R - 1>(name, "labels", labels, outer);
    auto e = logits.shape();
    e[R - 1] = 1;
    tensor<B, R> top(b, e), log_sum(b, e), loss(b, e);
    b.reduce(functor::maximum{}, functor::identity{}, top.mutable_view(), logits.view());
    const auto total = detail::reduce_to<B, R>(b, e, functor::exp_difference{}, logits.view(),
                                               detail::broadcast_to_view(top.view(), logits.shape()));
    b.map(functor::log_of_sum{}, log_sum.mutable_view(), total.view(), top.view());
    const auto number = channels(b, logits.extent(-1));
    const auto picked =
        detail::reduce_to<B, R>(b, e, functor::pick_label{}, logits.view(), wide(labels, logits.shape()),
                                detail::broadcast_to_view(number.view(), logits.shape()));
    b.map(functor::value_of<functor::subtract>{}, loss.mutable_view(), log_sum.view(), picked.view());
    return op_result{detail::reshaped<R - 1>(loss, outer), std::tuple(logits, labels, log_sum)};
  }

  template <class B, int R>
  static auto vjp(const std::tuple<tensor<B, R>, tensor<B, R - 1, index_t>, tensor<B, R>>& residuals,
                  const tensor<B, R - 1>& dy) {
    const auto& [logits, labels, log_sum] = residuals;
    const auto& b = logits.backend();
    const auto number = channels(b, logits.extent(-1));
    tensor<B, R> dlogits(b, logits.shape());
    b.map(functor::cross_entropy_pullback{}, dlogits.mutable_view(), logits.view(),
          detail::broadcast_to_view(log_sum.view(), logits.shape()), wide(labels, logits.shape()),
          detail::broadcast_to_view(number.view(), logits.shape()), wide(dy, logits.shape()));
    return std::tuple(dlogits, none{});
  }

 private:
  template <class B>
  static tensor<B, 1> channels(const B& b, index_t count) {
    tensor<B, 1> number(b, {count});
    b.generate(functor::position{}, number.mutable_view());
    return number;
  }
  /// One value for each row, repeated over the channels.
  template <class X, std::size_t R>
  static auto wide(const X& x, const std::array<index_t, R>& e) {
    auto view = x.view();
    view.rank = static_cast<int>(R);
    view.extent[R - 1] = e[R - 1];
    view.stride[R - 1] = 0;
    return view;
  }
};

/// -log softmax(logits)_label for each row: logits [..., c], labels [...] in [0, c).
template <class B, int R>
tensor<B, R - 1> cross_entropy(const tensor<B, R>& logits, const tensor<B, R - 1, index_t>& labels) {
  return apply<cross_entropy_op>(logits, labels);
}

}  // namespace fathom
