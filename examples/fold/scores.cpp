// SPDX-License-Identifier: Apache-2.0
#include "scores.hpp"

#include <algorithm>

#include <fathom/metrics/gdt.hpp>
#include <fathom/metrics/lddt.hpp>
#include <fathom/metrics/superpose.hpp>
#include <fathom/metrics/tm_score.hpp>

namespace metrics = fathom::metrics;

metrics::masked_points trace(const fathom::io::protein& chain, std::size_t from, std::size_t n, const char* atom) {
  auto all = metrics::atom_trace(chain.positions, chain.mask, atom);
  const auto first = static_cast<std::ptrdiff_t>(from), last = static_cast<std::ptrdiff_t>(from + n);
  return {{all.at.begin() + first, all.at.begin() + last}, {all.mask.begin() + first, all.mask.begin() + last}};
}

residue_pairing pair_residues(const std::string& query, const std::string& reference) {
  const std::size_t n = std::min(query.size(), reference.size());
  if (query.size() == reference.size()) {
    std::size_t same = 0;
    for (std::size_t i = 0; i < n; ++i) same += query[i] == reference[i] || query[i] == 'X' || reference[i] == 'X';
    if (same * 10 >= n * 9) return {0, 0, n};
    throw fathom::input_error("the reference has as many residues as the query, but fewer than 90 % are the same");
  }
  if (const auto at = query.find(reference); at != std::string::npos) return {at, 0, n};
  if (const auto at = reference.find(query); at != std::string::npos) return {0, at, n};
  throw fathom::input_error(fathom::detail::concat("the reference's sequence (", reference.size(),
                                                   " residues) and the query (", query.size(),
                                                   " residues) do not match: neither contains the other"));
}

fold_scores score_against(const fathom::io::protein& predicted, const fathom::io::protein& reference) {
  const auto [from_query, from_reference, n] = pair_residues(predicted.sequence(), reference.sequence());
  const auto model = trace(predicted, from_query, n), native = trace(reference, from_reference, n);
  fold_scores scores;
  for (std::size_t i = 0; i < n; ++i) scores.residues += model.has(i) && native.has(i);
  scores.lddt_ca = metrics::lddt(model, native).mean;
  scores.tm_score = metrics::tm_score(model, native).score;
  scores.rmsd = metrics::rmsd(model, native);
  scores.gdt_ts = metrics::gdt_ts(model, native);
  scores.gdt_ha = metrics::gdt_ha(model, native);
  return scores;
}
