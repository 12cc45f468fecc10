// SPDX-License-Identifier: Apache-2.0
// The body of a runner, for the translation unit that instantiates it.
#pragma once

#include <chrono>

#include <fathom/backend/cpu.hpp>
#include <fathom/io/parameters.hpp>
#include <fathom/model/fold_model.hpp>
#include <fathom/model/memory_estimate.hpp>

#include "common/solvers.hpp"
#include "fold_run.hpp"

inline fathom::fold_options options_of(const fold_arguments& a) {
  fathom::fold_options options;
  options.recycles = *a.recycles;
  options.solver = fathom::solver_named(*a.solver);
  options.measure_drift = a.drift;
  if (a.rtol)
    options.control = fathom::ode::pid{.rtol = *a.rtol, .atol = a.atol.value_or(*a.rtol / 100)};
  else
    options.control = fathom::ode::fixed_steps{*a.steps};
  return options;
}

inline fathom::cpu<float> backend_of(const fold_arguments& a) {
  return fathom::cpu<float>(fathom::cpu_options{.threads = a.threads});
}

inline double seconds_since(std::chrono::steady_clock::time_point from) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
}

/// Passes progress on and adds up the time between the beginnings of stages.
class stage_clock {
 public:
  stage_clock(fold_outcome& outcome, const std::function<void(const fathom::fold_progress&)>& progress)
      : outcome_(outcome), progress_(progress) {}
  void operator()(const fathom::fold_progress& p) {
    if (p.stage != stage_) {
      stop();
      stage_ = p.stage;
    }
    if (progress_) progress_(p);
  }
  void stop() {
    const double passed = seconds_since(since_);
    since_ = std::chrono::steady_clock::now();
    if (stage_.empty()) return;
    for (auto& [name, seconds] : outcome_.stage_seconds)
      if (name == stage_) return void(seconds += passed);
    outcome_.stage_seconds.emplace_back(stage_, passed);
  }

 private:
  fold_outcome& outcome_;
  const std::function<void(const fathom::fold_progress&)>& progress_;
  std::string stage_;
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
};

/// Times `fold(options)`.
template <class Fold>
void timed_fold(fold_outcome& outcome, const fold_arguments& a,
                const std::function<void(const fathom::fold_progress&)>& progress, const Fold& fold) {
  const auto start = std::chrono::steady_clock::now();
  auto options = options_of(a);
  stage_clock stages(outcome, progress);
  options.progress = [&](const fathom::fold_progress& p) { stages(p); };
  outcome.prediction = fold(options);
  stages.stop();
  outcome.fold_seconds = seconds_since(start);
  outcome.peak_bytes = fathom::memory_counter::peak();
}

template <class D>
std::int64_t estimate_fold(const fold_arguments& a, const fathom::features& query) {
  const std::int64_t parameters = fathom::tree::count(fathom::fold_model<fathom::cpu<float>, D>(fathom::cpu<float>{}));
  return fathom::fold_memory_estimate<float, D>(query, options_of(a), parameters);
}

template <class D, class B>
fold_outcome run_fold(const B& b, const fold_arguments& a, const fathom::features& query,
                      const std::function<void(const fathom::fold_progress&)>& progress) {
  fold_outcome outcome;
  const auto start = std::chrono::steady_clock::now();
  // Without weights every layer is drawn, the final ones too, so that the whole path does work.
  const auto model = a.model.empty()
                         ? fathom::initialise(fathom::fold_model<B, D>(b), {.seed = a.seed, .final_scale = 0.1})
                         : fathom::load<fathom::fold_model<B, D>>(b, a.model);
  outcome.parameters = fathom::tree::count(model);
  outcome.load_seconds = seconds_since(start);
  outcome.depth = model.evoformer.options.depth;
  timed_fold(outcome, a, progress, [&](const fathom::fold_options& options) { return model.fold(query, options); });
  return outcome;
}
