// SPDX-License-Identifier: Apache-2.0
// Chooses between the two names of atoms that nature cannot tell apart (AF2 Suppl. Alg. 26).
#pragma once

#include <fathom/autodiff/autodiff.hpp>
#include <fathom/geometry/atoms.hpp>
#include <fathom/nn/chunk_rows.hpp>
#include <fathom/op/comparison.hpp>
#include <fathom/op/reduction.hpp>

namespace fathom::loss {

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
/// sqrt(eps + |a_i - b_j|^2): a [r, 3], b [c, 3] -> [r, c]
template <plain_backend B>
tensor<B, 2> distances(const tensor<B, 2>& a, const tensor<B, 2>& b, double eps) {
  return sqrt(sum_squared_difference(unsqueeze(a, 1), unsqueeze(b, 0)) + eps);
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
  const auto atoms = [&](const tensor<B, 3>& x) { return reshape<2>(x, {n * atom14_count, 3}); };
  const auto all_predicted = atoms(predicted), all_true = atoms(truth.positions);
  const auto certain = reshape<2>(truth.exists * affine(truth.is_ambiguous, -1, 1), {n * atom14_count, 1});
  const auto doubtful = slice(truth.exists * truth.is_ambiguous, 1, first, last);

  std::vector<tensor<B, 1>> better;
  const index_t chunk = chunk_rows(n, 4 * columns * n * atom14_count);
  for (index_t from = 0; from < n; from += chunk) {
    const index_t to = std::min(n, from + chunk), rows = (to - from) * columns;
    const auto part = [&](const tensor<B, 3>& x) {
      return reshape<2>(slice(slice(x, 0, from, to), 1, first, last), {rows, 3});
    };
    const auto d_predicted = detail::distances(part(predicted), all_predicted, eps);
    const auto cost = [&](const tensor<B, 3>& names) {
      const auto d = detail::distances(part(names), all_true, eps);
      const auto off = matmul(sqrt(square(d_predicted - d) + eps), certain);
      return sum(reshape<2>(off, {to - from, columns}) * slice(doubtful, 0, from, to), 1);
    };
    better.push_back(less(cost(truth.alt_positions), cost(truth.positions)));
  }
  renamed_truth<B> result;
  result.alt_naming_is_better = concatenate(better, 0);
  const auto alt = unsqueeze(result.alt_naming_is_better, 1);
  const auto keep = affine(alt, -1, 1);
  result.positions = truth.positions * unsqueeze(keep, 2) + truth.alt_positions * unsqueeze(alt, 2);
  result.exists = truth.exists * keep + truth.alt_exists * alt;
  return result;
}

}  // namespace fathom::loss
