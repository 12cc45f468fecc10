// SPDX-License-Identifier: Apache-2.0
// Weights of a compact_fold_model with the settings that stand in the file's metadata.
#pragma once

#include <charconv>
#include <filesystem>
#include <map>
#include <string>

#include <fathom/io/parameters.hpp>
#include <fathom/model/compact_fold_model.hpp>

namespace fathom {

/// What a file of weights says about the model that they belong to, and how it is meant to be run.
struct compact_settings {
  bool discrete = false;
  index_t blocks = 6;  ///< of a discrete trunk
  double depth = 1;    ///< of a continuous trunk
  index_t knots = 1;   ///< coefficients of its weights along the depth
  int knot_degree = 0;
  index_t structure_blocks = 4;
  trunk_solver solver;
  index_t recycles = 0, clusters = 1;
  std::uint64_t seed = 1;
  std::string step;  ///< of the training that made them
};

/// True where the file's metadata names this kind of model.
inline bool is_compact_model(const std::map<std::string, std::string>& metadata) {
  const auto found = metadata.find("model");
  return found != metadata.end() && found->second == "compact_fold_model";
}

/// The settings in a file's metadata, as training writes them: "depth" is continuous or discrete, "config.NAME" a
/// setting. Throws checkpoint_error naming `source` for a file of another model or a value that cannot be read.
inline compact_settings read_compact_settings(const std::map<std::string, std::string>& metadata,
                                              const std::string& source) {
  const auto wrong = [&](const std::string& why) { return checkpoint_error("'" + source + "': " + why); };
  if (!is_compact_model(metadata))
    throw wrong("its metadata does not name a compact_fold_model; give a model that examples/train has saved");
  compact_settings settings;
  const auto number = [&](const char* name, auto& value) {
    const auto found = metadata.find(std::string("config.") + name);
    if (found == metadata.end()) return;
    const std::string& text = found->second;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (problem != std::errc{} || end != text.data() + text.size())
      throw wrong(std::string("setting ") + name + " is '" + text + "', a number expected");
  };
  number("blocks", settings.blocks);
  number("depth", settings.depth);
  number("knots", settings.knots);
  number("knot_degree", settings.knot_degree);
  number("structure_blocks", settings.structure_blocks);
  number("recycles", settings.recycles);
  number("clusters", settings.clusters);
  number("seed", settings.seed);
  const auto text = [&](const char* name) {
    const auto found = metadata.find(name);
    return found == metadata.end() ? std::string() : found->second;
  };
  settings.discrete = text("depth") == discrete_depth::name;
  settings.step = text("step");
  // The first of a list is the one that the model ships with.
  if (const auto list = text("config.solvers"); !list.empty())
    settings.solver = parse_trunk_solver(list.substr(0, list.find(',')));
  return settings;
}

/// A model of these settings, undrawn: give it to initialise or io::fill.
template <class Model, class B>
Model make_compact(const B& b, const compact_settings& settings) {
  Model model(b, settings.blocks);
  model.structure_module.options.blocks = settings.structure_blocks;
  if constexpr (Model::continuous) model.evoformer.set_depth(settings.depth, settings.knots, settings.knot_degree);
  return model;
}

/// A model and its weights. Errors as io::fill.
template <class Model, class B>
Model load_compact(const B& b, const io::tensor_file& file, const compact_settings& settings) {
  auto model = make_compact<Model>(b, settings);
  io::fill(model, file);
  return model;
}

/// Solver and control of fold_options as the settings have them.
inline void apply(const compact_settings& settings, fold_options& options) {
  const std::string text = settings.solver.text();
  options.solver = solver_named(text.substr(0, text.find(':')));
  options.control = ode::fixed_steps{static_cast<long>(settings.solver.steps)};
  options.recycles = settings.recycles;
}

}  // namespace fathom
