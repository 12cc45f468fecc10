// SPDX-License-Identifier: Apache-2.0
// Global distance test: how many residues lie near their place after one superposition of all of them.
#pragma once

#include <array>
#include <cstddef>

#include <fathom/metrics/superpose.hpp>

namespace fathom::metrics {

/// Mean over the cutoffs of the fraction of residues within the cutoff, 0..1, after the least-squares superposition of
/// all common residues (no search over subsets, as OpenFold computes it in validation; the LGA program's value is
/// never smaller).
inline double gdt(const masked_points& model, const masked_points& native, const std::array<double, 4>& cutoffs) {
  const point_pairs pairs = common_points(model, native);
  const auto moved = superposed(pairs.first, pairs.second);
  double hits = 0;
  for (std::size_t i = 0; i < moved.size(); ++i)
    for (const double cutoff : cutoffs) hits += distance(moved[i], pairs.second[i]) <= cutoff ? 1 : 0;
  return hits / (static_cast<double>(moved.size()) * static_cast<double>(cutoffs.size()));
}

/// GDT total score: cutoffs 1, 2, 4, 8 Angstrom.
inline double gdt_ts(const masked_points& model, const masked_points& native) {
  return gdt(model, native, {1, 2, 4, 8});
}

/// GDT high accuracy: cutoffs 0.5, 1, 2, 4 Angstrom.
inline double gdt_ha(const masked_points& model, const masked_points& native) {
  return gdt(model, native, {0.5, 1, 2, 4});
}

}  // namespace fathom::metrics
