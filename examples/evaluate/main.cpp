// SPDX-License-Identifier: Apache-2.0
// evaluate: how well a trained model folds chains of known structure, and how well predictions do that know less.
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <mutex>
#include <new>

#include <fathom/io/atomic_file.hpp>
#include <fathom/io/structure.hpp>
#include <nlohmann/json.hpp>

#include "baselines.hpp"
#include "folder.hpp"
#include "scores.hpp"
#include "targets.hpp"
#include "workers.hpp"

namespace {

namespace fs = std::filesystem;
namespace train = fathom::train;
using json = nlohmann::ordered_json;

/// One prediction for every target.
struct method {
  std::string name;
  mean_scores mean;
  json more = json::object();  ///< what else the summary says of it
};

/// Says on the terminal how far a method is.
class progress {
 public:
  progress(std::string name, std::size_t all)
      : terminal_(isatty(STDERR_FILENO) != 0), name_(std::move(name)), all_(all) {
    if (!terminal_) std::fprintf(stderr, "evaluate: %s\n", name_.c_str());
  }
  ~progress() {
    if (terminal_) std::fprintf(stderr, "\r\033[K");
  }
  void operator()() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++done_;
    if (terminal_) std::fprintf(stderr, "\revaluate: %s, %zu of %zu\033[K", name_.c_str(), done_, all_);
  }

 private:
  bool terminal_;
  std::mutex mutex_;
  std::string name_;
  std::size_t done_ = 0, all_;
};

json to_json(const mean_scores& m) {
  json j;
  j["lddt_ca"] = m.lddt_ca;
  j["tm_score"] = m.tm_score;
  j["gdt_ts"] = m.gdt_ts;
  j["gdt_ha"] = m.gdt_ha;
  j["rmsd"] = m.rmsd;
  j["helix_f1"] = m.helix.f1();
  j["strand_f1"] = m.strand.f1();
  j["ca_ca_ok"] = m.spacing.share();
  j["clashes"] = m.clashes.share();
  // Without a predicted helix there is no hand.
  j["helix_handedness"] = m.handedness.all > 0 ? json(m.handedness.share()) : json(nullptr);
  j["plddt"] = m.plddt;
  j["evaluations"] = m.evaluations;
  j["seconds"] = m.seconds;
  j["targets"] = m.targets;
  j["residues"] = m.residues;
  return j;
}

json to_json(const target_scores& t) {
  auto j = to_json(mean_of({t}));
  j.erase("targets");
  json named;
  named["name"] = t.name;
  named.update(j);
  return named;
}

void print_row(const std::string& name, const mean_scores& m) {
  const std::string hand = m.handedness.all > 0 ? fathom::detail::concat(std::lround(100 * m.handedness.share())) : "-";
  std::printf("%-28s %7.3f %7.3f %7.3f %7.3f %8.3f %8.3f %7.1f %8.2f %7s %6.0f %8.2f\n", name.c_str(), m.lddt_ca,
              m.tm_score, m.gdt_ts, m.gdt_ha, m.helix.f1(), m.strand.f1(), 100 * m.spacing.share(),
              100 * m.clashes.share(), hand.c_str(), m.evaluations, m.seconds);
}

/// Everything that is scored against the same targets.
class evaluation {
 public:
  explicit evaluation(const evaluate_arguments& a) : arguments_(a), targets_(read_targets(a)) {
    for (const auto& t : targets_) experiments_.push_back(train::to_protein(t));
  }
  const std::vector<train::chain>& targets() const { return targets_; }

  /// Scores of `shown` chains, folded by the model, against the targets.
  std::vector<target_scores> of_model(const std::string& name, const chain_folder& model,
                                      const std::vector<train::chain>& shown, bool keep = false) const {
    std::vector<folded_chain> folded;
    {
      progress bar(name, shown.size());
      folded = model.fold(shown, [&] { bar(); });
    }
    if (keep)
      for (const auto& f : folded)
        fathom::io::write_pdb(fs::path(arguments_.output) / (f.structure.name + ".pdb"), f.structure);
    return scored([&](std::size_t k) { return score_target(folded[k], experiments_[k]); });
  }
  /// Scores of predict(target).
  template <class Predict>
  std::vector<target_scores> of(const std::string& name, const Predict& predict) const {
    progress bar(name, targets_.size());
    return scored([&](std::size_t k) {
      const auto s = score_target(predict(k), experiments_[k]);
      bar();
      return s;
    });
  }

 private:
  template <class Score>
  std::vector<target_scores> scored(const Score& score) const {
    std::vector<target_scores> all(targets_.size());
    for_each_on_workers(worker_count(arguments_.threads), all.size(),
                        [&](std::size_t k, std::size_t) { all[k] = score(k); });
    return all;
  }

