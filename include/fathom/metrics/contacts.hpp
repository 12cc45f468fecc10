// SPDX-License-Identifier: Apache-2.0
// Precision of predicted residue contacts: the top L, L/2, L/5 pairs, by sequence separation.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include <fathom/metrics/points.hpp>

namespace fathom::metrics {

/// Pairs of residues i < j with lowest <= j - i <= highest.
struct separation {
  index_t lowest = 24;
  index_t highest = std::numeric_limits<index_t>::max();
};
inline constexpr separation short_range{6, 11}, medium_range{12, 23}, long_range{24};

struct contact_precision {
  double top_l = 0, top_l2 = 0, top_l5 = 0;  ///< fraction of true contacts among the first L, L/2, L/5 pairs
  index_t pairs = 0;                         ///< pairs that could be scored
};

/// CB of every residue, CA of glycine and wherever CB is absent.
template <class Protein>
masked_points pseudo_beta_trace(const Protein& chain) {
  const masked_points ca = atom_trace(chain.positions, chain.mask, "CA");
  masked_points beta = atom_trace(chain.positions, chain.mask, "CB");
  for (std::size_t i = 0; i < beta.size(); ++i)
    if (!beta.has(i)) beta.at[i] = ca.at[i], beta.mask[i] = ca.mask[i];
  return beta;
}

/// Ranks pairs by `score` [N, N] (the mean of both triangles) and counts how many of the best are contacts of the
/// native chain: pseudo-beta atoms closer than `cutoff` Angstrom. Only pairs present in the native chain take part;
/// where there are fewer than asked for, all of them count. Throws shape_error for a score of another size.
inline contact_precision score_contacts(const host_tensor<double>& score, const masked_points& native,
                                        const separation& range = long_range, double cutoff = 8.0) {
  const auto n = static_cast<index_t>(native.size());
  if (score.shape != std::vector<index_t>{n, n})
    throw shape_error(fathom::detail::concat("score_contacts: score has shape ", to_string_extents(score.shape),
                                             ", the native chain ", n, " residues"));
  struct candidate {
    double score;
    std::size_t order;  // decides between equal scores
    bool contact;
  };
  std::vector<candidate> ranked;
  for (index_t i = 0; i < n; ++i)
    for (index_t j = i + range.lowest; j < n && j - i <= range.highest; ++j) {
      const auto a = static_cast<std::size_t>(i), b = static_cast<std::size_t>(j);
      if (!native.has(a) || !native.has(b)) continue;
      ranked.push_back(
          {0.5 * (score(i, j) + score(j, i)), ranked.size(), distance(native.at[a], native.at[b]) < cutoff});
    }
  std::sort(ranked.begin(), ranked.end(), [](const candidate& a, const candidate& b) {
    return a.score > b.score || (a.score == b.score && a.order < b.order);
  });
  const auto precision = [&](index_t count) {
    const auto top = std::min(static_cast<std::size_t>(std::max<index_t>(count, 1)), ranked.size());
    if (top == 0) return 0.0;
    const auto hits = std::count_if(ranked.begin(), ranked.begin() + static_cast<std::ptrdiff_t>(top),
                                    [](const candidate& c) { return c.contact; });
    return static_cast<double>(hits) / static_cast<double>(top);
  };
  return {precision(n), precision(n / 2), precision(n / 5), static_cast<index_t>(ranked.size())};
}

}  // namespace fathom::metrics
