// SPDX-License-Identifier: Apache-2.0
// Cross entropy of the distogram (AF2 Suppl. 1.9.8, eq. 41).
#pragma once

#include <fathom/loss/bins.hpp>
#include <fathom/loss/masked_mean.hpp>
#include <fathom/op/cross_entropy.hpp>

namespace fathom::loss {

/// Bin edges are equally spaced over [min_bin, max_bin] Angstrom; the outer bins are open.
struct distogram_options {
  double min_bin = 2.3125, max_bin = 21.6875, eps = 1e-6;
};

/// logits [n, n, bins], true pseudo-beta positions [n, 3] with mask [n]. The diagonal counts.
template <backend B>
tensor<B, 0> distogram(const tensor<B, 3>& logits, const tensor<B, 2>& pseudo_beta, const tensor<B, 1>& mask,
                       const distogram_options& options = {}) {
  const index_t n = mask.extent(0), bins = logits.extent(2);
  fathom::detail::expect_extents<3>("distogram loss", "logits", logits, {n, n, bins});
  const auto beta = detach(pseudo_beta);
  const auto squared = sum_squared_difference(unsqueeze(beta, 1), unsqueeze(beta, 0));
  const auto label = squared_distance_bin(squared, options.min_bin, options.max_bin, bins - 1);
  return masked_mean(cross_entropy(logits, label), unsqueeze(mask, 1) * unsqueeze(mask, 0), options.eps);
}

}  // namespace fathom::loss
