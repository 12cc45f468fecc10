// SPDX-License-Identifier: Apache-2.0
// Where the initial value problems come from.
#pragma once

#include <cstdint>
#include <string>

#include "dial.hpp"

struct problem_arguments {
  std::string target;  ///< alignment
  std::string model;   ///< weights of the small model, or of the paper's field; empty: random, or the released ones
  long clusters = 32, extra = 128;
  std::uint64_t seed = 0;
  double depth = 1;                    ///< length of the depth axis of the small model
  double final_scale = 0.5;            ///< how strongly the layers at the end of every branch are drawn
  long sequences = 16, residues = 40;  ///< of the paper's synthetic state
  double state_scale = 1;
  int threads = 0;
};

/// The continuous Evoformer of the small model on a target's own embedding.
dial_problem target_problem(const problem_arguments& arguments);
/// The paper's field on a normally distributed state.
dial_problem paper_problem(const problem_arguments& arguments);
