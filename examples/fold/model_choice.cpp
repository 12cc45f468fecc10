// SPDX-License-Identifier: Apache-2.0
// Which model a run is about.
#include <cstdlib>
#include <filesystem>

#include <fathom/io/checkpoint_file.hpp>
#include <fathom/model/compact_checkpoint.hpp>

#include "arguments.hpp"

namespace {

/// The metadata of a safetensors file; other formats have none.
std::map<std::string, std::string> metadata_of(const std::string& path) {
  const fathom::io::mapped_file file(path);
  const bool zip =
      file.size() >= 2 && static_cast<char>(file.data()[0]) == 'P' && static_cast<char>(file.data()[1]) == 'K';
  return zip ? std::map<std::string, std::string>{} : fathom::io::safetensors(path).metadata();
}

/// The model that folds where none is asked for; FATHOM_DEFAULT_MODEL names another one.
std::string default_model() {
  const char* const set = std::getenv("FATHOM_DEFAULT_MODEL");
  return set != nullptr ? set : FATHOM_SOURCE_DIR "/examples/models/fathom_small.safetensors";
}

std::string described(const fold_arguments& a, bool shipped) {
  if (a.model.empty())
    return fathom::detail::concat("a model of ", a.dims, " dims, drawn at random from seed ", a.seed);
  auto text = fathom::detail::concat(shipped ? "the shipped model " : "",
                                     std::filesystem::path(a.model).filename().string(), " of ", a.dims, " dims");
  return a.trained_steps.empty() ? text : text + ", trained for " + a.trained_steps + " steps";
}

}  // namespace

void complete_arguments(fold_arguments& a) {
  bool shipped = false;
  if (a.model.empty() && a.dims.empty() && std::filesystem::exists(default_model())) {
    a.model = default_model();
    shipped = true;
  }
  fathom::compact_settings settings;
  settings.clusters = 128;
  settings.recycles = 1;
  if (!a.model.empty()) {
    const auto metadata = metadata_of(a.model);
    const bool compact = fathom::is_compact_model(metadata);
    if (!a.dims.empty() && compact != (a.dims == "compact"))
      throw fathom::input_error("--dims " + a.dims + " does not fit '" + a.model + "', which " +
                                (compact ? "is a compact model" : "does not say that it is a compact model"));
    if (compact) {
      settings = fathom::read_compact_settings(metadata, a.model);
      a.dims = "compact";
      a.trained_steps = settings.step;
    }
  }
  if (a.dims.empty()) a.dims = "alphafold2";
  const bool compact = a.dims == "compact";
  if (!a.clusters) a.clusters = settings.clusters;
  if (!a.recycles) a.recycles = settings.recycles;
  if (!a.extra) a.extra = compact ? 0 : 1024;
  if (!a.solver && !a.rtol && compact) {
    const std::string text = settings.solver.text();
    a.solver = text.substr(0, text.find(':'));
    if (!a.steps) a.steps = settings.solver.steps;
  }
  if (!a.solver) a.solver = a.rtol ? "dopri5" : "rk4";
  if (!a.steps && !a.rtol) a.steps = 2;
  a.described = described(a, shipped);
}
