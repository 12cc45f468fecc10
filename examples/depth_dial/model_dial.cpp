// SPDX-License-Identifier: Apache-2.0
#include "model_dial.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include <fathom/features/featurize.hpp>
#include <fathom/io/alignment.hpp>
#include <fathom/metrics/lddt.hpp>
#include <fathom/model/compact_checkpoint.hpp>
#include <fathom/model/compact_fold.hpp>
#include <fathom/train/chain_files.hpp>

#include "common/solvers.hpp"
#include "evaluate/workers.hpp"

namespace fs = std::filesystem;
namespace metrics = fathom::metrics;
namespace ode = fathom::ode;
namespace train = fathom::train;

namespace {

using model_type = fathom::compact_fold_model<dial_backend, fathom::compact, fathom::continuous_depth>;

std::string method_of(const fathom::trunk_solver& solver) {
  const std::string text = solver.text();
  return text.substr(0, text.find(':'));
}

fathom::compact_settings continuous_settings(const fathom::io::safetensors& file, const std::string& path) {
  const auto settings = fathom::read_compact_settings(file.metadata(), path);
  if (settings.discrete)
    throw fathom::checkpoint_error(fathom::detail::concat("'", path, "' holds a stack of ", settings.blocks,
                                                          " blocks, which has no depth to dial; give a model with a "
                                                          "continuous trunk (examples/evaluate scores both)"));
  return settings;
}

/// The trunk of the first pass, as a problem of its own.
dial_problem trunk_of(const model_type& model, const fathom::features& query) {
  const auto& b = model.evoformer.linear.weight.backend();
  const auto in = fathom::upload(b, query, query.draw(0));
  const fathom::masks<dial_backend> mask{in.msa_mask, unsqueeze(in.seq_mask, 1) * unsqueeze(in.seq_mask, 0)};
  dial_problem problem;
  problem.y0 = model.embed(in, model.nothing_recycled(b, query.length()));
  problem.span = {0, model.evoformer.options.depth};
  problem.field = [field = model.evoformer.field, mask](const auto& t, const dial_state& y) {
    return field(t, y, mask);
  };
  return problem;
}

/// What a sequence alone says.
fathom::features features_of(const train::chain& c) {
  fathom::io::alignment alone;
  alone.descriptions = {c.name};
  alone.rows = {c.sequence()};
  alone.deletions = {std::vector<int>(static_cast<std::size_t>(c.size()), 0)};
  fathom::feature_options options;
  options.clusters = 1;
  options.extra = 0;
  return fathom::featurize(alone, options);
}

std::vector<train::chain> read_targets(const model_arguments& a) {
  const bool shipped = a.targets.empty();
  const std::string path = shipped ? FATHOM_SOURCE_DIR "/examples/data/chains" : a.targets;
  train::chain_options options;
  options.shortest = 4;
  options.most_of_one_type = 1;
  const auto read = [&](const std::string& split) {
    options.split = split;
    return fs::is_directory(path) ? train::read_chains(path, options) : train::read_packed_chains(path, options);
  };
  std::vector<train::chain> chains = read(!a.split.empty() ? a.split : shipped ? "train" : "valid");
  if (shipped && a.split.empty())
    for (auto& c : read("valid")) chains.push_back(std::move(c));
  if (chains.empty()) throw fathom::input_error("'" + path + "' holds no chain of split '" + options.split + "'");
  std::sort(chains.begin(), chains.end(), [](const auto& x, const auto& y) { return x.name < y.name; });
  if (a.limit > 0 && chains.size() > static_cast<std::size_t>(a.limit))
    chains.resize(static_cast<std::size_t>(a.limit));
  return chains;
}

class compact_dial final : public model_dial {
 public:
  explicit compact_dial(const model_arguments& a) {
    const fathom::io::safetensors file(a.model);
    settings_ = continuous_settings(file, a.model);
    targets_ = read_targets(a);
    for (const auto& c : targets_) {
      queries_.push_back(features_of(c));
      experiments_.push_back(metrics::ca_trace(train::to_protein(c)));
    }
    // A model for every worker: each computes on one thread.
    for (std::size_t w = 0; w < std::min(worker_count(a.threads), targets_.size()); ++w)
      models_.push_back(
          fathom::load_compact<model_type>(dial_backend(fathom::cpu_options{.threads = 1}), file, settings_));
  }

  const std::vector<train::chain>& targets() const override { return targets_; }
  std::string text() const override {
    return fathom::detail::concat("continuous, ", settings_.solver.text(), ", ", settings_.recycles, " recycles, step ",
                                  settings_.step.empty() ? "unknown" : settings_.step, ", ",
                                  fathom::tree::count(models_.front()), " parameters");
  }
  std::string solver() const override { return method_of(settings_.solver); }
  long steps() const override { return static_cast<long>(settings_.solver.steps); }

