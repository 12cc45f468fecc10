// SPDX-License-Identifier: Apache-2.0
// Random tensors: a function of (seed, position), the same on every backend up to rounding.
#pragma once

#include <cmath>

#include <fathom/core/philox.hpp>
#include <fathom/op/kernel.hpp>

namespace fathom {

namespace functor {
/// Standard normal by Box and Muller from two uniforms.
struct normal_value {
  std::uint64_t key;
  FATHOM_HD double operator()(index_t i) const {
    const auto at = static_cast<std::uint64_t>(i);
    const double radius = std::sqrt(-2.0 * std::log(philox_uniform(key, 2 * at)));
    return radius * std::cos(6.283185307179586 * philox_uniform(key, 2 * at + 1));
  }
};
struct uniform_value {
  std::uint64_t key;
  FATHOM_HD double operator()(index_t i) const { return philox_uniform(key, static_cast<std::uint64_t>(i)); }
};
}  // namespace functor

namespace detail {
template <int R, class B, class F>
auto random_tensor(const B& b, const extents<R>& e, const F& f) {
  if constexpr (plain_backend<B>) {
    tensor<B, R> x(b, e);
    b.generate(f, x.mutable_view());
    return x;
  } else {
    return tensor<B, R>(random_tensor<R>(b.inner(), e, f));
  }
}
}  // namespace detail

/// Independent standard normal values.
template <int R, class B>
auto random_normal(const B& b, const extents<R>& e, std::uint64_t seed) {
  return detail::random_tensor<R>(b, e, functor::normal_value{seed});
}
/// Independent uniform values in (0, 1).
template <int R, class B>
auto random_uniform(const B& b, const extents<R>& e, std::uint64_t seed) {
  return detail::random_tensor<R>(b, e, functor::uniform_value{seed});
}

}  // namespace fathom
