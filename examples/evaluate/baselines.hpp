// SPDX-License-Identifier: Apache-2.0
// Predictions without a model: what scores say of a structure that nobody predicted.
#pragma once

#include <string>
#include <vector>

#include <fathom/io/protein.hpp>
#include <fathom/train/chain.hpp>

/// One alpha helix from end to end.
fathom::io::protein ideal_helix(const fathom::train::chain& target);

/// The median CA distance of residues that are k = 0, 1, ... apart in the sequence, over all pairs of the chains that
/// are closer than 15 Angstrom: the pairs that lDDT looks at.
std::vector<double> median_distances(const std::vector<fathom::train::chain>& chains, fathom::index_t longest);

/// CA atoms embedded by those distances: the same for every sequence of a length, and no chain.
fathom::io::protein median_embedding(const fathom::train::chain& target, const std::vector<double>& medians);

struct nearest_fold {
  fathom::io::protein structure;
  std::string name;
  double identity = 0, coverage = 0;
};

/// The backbone of the chain that aligns best with the target's sequence, laid on the target by that alignment;
/// residues without a partner get CA atoms on lines between their neighbours'. A chain of the target's own name is
/// passed over.
nearest_fold nearest_chain(const fathom::train::chain& target, const std::vector<fathom::train::chain>& chains);
