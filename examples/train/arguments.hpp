// SPDX-License-Identifier: Apache-2.0
// The command line of train.
#pragma once

#include <optional>
#include <string>

#include <fathom/train/config.hpp>

struct train_arguments {
  std::string data, output = "train_output", start;
  int threads = 0;      ///< 0: all of the machine
  long keep_mb = 2048;  ///< activations are kept up to this memory in use; on the CPU
  std::string device = "cpu", precision = "float32";
  bool resume = false;
  bool overfit = false;
  double target = 0.95;  ///< lDDT-CA at which --overfit stops
  double minutes = 0;    ///< stop after this time, saving; 0: no limit
  fathom::train::training_config config;
};

/// Parses; a wrong command line gives the process's exit code instead (0 for --help).
std::optional<int> parse_arguments(int argc, char** argv, train_arguments& arguments);
