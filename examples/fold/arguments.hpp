// SPDX-License-Identifier: Apache-2.0
// The command line of fold.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

/// What the user asked for.
struct fold_arguments {
  std::string target;  ///< alignment, or any input with --check
  std::string model;   ///< weights; empty: drawn from the seed
  std::string dims;    ///< alphafold2, small or compact
  std::optional<std::string> solver;
  std::optional<long> steps;         ///< fixed steps
  std::optional<double> rtol, atol;  ///< adaptive steps
  std::optional<long> recycles, clusters, extra;
  std::uint64_t seed = 0;
  int threads = 0;  ///< 0: all
  std::string device = "cpu", precision = "float32";
  std::string reference;     ///< experimental structure to compare with
  bool drift = false;        ///< compare with a solve of twice the steps
  bool report = true;        ///< write report.html
  bool check = false;        ///< read and validate the input only
  std::uint64_t memory = 0;  ///< bytes that may be used; 0: no limit
  std::string output = "fold_output";
  // What complete_arguments finds out.
  std::string trained_steps;  ///< of the weights, where they say
  std::string described;      ///< which model folds, in a few words
};

/// Fills what the user left open: sizes of the model, solver, steps, recycles and rows of the alignment, from the
/// metadata of the weights where they say, from the shipped model where there is one and nothing else is asked for.
void complete_arguments(fold_arguments& arguments);

/// Parses; a wrong command line gives the process's exit code instead (0 for --help).
std::optional<int> parse_arguments(int argc, char** argv, fold_arguments& arguments);
