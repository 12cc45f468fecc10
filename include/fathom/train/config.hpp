// SPDX-License-Identifier: Apache-2.0
// Everything that a training run depends on, as data: it goes into checkpoints and comes from text, key by key.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <fathom/core/error.hpp>
#include <fathom/loss/weights.hpp>

namespace fathom::train {

/// Loss weights that hold from a step on.
struct loss_phase {
  index_t from = 0;
  loss::weights weights;
};

/// Settings of a run. A resumed run may change all but seed and those of the model; with the same ones it is bitwise
/// the unbroken run.
struct training_config {
  // model
  bool discrete = false;  ///< the control: `blocks` discrete blocks instead of a field
  index_t blocks = 6;     ///< of the discrete trunk
  double depth = 1;       ///< of the continuous trunk
  index_t knots = 1;      ///< coefficients of its weights along the depth; 1: the same weights at every depth
  int knot_degree = 0;    ///< of the splines: 0 piecewise constant, 1 piecewise linear
  index_t structure_blocks = 4;
  index_t stored_states = 0;       ///< of the trunk's solve for its gradient; 0: all of it is recorded
  std::string solvers = "heun:3";  ///< one of these is drawn for every step; the first is what the model ships with
  std::string start;               ///< file of weights that the first step begins with; empty: weights are drawn
  // samples
  std::uint64_t seed = 1;
  index_t crop = 64, batch = 4, clusters = 1, recycles = 0;
  double clamp_probability = 0.9, mask_fraction = 0;
  double dropout = 0.1;  ///< scales those of the trunk (0.15, 0.25) and the structure module (0.1) when not 0
  // losses, by step: "0: fape=1 plddt=0.01; 10000: violation=0.1" (later phases inherit what they do not name)
  std::string phases = "0: fape=1 supervised_chi=0.5 distogram=0.3 masked_msa=0 plddt=0.01";
  // optimiser
  double learning_rate = 1e-3, beta1 = 0.9, beta2 = 0.999, adam_eps = 1e-6, weight_decay = 0;
  index_t warmup = 200;
  index_t decay_from = 0, decay_steps = 0;  ///< half a cosine to 0; no decay where decay_steps is 0
  double clip_sample = 0.1, clip_batch = 0.1, ema = 0.999;
  double explosion = 50;  ///< a loss above this many times its running mean stops the run
  // run
  index_t steps = 20000, validate_every = 250, save_every = 100, validation_chains = 16;

  void visit(auto&& v) {
    v("discrete", discrete);
    v("blocks", blocks);
    v("depth", depth);
    v("knots", knots);
    v("knot_degree", knot_degree);
    v("structure_blocks", structure_blocks);
    v("solvers", solvers);
    v("stored_states", stored_states);
    v("start", start);
    v("seed", seed);
    v("crop", crop);
    v("batch", batch);
    v("clusters", clusters);
    v("recycles", recycles);
    v("clamp_probability", clamp_probability);
    v("mask_fraction", mask_fraction);
    v("dropout", dropout);
    v("phases", phases);
    v("learning_rate", learning_rate);
    v("beta1", beta1);
    v("beta2", beta2);
    v("adam_eps", adam_eps);
    v("weight_decay", weight_decay);
    v("warmup", warmup);
    v("decay_from", decay_from);
    v("decay_steps", decay_steps);
    v("clip_sample", clip_sample);
    v("clip_batch", clip_batch);
    v("ema", ema);
    v("explosion", explosion);
    v("steps", steps);
    v("validate_every", validate_every);
    v("save_every", save_every);
    v("validation_chains", validation_chains);
  }
};

namespace detail {
using fathom::detail::concat;

template <class T>
std::string setting_text(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return value;
  } else if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else {
    char text[64];
    const auto end = std::to_chars(text, text + sizeof text, value).ptr;  // shortest that reads back the same
    return std::string(text, end);
  }
}
template <class T>
void read_setting(const std::string& name, const std::string& text, T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    value = text;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (text != "true" && text != "false")
      throw input_error(concat("setting ", name, ": '", text, "', true or false expected"));
    value = text == "true";
  } else {
    T read{};
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), read);
    if (problem != std::errc{} || end != text.data() + text.size())
      throw input_error(
          concat("setting ", name, ": '", text, "' is no ", std::is_integral_v<T> ? "whole " : "", "number in range"));
    value = read;
  }
}
}  // namespace detail

