// SPDX-License-Identifier: Apache-2.0
// A trained compact model on chains of known structure: what is predicted, at which cost, as its depth is resolved more
// or less finely.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <fathom/model/solver_choice.hpp>
#include <fathom/train/chain.hpp>

#include "dial.hpp"
#include "problems.hpp"

struct model_arguments {
  std::string model;    ///< weights that examples/train has saved
  std::string targets;  ///< folder of structures, or packed chains; empty: the shipped few
  std::string split;    ///< of packed chains; empty: "valid", or of the shipped few all
  long limit = 0;       ///< the first so many targets; 0: all
  int threads = 0;
};

/// One setting: means over the targets.
struct model_point {
  std::string solver, setting;
  long steps = 0;        ///< fixed ones; 0 where they are adaptive
  double rtol = 0;       ///< of adaptive ones
  bool shipped = false;  ///< how the weights say that they are to be run
  double lddt_ca = 0, seconds = 0, evaluations = 0, rejected = 0;
  std::vector<double> of_targets;  ///< lDDT-CA
  std::string failure;             ///< why there is no result; empty for a good one
};

/// The solver-swap score of every target, their mean and their worst.
struct model_swap {
  std::vector<leaf_values> of_targets;
  leaf_values mean, worst;
};

/// A model on every worker, and targets.
class model_dial {
 public:
  virtual ~model_dial() = default;
  virtual const std::vector<fathom::train::chain>& targets() const = 0;
  /// "continuous, heun:2, 0 recycles, step 4000, 628914 parameters"
  virtual std::string text() const = 0;
  /// Method and steps that the weights name.
  virtual std::string solver() const = 0;
  virtual long steps() const = 0;
  /// Folds every target.
  virtual model_point measure(const std::string& solver, const fathom::control_choice& control) const = 0;
  /// swap_score of the trunk of the first pass.
  virtual model_swap swap(const std::string& solver, long steps) const = 0;
};

/// True where the file's metadata names a compact model; false for a file that cannot be read, whose errors are those
/// of who reads it next.
bool is_compact_file(const std::string& path);

/// Errors name the file: checkpoint_error for weights of another kind, and for a stack of blocks, which has no depth.
std::unique_ptr<model_dial> open_model(const model_arguments& arguments);

/// 1, 2, 4, 8, 16 steps of the model's own method and tolerances 1e-1 to 1e-4 of `adaptive`; `tell` hears of every
/// point as it comes.
std::vector<model_point> turn_model(const model_dial& model, const std::string& adaptive,
                                    const std::function<void(const model_point&)>& tell);

/// What a compact model's weights ask for.
struct compact_choice {
  std::string solver;
  long steps = 0;
};
/// The trunk of a compact model on an alignment, for turn_dial.
dial_problem compact_problem(const problem_arguments& arguments, compact_choice& choice);
