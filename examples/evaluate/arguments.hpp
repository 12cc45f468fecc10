// SPDX-License-Identifier: Apache-2.0
// The command line of evaluate.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

struct evaluate_arguments {
  std::string model;            ///< weights that examples/train has saved
  std::string targets;          ///< folder of structures, or packed chains
  std::string split = "valid";  ///< of packed chains
  std::string alignments;       ///< folder of NAME.a3m; empty: single sequences
  std::string training;         ///< chains that the model learnt from, for two of the baselines
  std::string output = "evaluate_output";
  std::string solver;                      ///< NAME:STEPS; empty: what the weights say
  std::optional<long> recycles, clusters;  ///< empty: what the weights say
  long limit = 0;                          ///< the first so many targets; 0: all
  std::uint64_t seed = 0;                  ///< of the shuffled sequences
  int threads = 0;                         ///< 0: all of the machine
  bool baselines = true;
  bool structures = false;  ///< write every prediction as PDB
};

/// Parses; a wrong command line gives the process's exit code instead (0 for --help).
std::optional<int> parse_arguments(int argc, char** argv, evaluate_arguments& arguments);