/// Every setting as text.
inline std::map<std::string, std::string> to_settings(training_config config) {
  std::map<std::string, std::string> settings;
  config.visit([&](const char* name, const auto& value) { settings[name] = detail::setting_text(value); });
  return settings;
}

/// Changes the settings that are named. Throws input_error for a name that there is not, listing those there are, and
/// for a value that cannot be read.
inline void apply_settings(training_config& config, const std::map<std::string, std::string>& settings) {
  std::set<std::string> known;
  config.visit([&](const char* name, auto& value) {
    known.insert(name);
    const auto found = settings.find(name);
    if (found != settings.end()) detail::read_setting(name, found->second, value);
  });
  for (const auto& [name, value] : settings)
    if (known.count(name) == 0) {
      std::string list;
      for (const auto& one : known) list += (list.empty() ? "" : ", ") + one;
      throw input_error(detail::concat("there is no setting '", name, "'; there are ", list));
    }
}

/// Names of settings that differ and make another model: those that a resumed run cannot change.
inline std::vector<std::string> model_conflicts(const training_config& one, const training_config& other) {
  std::vector<std::string> names;
  const auto a = to_settings(one), b = to_settings(other);
  for (const char* name : {"blocks", "depth", "discrete", "knot_degree", "knots", "seed", "structure_blocks"})
    if (a.at(name) != b.at(name)) names.push_back(name);
  return names;
}

/// "0: fape=1 plddt=0.01; 10000: violation=0.1"; starts from weights of 0.
inline std::vector<loss_phase> parse_phases(const std::string& text) {
  std::vector<loss_phase> phases;
  const auto wrong = [&](const std::string& why) {
    return input_error(detail::concat("phases '", text, "': ", why,
                                      "; expected such as \"0: fape=1 distogram=0.3; 5000: violation=0.1\""));
  };
  std::size_t at = 0;
  while (at < text.size()) {
    const auto end = std::min(text.find(';', at), text.size());
    const std::string part = text.substr(at, end - at);
    at = end + 1;
    if (part.find_first_not_of(' ') == std::string::npos) continue;
    const auto colon = part.find(':');
    if (colon == std::string::npos) throw wrong("a phase without ':'");
    loss_phase phase;
    phase.weights = phases.empty() ? loss::no_terms : phases.back().weights;
    const auto first = part.find_first_not_of(' ');
    detail::read_setting("phases", part.substr(first, colon - first), phase.from);
    if (phases.empty() ? phase.from != 0 : phase.from <= phases.back().from)
      throw wrong("phases begin at step 0 and follow in order");
    auto& w = phase.weights;
    const std::map<std::string, double*> terms = {{"fape", &w.fape},
                                                  {"supervised_chi", &w.supervised_chi},
                                                  {"distogram", &w.distogram},
                                                  {"masked_msa", &w.masked_msa},
                                                  {"plddt", &w.plddt},
                                                  {"experimentally_resolved", &w.experimentally_resolved},
                                                  {"violation", &w.violation},
                                                  {"tm", &w.tm},
                                                  {"smooth_lddt", &w.smooth_lddt}};
    std::size_t word = colon + 1;
    while ((word = part.find_first_not_of(' ', word)) != std::string::npos) {
      const auto stop = std::min(part.find(' ', word), part.size());
      const std::string entry = part.substr(word, stop - word);
      word = stop;
      const auto equals = entry.find('=');
      const auto term = terms.find(entry.substr(0, equals));
      if (equals == std::string::npos || term == terms.end()) throw wrong("'" + entry + "' is no TERM=WEIGHT");
      detail::read_setting("phases", entry.substr(equals + 1), *term->second);
    }
    phases.push_back(phase);
  }
  if (phases.empty()) throw wrong("there is none");
  return phases;
}

/// The weights at a step.
inline const loss::weights& weights_at(const std::vector<loss_phase>& phases, index_t step) {
  const loss_phase* current = &phases.front();
  for (const auto& phase : phases)
    if (phase.from <= step) current = &phase;
  return current->weights;
}

}  // namespace fathom::train