  const evaluate_arguments& arguments_;
  std::vector<train::chain> targets_;
  std::vector<fathom::io::protein> experiments_;
};

std::vector<method> baselines(const evaluate_arguments& a, const evaluation& e, const chain_folder& model) {
  std::vector<method> all;
  const auto& targets = e.targets();
  const auto add = [&](const char* name, const std::vector<target_scores>& scores) -> method& {
    all.push_back({name, mean_of(scores)});
    return all.back();
  };
  add("initial_weights", e.of_model("initial weights", *model.untrained(), targets));
  std::vector<train::chain> shuffled, unknown;
  for (const auto& t : targets) {
    shuffled.push_back(with_sequence(t, shuffled_sequence(t, a.seed)));
    unknown.push_back(with_sequence(t, std::string(static_cast<std::size_t>(t.size()), 'X')));
  }
  add("shuffled_sequence", e.of_model("shuffled sequences", model, shuffled));
  add("all_x", e.of_model("all X", model, unknown));
  add("ideal_helix", e.of("ideal helix", [&](std::size_t k) { return ideal_helix(targets[k]); }));
  const auto training = read_training(a);
  if (training.empty()) return all;

  std::vector<nearest_fold> nearest(targets.size());
  auto& chain = add("nearest_training_chain", e.of("nearest training chain", [&](std::size_t k) {
    nearest[k] = nearest_chain(targets[k], training);
    return nearest[k].structure;
  }));
  double identity = 0, coverage = 0;
  for (const auto& n : nearest) {
    identity += n.identity / static_cast<double>(nearest.size());
    coverage += n.coverage / static_cast<double>(nearest.size());
  }
  chain.more = {{"sequence_identity", identity}, {"coverage", coverage}, {"training_chains", training.size()}};
  fathom::index_t longest = 2;
  for (const auto& t : targets) longest = std::max(longest, t.size());
  const auto medians = median_distances(training, longest);
  add("median_distance_embedding",
      e.of("median distances", [&](std::size_t k) { return median_embedding(targets[k], medians); }));
  return all;
}

int evaluate(const evaluate_arguments& a) {
  std::error_code failed;
  fs::create_directories(a.output, failed);
  if (failed) throw fathom::resource_error("cannot make the folder '" + a.output + "': " + failed.message());
  const auto model = open_folder(a);
  const evaluation e(a);
  std::fprintf(stderr, "evaluate: %s, %s, %ld parameters; %zu targets\n", a.model.c_str(), model->text().c_str(),
               model->parameters(), e.targets().size());
  const auto scores = e.of_model("the model", *model, e.targets(), a.structures);
  const auto mean = mean_of(scores);
  const auto others = a.baselines ? baselines(a, e, *model) : std::vector<method>{};

  std::printf("%-28s %7s %7s %7s %7s %8s %8s %7s %8s %7s %6s %8s\n", "", "lDDT-CA", "TM", "GDT-TS", "GDT-HA",
              "helix F1", "strandF1", "CA-CA %", "clash %", "right %", "evals", "seconds");
  print_row("model", mean);
  for (const auto& m : others) print_row(m.name, m.mean);
  if (a.baselines && a.training.empty())
    std::printf("nearest_training_chain and median_distance_embedding need --train\n");

  json summary;
  summary["model"] = {{"file", a.model}, {"settings", model->text()}, {"parameters", model->parameters()}};
  summary["input"] = a.alignments.empty() ? "single sequence" : "alignments of " + a.alignments;
  summary["mean"] = to_json(mean);
  summary["targets"] = json::array();
  for (const auto& s : scores) summary["targets"].push_back(to_json(s));
  summary["baselines"] = json::object();
  for (const auto& m : others) {
    summary["baselines"][m.name] = to_json(m.mean);
    summary["baselines"][m.name].update(m.more);
  }
  const auto path = fs::path(a.output) / "summary.json";
  try {
    fathom::io::write_file(path, summary.dump(2) + "\n");
  } catch (const fathom::io_error& problem) {
    throw fathom::resource_error(problem.what());
  }
  std::printf("wrote %s\n", path.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  evaluate_arguments arguments;
  if (const auto code = parse_arguments(argc, argv, arguments)) return *code;
  const auto report = [](const char* text, int code) {
    std::fprintf(stderr, "evaluate: %s\n", text);
    return code;
  };
  try {
    return evaluate(arguments);
  } catch (const fathom::resource_error& problem) {
    return report(problem.what(), 4);
  } catch (const std::bad_alloc&) {
    return report("the system has no memory left; use fewer --threads", 4);
  } catch (const fathom::numerical_error& problem) {
    return report(problem.what(), 3);
  } catch (const fathom::error& problem) {
    return report(problem.what(), 2);
  }
}