  model_point measure(const std::string& solver, const fathom::control_choice& control) const override {
    fathom::fold_options options;
    options.solver = fathom::solver_named(solver);
    options.control = control;
    options.recycles = settings_.recycles;
    model_point point;
    point.solver = solver;
    if (const auto* fixed = std::get_if<ode::fixed_steps>(&control)) {
      point.steps = fixed->n;
      point.setting = fathom::detail::concat(fixed->n, fixed->n == 1 ? " step" : " steps");
      point.shipped = solver == this->solver() && fixed->n == steps();
    } else {
      char text[32];
      point.rtol = std::get<ode::pid>(control).rtol;
      std::snprintf(text, sizeof text, "rtol %.0e", point.rtol);
      point.setting = text;
    }
    struct cost {
      double seconds = 0;
      long evaluations = 0, rejected = 0;
    };
    std::vector<cost> costs(targets_.size());
    point.of_targets.resize(targets_.size());
    try {
      for_each_on_workers(models_.size(), targets_.size(), [&](std::size_t k, std::size_t worker) {
        const auto start = std::chrono::steady_clock::now();
        const auto p = fold(models_[worker], queries_[k], options);
        const auto end = std::chrono::steady_clock::now();
        const auto& stats = p.solution.stats;
        costs[k] = {std::chrono::duration<double>(end - start).count(), stats.evaluations, stats.rejected};
        point.of_targets[k] = metrics::lddt(metrics::ca_trace(p.structure), experiments_[k]).mean;
      });
    } catch (const fathom::numerical_error& problem) {
      point.failure = problem.what();
      return point;
    }
    const double share = 1 / static_cast<double>(targets_.size());
    for (std::size_t k = 0; k < targets_.size(); ++k) {
      point.lddt_ca += share * point.of_targets[k];
      point.seconds += share * costs[k].seconds;
      point.evaluations += share * static_cast<double>(costs[k].evaluations);
      point.rejected += share * static_cast<double>(costs[k].rejected);
    }
    return point;
  }

  model_swap swap(const std::string& solver, long steps) const override {
    model_swap all;
    all.of_targets.resize(targets_.size());
    for_each_on_workers(models_.size(), targets_.size(), [&](std::size_t k, std::size_t worker) {
      all.of_targets[k] = swap_score(trunk_of(models_[worker], queries_[k]), solver, steps);
    });
    const double share = 1 / static_cast<double>(targets_.size());
    for (const auto& s : all.of_targets) {
      for (const auto leaf : {&leaf_values::m, &leaf_values::z, &leaf_values::first_row}) {
        all.mean.*leaf += share * s.*leaf;
        all.worst.*leaf = std::max(all.worst.*leaf, s.*leaf);
      }
    }
    return all;
  }

 private:
  fathom::compact_settings settings_;
  std::vector<train::chain> targets_;
  std::vector<fathom::features> queries_;
  std::vector<metrics::masked_points> experiments_;
  std::vector<model_type> models_;
};

}  // namespace

bool is_compact_file(const std::string& path) {
  try {
    return fathom::is_compact_model(fathom::io::safetensors(path).metadata());
  } catch (const fathom::error&) {
    return false;
  }
}

std::unique_ptr<model_dial> open_model(const model_arguments& arguments) {
  return std::make_unique<compact_dial>(arguments);
}

std::vector<model_point> turn_model(const model_dial& model, const std::string& adaptive,
                                    const std::function<void(const model_point&)>& tell) {
  std::vector<model_point> points;
  const auto choose = [&](const std::string& solver, const fathom::control_choice& control) {
    points.push_back(model.measure(solver, control));
    tell(points.back());
  };
  std::vector<long> steps = {1, 2, 4, 8, 16};
  if (std::find(steps.begin(), steps.end(), model.steps()) == steps.end()) steps.push_back(model.steps());
  std::sort(steps.begin(), steps.end());
  for (const long n : steps) choose(model.solver(), ode::fixed_steps{n});
  for (const double rtol : {1e-1, 1e-2, 1e-3, 1e-4}) choose(adaptive, ode::pid{.rtol = rtol, .atol = rtol / 10});
  return points;
}

dial_problem compact_problem(const problem_arguments& a, compact_choice& choice) {
  const fathom::io::safetensors file(a.model);
  auto settings = continuous_settings(file, a.model);
  if (a.depth != 1) settings.depth = a.depth;
  choice = {method_of(settings.solver), static_cast<long>(settings.solver.steps)};
  const auto model =
      fathom::load_compact<model_type>(dial_backend(fathom::cpu_options{.threads = a.threads}), file, settings);
  fathom::feature_options options;
  options.seed = a.seed;
  options.clusters = settings.clusters;
  options.extra = 0;
  const auto query = fathom::featurize(fathom::io::read_alignment(a.target), options);
  auto problem = trunk_of(model, query);
  problem.title = fathom::detail::concat(fs::path(a.target).filename().string(), ", ", query.length(), " residues, ",
                                         problem.y0.m.extent(0), " sequences, compact model");
  return problem;
}
