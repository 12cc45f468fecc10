// SPDX-License-Identifier: Apache-2.0
// Means over what a mask keeps.
#pragma once

#include <fathom/op/reduction.hpp>

namespace fathom::loss {

/// sum(mask x) / (eps + sum mask); the mask has the extents of x, or broadcasts to them and counts once per element.
template <class B, int Rx, int Rm>
tensor<B, 0> masked_mean(const tensor<B, Rx>& x, const tensor<B, Rm>& mask, double eps) {
  static_assert(Rm <= Rx, "fathom: the mask of a masked mean has no more axes than what it masks");
  const auto whole = broadcast_to<Rx>(mask, x.shape());
  return sum(x * whole) / (sum(whole) + eps);
}

/// Experiments outside this range of resolution teach nothing about confidence: 1 inside, 0 outside. In Angstrom.
struct resolution_range {
  double min = 0.1, max = 3.0;
  constexpr bool contains(double resolution) const { return resolution >= min && resolution <= max; }
};

}  // namespace fathom::loss
