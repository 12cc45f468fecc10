// SPDX-License-Identifier: Apache-2.0
#include "baselines.hpp"

#include <algorithm>
#include <cmath>

#include <fathom/metrics/distance_embedding.hpp>
#include <fathom/metrics/ideal_chain.hpp>
#include <fathom/metrics/sequence_alignment.hpp>

namespace metrics = fathom::metrics;
namespace train = fathom::train;
using fathom::index_t;
using metrics::operator+;
using metrics::operator-;
using metrics::operator*;

namespace {

const int ca_column = fathom::atom37_index("CA");

/// The target's residues without atoms.
fathom::io::protein bare(const train::chain& target) {
  fathom::io::protein chain(target.size());
  chain.name = target.name;
  for (std::size_t i = 0; i < chain.aatype.size(); ++i) chain.aatype[i] = target.aatype[i];
  return chain;
}

void put(fathom::io::protein& chain, std::size_t residue, int column, const metrics::point& at) {
  const auto i = static_cast<index_t>(residue);
  chain.mask(i, column) = 1;
  for (index_t k = 0; k < 3; ++k) chain.positions(i, column, k) = at[static_cast<std::size_t>(k)];
}

/// CA atoms for residues that have none: on lines between neighbours, 3.8 Angstrom apart and outwards at the ends.
void fill_gaps(fathom::io::protein& chain) {
  const auto ca = metrics::ca_trace(chain);
  std::vector<std::size_t> known;
  metrics::point centre{0, 0, 0};
  for (std::size_t i = 0; i < ca.size(); ++i)
    if (ca.has(i)) known.push_back(i), centre = centre + ca.at[i];
  if (known.empty()) {
    for (std::size_t i = 0; i < ca.size(); ++i) put(chain, i, ca_column, {3.8 * static_cast<double>(i), 0, 0});
    return;
  }
  centre = (1 / static_cast<double>(known.size())) * centre;
  const auto outwards = [&](std::size_t from) {
    const auto away = ca.at[from] - centre;
    const double length = metrics::norm(away);
    return length > 1e-6 ? (1 / length) * away : metrics::point{1, 0, 0};
  };
  for (std::size_t i = 0; i < known.front(); ++i)
    put(chain, i, ca_column,
        ca.at[known.front()] + (3.8 * static_cast<double>(known.front() - i)) * outwards(known.front()));
  for (std::size_t i = known.back() + 1; i < ca.size(); ++i)
    put(chain, i, ca_column,
        ca.at[known.back()] + (3.8 * static_cast<double>(i - known.back())) * outwards(known.back()));
  for (std::size_t k = 0; k + 1 < known.size(); ++k) {
    const std::size_t a = known[k], b = known[k + 1];
    for (std::size_t i = a + 1; i < b; ++i) {
      const double u = static_cast<double>(i - a) / static_cast<double>(b - a);
      put(chain, i, ca_column, (1 - u) * ca.at[a] + u * ca.at[b]);
    }
  }
}

}  // namespace

fathom::io::protein ideal_helix(const train::chain& target) {
  auto chain = bare(target);
  const auto atoms = metrics::ideal_backbone(chain.aatype.size());
  for (std::size_t i = 0; i < atoms.size(); ++i) {
    put(chain, i, fathom::atom37_index("N"), atoms[i].n);
    put(chain, i, ca_column, atoms[i].ca);
    put(chain, i, fathom::atom37_index("C"), atoms[i].c);
    put(chain, i, fathom::atom37_index("O"), atoms[i].o);
  }
  return chain;
}

std::vector<double> median_distances(const std::vector<train::chain>& chains, index_t longest) {
  // Counts of distances in bins for every separation.
  constexpr double width = 0.01;
  constexpr std::size_t bins = 1500;
  std::vector<std::vector<long>> count(static_cast<std::size_t>(longest), std::vector<long>(bins, 0));
  for (const auto& c : chains)
    for (index_t i = 0; i < c.size(); ++i)
      for (index_t j = i + 1; j < c.size() && j - i < longest; ++j) {
        if (c.mask(i, 1) == 0 || c.mask(j, 1) == 0) continue;
        double square = 0;
        for (index_t x = 0; x < 3; ++x) {
          const double off = static_cast<double>(c.positions(i, 1, x)) - static_cast<double>(c.positions(j, 1, x));
          square += off * off;
        }
        const auto bin = static_cast<std::size_t>(std::sqrt(square) / width);
        if (bin < bins) ++count[static_cast<std::size_t>(j - i)][bin];
      }
  std::vector<double> medians(static_cast<std::size_t>(longest), 0.0);
  for (std::size_t k = 1; k < medians.size(); ++k) {
    long all = 0, seen = 0;
    for (const long n : count[k]) all += n;
    // Too few pairs say nothing: the last separation that has enough stands for those beyond it.
    if (all < 100) {
      medians[k] = medians[k - 1];
      continue;
    }
    std::size_t bin = 0;
    while (2 * (seen + count[k][bin]) < all) seen += count[k][bin++];
    medians[k] = (static_cast<double>(bin) + 0.5) * width;
  }
  return medians;
}

fathom::io::protein median_embedding(const train::chain& target, const std::vector<double>& medians) {
  auto chain = bare(target);
  const index_t n = target.size();
  fathom::host_tensor<double> distances({n, n});
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < n; ++j)
      distances(i, j) = medians[std::min(static_cast<std::size_t>(std::abs(i - j)), medians.size() - 1)];
  const auto points = metrics::embed_distances(distances);
  for (std::size_t i = 0; i < points.size(); ++i) put(chain, i, ca_column, points[i]);
  return chain;
}

nearest_fold nearest_chain(const train::chain& target, const std::vector<train::chain>& chains) {
  const std::string letters = target.sequence();
  const train::chain* best = nullptr;
  int score = 0;
  for (const auto& c : chains) {
    if (c.name == target.name) continue;
    const int one = metrics::alignment_score(letters, c.sequence());
    if (best == nullptr || one > score) best = &c, score = one;
  }
  nearest_fold found;
  found.structure = bare(target);
  if (best != nullptr) {
    const auto match = metrics::align_sequences(letters, best->sequence());
    found.name = best->name;
    found.identity = match.identity;
    found.coverage = match.coverage;
    // N, CA, C, O are the first four of the atom14 layout.
    const int columns[] = {fathom::atom37_index("N"), ca_column, fathom::atom37_index("C"), fathom::atom37_index("O")};
    for (std::size_t i = 0; i < match.partner.size(); ++i) {
      if (match.partner[i] < 0) continue;
      const index_t j = match.partner[i];
      for (index_t a = 0; a < 4; ++a)
        if (best->mask(j, a) != 0)
          put(found.structure, i, columns[a],
              {static_cast<double>(best->positions(j, a, 0)), static_cast<double>(best->positions(j, a, 1)),
               static_cast<double>(best->positions(j, a, 2))});
    }
  }
  fill_gaps(found.structure);
  return found;
}
