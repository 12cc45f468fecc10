// SPDX-License-Identifier: Apache-2.0
#include "folder.hpp"

#include <chrono>
#include <numeric>

#include <fathom/backend/cpu.hpp>
#include <fathom/features/featurize.hpp>
#include <fathom/model/compact_checkpoint.hpp>
#include <fathom/model/compact_fold.hpp>

#include "common/solvers.hpp"
#include "workers.hpp"

namespace {

using B = fathom::cpu<float>;

fathom::features features_of(const fathom::train::chain& c, long clusters) {
  fathom::io::alignment alignment = c.alignment;
  if (alignment.rows.empty()) {
    alignment.descriptions = {c.name};
    alignment.rows = {c.sequence()};
    alignment.deletions = {std::vector<int>(static_cast<std::size_t>(c.size()), 0)};
  }
  fathom::feature_options options;
  options.clusters = clusters;
  options.extra = 0;
  return fathom::featurize(alignment, options);
}

template <class Depth>
class compact_folder : public chain_folder {
 public:
  using model_type = fathom::compact_fold_model<B, fathom::compact, Depth>;

  compact_folder(const fathom::compact_settings& settings, int threads, bool drawn, const fathom::io::tensor_file* file)
      : settings_(settings), threads_(threads) {
    // A model for every worker: each computes on one thread.
    for (std::size_t w = 0; w < worker_count(threads); ++w) {
      const B b(fathom::cpu_options{.threads = 1});
      models_.push_back(drawn
                            ? fathom::initialise(fathom::make_compact<model_type>(b, settings), {.seed = settings.seed})
                            : fathom::load_compact<model_type>(b, *file, settings));
    }
  }

  std::vector<folded_chain> fold(const std::vector<fathom::train::chain>& chains,
                                 const std::function<void()>& done) const override {
    std::vector<folded_chain> out(chains.size());
    fathom::fold_options options;
    fathom::apply(settings_, options);
    for_each_on_workers(models_.size(), chains.size(), [&](std::size_t k, std::size_t worker) {
      const auto start = std::chrono::steady_clock::now();
      try {
        auto p = fathom::fold(models_[worker], features_of(chains[k], settings_.clusters), options);
        auto& mine = out[k];
        mine.structure = std::move(p.structure);
        mine.structure.name = chains[k].name;
        mine.plddt = std::accumulate(p.plddt.begin(), p.plddt.end(), 0.0) / static_cast<double>(p.plddt.size());
        mine.evaluations = p.solution.stats.evaluations;
        mine.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      } catch (const fathom::numerical_error& problem) {
        throw fathom::numerical_error("target '" + chains[k].name + "': " + problem.what());
      }
      done();
    });
    return out;
  }
  std::unique_ptr<chain_folder> untrained() const override {
    return std::make_unique<compact_folder>(settings_, threads_, true, nullptr);
  }
  long parameters() const override { return static_cast<long>(fathom::tree::count(models_.front())); }
  std::string text() const override {
    return settings_.discrete
               ? fathom::detail::concat("discrete, ", settings_.blocks, " blocks, ", settings_.recycles, " recycles")
               : fathom::detail::concat("continuous, ", settings_.knots > 1 ? weights_text() : std::string(),
                                        settings_.solver.text(), ", ", settings_.recycles, " recycles");
  }

 private:
  std::string weights_text() const {
    return fathom::detail::concat(settings_.knots, " knots of degree ", settings_.knot_degree, ", ");
  }

  fathom::compact_settings settings_;
  int threads_;
  std::vector<model_type> models_;
};

}  // namespace

std::unique_ptr<chain_folder> open_folder(const evaluate_arguments& a) {
  const fathom::io::safetensors file(a.model);
  auto settings = fathom::read_compact_settings(file.metadata(), a.model);
  if (!a.solver.empty()) settings.solver = fathom::parse_trunk_solver(a.solver);
  if (a.recycles) settings.recycles = *a.recycles;
  if (a.clusters) settings.clusters = *a.clusters;
  if (settings.discrete)
    return std::make_unique<compact_folder<fathom::discrete_depth>>(settings, a.threads, false, &file);
  return std::make_unique<compact_folder<fathom::continuous_depth>>(settings, a.threads, false, &file);
}
