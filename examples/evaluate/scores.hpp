// SPDX-License-Identifier: Apache-2.0
// A predicted chain against the experiment, and sums over targets.
#pragma once

#include <string>
#include <vector>

#include <fathom/io/protein.hpp>
#include <fathom/metrics/ca_geometry.hpp>
#include <fathom/metrics/state_agreement.hpp>

#include "folder.hpp"

struct target_scores {
  std::string name;
  long residues = 0;
  double lddt_ca = 0, tm_score = 0, gdt_ts = 0, gdt_ha = 0, rmsd = 0;
  fathom::metrics::state_agreement helix, strand;  ///< of the predicted coordinates, by hydrogen bonds
  fathom::metrics::share_count spacing, clashes, handedness;
  double plddt = 0, evaluations = 0, seconds = 0;
};

/// Scores over the residues that the experiment saw; geometry over all that are predicted.
target_scores score_target(const fathom::io::protein& predicted, const fathom::io::protein& experiment);
target_scores score_target(const folded_chain& folded, const fathom::io::protein& experiment);

/// Means over targets of lDDT, TM-score, GDT, RMSD, evaluations, seconds and pLDDT; F1 and shares over all residues and
/// pairs of all targets together.
struct mean_scores {
  long targets = 0, residues = 0;
  double lddt_ca = 0, tm_score = 0, gdt_ts = 0, gdt_ha = 0, rmsd = 0, plddt = 0, evaluations = 0, seconds = 0;
  fathom::metrics::state_agreement helix, strand;
  fathom::metrics::share_count spacing, clashes, handedness;
};
mean_scores mean_of(const std::vector<target_scores>& targets);
