// SPDX-License-Identifier: Apache-2.0
// Learning rates as functions of the number of steps done.
#pragma once

#include <cmath>

#include <fathom/core/error.hpp>
#include <fathom/loss/weights.hpp>

namespace fathom::train {

/// Linear from `base` to `max` over `warmup` steps, constant until `decay_after`, then times `decay_factor` at once and
/// again every `decay_every` steps (AF2 Suppl. 1.11.3, as OpenFold counts it).
struct plateau_schedule {
  double max = 1e-3, base = 0;
  index_t warmup = 1000, decay_after = 50000, decay_every = 50000;
  double decay_factor = 0.95;

  double operator()(index_t step) const {
    if (step < 0) throw error(fathom::detail::concat("plateau_schedule: step ", step, " is negative"));
    if (step < warmup) return base + (max - base) * static_cast<double>(step) / static_cast<double>(warmup);
    if (step <= decay_after || decay_every <= 0) return max;
    return max * std::pow(decay_factor, static_cast<double>((step - decay_after) / decay_every + 1));
  }
};

/// The schedule of a training phase whose steps see `batch` samples each.
inline plateau_schedule schedule_of(const loss::training_phase& phase, index_t batch) {
  if (batch < 1)
    throw error(fathom::detail::concat("schedule_of: a batch of ", batch, "; it needs at least one sample"));
  plateau_schedule schedule;
  schedule.max = phase.learning_rate;
  schedule.warmup = phase.warmup_samples / batch;
  schedule.decay_after = phase.decay_after_samples / batch;
  schedule.decay_every = phase.decay_every_samples / batch;
  schedule.decay_factor = phase.decay_factor;
  return schedule;
}

/// Linear warm-up from 0, then half a cosine from `max` to `min` at step `total`: for a budget known in advance.
struct cosine_schedule {
  double max = 1e-3, min = 0;
  index_t warmup = 100, total = 10000;

  double operator()(index_t step) const {
    if (step < 0) throw error(fathom::detail::concat("cosine_schedule: step ", step, " is negative"));
    if (step < warmup) return max * static_cast<double>(step) / static_cast<double>(warmup);
    if (step >= total) return min;
    const double done = static_cast<double>(step - warmup) / static_cast<double>(total - warmup);
    return min + 0.5 * (max - min) * (1 + std::cos(3.14159265358979323846 * done));
  }
};

}  // namespace fathom::train
