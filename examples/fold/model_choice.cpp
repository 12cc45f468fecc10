// SPDX-License-Identifier: Apache-2.0
// Which model a run is about.
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

}  // namespace

void complete_arguments(fold_arguments& a) {
  const std::string shipped = FATHOM_SOURCE_DIR "/examples/models/fathom_small.safetensors";
  if (a.model.empty() && a.dims.empty() && std::filesystem::exists(shipped)) a.model = shipped;
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
}
