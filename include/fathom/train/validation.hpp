// SPDX-License-Identifier: Apache-2.0
// How well a model folds chains that it was not trained on.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fathom/metrics/lddt.hpp>
#include <fathom/metrics/secondary_structure.hpp>
#include <fathom/train/sample_loss.hpp>

namespace fathom::train {

/// Scores of predicted coordinates against the experiment; shares in 0..1.
struct validation_scores {
  index_t chains = 0;
  double lddt_ca = 0;                  ///< mean over chains
  double helix_f1 = 0, strand_f1 = 0;  ///< over all residues
  double ca_ca_ok = 0;                 ///< consecutive CA within 3.8 +- 0.4 Angstrom
  double ca_clashes = 0;               ///< pairs |i - j| >= 3 with CA closer than 3.5 Angstrom
};

/// The structure of a whole chain, from its sequence (and alignment, where it has one).
template <plain_backend B, class D, class Depth>
io::protein predict(const compact_fold_model<B, D, Depth>& model, const chain& c, const trunk_solver& solver,
                    index_t recycles, index_t clusters = 1) {
  const B& b = model.evoformer.linear.weight.backend();
  sample_draw whole;
  whole.length = c.size();
  const auto s = make_sample(c, whole, {.clusters = clusters, .passes = recycles + 1});
  auto before = model.nothing_recycled(b, c.size());
  for (index_t pass = 0;; ++pass) {
    const auto in = upload(b, s.query, s.passes[static_cast<std::size_t>(pass)]);
    const auto out = model.pass(in, before, solver);
    if (pass < recycles) {
      before = model.recycle(out, in);
      continue;
    }
    const auto atoms = to_host(model.positions(out, in));
    host_tensor<double> positions(atoms.shape, std::vector<double>(atoms.data.begin(), atoms.data.end()));
    const auto exists = to_host(
        residue_lookup<2>(residue_tables(model.structure_module.options.unknown).restype_atom37_mask, in.aatype));
    const auto plddt = to_host(expected_plddt(model.aux_heads.plddt(out.structure.single())));
    auto p =
        io::make_protein(c.sequence(), std::move(positions),
                         host_tensor<double>(exists.shape, std::vector<double>(exists.data.begin(), exists.data.end())),
                         std::vector<double>(plddt.data.begin(), plddt.data.end()));
    p.name = c.name;
    return p;
  }
}

namespace detail {
/// Counts of one state.
struct state_counts {
  double hit = 0, predicted = 0, real = 0;
  void add(const std::string& model, const std::string& truth, char state) {
    for (std::size_t i = 0; i < truth.size(); ++i) {
      if (truth[i] == '.') continue;
      hit += model[i] == state && truth[i] == state;
      predicted += model[i] == state;
      real += truth[i] == state;
    }
  }
  double f1() const { return predicted + real > 0 ? 2 * hit / (predicted + real) : 1; }
};
}  // namespace detail

/// Folds every chain with `fold(k)` done beforehand: predictions[k] belongs to chains[k].
inline validation_scores score(const std::vector<io::protein>& predictions, const std::vector<chain>& chains) {
  validation_scores all;
  detail::state_counts helix, strand;
  double spaced = 0, neighbours = 0, close = 0, pairs = 0;
  for (std::size_t k = 0; k < predictions.size(); ++k) {
    const auto native = to_protein(chains[k]);
    const auto model = metrics::ca_trace(predictions[k]);
    all.lddt_ca += metrics::lddt(model, metrics::ca_trace(native)).mean;
    const auto truth = metrics::three_states(metrics::secondary_structure(native));
    const auto guess = metrics::three_states(metrics::secondary_structure(predictions[k]));
    helix.add(guess, truth, 'H');
    strand.add(guess, truth, 'E');
    for (std::size_t i = 0; i < model.size(); ++i) {
      if (i + 1 < model.size()) {
        neighbours += 1;
        spaced += std::abs(metrics::distance(model.at[i], model.at[i + 1]) - 3.8) <= 0.4;
      }
      for (std::size_t j = i + 3; j < model.size(); ++j) {
        pairs += 1;
        close += metrics::distance(model.at[i], model.at[j]) < 3.5;
      }
    }
  }
  all.chains = static_cast<index_t>(predictions.size());
  all.lddt_ca /= std::max(1.0, static_cast<double>(all.chains));
  all.helix_f1 = helix.f1();
  all.strand_f1 = strand.f1();
  all.ca_ca_ok = spaced / std::max(1.0, neighbours);
  all.ca_clashes = close / std::max(1.0, pairs);
  return all;
}

/// Folds `chains` on the run's workers with its averaged parameters.
template <class Trainer>
validation_scores validate(Trainer& run, const std::vector<chain>& chains) {
  std::vector<io::protein> predictions(chains.size());
  run.on_workers(run.averaged(), chains.size(), [&](std::size_t k, const auto& model) {
    predictions[k] = predict(model, chains[k], run.shipped_solver(), run.config().recycles, run.config().clusters);
  });
  return score(predictions, chains);
}

}  // namespace fathom::train
