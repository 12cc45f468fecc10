// SPDX-License-Identifier: Apache-2.0
// Whether CA positions could be a chain: spacing of neighbours, clashes, the hand of helices.
#pragma once

#include <cmath>
#include <cstddef>
#include <string>

#include <fathom/metrics/points.hpp>

namespace fathom::metrics {

/// So many of so many. Sums of two are the counts of both chains together.
struct share_count {
  double good = 0, all = 0;
  /// good / all; `otherwise` where there is nothing to count.
  double share(double otherwise = 0) const { return all > 0 ? good / all : otherwise; }
  share_count& operator+=(const share_count& other) {
    good += other.good;
    all += other.all;
    return *this;
  }
};

/// Neighbours i, i + 1 whose CA atoms are 3.8 Angstrom apart, give or take `tolerance`.
inline share_count ca_spacing(const masked_points& ca, double tolerance = 0.4) {
  share_count count;
  for (std::size_t i = 0; i + 1 < ca.size(); ++i) {
    if (!ca.has(i) || !ca.has(i + 1)) continue;
    count.all += 1;
    count.good += std::abs(distance(ca.at[i], ca.at[i + 1]) - 3.8) <= tolerance ? 1 : 0;
  }
  return count;
}

/// Pairs |i - j| >= 3 whose CA atoms are closer than `closest` Angstrom: `good` counts the clashes.
inline share_count ca_clashes(const masked_points& ca, double closest = 3.5) {
  share_count count;
  for (std::size_t i = 0; i < ca.size(); ++i)
    for (std::size_t j = i + 3; j < ca.size(); ++j) {
      if (!ca.has(i) || !ca.has(j)) continue;
      count.all += 1;
      count.good += distance(ca.at[i], ca.at[j]) < closest ? 1 : 0;
    }
  return count;
}

/// Four residues in a row in state H of `states` (three states, of the same structure) whose CA torsion is that of a
/// right-handed alpha helix: 50 +- 25 degrees. Its mirror image is at -50.
inline share_count helix_handedness(const masked_points& ca, const std::string& states) {
  if (states.size() != ca.size())
    throw shape_error(
        fathom::detail::concat("helix_handedness: ", states.size(), " states for ", ca.size(), " residues"));
  share_count count;
  for (std::size_t i = 0; i + 3 < ca.size(); ++i) {
    if (states.compare(i, 4, "HHHH") != 0) continue;
    if (!(ca.has(i) && ca.has(i + 1) && ca.has(i + 2) && ca.has(i + 3))) continue;
    count.all += 1;
    // A torsion that is not a number is not good.
    count.good += std::abs(torsion(ca.at[i], ca.at[i + 1], ca.at[i + 2], ca.at[i + 3]) - 50) <= 25 ? 1 : 0;
  }
  return count;
}

}  // namespace fathom::metrics
