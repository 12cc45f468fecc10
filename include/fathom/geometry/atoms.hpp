// SPDX-License-Identifier: Apache-2.0
// Between the two atom layouts: 14 columns whose meaning depends on the residue, and 37 columns with fixed names.
#pragma once

#include <fathom/geometry/residue_lookup.hpp>

namespace fathom {

/// Which atoms the residues of a sequence have, in both layouts, and the way from one to the other.
template <backend B>
struct atom_masks {
  tensor<B, 2> atom14_atom_exists;                ///< [n, 14]
  tensor<B, 2> atom37_atom_exists;                ///< [n, 37]
  tensor<B, 2, index_t> residx_atom14_to_atom37;  ///< [n, 14]
  tensor<B, 2, index_t> residx_atom37_to_atom14;  ///< [n, 37]
};
template <class B>
atom_masks<B> make_atom_masks(const tensor<B, 1, index_t>& aatype) {
  const residue_table_set& t = residue_tables();
  return {residue_lookup<2>(t.restype_atom14_mask, aatype), residue_lookup<2>(t.restype_atom37_mask, aatype),
          residue_index_lookup<2>(t.restype_atom14_to_atom37, aatype),
          residue_index_lookup<2>(t.restype_atom37_to_atom14, aatype)};
}

/// Atoms [n, 14, 3] as [n, 37, 3]; 0 where the residue has no such atom.
template <class B>
tensor<B, 3> atom14_to_atom37(const tensor<B, 3>& atoms, const tensor<B, 1, index_t>& aatype,
                              unknown_residue unknown = unknown_residue::absent) {
  const residue_table_set& t = residue_tables(unknown);
  const auto selection = residue_lookup<3>(selection_table(t.restype_atom37_to_atom14, atom14_count), aatype);
  return pick(selection, atoms) * unsqueeze(residue_lookup<2>(t.restype_atom37_mask, aatype), 2);
}

/// Atoms [n, 37, 3] as [n, 14, 3]; 0 where the residue has no such atom.
template <class B>
tensor<B, 3> atom37_to_atom14(const tensor<B, 3>& atoms, const tensor<B, 1, index_t>& aatype,
                              unknown_residue unknown = unknown_residue::absent) {
  const residue_table_set& t = residue_tables(unknown);
  const auto selection = residue_lookup<3>(selection_table(t.restype_atom14_to_atom37, atom37_count), aatype);
  return pick(selection, atoms) * unsqueeze(residue_lookup<2>(t.restype_atom14_mask, aatype), 2);
}

/// True positions in the 14-column layout, under both names of atoms that nature cannot tell apart (AF2 Suppl. Alg.
/// 26).
template <backend B>
struct atom14_truth {
  tensor<B, 3> positions, alt_positions;  ///< [n, 14, 3], 0 where not known
  tensor<B, 2> exists, alt_exists;        ///< [n, 14], the atom exists and its position is known
  tensor<B, 2> is_ambiguous;              ///< [n, 14]
};

/// positions [n, 37, 3] and mask [n, 37] of known atoms.
template <class B>
atom14_truth<B> make_atom14_truth(const tensor<B, 3>& positions, const tensor<B, 2>& mask,
                                  const tensor<B, 1, index_t>& aatype) {
  const residue_table_set& t = residue_tables();
  const auto selection = residue_lookup<3>(selection_table(t.restype_atom14_to_atom37, atom37_count), aatype);
  const auto renaming = residue_lookup<3>(selection_table(t.restype_atom14_swap, atom14_count), aatype);
  atom14_truth<B> truth;
  truth.exists = pick(selection, mask) * residue_lookup<2>(t.restype_atom14_mask, aatype);
  truth.positions = pick(selection, positions) * unsqueeze(truth.exists, 2);
  truth.alt_exists = pick(renaming, truth.exists);
  truth.alt_positions = pick(renaming, truth.positions);
  truth.is_ambiguous = residue_lookup<2>(t.restype_atom14_is_ambiguous, aatype);
  return truth;
}

/// The point that stands for a side chain: CB, or CA of glycine.
template <backend B>
struct pseudo_beta_atoms {
  tensor<B, 2> position;  ///< [n, 3]
  tensor<B, 1> mask;      ///< [n]
};
namespace detail {
inline host_tensor<double> pseudo_beta_selection() {
  host_tensor<std::int64_t> column({restype_count_with_x, 1}, std::int64_t{atom37_index("CB")});
  column(restype_index('G'), 0) = atom37_index("CA");
  return selection_table(column, atom37_count);
}
}  // namespace detail
template <class B>
tensor<B, 2> pseudo_beta(const tensor<B, 3>& positions, const tensor<B, 1, index_t>& aatype) {
  return squeeze(pick(residue_lookup<3>(detail::pseudo_beta_selection(), aatype), positions), 1);
}
template <class B>
pseudo_beta_atoms<B> pseudo_beta(const tensor<B, 3>& positions, const tensor<B, 2>& mask,
                                 const tensor<B, 1, index_t>& aatype) {
  return {pseudo_beta(positions, aatype),
          squeeze(pick(residue_lookup<3>(detail::pseudo_beta_selection(), aatype), mask), 1)};
}

}  // namespace fathom
