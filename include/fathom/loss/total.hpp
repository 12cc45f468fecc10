// SPDX-License-Identifier: Apache-2.0
// The whole training loss: every term, their weights, and the scaling with length (AF2 Suppl. 1.9, eq. 7).
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <fathom/heads/aux_heads.hpp>
#include <fathom/loss/distogram.hpp>
#include <fathom/loss/experimentally_resolved.hpp>
#include <fathom/loss/lddt.hpp>
#include <fathom/loss/masked_msa.hpp>
#include <fathom/loss/rename.hpp>
#include <fathom/loss/smooth_lddt.hpp>
#include <fathom/loss/structure_fape.hpp>
#include <fathom/loss/targets.hpp>
#include <fathom/loss/tm.hpp>
#include <fathom/loss/torsions.hpp>
#include <fathom/loss/violations.hpp>
#include <fathom/loss/weights.hpp>

namespace fathom::loss {

/// Settings of all terms.
struct total_options {
  loss::weights weights;
  structure_fape_options fape;
  supervised_chi_options supervised_chi;
  distogram_options distogram;
  double masked_msa_eps = 1e-8;
  plddt_options plddt;
  experimentally_resolved_options experimentally_resolved;
  violation_options violation;
  tm_options tm;
  smooth_lddt_options smooth_lddt;
  double renaming_eps = 1e-10;
  index_t crop = 256;  ///< the loss grows with sqrt(min(crop, residues))
};

/// Unweighted terms that were asked for, by name, their weighted sum, and that sum times sqrt(length).
template <backend B>
struct total_loss {
  std::vector<std::pair<std::string, tensor<B, 0>>> terms;
  tensor<B, 0> unscaled, loss;

  /// (name, value) of every term, then `unscaled_loss` and `loss`: what a log wants.
  std::vector<std::pair<std::string, double>> report() const {
    std::vector<std::pair<std::string, double>> values;
    for (const auto& [name, value] : terms) values.emplace_back(name, static_cast<double>(item(value)));
    values.emplace_back("unscaled_loss", static_cast<double>(item(unscaled)));
    values.emplace_back("loss", static_cast<double>(item(loss)));
    return values;
  }
  /// Name of the first term that is not finite; empty where all are.
  std::string not_finite() const {
    for (const auto& [name, value] : report())
      if (!std::isfinite(value)) return name;
    return {};
  }
};

/// The targets under the names that fit `positions` [n, 14, 3] better.
template <plain_backend B>
sidechain_truth<B> renamed_sidechains(const tensor<B, 3>& positions, const targets<B>& truth, double eps = 1e-10) {
  const auto renamed = rename_symmetric_atoms(
      positions,
      atom14_truth<B>{truth.atom14_gt_positions, truth.atom14_alt_gt_positions, truth.atom14_gt_exists,
                      truth.atom14_alt_gt_exists, truth.atom14_atom_is_ambiguous},
      eps);
  return {truth.rigidgroups_gt_frames,
          truth.rigidgroups_alt_gt_frames,
          truth.rigidgroups_gt_exists,
          renamed.positions,
          renamed.exists,
          renamed.alt_naming_is_better};
}

/// One sample. `predicted` and `logits` may be recorded (autodiff); the targets are plain and get no gradient. `length`
/// is the number of residues of the sample, n by default. A weighted term whose logits are missing is an error.
template <backend B, plain_backend P>
total_loss<B> total(const predicted_structure<B>& predicted, const aux_logits<B>& logits, const targets<P>& truth,
                    const total_options& options = {}, index_t length = 0) {
  const auto& last = predicted.last();
  const auto b = last.positions.backend();
  const auto fixed = [&](const auto& x) {
    return tree::rebind(x, b, [&](const auto& from, auto& to) {
      if (!from.empty()) to = constant(b, from);
    });
  };
  const auto t = fixed(truth);
  const auto& w = options.weights;
  const double resolution = truth.options.resolution;

  total_loss<B> result;
  std::vector<double> factors;
  const auto add = [&](const char* name, double weight, const auto& term) {
    if (weight == 0) return;
    result.terms.emplace_back(name, term());
    factors.push_back(weight);
  };
  add("distogram", w.distogram,
      [&] { return distogram(logits.distogram, t.pseudo_beta, t.pseudo_beta_mask, options.distogram); });
  add("experimentally_resolved", w.experimentally_resolved, [&] {
    return experimentally_resolved(logits.experimentally_resolved, t.all_atom_mask, t.atom37_atom_exists, resolution,
                                   options.experimentally_resolved);
  });
  add("fape", w.fape, [&] {
    const auto sidechains = renamed_sidechains(primal(last.positions), truth, options.renaming_eps);
    return structure_fape(predicted, t.backbone(), t.backbone_mask(), fixed(sidechains), truth.options.use_clamped_fape,
                          options.fape);
  });
  add("plddt_loss", w.plddt, [&] {
    const auto positions = atom14_to_atom37(primal(last.positions), truth.aatype);
    return plddt(logits.plddt, constant(b, positions), t.all_atom_positions, t.all_atom_mask, resolution,
                 options.plddt);
  });
  add("masked_msa", w.masked_msa,
      [&] { return masked_msa(logits.masked_msa, t.true_msa, t.bert_mask, options.masked_msa_eps); });
  add("supervised_chi", w.supervised_chi, [&] {
    std::vector<tensor<B, 3>> angles, unnormalized;
    for (const auto& step : predicted.steps) {
      angles.push_back(step.angles);
      unnormalized.push_back(step.unnormalized_angles);
    }
    return supervised_chi(stack(angles, 0), stack(unnormalized, 0), t.chi_angles_sin_cos, t.chi_mask, t.seq_mask,
                          t.aatype, options.supervised_chi);
  });
  add("violation", w.violation, [&] {
    return violation(
        find_structural_violations(last.positions, t.atom14_atom_exists, t.residue_index, t.aatype, options.violation),
        options.violation);
  });
  add("tm", w.tm, [&] {
    if (!logits.tm)
      throw error("total loss: the tm term has a weight, but the model has no tm head; set weights.tm to 0");
    return tm(*logits.tm, last.frames.to_rigid(), t.backbone(), t.backbone_mask(), resolution, options.tm);
  });
  add("smooth_lddt", w.smooth_lddt, [&] {
    const auto& ca = last.frames.translation;  // frames stand at CA
    return smooth_lddt(ca, ca_positions(t.all_atom_positions), ca_mask(t.all_atom_mask), options.smooth_lddt);
  });
  if (factors.empty()) throw error("total loss: every weight is 0; give at least one term a weight");

  std::vector<tensor<B, 0>> values;
  for (const auto& [name, value] : result.terms) values.push_back(value);
  result.unscaled = linear_combination(values, factors);
  const index_t n = length > 0 ? length : last.positions.extent(0);
  result.loss = result.unscaled * std::sqrt(static_cast<double>(std::min(options.crop, n)));
  return result;
}

}  // namespace fathom::loss
