// SPDX-License-Identifier: Apache-2.0
// What fold writes and prints once it is done.
#pragma once

#include <optional>

#include <fathom/io/alignment.hpp>
#include <fathom/io/protein.hpp>

#include "fold_run.hpp"

/// Agreement of a prediction with an experimental structure, over residues that both have.
struct fold_scores {
  double lddt_ca = 0, rmsd = 0, gdt_ts = 0, gdt_ha = 0;
  long residues = 0;
};

/// Which residues of query and reference belong together: n of them from these on.
struct residue_pairing {
  std::size_t from_query = 0, from_reference = 0, n = 0;
};

/// Pairs two sequences of one length that agree in 90 % of their places, or one that lies whole within the other; throws
/// input_error when neither holds.
residue_pairing pair_residues(const std::string& query, const std::string& reference);

/// Scores by CA atoms.
fold_scores score_against(const fathom::io::protein& predicted, const fathom::io::protein& reference);

/// Writes ranked_0.pdb, ranked_0.cif and summary.json into arguments.output, each whole or not at all.
void write_results(const fold_arguments& arguments, const fathom::io::alignment& alignment,
                   const fold_outcome& outcome, const std::optional<fold_scores>& scores);

/// A few lines for people.
void print_results(const fold_arguments& arguments, const fold_outcome& outcome,
                   const std::optional<fold_scores>& scores);
