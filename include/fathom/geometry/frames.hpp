// SPDX-License-Identifier: Apache-2.0
// From atoms to the frames of rigid groups and to torsion angles: what the losses and templates compare with.
#pragma once

#include <fathom/geometry/atoms.hpp>
#include <fathom/geometry/rigid.hpp>

namespace fathom {

/// Frames of the eight rigid groups of each residue, and those of the alternative names of ambiguous atoms.
template <backend B>
struct rigid_group_frames {
  rigid<B, 2> frames, alt_frames;  ///< [n, 8]
  tensor<B, 2> exists;             ///< [n, 8], 1 where the residue has the group and its three atoms are known
  tensor<B, 2> group_exists;       ///< [n, 8], 1 where the residue has the group
  tensor<B, 2> is_ambiguous;       ///< [n, 8]
};

namespace detail {
/// diag(sign) [n, 8, 1, 3], so that a product turns the columns of a frame.
inline host_tensor<double> column_signs(bool alternative) {
  host_tensor<double> signs({restype_count_with_x, rigid_group_count, 1, 3}, 1.0);
  const auto& ambiguous = residue_tables().restype_rigid_group_is_ambiguous;
  for (index_t type = 0; type < restype_count_with_x; ++type)
    for (index_t group = 0; group < rigid_group_count; ++group) {
      // The backbone frame is built from C, CA, N and then turned so that C lies on the positive x axis.
      if (group == group_backbone) signs(type, group, 0, 0) = signs(type, group, 0, 2) = -1;
      if (alternative && ambiguous(type, group) > 0) {
        signs(type, group, 0, 1) *= -1;
        signs(type, group, 0, 2) *= -1;
      }
    }
  return signs;
}
/// Products over groups of `count` neighbours of the last axis: [n, k count] to [n, k].
template <class B>
tensor<B, 2> all_of(const tensor<B, 2>& mask, index_t count) {
  const auto parts = reshape<3>(mask, {mask.extent(0), mask.extent(1) / count, count});
  auto both = select(parts, 2, 0);
  for (index_t i = 1; i < count; ++i) both = both * select(parts, 2, i);
  return both;
}
}  // namespace detail

/// Frames from atoms: positions [n, 37, 3], mask [n, 37] (AF2 Suppl. 1.8.1, Alg. 21 with eps under each root).
template <class B>
rigid_group_frames<B> atom37_to_frames(const tensor<B, 3>& positions, const tensor<B, 2>& mask,
                                       const tensor<B, 1, index_t>& aatype, double eps = 1e-8) {
  const residue_table_set& t = residue_tables();
  const index_t n = aatype.extent(0);
  const auto selection =
      residue_lookup<3>(selection_table(t.restype_rigid_group_base_atom37_idx, atom37_count), aatype);
  const auto points = reshape<4>(pick(selection, positions), {n, rigid_group_count, 3, 3});
  const auto raw = from_3_points(select(points, 2, 0), select(points, 2, 1), select(points, 2, 2), eps);

  rigid_group_frames<B> result;
  result.frames = {raw.rotation * residue_lookup<4>(detail::column_signs(false), aatype), raw.translation};
  result.alt_frames = {raw.rotation * residue_lookup<4>(detail::column_signs(true), aatype), raw.translation};
  result.group_exists = residue_lookup<2>(t.restype_rigid_group_mask, aatype);
  result.exists = detail::all_of(pick(selection, mask), 3) * result.group_exists;
  result.is_ambiguous = residue_lookup<2>(t.restype_rigid_group_is_ambiguous, aatype);
  return result;
}

/// Torsion angles (sin, cos) in the order pre-omega, phi, psi, chi1..4.
template <backend B>
struct torsion_angles {
  tensor<B, 3> sin_cos;      ///< [n, 7, 2]
  tensor<B, 3> alt_sin_cos;  ///< [n, 7, 2], angles of period pi turned by pi
  tensor<B, 2> mask;         ///< [n, 7], 1 where all four atoms are known
};

namespace detail {
/// Columns of the four atoms of each of the seven torsions in [previous residue's 37 atoms, own 37 atoms].
inline host_tensor<std::int64_t> torsion_atom_columns() {
  const residue_table_set& t = residue_tables();
  const std::int64_t n = atom37_index("N"), ca = atom37_index("CA"), c = atom37_index("C"), o = atom37_index("O");
  const std::int64_t own = atom37_count;
  const std::int64_t backbone[3][4] = {
      {ca, c, own + n, own + ca}, {c, own + n, own + ca, own + c}, {own + n, own + ca, own + c, own + o}};
  host_tensor<std::int64_t> columns({restype_count_with_x, 7, 4});
  for (index_t type = 0; type < restype_count_with_x; ++type)
    for (index_t torsion = 0; torsion < 7; ++torsion)
      for (index_t atom = 0; atom < 4; ++atom)
        columns(type, torsion, atom) =
            torsion < 3 ? backbone[torsion][atom] : own + t.chi_atom_indices(type, torsion - 3, atom);
  return columns;
}
/// [21, 7, 1]: what a torsion is multiplied with. The zero of psi is turned by pi, since O lies opposite to the next N.
inline host_tensor<double> torsion_signs(bool alternative) {
  host_tensor<double> signs({restype_count_with_x, 7, 1}, 1.0);
  for (index_t type = 0; type < restype_count_with_x; ++type) {
    signs(type, 2, 0) = -1;
    for (index_t chi = 0; alternative && chi < chi_count; ++chi)
      if (residue_tables().chi_pi_periodic(type, chi) > 0) signs(type, 3 + chi, 0) = -1;
  }
  return signs;
}
/// [21, 7]: the residue has the torsion.
inline host_tensor<double> torsion_exists() {
  host_tensor<double> exists({restype_count_with_x, 7}, 1.0);
  for (index_t type = 0; type < restype_count_with_x; ++type)
    for (index_t chi = 0; chi < chi_count; ++chi) exists(type, 3 + chi) = residue_tables().chi_angles_mask(type, chi);
  return exists;
}
/// Rows moved one residue on; zeros come first.
template <class B, int R>
tensor<B, R> previous_rows(const tensor<B, R>& x) {
  auto e = x.shape();
  e[0] = 1;
  return concatenate(std::vector{full<R>(x.backend(), e, scalar_of<B>(0)), slice(x, 0, 0, x.extent(0) - 1)}, 0);
}
}  // namespace detail

/// Torsions from atoms: positions [n, 37, 3], mask [n, 37] (AF2 Suppl. 1.8.1; sin and cos over sqrt(sin^2 + cos^2 +
/// eps)).
template <class B>
torsion_angles<B> atom37_to_torsion_angles(const tensor<B, 3>& positions, const tensor<B, 2>& mask,
                                           const tensor<B, 1, index_t>& aatype, double eps = 1e-8) {
  const index_t n = aatype.extent(0);
  const auto selection = residue_lookup<3>(selection_table(detail::torsion_atom_columns(), 2 * atom37_count), aatype);
  const auto atoms = concatenate(std::vector{detail::previous_rows(positions), positions}, 1);
  const auto known = concatenate(std::vector{detail::previous_rows(mask), mask}, 1);
  const auto points = reshape<4>(pick(selection, atoms), {n, 7, 4, 3});
  // Seen from the third atom, with the second on the negative x axis and the first in the xy plane, the fourth shows
  // the angle in its y and z.
  const auto frame = from_3_points(select(points, 2, 1), select(points, 2, 2), select(points, 2, 0), eps);
  const auto fourth = invert_apply(frame, select(points, 2, 3));
  const auto sin_cos = unit_vector(concatenate(std::vector{slice(fourth, 2, 2, 3), slice(fourth, 2, 1, 2)}, 2), eps);
  return {sin_cos * residue_lookup<3>(detail::torsion_signs(false), aatype),
          sin_cos * residue_lookup<3>(detail::torsion_signs(true), aatype),
          detail::all_of(pick(selection, known), 4) * residue_lookup<2>(detail::torsion_exists(), aatype)};
}

}  // namespace fathom
