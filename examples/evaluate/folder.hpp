// SPDX-License-Identifier: Apache-2.0
// The model under evaluation, whatever its type.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <fathom/train/chain.hpp>

#include "arguments.hpp"

/// One prediction and what it cost.
struct folded_chain {
  fathom::io::protein structure;
  double plddt = 0;  ///< mean
  long evaluations = 0;
  double seconds = 0;
};

/// A model on every worker.
class chain_folder {
 public:
  virtual ~chain_folder() = default;
  /// Folds every chain from its sequence (and alignment, where it has one). `done` hears of every finished one.
  virtual std::vector<folded_chain> fold(const std::vector<fathom::train::chain>& chains,
                                         const std::function<void()>& done) const = 0;
  /// The same model before training: parameters drawn from its settings' seed.
  virtual std::unique_ptr<chain_folder> untrained() const = 0;
  virtual long parameters() const = 0;
  /// "continuous, heun:3, 0 recycles"
  virtual std::string text() const = 0;
};

/// Reads weights that train has saved; errors name the file.
std::unique_ptr<chain_folder> open_folder(const evaluate_arguments& arguments);
