// SPDX-License-Identifier: Apache-2.0
// Local distance difference test on one atom per residue (Mariani et al. 2013), as AlphaFold2 scores itself.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include <fathom/metrics/points.hpp>

namespace fathom::metrics {

struct lddt_scores {
  std::vector<double> residue;  ///< [N], 0..1; 1 for a residue without neighbours
  double mean = 0;              ///< over all scored pairs, as AF2 reports a chain's lDDT-CA
};

/// lDDT-CA: of the pairs i != j closer than `cutoff` in the native chain, the mean over 0.5, 1, 2, 4 Angstrom of the
/// fraction whose distance differs by less. eps 1e-10 is added to squared distances, numerators and denominators (AF2
/// Suppl. 1.9.6; a residue without pairs gets 1). Needs no superposition; residues absent in either chain do not count.
inline lddt_scores lddt(const masked_points& model, const masked_points& native, double cutoff = 15.0) {
  if (model.size() != native.size())
    throw shape_error(fathom::detail::concat("lddt: the two chains have ", model.size(), " and ", native.size(),
                                             " residues; give them the same residues, with a mask"));
  constexpr double eps = 1e-10;
  const auto length = [](const point& a, const point& b) { return std::sqrt(eps + dot(a - b, a - b)); };
  const std::size_t n = native.size();
  std::vector<double> pairs(n, 0.0), kept(n, 0.0);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < i; ++j) {
      if (!(model.has(i) && native.has(i) && model.has(j) && native.has(j))) continue;
      const double truth = length(native.at[i], native.at[j]);
      if (!(truth < cutoff)) continue;
      const double off = std::abs(truth - length(model.at[i], model.at[j]));
      const double score = 0.25 * ((off < 0.5 ? 1 : 0) + (off < 1 ? 1 : 0) + (off < 2 ? 1 : 0) + (off < 4 ? 1 : 0));
      pairs[i] += 1, pairs[j] += 1, kept[i] += score, kept[j] += score;
    }
  lddt_scores scores;
  double all_pairs = 0, all_kept = 0;
  for (std::size_t i = 0; i < n; ++i) {
    scores.residue.push_back((eps + kept[i]) / (eps + pairs[i]));
    all_pairs += pairs[i], all_kept += kept[i];
  }
  scores.mean = (eps + all_kept) / (eps + all_pairs);
  return scores;
}

}  // namespace fathom::metrics
