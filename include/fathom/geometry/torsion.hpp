// SPDX-License-Identifier: Apache-2.0
// From backbone frames and torsion angles to the frames of all rigid groups and to atoms (AF2 Suppl. Alg. 24).
#pragma once

#include <fathom/geometry/residue_lookup.hpp>
#include <fathom/geometry/rigid.hpp>

namespace fathom {

/// What the atoms of n residues look like at rest; depends on the sequence alone.
template <backend B>
struct residue_geometry {
  using backend_type = B;
  rigid<B, 2> default_frames;     ///< [n, 8], each group in its parent, torsions 0; zeros where a group is absent
  tensor<B, 3> atom14_group;      ///< [n, 14, 8], 1 at the group that carries the atom
  tensor<B, 2> atom14_mask;       ///< [n, 14]
  tensor<B, 3> atom14_positions;  ///< [n, 14, 3] in the frame of the group, Angstrom

  void visit(auto&& v) {
    v("default_frames", default_frames);
    v("atom14_group", atom14_group);
    v("atom14_mask", atom14_mask);
    v("atom14_positions", atom14_positions);
  }
  template <class B2>
  using rebind = residue_geometry<B2>;
};

/// Looks the geometry of a sequence up. aatype [n] in 0..20.
template <class B>
residue_geometry<B> make_residue_geometry(const tensor<B, 1, index_t>& aatype,
                                          unknown_residue unknown = unknown_residue::absent) {
  const residue_table_set& t = residue_tables(unknown);
  return {from_4x4(residue_lookup<4>(t.restype_rigid_group_default_frame, aatype)),
          residue_lookup<3>(selection_table(t.restype_atom14_to_rigid_group, rigid_group_count), aatype),
          residue_lookup<2>(t.restype_atom14_mask, aatype),
          residue_lookup<3>(t.restype_atom14_rigid_group_positions, aatype)};
}

/// Frames of all groups, [n, 8], from backbone frames [n] and torsions (sin, cos) [n, 7, 2] in the order pre-omega,
/// phi, psi, chi1..4. The angles are not normalised here; chi2..4 turn with their predecessors (Alg. 24, lines 1-10).
template <class B>
rigid<B, 2> torsion_angles_to_frames(const rigid<B>& backbone, const tensor<B, 3>& angles,
                                     const rigid<B, 2>& default_frames) {
  static constexpr double at_rest[2] = {0, 1};
  const index_t n = angles.extent(0);
  const auto rest = broadcast_to<3>(constant_table<1>(angles.backend(), {2}, at_rest), {n, 1, 2});
  const auto turn = rotation_about_x(concatenate(std::vector{rest, angles}, 1));
  const rigid<B, 2> turned{matmul(default_frames.rotation, turn), default_frames.translation};

  const auto groups = [&](index_t from, index_t to) {
    return rigid<B, 2>{slice(turned.rotation, 1, from, to), slice(turned.translation, 1, from, to)};
  };
  // Each chi frame sits in the one before.
  std::vector<rigid<B, 2>> local{groups(0, group_chi1 + 1)};
  auto chi = groups(group_chi1, group_chi1 + 1);
  for (int group = group_chi2; group <= group_chi4; ++group) {
    chi = compose(chi, groups(group, group + 1));
    local.push_back(chi);
  }
  std::vector<tensor<B, 4>> rotations;
  std::vector<tensor<B, 3>> translations;
  for (const auto& part : local) {
    rotations.push_back(part.rotation);
    translations.push_back(part.translation);
  }
  const rigid<B, 2> whole{concatenate(rotations, 1), concatenate(translations, 1)};
  return compose(rigid<B, 2>{unsqueeze(backbone.rotation, 1), unsqueeze(backbone.translation, 1)}, whole);
}

/// Atoms [n, 14, 3] of residues whose groups have the given frames; 0 where an atom does not exist (Alg. 24, line 11).
template <class B>
tensor<B, 3> frames_to_atom14(const rigid<B, 2>& frames, const residue_geometry<B>& geometry) {
  const index_t n = geometry.atom14_mask.extent(0);
  const auto rotations = reshape<3>(frames.rotation, {n, rigid_group_count, 9});
  const rigid<B, 2> of_atom{reshape<4>(matmul(geometry.atom14_group, rotations), {n, atom14_count, 3, 3}),
                            matmul(geometry.atom14_group, frames.translation)};
  return of_atom(geometry.atom14_positions) * unsqueeze(geometry.atom14_mask, 2);
}

}  // namespace fathom
