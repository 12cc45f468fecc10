// SPDX-License-Identifier: Apache-2.0
// The elementwise functions and the reduction that tree states hand to their backend.
#pragma once

#include <cstddef>

#include <fathom/core/config.hpp>
#include <fathom/tensor/tensor.hpp>

namespace fathom::ode::detail {

/// c[0] x_0 + c[1] x_1 + ..., and the same on top of a first operand.
template <class T, std::size_t M>
struct term_sum {
  T c[M];
  template <class... X>
  FATHOM_HD T operator()(X... x) const {
    static_assert(sizeof...(X) == M, "as many operands as coefficients");
    const T values[] = {x...};
    T sum = c[0] * values[0];
    for (std::size_t m = 1; m < M; ++m) sum += c[m] * values[m];
    return sum;
  }
};
template <class T, std::size_t M>
struct added_terms {
  T c[M];
  template <class... X>
  FATHOM_HD T operator()(T y, X... x) const {
    static_assert(sizeof...(X) == M, "as many operands as coefficients");
    const T values[] = {x...};
    T sum = y;
    for (std::size_t m = 0; m < M; ++m) sum += c[m] * values[m];
    return sum;
  }
};

/// Squared scaled error of one element, from its terms.
template <class T, std::size_t M>
struct scaled_square {
  T c[M];
  double atol, rtol;
  template <class... X>
  FATHOM_HD double operator()(T y0, T y1, X... x) const {
    const T values[] = {x...};
    T sum = c[0] * values[0];
    for (std::size_t m = 1; m < M; ++m) sum += c[m] * values[m];
    const double a = y0 < T(0) ? -static_cast<double>(y0) : static_cast<double>(y0);
    const double b = y1 < T(0) ? -static_cast<double>(y1) : static_cast<double>(y1);
    const double r = static_cast<double>(sum) / (atol + rtol * (a < b ? b : a));
    return r * r;
  }
};
/// The same times a weight; where that is 0 nothing else matters, finite or not.
template <class T, std::size_t M>
struct weighted_scaled_square {
  scaled_square<T, M> square;
  template <class... X>
  FATHOM_HD double operator()(T weight, X... x) const {
    return weight == T(0) ? 0.0 : static_cast<double>(weight) * square(x...);
  }
};
struct as_double {
  template <class T>
  FATHOM_HD double operator()(T x) const {
    return static_cast<double>(x);
  }
};
struct times_zero {
  template <class T>
  FATHOM_HD double operator()(T x) const {
    return static_cast<double>(x * T(0));
  }
};
struct product_as_double {
  template <class T>
  FATHOM_HD double operator()(T a, T b) const {
    return static_cast<double>(a) * static_cast<double>(b);
  }
};

template <class B, int R>
double item_of(const tensor<B, R, double>& one) {
  double value = 0;
  one.backend().synchronize();
  one.backend().template download<double>(&value, one.data(), 1);
  return value;
}

/// Sum over everything of f(views...), in double and in a fixed order.
template <class B, int R, class F, class... Views>
double reduce_all(const B& b, const F& f, const extents<R>& shape, const Views&... views) {
  index_t n = 1;
  for (const auto extent : shape) n *= extent;
  if (n == 0) return 0;
  if constexpr (R == 0) {
    // A reduction needs an axis.
    const auto with_axis = [](auto view) {
      view.rank = 1;
      view.extent[0] = 1;
      view.stride[0] = 0;
      return view;
    };
    tensor<B, 1, double> sum(b, {1});
    b.reduce(fathom::detail::sum_values{}, f, sum.mutable_view(), with_axis(views)...);
    return item_of(sum);
  } else {
    extents<R> ones;
    ones.fill(1);
    tensor<B, R, double> sum(b, ones);
    b.reduce(fathom::detail::sum_values{}, f, sum.mutable_view(), views...);
    return item_of(sum);
  }
}

}  // namespace fathom::ode::detail
