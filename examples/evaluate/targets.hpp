// SPDX-License-Identifier: Apache-2.0
// Chains to fold and chains to learn from.
#pragma once

#include <vector>

#include <fathom/train/chain.hpp>

#include "arguments.hpp"

/// The targets, by name, with their alignments where --msa has one for every one of them. Throws input_error or
/// io_error naming the file.
std::vector<fathom::train::chain> read_targets(const evaluate_arguments& arguments);

/// What the model learnt from; empty without --train.
std::vector<fathom::train::chain> read_training(const evaluate_arguments& arguments);

/// The same chain with another sequence and no alignment: what the model is shown, not what it is scored against.
fathom::train::chain with_sequence(const fathom::train::chain& target, const std::string& letters);

/// The target's residues in an order that is drawn from the seed and the target's name.
std::string shuffled_sequence(const fathom::train::chain& target, std::uint64_t seed);
