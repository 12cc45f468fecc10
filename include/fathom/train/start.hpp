// SPDX-License-Identifier: Apache-2.0
// A run that begins with trained weights instead of drawn ones.
#pragma once

#include <filesystem>

#include <fathom/model/depth_start.hpp>
#include <fathom/train/trainer.hpp>

namespace fathom::train {

/// Gives `config` the model of a file that a run is to begin with: its structure module and depth; a stack of K blocks
/// becomes K coefficients of degree 0 on a depth of K, whose K Euler steps are the stack.
inline void take_model(training_config& config, const std::filesystem::path& path) {
  const auto from = read_compact_settings(io::safetensors(path).metadata(), path.string());
  config.start = path.string();
  config.structure_blocks = from.structure_blocks;
  config.blocks = from.blocks;
  config.depth = from.discrete ? static_cast<double>(from.blocks) : from.depth;
  config.knots = from.discrete ? from.blocks : from.knots;
  config.knot_degree = from.discrete ? 0 : from.knot_degree;
}

/// Puts the weights of config().start in place of those drawn, before the first step: see fathom::start_from.
template <class Model>
void start_from(trainer<Model>& run, const std::filesystem::path& path) {
  Model model = run.model();
  fathom::start_from(model, io::safetensors(path), settings_of_model(run.config()));
  run.start_from(model);
}

}  // namespace fathom::train
