// SPDX-License-Identifier: Apache-2.0
// Weights of the losses and the schedules of AlphaFold2's training phases, as data (AF2 Suppl. 1.9, 1.11, Table 4).
#pragma once

#include <array>
#include <string_view>

#include <fathom/core/config.hpp>

namespace fathom::loss {

/// A term of weight 0 is not computed.
struct weights {
  double fape = 1;
  double supervised_chi = 1;
  double distogram = 0.3;
  double masked_msa = 2;
  double plddt = 0.01;
  double experimentally_resolved = 0;
  double violation = 0;
  double tm = 0;
  double smooth_lddt = 0;  ///< of CA atoms; not one of AlphaFold2's terms

  constexpr bool operator==(const weights&) const = default;
};
/// What a list of terms starts from.
inline constexpr weights no_terms{.fape = 0, .supervised_chi = 0, .distogram = 0, .masked_msa = 0, .plddt = 0};

/// One phase of training. Samples count examples, not steps; a batch holds `batch` of them.
struct training_phase {
  std::string_view name;
  weights loss;
  index_t crop = 256;      ///< residues
  index_t clusters = 128;  ///< rows of the alignment
  index_t extra = 1024;    ///< rows of the extra alignment
  bool templates = true;
  index_t batch = 128;
  double learning_rate = 1e-3;
  index_t warmup_samples = 128000;
  index_t decay_after_samples = 6400000;  ///< then the learning rate falls by decay_factor every decay_every_samples
  index_t decay_every_samples = 6400000;
  double decay_factor = 0.95;
  index_t samples = 10000000;
  double clamp_probability = 0.9;  ///< of a sample's backbone FAPE
  double ema_decay = 0.999;
  double gradient_clip = 0.1;  ///< global norm of one sample's gradient
  index_t recycles = 3;        ///< most passes after the first one, drawn uniformly for the whole batch
};

namespace detail {
constexpr training_phase fine_tuned(std::string_view name, double tm, bool templates) {
  training_phase phase{name, {}};
  phase.loss.experimentally_resolved = 0.01;
  phase.loss.violation = 1;
  phase.loss.tm = tm;
  phase.crop = 384;
  phase.clusters = 512;
  phase.extra = 5120;
  phase.templates = templates;
  phase.learning_rate = 5e-4;
  phase.warmup_samples = 0;
  phase.samples = 1500000;
  return phase;
}
constexpr training_phase without_templates(training_phase phase, std::string_view name) {
  phase.name = name;
  phase.templates = false;
  return phase;
}
}  // namespace detail

inline constexpr training_phase initial_training{"initial_training", {}};
inline constexpr training_phase finetuning = detail::fine_tuned("finetuning", 0, true);
inline constexpr training_phase finetuning_ptm = detail::fine_tuned("finetuning_ptm", 0.1, true);
inline constexpr std::array<training_phase, 6> training_phases = {
    initial_training,
    finetuning,
    finetuning_ptm,
    detail::without_templates(initial_training, "initial_training_no_templ"),
    detail::without_templates(finetuning, "finetuning_no_templ"),
    detail::without_templates(finetuning_ptm, "finetuning_no_templ_ptm")};

/// The phase of this name; null where there is none.
constexpr const training_phase* find_training_phase(std::string_view name) {
  for (const auto& phase : training_phases)
    if (phase.name == name) return &phase;
  return nullptr;
}

}  // namespace fathom::loss
