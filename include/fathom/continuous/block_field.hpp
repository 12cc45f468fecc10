// SPDX-License-Identifier: Apache-2.0
// One Evoformer block as a vector field: the sum of its nine sub-layers, or one of them alone.
#pragma once

#include <utility>

#include <fathom/evoformer/evoformer_block.hpp>
#include <fathom/evoformer/state.hpp>

namespace fathom::detail {

/// Zeros of the extents of x that own one element.
template <class B, int R>
tensor<B, R> broadcast_zeros(const tensor<B, R>& x) {
  extents<R> ones;
  ones.fill(1);
  return broadcast_to<R>(full<R>(x.backend(), ones, scalar_of<B>(0)), x.shape());
}

/// The update by one sub-layer as a state: zero in the representation that it leaves alone.
template <class Block, class B>
msa_pair<B> sublayer_rate(const Block& block, evoformer_sublayer which, const msa_pair<B>& y, const masks<B>& mask,
                          dropout_key key) {
  auto update = block.update(which, y, mask, key);
  if (changes_msa(which)) return {std::move(update), broadcast_zeros(y.z)};
  return {broadcast_zeros(y.m), std::move(update)};
}

/// The sum of the nine updates, all of them of the same y.
template <class Block, class B>
msa_pair<B> block_rate(const Block& block, const msa_pair<B>& y, const masks<B>& mask, dropout_key key) {
  msa_pair<B> rate;
  for (const auto which : block.order()) {
    auto& sum = changes_msa(which) ? rate.m : rate.z;
    auto update = block.update(which, y, mask, key);
    sum = sum.empty() ? std::move(update) : std::move(sum) + update;
  }
  return rate;
}

}  // namespace fathom::detail
