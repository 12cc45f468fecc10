// SPDX-License-Identifier: Apache-2.0
// Layer normalisation over the last axis.
#pragma once

#include <fathom/op/matmul.hpp>

namespace fathom {

namespace functor {
struct normalize {
  template <class T>
  FATHOM_HD T operator()(T x, T mean, T rstd, T weight, T bias) const {
    return (x - mean) * rstd * weight + bias;
  }
};
struct centred_square {
  template <class T>
  FATHOM_HD T operator()(T x, T mean) const {
    return (x - mean) * (x - mean);
  }
};
struct mean_from_sum {
  double n;
  template <class T>
  FATHOM_HD T operator()(T sum) const {
    return sum / T(n);
  }
};
struct rstd_from_sum {
  double n, eps;
  template <class T>
  FATHOM_HD T operator()(T sum) const {
    return T(1) / sqrt(sum / T(n) + T(eps));
  }
};
struct weighted_cotangent {
  template <class T>
  FATHOM_HD T operator()(T dy, T weight) const {
    return dy * weight;
  }
};
struct projected_cotangent {
  template <class T>
  FATHOM_HD T operator()(T dy, T weight, T x, T mean, T rstd) const {
    return dy * weight * (x - mean) * rstd;
  }
};
struct normalized_cotangent {
  template <class T>
  FATHOM_HD T operator()(T dy, T x, T mean, T rstd) const {
    return dy * (x - mean) * rstd;
  }
};
struct layer_norm_pullback {
  double n;
  template <class T>
  FATHOM_HD T operator()(T dy, T weight, T x, T mean, T rstd, T sum, T projection) const {
    return rstd * (dy * weight - sum / T(n) - (x - mean) * rstd * projection / T(n));
  }
};
}  // namespace functor

/// y = (x - mean) / sqrt(var + eps) * weight + bias, biased variance; x [..., c], weight and bias [c]
struct layer_norm_op {
  static constexpr const char* name = "layer_norm";

  template <class B, int R>
  static auto forward(const tensor<B, R>& x, const tensor<B, 1>& weight, const tensor<B, 1>& bias, double eps) {
    check(x, weight, bias);
    const auto& b = x.backend();
    const double n = static_cast<double>(x.extent(-1));
    auto e = x.shape();
    e[R - 1] = 1;
    const auto at = [&](const auto& small) { return detail::broadcast_to_view(small.view(), x.shape()); };
    auto mean = detail::reduce_to<B, R>(b, e, functor::identity{}, x.view());
    b.map(functor::mean_from_sum{n}, mean.mutable_view(), strided_view<const scalar_of<B>>(mean.view()));
    auto rstd = detail::reduce_to<B, R>(b, e, functor::centred_square{}, x.view(), at(mean));
    b.map(functor::rstd_from_sum{n, eps}, rstd.mutable_view(), strided_view<const scalar_of<B>>(rstd.view()));
    tensor<B, R> y(b, x.shape());
    b.map(functor::normalize{}, y.mutable_view(), x.view(), at(mean), at(rstd), at(weight), at(bias));
    return op_result{y, std::tuple(x, weight, mean, rstd)};
  }

  template <class B, int R>
  static auto vjp(const std::tuple<tensor<B, R>, tensor<B, 1>, tensor<B, R>, tensor<B, R>>& residuals,
                  const tensor<B, R>& dy) {
    const auto& [x, weight, mean, rstd] = residuals;
    const auto& b = x.backend();
    const auto at = [&, &whole = x.shape()](const auto& small) {
      return detail::broadcast_to_view(small.view(), whole);
    };
    const auto w = at(weight), mu = at(mean), r = at(rstd);
    auto sum = detail::reduce_to<B, R>(b, mean.shape(), functor::weighted_cotangent{}, dy.view(), w);
    auto projection =
        detail::reduce_to<B, R>(b, mean.shape(), functor::projected_cotangent{}, dy.view(), w, x.view(), mu, r);
    tensor<B, R> dx(b, x.shape());
    b.map(functor::layer_norm_pullback{static_cast<double>(x.extent(-1))}, dx.mutable_view(), dy.view(), w, x.view(),
          mu, r, at(sum), at(projection));
    auto dweight =
        detail::reduce_to<B, 1>(b, weight.shape(), functor::normalized_cotangent{}, dy.view(), x.view(), mu, r);
    auto dbias = detail::reduce_to<B, 1>(b, weight.shape(), functor::identity{}, dy.view());
    return std::tuple(dx, dweight, dbias, none{});
  }

  template <class B, int R>
  static void check(const tensor<B, R>& x, const tensor<B, 1>& weight, const tensor<B, 1>& bias) {
    detail::expect_extents<1>(name, "the weight", weight, {x.extent(-1)});
    detail::expect_extents<1>(name, "the bias", bias, {x.extent(-1)});
  }
};

}  // namespace fathom
