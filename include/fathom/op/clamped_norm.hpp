// SPDX-License-Identifier: Apache-2.0
// Length of three-vectors with a soft origin and a ceiling, in one pass: the error measure of FAPE.
#pragma once

#include <fathom/op/layout.hpp>

namespace fathom {

/// e = sqrt(x^2 + y^2 + z^2 + eps); the value is share * min(e, clamp) + (1 - share) * e.
struct clamped_norm_options {
  double eps = 1e-4;
  double clamp = 10;
  double share = 1;
};

namespace functor {
struct clamped_norm_value {
  clamped_norm_options o;
  template <class T>
  FATHOM_HD T operator()(T x, T y, T z) const {
    const T e = sqrt(x * x + y * y + z * z + T(o.eps));
    return e > T(o.clamp) ? T(o.share) * T(o.clamp) + T(1 - o.share) * e : e;
  }
};
/// Derivative by the first component.
struct clamped_norm_pullback {
  clamped_norm_options o;
  template <class T>
  FATHOM_HD T operator()(T x, T y, T z, T dy) const {
    const T e = sqrt(x * x + y * y + z * z + T(o.eps));
    return (e > T(o.clamp) ? T(1 - o.share) : T(1)) * dy * x / e;
  }
};
}  // namespace functor

/// x [3, a, b] -> [a, b]
struct clamped_norm_op {
  static constexpr const char* name = "clamped_norm";
  template <class B>
  static auto forward(const tensor<B, 3>& x, const clamped_norm_options& o) {
    detail::expect_extents<3>(name, "vectors", x, {3, x.extent(1), x.extent(2)});
    tensor<B, 2> y(x.backend(), {x.extent(1), x.extent(2)});
    x.backend().map(functor::clamped_norm_value{o}, y.mutable_view(), part(x, 0).view(), part(x, 1).view(),
                    part(x, 2).view());
    return op_result{y, std::tuple(x, o)};
  }
  template <class B>
  static auto vjp(const std::tuple<tensor<B, 3>, clamped_norm_options>& residuals, const tensor<B, 2>& dy) {
    const auto& [x, o] = residuals;
    tensor<B, 3> dx(x.backend(), x.shape());
    for (index_t k = 0; k < 3; ++k) {
      auto out = part(dx, k);
      x.backend().map(functor::clamped_norm_pullback{o}, out.mutable_view(), part(x, k).view(),
                      part(x, (k + 1) % 3).view(), part(x, (k + 2) % 3).view(), dy.view());
    }
    return std::tuple(dx, none{});
  }

 private:
  template <class B>
  static tensor<B, 2> part(const tensor<B, 3>& x, index_t k) {
    return x.reinterpret(extents<2>{x.extent(1), x.extent(2)}, extents<2>{x.stride(1), x.stride(2)}, k * x.stride(0));
  }
};

/// Components first: [3, a, b] -> [a, b].
template <class B>
tensor<B, 2> clamped_norm(const tensor<B, 3>& x, const clamped_norm_options& options) {
  return apply<clamped_norm_op>(x, options);
}

}  // namespace fathom
