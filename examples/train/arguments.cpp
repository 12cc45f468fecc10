// SPDX-License-Identifier: Apache-2.0
#include "arguments.hpp"

#include <CLI/CLI.hpp>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <fathom/train/checkpoint.hpp>
#include <fathom/train/start.hpp>
#include <nlohmann/json.hpp>

namespace {

/// {"crop": 64, "phases": "0: fape=1", ...}: values as text.
std::map<std::string, std::string> read_json_settings(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw fathom::io_error("cannot read '" + path + "'");
  nlohmann::json whole;
  try {
    whole = nlohmann::json::parse(in);
  } catch (const nlohmann::json::exception& problem) {
    throw fathom::input_error("'" + path + "' is no JSON: " + problem.what());
  }
  if (!whole.is_object()) throw fathom::input_error("'" + path + "': an object of settings expected");
  std::map<std::string, std::string> settings;
  for (const auto& [name, value] : whole.items())
    settings[name] = value.is_string() ? value.get<std::string>() : value.dump();
  return settings;
}

/// What --overfit changes before other settings are read: one chain, no regularisation.
void set_overfit(fathom::train::training_config& c) {
  c.batch = 1;
  c.dropout = 0;
  c.solvers = "heun:2";
  c.clamp_probability = 0.5;
  c.clip_sample = c.clip_batch = 1;
  c.ema = 0.9;
  c.warmup = 50;
  c.steps = 4000;
  c.validate_every = 25;
  c.save_every = 500;
}

}  // namespace

std::optional<int> parse_arguments(int argc, char** argv, train_arguments& a) {
  CLI::App app{"Trains a small continuous-depth fold model on chains of known structure."};
  app.footer(
      "Writes checkpoint.safetensors (resume with --resume), model.safetensors (averaged weights, for fold --model),\n"
      "log.csv, validation.csv and loss.svg into the output folder. The result depends on settings and data alone, not "
      "on\n"
      "threads or interruptions. Built with MPI, mpirun -n N train ... trains in N processes; the batch is that of "
      "each.\n"
      "Exit codes: 0 done, 1 wrong command line, 2 bad input, 3 numerical failure, 4 resources, 5 --overfit missed "
      "its\n"
      "target, 130 interrupted (after saving).");
  std::string json;
  std::vector<std::string> pairs;
  std::optional<long> steps;
  app.add_option("--data", a.data,
                 "folder of chains: PDB or mmCIF files, or packed X.safetensors with X.tsv (default: the shipped few)");
  app.add_option("--out,-o", a.output, "output folder")->capture_default_str();
  app.add_option(
      "--start", a.start,
      "weights that train has saved, to begin with, and settings of their model; K discrete blocks become K\n"
      "coefficients along the depth (or as --set knots=N says)");
  app.add_option("--config", json, "JSON object of settings");
  app.add_option("--set", pairs, "settings as NAME=VALUE, after --config");
  app.add_option("--steps", steps, "steps to have done at the end")->check(CLI::PositiveNumber);
  app.add_option("--minutes", a.minutes, "stop after this time, saving")->check(CLI::NonNegativeNumber);
  app.add_option("--threads", a.threads, "samples computed at once; 0: all of the machine; results do not depend on it")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--keep-mb", a.keep_mb,
                 "activations are kept for gradients, not computed twice, up to this much memory; the CPU only")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  auto* device = app.add_option("--device", a.device, "cpu or cuda, an NVIDIA GPU (needs a build with FATHOM_CUDA)")
                     ->check(CLI::IsMember({"cpu", "cuda"}))
                     ->capture_default_str();
  app.add_option("--precision", a.precision, "what products on a GPU read: float32, tf32 or bf16")
      ->check(CLI::IsMember({"float32", "tf32", "bf16"}))
      ->needs(device)
      ->capture_default_str();
  app.add_flag("--resume", a.resume, "go on from the output folder's checkpoint, with its settings");
  app.add_flag("--overfit", a.overfit, "learn one 64-residue crop by heart, until lDDT-CA reaches --target");
  app.add_option("--target", a.target, "lDDT-CA at which --overfit stops")->capture_default_str();
  try {
    app.parse(argc, argv);
    if (a.overfit) set_overfit(a.config);
    const auto checkpoint = std::filesystem::path(a.output) / "checkpoint.safetensors";
    if (a.resume && std::filesystem::exists(checkpoint))
      a.config = fathom::train::read_config(checkpoint);
    else if (!a.start.empty())
      fathom::train::take_model(a.config, a.start);
    if (!json.empty()) fathom::train::apply_settings(a.config, read_json_settings(json));
    for (const auto& pair : pairs) {
      const auto equals = pair.find('=');
      if (equals == std::string::npos) throw CLI::ValidationError("--set", "'" + pair + "' is no NAME=VALUE");
      fathom::train::apply_settings(a.config, {{pair.substr(0, equals), pair.substr(equals + 1)}});
    }
    if (steps) a.config.steps = *steps;
    if (a.data.empty()) a.data = FATHOM_SOURCE_DIR "/examples/data/chains";
  } catch (const CLI::ParseError& wrong) {
    return app.exit(wrong) == 0 ? 0 : 1;
  }
  return std::nullopt;
}
