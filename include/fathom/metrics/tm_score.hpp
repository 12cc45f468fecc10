// SPDX-License-Identifier: Apache-2.0
// TM-score of two chains whose residues correspond one to one (Zhang and Skolnick 2004).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <fathom/metrics/superpose.hpp>

namespace fathom::metrics {

/// Distance scale 1.24 (L - 15)^(1/3) - 1.8 of a chain of L residues, at least 0.5 Angstrom.
inline double tm_distance_scale(index_t length) {
  if (length <= 15) return 0.5;
  return std::max(0.5, 1.24 * std::cbrt(static_cast<double>(length - 15)) - 1.8);
}

struct tm_result {
  double score = 0;   ///< 0..1
  superposition fit;  ///< brings the model onto the native chain
  double d0 = 0;      ///< distance scale used
};

namespace detail {

/// Pairs closer than `cutoff`, which grows by half an Angstrom until there are three.
inline std::vector<std::size_t> close_pairs(const std::vector<double>& distances, double cutoff) {
  std::vector<std::size_t> chosen;
  for (;; cutoff += 0.5) {
    chosen.clear();
    for (std::size_t i = 0; i < distances.size(); ++i)
      if (distances[i] < cutoff) chosen.push_back(i);
    if (chosen.size() >= 3 || chosen.size() == distances.size()) return chosen;
  }
}

}  // namespace detail

/// max over superpositions of sum_i 1 / (1 + (d_i / d0)^2) / L, L = `length` (0: residues of the native chain).
///
/// The maximum is searched as the TM-score program does: fragments of the chain (all of it, then halves down to four
/// residues) are superposed at every offset, and each superposition is refined on the residues it brings close until
/// the set stays the same.
inline tm_result tm_score(const masked_points& model, const masked_points& native, index_t length = 0) {
  const point_pairs pairs = common_points(model, native);
  if (pairs.size() == 0) throw input_error("tm_score: the structures share no residue");
  if (length == 0)
    for (std::size_t i = 0; i < native.size(); ++i) length += native.has(i) ? 1 : 0;
  constexpr int refinements = 20;
  const std::size_t n = pairs.size();
  tm_result best;
  best.d0 = tm_distance_scale(length);
  best.score = -1;
  const double search_scale = std::min(std::max(best.d0, 4.5), 8.0);

  std::vector<double> distances(n);
  std::vector<point> from, to;
  const auto fit_on = [&](const std::vector<std::size_t>& chosen) {
    from.clear(), to.clear();
    for (const std::size_t i : chosen) from.push_back(pairs.first[i]), to.push_back(pairs.second[i]);
    const superposition fit = superpose(from, to);
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
      distances[i] = distance(fit(pairs.first[i]), pairs.second[i]);
      sum += 1 / (1 + distances[i] * distances[i] / (best.d0 * best.d0));
    }
    const double score = sum / static_cast<double>(length);
    if (score > best.score) best.score = score, best.fit = fit;
  };

  const std::size_t shortest = std::min<std::size_t>(4, n);
  for (std::size_t fragment = n, level = 0;; fragment = ++level < 5 ? std::max(n >> level, shortest) : shortest) {
    for (std::size_t start = 0; start + fragment <= n; ++start) {
      std::vector<std::size_t> chosen(fragment);
      for (std::size_t k = 0; k < fragment; ++k) chosen[k] = start + k;
      fit_on(chosen);
      chosen = detail::close_pairs(distances, search_scale - 1);
      for (int round = 0; round < refinements; ++round) {
        fit_on(chosen);
        std::vector<std::size_t> next = detail::close_pairs(distances, search_scale + 1);
        if (next == chosen) break;
        chosen = std::move(next);
      }
    }
    if (fragment == shortest) break;
  }
  return best;
}

}  // namespace fathom::metrics
