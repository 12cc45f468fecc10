// SPDX-License-Identifier: Apache-2.0
// A prediction beside an experimental structure.
#pragma once

#include <cstddef>
#include <string>

#include <fathom/io/protein.hpp>
#include <fathom/metrics/points.hpp>

/// Agreement of a prediction with an experimental structure, over residues that both have.
struct fold_scores {
  double lddt_ca = 0, tm_score = 0, rmsd = 0, gdt_ts = 0, gdt_ha = 0;
  long residues = 0;
};

/// Which residues of query and reference belong together: n of them from these on.
struct residue_pairing {
  std::size_t from_query = 0, from_reference = 0, n = 0;
};

/// Pairs two sequences of one length that agree in 90 % of their places, or one that lies whole within the other;
/// throws input_error when neither holds.
residue_pairing pair_residues(const std::string& query, const std::string& reference);

/// Positions of an atom in residues [from, from + n) of a chain.
fathom::metrics::masked_points trace(const fathom::io::protein& chain, std::size_t from, std::size_t n,
                                     const char* atom = "CA");

/// Scores by CA atoms.
fold_scores score_against(const fathom::io::protein& predicted, const fathom::io::protein& reference);
