// SPDX-License-Identifier: Apache-2.0
// The body of a runner of compact models, for the translation unit that instantiates it.
#pragma once

#include <fathom/model/compact_checkpoint.hpp>
#include <fathom/model/compact_fold.hpp>

#include "fold_run_impl.hpp"

template <class Depth, class B>
fold_outcome run_compact_depth(const B& b, const fold_arguments& a, const fathom::features& query,
                               const fathom::compact_settings& settings,
                               const std::function<void(const fathom::fold_progress&)>& progress) {
  using model_type = fathom::compact_fold_model<B, fathom::compact, Depth>;
  fold_outcome outcome;
  const auto start = std::chrono::steady_clock::now();
  const auto model = a.model.empty() ? fathom::initialise(fathom::make_compact<model_type>(b, settings),
                                                          {.seed = a.seed, .final_scale = 0.1})
                                     : fathom::load_compact<model_type>(b, fathom::io::safetensors(a.model), settings);
  outcome.parameters = fathom::tree::count(model);
  outcome.load_seconds = seconds_since(start);
  outcome.depth = settings.depth;
  timed_fold(outcome, a, progress, [&](const fathom::fold_options& options) { return fold(model, query, options); });
  return outcome;
}

template <class B>
fold_outcome run_compact_on(const B& b, const fold_arguments& a, const fathom::features& query,
                            const std::function<void(const fathom::fold_progress&)>& progress) {
  fathom::compact_settings settings;
  if (!a.model.empty()) settings = fathom::read_compact_settings(fathom::io::safetensors(a.model).metadata(), a.model);
  return settings.discrete ? run_compact_depth<fathom::discrete_depth>(b, a, query, settings, progress)
                           : run_compact_depth<fathom::continuous_depth>(b, a, query, settings, progress);
}
