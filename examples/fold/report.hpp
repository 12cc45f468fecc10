// SPDX-License-Identifier: Apache-2.0
// What fold writes and prints once it is done.
#pragma once

#include <optional>

#include <fathom/io/alignment.hpp>
#include <fathom/io/protein.hpp>

#include "fold_run.hpp"
#include "scores.hpp"

/// Writes ranked_0.pdb, ranked_0.cif, plddt.json, pae.json where the model has the head, summary.json and, unless told
/// otherwise, report.html into arguments.output, each whole or not at all.
void write_results(const fold_arguments& arguments, const fathom::io::alignment& alignment,
                   const fold_outcome& outcome, const std::optional<fathom::io::protein>& reference,
                   const std::optional<fold_scores>& scores);

/// A few lines for people.
void print_results(const fold_arguments& arguments, const fold_outcome& outcome,
                   const std::optional<fold_scores>& scores);
