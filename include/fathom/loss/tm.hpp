// SPDX-License-Identifier: Apache-2.0
// Cross entropy of aligned errors, the training signal of predicted aligned error and pTM (AF2 Suppl. 1.9.7).
#pragma once

#include <fathom/geometry/rigid.hpp>
#include <fathom/loss/bins.hpp>
#include <fathom/loss/masked_mean.hpp>
#include <fathom/op/cross_entropy.hpp>

namespace fathom::loss {

/// Bin edges are equally spaced over [0, max_bin] Angstrom.
struct tm_options {
  double max_bin = 31, eps = 1e-8;
  resolution_range resolution;
};

/// logits [n, n, bins]; backbone frames predicted and true [n], mask [n]. The label of (i, j) is the error of CA_j as
/// seen from frame i; no gradient reaches the frames. 0 outside the range of resolutions.
template <backend B>
tensor<B, 0> tm(const tensor<B, 3>& logits, const rigid<B>& predicted, const rigid<B>& truth, const tensor<B, 1>& mask,
                double resolution, const tm_options& options = {}) {
  const index_t n = mask.extent(0), bins = logits.extent(2);
  fathom::detail::expect_extents<3>("tm loss", "logits", logits, {n, n, bins});
  // All origins [n, n, 3], seen from every frame.
  const auto seen = [&](const rigid<B>& frames) {
    const rigid<B> still{detach(frames.rotation), detach(frames.translation)};
    return invert_apply_to_points(still, broadcast_to<3>(unsqueeze(still.translation, 0), {n, n, 3}));
  };
  const auto squared = sum_squared_difference(seen(predicted), seen(truth));
  const auto label = squared_distance_bin(squared, 0, options.max_bin, bins - 1);
  const auto loss = masked_mean(cross_entropy(logits, label), unsqueeze(mask, 1) * unsqueeze(mask, 0), options.eps);
  return options.resolution.contains(resolution) ? loss : loss * 0.0;
}

}  // namespace fathom::loss
