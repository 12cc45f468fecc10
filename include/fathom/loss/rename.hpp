// SPDX-License-Identifier: Apache-2.0
// Chooses between the two names of atoms that nature cannot tell apart (AF2 Suppl. Alg. 26).
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>

#include <fathom/geometry/atoms.hpp>
#include <fathom/loss/atom_pairs.hpp>
#include <fathom/op/comparison.hpp>
#include <fathom/op/reduction.hpp>

namespace fathom {

namespace functor {
/// sqrt(eps + (d_predicted - d_true)^2) of a pair of atoms, d = sqrt(eps + |.|^2); each atom comes as predicted x, y,
/// z, true x, y, z and a weight.
struct distance_error {
  double eps;
  template <class T>
  FATHOM_HD T operator()(T px, T py, T pz, T tx, T ty, T tz, T w, T qx, T qy, T qz, T ux, T uy, T uz, T v) const {
    const T predicted = std::sqrt(T(eps) + (px - qx) * (px - qx) + (py - qy) * (py - qy) + (pz - qz) * (pz - qz));
    const T truth = std::sqrt(T(eps) + (tx - ux) * (tx - ux) + (ty - uy) * (ty - uy) + (tz - uz) * (tz - uz));
    return w * v * std::sqrt(T(eps) + (predicted - truth) * (predicted - truth));
  }
};
}  // namespace functor

namespace loss {

/// The truth under the names that fit the prediction better.
template <backend B>
struct renamed_truth {
  tensor<B, 1> alt_naming_is_better;  ///< [n], 0 or 1
  tensor<B, 3> positions;             ///< [n, 14, 3]
  tensor<B, 2> exists;                ///< [n, 14]
};

namespace detail {
/// First and last + 1 of the atom14 columns that are ambiguous in any residue type.
inline std::pair<index_t, index_t> ambiguous_columns() {
  const auto& table = residue_tables().restype_atom14_is_ambiguous;
  index_t first = atom14_count, last = 0;
  for (index_t type = 0; type < table.shape[0]; ++type)
    for (index_t column = 0; column < atom14_count; ++column)
      if (table(type, column) > 0) first = std::min(first, column), last = std::max(last, column + 1);
  return {first, last};
}
}  // namespace detail

/// predicted [n, 14, 3]. A residue takes its alternative names where the sum, over its ambiguous atoms and all atoms
/// that are not ambiguous, of sqrt(eps + (d_predicted - d_true)^2) is smaller by them; d = sqrt(eps + |.|^2). Needs no
/// superposition; no gradient flows through the choice.
template <plain_backend B>
renamed_truth<B> rename_symmetric_atoms(const tensor<B, 3>& predicted, const atom14_truth<B>& truth,
                                        double eps = 1e-10) {
  const index_t n = predicted.extent(0);
  fathom::detail::expect_extents<3>("rename_symmetric_atoms", "predicted", predicted, {n, atom14_count, 3});
  fathom::detail::expect_extents<3>("rename_symmetric_atoms", "positions", truth.positions, {n, atom14_count, 3});
  // No structured binding: lambdas below use both.
  const auto ambiguous = detail::ambiguous_columns();
  const index_t first = ambiguous.first, last = ambiguous.second;
  const index_t columns = last - first;
  // Pairs of an ambiguous atom (rows) and an atom that is not (columns): both as planes [7, atoms] of predicted x, y,
  // z, true x, y, z and whether the atom counts.
  const auto planes = [&](const tensor<B, 3>& names, const tensor<B, 2>& counts, index_t from, index_t to) {
    const auto whole = concatenate(std::vector{predicted, names, unsqueeze(counts, 2)}, 2);
    return detail::planes(reshape<2>(slice(whole, 1, from, to), {n * (to - from), 7}));
  };
  const auto certain = planes(truth.positions, truth.exists * affine(truth.is_ambiguous, -1, 1), 0, atom14_count);
  const auto cost = [&](const tensor<B, 3>& names) {
    const auto of_atom = detail::reduce_pairs(functor::distance_error{eps},
                                              planes(names, truth.exists * truth.is_ambiguous, first, last), certain,
                                              std::make_index_sequence<7>{});
    return sum(reshape<2>(of_atom, {n, columns}), 1);
  };
  renamed_truth<B> result;
  result.alt_naming_is_better = less(cost(truth.alt_positions), cost(truth.positions));
  const auto alt = unsqueeze(result.alt_naming_is_better, 1);
  const auto keep = affine(alt, -1, 1);
  result.positions = truth.positions * unsqueeze(keep, 2) + truth.alt_positions * unsqueeze(alt, 2);
  result.exists = truth.exists * keep + truth.alt_exists * alt;
  return result;
}

}  // namespace loss
}  // namespace fathom
