// SPDX-License-Identifier: Apache-2.0
// All structural violations of a prediction, and their loss (AF2 Suppl. 1.9.11).
#pragma once

#include <fathom/loss/clashes.hpp>
#include <fathom/loss/peptide_bonds.hpp>
#include <fathom/loss/within_residue.hpp>

namespace fathom::loss {

template <backend B>
struct structural_violations {
  connection_violations<B> connections;
  clash_violations<B> clashes;
  within_residue_violations<B> within_residues;
  tensor<B, 1> per_residue_mask;  ///< [n], 1 where a residue takes part in any violation
  tensor<B, 0> atoms;             ///< number of atoms
};

namespace detail {
/// Van der Waals radii by residue type and atom14 column; 0 where there is no atom.
inline host_tensor<double> atom14_radii() {
  const residue_table_set& t = residue_tables();
  host_tensor<double> radii({restype_count_with_x, atom14_count});
  for (index_t type = 0; type < restype_count_with_x; ++type)
    for (index_t column = 0; column < atom14_count; ++column)
      radii(type, column) =
          t.restype_atom14_mask(type, column) * t.atom37_van_der_waals_radius(t.restype_atom14_to_atom37(type, column));
  return radii;
}
}  // namespace detail

/// positions [n, 14, 3], exists [n, 14] (atoms that the residues have), residue_index [n], aatype [n].
template <backend B>
structural_violations<B> find_structural_violations(const tensor<B, 3>& positions, const tensor<B, 2>& exists,
                                                    const tensor<B, 1, index_t>& residue_index,
                                                    const tensor<B, 1, index_t>& aatype,
                                                    const violation_options& options = {}) {
  structural_violations<B> v;
  v.connections = peptide_bond_violations(positions, exists, residue_index, aatype, options);
  v.clashes = clashes_between_residues(positions, exists, residue_lookup<2>(detail::atom14_radii(), aatype),
                                       residue_index, options);
  const bool usual = options.clash_overlap_tolerance == distance_tolerance{}.overlap &&
                     options.tolerance_factor == distance_tolerance{}.stddevs;
  const auto bounds = [&](const residue_table_set& t) {
    return bounds_within_residues(positions, exists, residue_lookup<3>(t.atom14_dists_lower_bound, aatype),
                                  residue_lookup<3>(t.atom14_dists_upper_bound, aatype));
  };
  v.within_residues = usual ? bounds(residue_tables())
                            : bounds(make_residue_tables(unknown_residue::absent,
                                                         {options.clash_overlap_tolerance, options.tolerance_factor}));
  v.per_residue_mask = maximum(maximum(v.connections.per_residue_violation_mask, max(v.clashes.per_atom_clash_mask, 1)),
                               max(v.within_residues.per_atom_violations, 1));
  v.atoms = sum(exists);
  return v;
}

/// Three bond terms + sum of the atoms' losses / (eps + number of atoms). With average_clashes an atom's loss is first
/// divided by the number of its clashes.
template <backend B>
tensor<B, 0> violation(const structural_violations<B>& v, const violation_options& options = {}) {
  auto of_atom = v.clashes.per_atom_loss_sum + v.within_residues.per_atom_loss_sum;
  if (options.average_clashes)
    of_atom = of_atom / (v.clashes.per_atom_num_clash + v.within_residues.per_atom_num_clash + options.eps);
  const auto bonds = v.connections.c_n_loss_mean + v.connections.ca_c_n_loss_mean + v.connections.c_n_ca_loss_mean;
  return bonds + sum(of_atom) / (v.atoms + options.eps);
}

}  // namespace fathom::loss
