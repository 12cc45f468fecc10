// SPDX-License-Identifier: Apache-2.0
// Dropout by counter-based keys: the mask is a function of (key, position), so it is recomputed, never stored.
#pragma once

#include <fathom/core/philox.hpp>
#include <fathom/op/elementwise.hpp>

namespace fathom {

/// Rate and key of one dropout site; a rate of 0 (the default) is the identity. `split(i)` derives the key of part i.
struct dropout_key {
  std::uint64_t key = 0;
  double rate = 0;
  dropout_key split(std::uint64_t part) const { return {philox_split(key, part), rate}; }
  dropout_key with_rate(double r) const { return {key, rate > 0 ? r : 0.0}; }
};

namespace functor {
struct dropout_mask {
  std::uint64_t key;
  double rate;
  FATHOM_HD double operator()(index_t i) const {
    return philox_uniform(key, static_cast<std::uint64_t>(i)) < rate ? 0.0 : 1.0 / (1.0 - rate);
  }
};
}  // namespace functor

/// y = x mask / (1 - rate); the mask has extent 1 along `shared_axis` (AF2 Suppl. 1.11.6: DropoutRowwise, Columnwise),
/// or is drawn per element where shared_axis is -1.
struct dropout_op {
  static constexpr const char* name = "dropout";
  template <class B, int R>
  static auto forward(const tensor<B, R>& x, const dropout_key& key, int shared_axis) {
    return op_result{masked(x, key, shared_axis), std::tuple(key, shared_axis)};
  }
  template <class B, int R>
  static auto vjp(const std::tuple<dropout_key, int>& residuals, const tensor<B, R>& dy) {
    return std::tuple(masked(dy, std::get<0>(residuals), std::get<1>(residuals)), none{}, none{});
  }

 private:
  template <class B, int R>
  static tensor<B, R> masked(const tensor<B, R>& x, const dropout_key& key, int shared_axis) {
    auto e = x.shape();
    if (shared_axis >= 0) e[static_cast<std::size_t>(shared_axis)] = 1;
    tensor<B, R> mask(x.backend(), e);
    x.backend().generate(functor::dropout_mask{key.key, key.rate}, mask.mutable_view());
    tensor<B, R> y(x.backend(), x.shape());
    x.backend().map(functor::product{}, y.mutable_view(), x.view(), detail::broadcast_to_view(mask.view(), x.shape()));
    return y;
  }
};

/// See dropout_op.
template <class B, int R>
tensor<B, R> dropout(const tensor<B, R>& x, const dropout_key& key, int shared_axis = -1) {
  if (key.rate < 0 || key.rate >= 1)
    throw error(detail::concat("dropout: the rate must lie in [0, 1), got ", key.rate));
  return key.rate == 0 ? x : apply<dropout_op>(x, key, shared_axis);
}

}  // namespace fathom
