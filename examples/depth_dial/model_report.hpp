// SPDX-License-Identifier: Apache-2.0
// What depth_dial leaves of a model: a table as CSV, everything as JSON, lDDT-CA against cost as SVG.
#pragma once

#include <string>
#include <vector>

#include "model_dial.hpp"

/// Everything that was measured.
struct model_report {
  std::string file, text, source;  ///< weights, what they are, where the targets are from
  std::vector<std::string> targets;
  std::vector<model_point> points;
  std::string swap_solver;
  long swap_steps = 0;
  model_swap swap;
};

std::string model_csv(const model_report& report);
std::string model_json(const model_report& report);
/// lDDT-CA against evaluations and seconds, as two panels; a ring marks the shipped setting.
std::string model_plot(const model_report& report);
