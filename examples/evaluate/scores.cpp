// SPDX-License-Identifier: Apache-2.0
#include "scores.hpp"

#include <fathom/metrics/gdt.hpp>
#include <fathom/metrics/lddt.hpp>
#include <fathom/metrics/secondary_structure.hpp>
#include <fathom/metrics/superpose.hpp>
#include <fathom/metrics/tm_score.hpp>

namespace metrics = fathom::metrics;

target_scores score_target(const fathom::io::protein& predicted, const fathom::io::protein& experiment) {
  const auto model = metrics::ca_trace(predicted), native = metrics::ca_trace(experiment);
  target_scores s;
  s.name = experiment.name;
  s.residues = static_cast<long>(native.size());
  s.lddt_ca = metrics::lddt(model, native).mean;
  s.tm_score = metrics::tm_score(model, native).score;
  s.gdt_ts = metrics::gdt_ts(model, native);
  s.gdt_ha = metrics::gdt_ha(model, native);
  s.rmsd = metrics::rmsd(model, native);
  const auto guess = metrics::three_states(metrics::secondary_structure(predicted));
  const auto truth = metrics::three_states(metrics::secondary_structure(experiment));
  s.helix = metrics::compare_states(guess, truth, 'H');
  s.strand = metrics::compare_states(guess, truth, 'E');
  s.spacing = metrics::ca_spacing(model);
  s.clashes = metrics::ca_clashes(model);
  s.handedness = metrics::helix_handedness(model, guess);
  return s;
}

target_scores score_target(const folded_chain& folded, const fathom::io::protein& experiment) {
  auto s = score_target(folded.structure, experiment);
  s.plddt = folded.plddt;
  s.evaluations = static_cast<double>(folded.evaluations);
  s.seconds = folded.seconds;
  return s;
}

mean_scores mean_of(const std::vector<target_scores>& targets) {
  mean_scores m;
  m.targets = static_cast<long>(targets.size());
  for (const auto& t : targets) {
    const double share = 1 / static_cast<double>(targets.size());
    m.residues += t.residues;
    m.lddt_ca += share * t.lddt_ca;
    m.tm_score += share * t.tm_score;
    m.gdt_ts += share * t.gdt_ts;
    m.gdt_ha += share * t.gdt_ha;
    m.rmsd += share * t.rmsd;
    m.plddt += share * t.plddt;
    m.evaluations += share * t.evaluations;
    m.seconds += share * t.seconds;
    m.helix += t.helix;
    m.strand += t.strand;
    m.spacing += t.spacing;
    m.clashes += t.clashes;
    m.handedness += t.handedness;
  }
  return m;
}
