// SPDX-License-Identifier: Apache-2.0
// The body of a run, for the translation unit that instantiates it.
#pragma once

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <fathom/train/chain_files.hpp>
#include <fathom/train/checkpoint.hpp>
#include <fathom/train/loader.hpp>
#include <fathom/train/process_group.hpp>
#include <fathom/train/start.hpp>
#include <fathom/train/validation.hpp>

#include "progress.hpp"
#include "run.hpp"
#include "training_log.hpp"

namespace detail {

namespace train = fathom::train;

/// The first chain with 64 residues in a row that were all seen, cut to them.
inline train::chain chain_to_learn(const std::vector<train::chain>& chains, fathom::index_t length) {
  for (const auto& c : chains)
    for (fathom::index_t start = 0, seen = 0, i = 0; i < c.size(); ++i) {
      seen = c.mask(i, 1) != 0 ? seen + 1 : 0;
      if (seen < length) continue;
      start = i + 1 - length;
      return train::make_chain(train::to_protein(c, start, length), c.name);
    }
  throw fathom::input_error("no chain has " + std::to_string(length) + " observed residues in a row to learn by heart");
}

inline std::string shown(const train::validation_scores& v) {
  char text[200];
  std::snprintf(text, sizeof text, "lDDT-CA %.4f  helix F1 %.3f  strand F1 %.3f  CA-CA %.1f %%  CA clashes %.2f %%",
                v.lddt_ca, v.helix_f1, v.strand_f1, 100 * v.ca_ca_ok, 100 * v.ca_clashes);
  return text;
}

}  // namespace detail

/// `backend_of(threads)` makes the handle of one worker, which may use that many threads.
template <class Depth, class MakeBackend>
int run_training(const train_arguments& a, stop_request& stop, fathom::train::process_group* group,
                 const MakeBackend& backend_of) {
  namespace fs = std::filesystem;
  namespace train = fathom::train;
  using B = decltype(backend_of(1));
  using model = fathom::compact_fold_model<B, fathom::compact, Depth>;
  using clock = std::chrono::steady_clock;
  const auto& c = a.config;

  auto chains = train::read_chains(a.data);
  std::vector<train::chain> held_out;
  if (a.overfit) {
    chains = {detail::chain_to_learn(chains, std::min<fathom::index_t>(c.crop, 64))};
    held_out = chains;
  } else if (c.validation_chains > 0) {
    // Short ones: validation is to be seen often.
    held_out = train::read_chains(a.data, {.split = "valid", .longest = 128});
    if (static_cast<fathom::index_t>(held_out.size()) > c.validation_chains)
      held_out.resize(static_cast<std::size_t>(c.validation_chains));
  }
  // The first process alone writes and validates; all agree on when to stop.
  const bool first = group == nullptr || group->rank() == 0;
  const auto agreed = [&](bool here) { return group == nullptr ? here : group->any(here); };
  const fs::path out = a.output, checkpoint = out / "checkpoint.safetensors";
  if (first) fs::create_directories(out);
  // One sample at a time leaves the other threads to its operations.
  const int workers = static_cast<int>(std::min<fathom::index_t>(a.threads, c.batch));
  const int inside = std::max(1, a.threads / workers);
  train::trainer<model> run(c, workers, [&] { return backend_of(inside); });
  if (a.device == "cpu") run.keep_up_to(std::int64_t(a.keep_mb) << 20);
  if (fs::exists(checkpoint)) {
    if (!a.resume)
      throw fathom::input_error("'" + checkpoint.string() + "' exists: go on with --resume, or choose another --out");
    train::load_checkpoint(checkpoint, run);
  } else if (!c.start.empty()) {
    train::start_from(run, c.start);
  }
  if (group != nullptr) run.join(*group);
  if (first)
    std::fprintf(
        stderr,
        "train: %zu chains, %zu to validate with, %td parameters, %s trunk, %s%d x %d threads, step %td of %td\n",
        chains.size(), held_out.size(), static_cast<std::ptrdiff_t>(train::parameter_count(run.model())), Depth::name,
        group != nullptr ? (std::to_string(group->size()) + " processes of ").c_str() : "", workers, inside,
        static_cast<std::ptrdiff_t>(run.steps()), static_cast<std::ptrdiff_t>(c.steps));
  const train::sampler draw(chains, {.seed = c.seed, .crop = c.crop, .clamp_probability = c.clamp_probability});
  const train::sample_options making{
      .clusters = c.clusters, .passes = c.recycles + 1, .mask_fraction = c.mask_fraction};
  train::loader samples([&, share = run.share()](std::uint64_t k) {
    const auto one = draw(share(k));
    return train::make_sample(chains[one.chain], one, making);
  });
  std::optional<training_log> log;
  std::optional<progress> bar;
  if (first) {
    log.emplace(out, run.steps());
    bar.emplace(c.steps);
  }
  const auto save = [&] {
    if (!first) return;
    train::save_checkpoint(checkpoint, run);
    train::save_model(out / "model.safetensors", run);
    log->draw();
  };
  const auto start = clock::now();
  double best = 0;
  while (run.steps() < c.steps) {
    train::step_report report;
    try {
      report = run.step(samples.next(c.batch));
    } catch (const fathom::numerical_error& problem) {
      if (first) {
        bar->clear();
        log->draw();
      }
      throw fathom::numerical_error(std::string(problem.what()) + ". The last good checkpoint is " +
                                    checkpoint.string());
    }
    if (first) {
      log->add(report);
      (*bar)(report);
    }
    const double minutes = std::chrono::duration<double>(clock::now() - start).count() / 60;
    const bool stopped = agreed(stop());
    const bool over = agreed(stopped || (a.minutes > 0 && minutes >= a.minutes));
    if (!held_out.empty() && (report.step % c.validate_every == 0 || report.step == c.steps)) {
      if (first) {
        const auto scores = train::validate(run, held_out);
        log->add(report.step, scores);
        bar->say("step " + std::to_string(report.step) + "  validation: " + detail::shown(scores));
        best = std::max(best, scores.lddt_ca);
      }
      if (a.overfit && agreed(best >= a.target)) {
        if (!first) return done;
        save();
        bar->clear();
        std::fprintf(stderr, "train: learnt %s by heart, lDDT-CA %.4f after %td steps and %.0f s\n",
                     chains.front().name.c_str(), best, static_cast<std::ptrdiff_t>(report.step), 60 * minutes);
        return done;
      }
    }
    if (over || report.step % c.save_every == 0 || report.step == c.steps) save();
    if (over && !first) return stopped ? interrupted : done;
    if (over) {
      bar->clear();
      std::fprintf(stderr, "train: stopped after step %td and saved; go on with --resume\n",
                   static_cast<std::ptrdiff_t>(report.step));
      return stopped ? interrupted : done;
    }
  }
  if (bar) bar->clear();
  if (!a.overfit) return done;
  if (!first) return missed;
  std::fprintf(stderr, "train: lDDT-CA %.4f after %td steps, below the target of %.2f\n", best,
               static_cast<std::ptrdiff_t>(run.steps()), a.target);
  return missed;
}
