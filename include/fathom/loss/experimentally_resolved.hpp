// SPDX-License-Identifier: Apache-2.0
// Which atoms an experiment shows (AF2 Suppl. 1.9.10, eq. 43).
#pragma once

#include <fathom/loss/masked_mean.hpp>

namespace fathom::loss {

struct experimentally_resolved_options {
  resolution_range resolution;
  double eps = 1e-8;
};

/// Binary cross entropy over the atoms that the residues have: logits, resolved (0/1) and exists, all [n, 37]. 0 for a
/// structure whose resolution (Angstrom) lies outside the range.
template <backend B>
tensor<B, 0> experimentally_resolved(const tensor<B, 2>& logits, const tensor<B, 2>& resolved,
                                     const tensor<B, 2>& exists, double resolution,
                                     const experimentally_resolved_options& options = {}) {
  const auto loss = masked_mean(softplus(logits) - logits * resolved, exists, options.eps);
  return options.resolution.contains(resolution) ? loss : loss * 0.0;
}

}  // namespace fathom::loss
