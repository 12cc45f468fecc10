// SPDX-License-Identifier: Apache-2.0
// The command line of fold.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

/// What the user asked for.
struct fold_arguments {
  std::string target;                ///< alignment, or any input with --check
  std::string model;                 ///< weights; empty: drawn from the seed
  std::string dims = "alphafold2";
  std::string solver = "rk4";
  std::optional<long> steps;         ///< fixed steps
  std::optional<double> rtol, atol;  ///< adaptive steps
  long recycles = 1;
  long clusters = 128, extra = 1024;
  std::uint64_t seed = 0;
  int threads = 0;                   ///< 0: all
  std::string reference;             ///< experimental structure to compare with
  bool check = false;                ///< read and validate the input only
  std::uint64_t memory = 0;          ///< bytes that may be used; 0: no limit
  std::string output = "fold_output";
};

/// Parses; a wrong command line gives the process's exit code instead (0 for --help).
std::optional<int> parse_arguments(int argc, char** argv, fold_arguments& arguments);
