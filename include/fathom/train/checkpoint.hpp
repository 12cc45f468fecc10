// SPDX-License-Identifier: Apache-2.0
// A run on disk: one safetensors file with parameters, moments and averages, and in its metadata everything else.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <fathom/io/parameters.hpp>
#include <fathom/train/trainer.hpp>

namespace fathom::train {

namespace detail {

inline constexpr const char* checkpoint_format = "fathom training 1";

/// Names and shapes of a model's parameters, as a number.
template <class Model>
std::string layout_of(const Model& model) {
  std::uint64_t hash = 1469598103934665603ull;  // FNV-1a
  const auto add = [&](const std::string& text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  };
  tree::for_each_named(model, [&](const std::string& path, const auto& leaf) {
    add(path);
    for (const index_t e : leaf.shape()) add(fathom::detail::concat(" ", e));
  });
  return std::to_string(hash);
}

inline training_config config_of(const std::map<std::string, std::string>& metadata) {
  std::map<std::string, std::string> settings;
  for (const auto& [key, value] : metadata)
    if (key.rfind("config.", 0) == 0) settings[key.substr(7)] = value;
  training_config config;
  apply_settings(config, settings);
  return config;
}

inline std::map<std::string, std::string> metadata_of(const training_config& config, index_t step) {
  std::map<std::string, std::string> metadata;
  for (const auto& [name, value] : to_settings(config)) metadata["config." + name] = value;
  metadata["step"] = std::to_string(step);
  return metadata;
}

}  // namespace detail

/// The settings of the run that a checkpoint or a model of save_model belongs to.
inline training_config read_config(const std::filesystem::path& path) {
  return detail::config_of(io::safetensors(path).metadata());
}

/// Writes the whole state, at once or not at all: the file that was there stays until the new one is complete.
template <class Model>
void save_checkpoint(const std::filesystem::path& path, trainer<Model>& run) {
  run.pack_state();
  std::vector<io::named_tensor> tensors;
  run.visit_state([&](const char* name, const auto& values) {
    if (!values.empty()) tensors.push_back(io::named_tensor::own(name, to_host(values)));
  });
  auto metadata = detail::metadata_of(run.config(), run.steps());
  metadata["format"] = detail::checkpoint_format;
  metadata["layout"] = detail::layout_of(run.model());
  metadata["samples"] = std::to_string(run.samples());
  metadata["loss_mean"] = detail::setting_text(run.loss_mean());
  io::write_safetensors(path, tensors, metadata);
}

/// Puts a run where save_checkpoint left it. Throws checkpoint_error where the file is of another model, naming the
/// settings that differ.
template <class Model>
void load_checkpoint(const std::filesystem::path& path, trainer<Model>& run) {
  const io::safetensors file(path);
  const auto& metadata = file.metadata();
  const auto wrong = [&](const std::string& why) { return checkpoint_error("'" + path.string() + "': " + why); };
  const auto entry = [&](const char* name) {
    const auto found = metadata.find(name);
    if (found == metadata.end()) throw wrong(std::string("it is no checkpoint of a training run: no entry ") + name);
    return found->second;
  };
  if (entry("format") != detail::checkpoint_format)
    throw wrong("format '" + entry("format") + "', expected '" + detail::checkpoint_format + "'");
  std::string list;
  for (const auto& name : model_conflicts(detail::config_of(metadata), run.config())) list += " " + name;
  if (!list.empty()) throw wrong("the model in it was made with other settings:" + list);
  if (entry("layout") != detail::layout_of(run.model())) throw wrong("its model has other parameters than this one");
  index_t step = 0, samples = 0;
  double loss_mean = 0;
  detail::read_setting("step", entry("step"), step);
  detail::read_setting("samples", entry("samples"), samples);
  detail::read_setting("loss_mean", entry("loss_mean"), loss_mean);
  const index_t n = parameter_count(run.model());
  run.visit_state([&](const char* name, auto& values) {
    if (!file.contains(name)) {
      if (step == 0) return;  // moments do not exist before the first step
      throw wrong(std::string("no tensor ") + name);
    }
    const auto& stored = file.at(name);
    if (stored.size() != n || stored.type != io::dtype::f32)
      throw wrong(fathom::detail::concat(name, " holds ", stored.size(), " values, expected ", n, " of float32"));
    if (stored.first_not_finite() >= 0) throw wrong(std::string(name) + " holds values that are not finite");
    values = from_host<1>(run.handle(), stored.template as<float>());
  });
  run.unpack_state(step, samples, loss_mean);
}

/// The averaged parameters under their names, with the settings beside them: what load_compact_model reads.
template <class Model>
void save_model(const std::filesystem::path& path, const trainer<Model>& run) {
  auto metadata = detail::metadata_of(run.config(), run.steps());
  metadata["model"] = "compact_fold_model";
  metadata["dims"] = "compact";
  metadata["depth"] = Model::depth_type::name;
  io::save(path, run.averaged(), metadata);
}

}  // namespace fathom::train
