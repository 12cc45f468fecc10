// SPDX-License-Identifier: Apache-2.0
// The body of a runner, for the translation unit that instantiates it.
#pragma once

#include <chrono>

#include <fathom/backend/cpu.hpp>
#include <fathom/io/parameters.hpp>
#include <fathom/model/fold_model.hpp>
#include <fathom/model/memory_estimate.hpp>

#include "fold_run.hpp"

template <class D>
fathom::fold_options options_of(const fold_arguments& a) {
  fathom::fold_options options;
  options.recycles = a.recycles;
  options.solver = fathom::solver_named(a.solver);
  if (a.rtol)
    options.control = fathom::ode::pid{.rtol = *a.rtol, .atol = a.atol.value_or(*a.rtol / 100)};
  else
    options.control = fathom::ode::fixed_steps{a.steps.value_or(2)};
  return options;
}

template <class D>
std::int64_t estimate_fold(const fold_arguments& a, const fathom::features& query) {
  const std::int64_t parameters = fathom::tree::count(fathom::fold_model<fathom::cpu<float>, D>(fathom::cpu<float>{}));
  return fathom::fold_memory_estimate<float, D>(query, options_of<D>(a), parameters);
}

template <class D>
fold_outcome run_fold(const fold_arguments& a, const fathom::features& query,
                      const std::function<void(const fathom::fold_progress&)>& progress) {
  using B = fathom::cpu<float>;
  using clock = std::chrono::steady_clock;
  const auto seconds = [](clock::time_point from) { return std::chrono::duration<double>(clock::now() - from).count(); };
  fold_outcome outcome;
  const B b(fathom::cpu_options{.threads = a.threads});
  auto start = clock::now();
  // Without weights every layer is drawn, the final ones too, so that the whole path does work.
  const auto model = a.model.empty() ? fathom::initialise(fathom::fold_model<B, D>(b), {.seed = a.seed, .final_scale = 0.1})
                                     : fathom::load<fathom::fold_model<B, D>>(b, a.model);
  outcome.parameters = fathom::tree::count(model);
  outcome.load_seconds = seconds(start);
  start = clock::now();
  auto options = options_of<D>(a);
  options.progress = progress;
  outcome.prediction = model.fold(query, options);
  outcome.fold_seconds = seconds(start);
  outcome.peak_bytes = fathom::memory_counter::peak();
  return outcome;
}
