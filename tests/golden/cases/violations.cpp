// SPDX-License-Identifier: Apache-2.0
// Group 07: structural violations, forward and gradients.
#include <fathom/loss/violations.hpp>

#include "support/golden_registry.hpp"

namespace golden_violations {
namespace {

using namespace fathom;
using golden::like;

const golden::covers violations_case("07_violations", [](auto& run) {
  const auto aatype = run.template in_index<1>("aatype"), residue_index = run.template in_index<1>("residue_index");
  const auto exists = run.template in<2>("atom14_atom_exists");
  loss::violation_options options;
  options.tolerance_factor = run.template option<double>("violation_tolerance_factor");
  options.clash_overlap_tolerance = run.template option<double>("clash_overlap_tolerance");
  options.eps = run.template option<double>("eps_violation_loss");
  auto average = options;
  average.average_clashes = true;
  run.differentiable(
      std::array{"between_residues.angles_c_n_ca_loss_mean", "between_residues.angles_ca_c_n_loss_mean",
                 "between_residues.bonds_c_n_loss_mean", "between_residues.clashes_mean_loss",
                 "between_residues.clashes_per_atom_clash_mask", "between_residues.clashes_per_atom_loss_sum",
                 "between_residues.clashes_per_atom_num_clash", "between_residues.connections_per_residue_loss_sum",
                 "between_residues.connections_per_residue_violation_mask", "extreme_ca_ca_violations",
                 "total_per_residue_violations_mask", "violation_loss", "violation_loss_average_clashes",
                 "within_residues.per_atom_loss_sum", "within_residues.per_atom_num_clash",
                 "within_residues.per_atom_violations"},
      std::tuple<>(),
      [&](const auto&, const auto& positions) {
        const auto known = like(positions, exists);
        const auto numbers = like(positions, residue_index);
        const auto v = loss::find_structural_violations(positions, known, numbers, like(positions, aatype), options);
        return std::tuple(v.connections.c_n_ca_loss_mean, v.connections.ca_c_n_loss_mean, v.connections.c_n_loss_mean,
                          v.clashes.mean_loss, v.clashes.per_atom_clash_mask, v.clashes.per_atom_loss_sum,
                          v.clashes.per_atom_num_clash, v.connections.per_residue_loss_sum,
                          v.connections.per_residue_violation_mask,
                          loss::extreme_ca_ca_violations(positions, known, numbers), v.per_residue_mask,
                          loss::violation(v, options), loss::violation(v, average), v.within_residues.per_atom_loss_sum,
                          v.within_residues.per_atom_num_clash, v.within_residues.per_atom_violations);
      },
      run.template input<3>("atom14_pred_positions"));
  // Known from the residue types.
  run.ignore("in.residx_atom14_to_atom37");
});

}  // namespace
}  // namespace golden_violations
