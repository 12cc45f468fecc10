// SPDX-License-Identifier: Apache-2.0
// Distances inside a residue against the bounds that bonds, angles and contact set (AF2 Suppl. 1.9.11).
#pragma once

#include <fathom/geometry/residue_lookup.hpp>
#include <fathom/loss/peptide_bonds.hpp>

namespace fathom::loss {

/// Sums run over both roles of an atom, so every pair counts twice.
template <backend B>
struct within_residue_violations {
  tensor<B, 2> per_atom_loss_sum;                        ///< [n, 14]
  tensor<B, 2> per_atom_violations, per_atom_num_clash;  ///< [n, 14]
};

/// positions [n, 14, 3], exists [n, 14]; bounds [n, 14, 14] in Angstrom.
template <backend B>
within_residue_violations<B> bounds_within_residues(const tensor<B, 3>& positions, const tensor<B, 2>& exists,
                                                    const tensor<B, 3>& lower, const tensor<B, 3>& upper) {
  const index_t n = positions.extent(0);
  fathom::detail::expect_extents<3>("bounds_within_residues", "lower bounds", lower, {n, atom14_count, atom14_count});
  host_tensor<double> others({atom14_count, atom14_count}, 1.0);
  for (index_t k = 0; k < atom14_count; ++k) others(k, k) = 0;
  const auto mask = unsqueeze(exists, 2) * unsqueeze(exists, 1) * from_host<2>(positions.backend(), others);
  const auto squared = sum_squared_difference(unsqueeze(positions, 2), unsqueeze(positions, 1));
  const auto d = sqrt(squared + 1e-10);
  const auto loss = mask * (relu(lower - d) + relu(d - upper));
  const auto broken = mask * (less(d, lower) + less(upper, d));
  return {sum(loss, 1) + sum(loss, 2), maximum(max(broken, 1), max(broken, 2)), sum(broken, 1) + sum(broken, 2)};
}

}  // namespace fathom::loss
