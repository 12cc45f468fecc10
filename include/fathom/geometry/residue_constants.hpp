// SPDX-License-Identifier: Apache-2.0
// Every per-residue-type table of the model as host arrays, derived from the published constants in this folder.
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

#include <fathom/core/host_tensor.hpp>
#include <fathom/geometry/atom_names.hpp>
#include <fathom/geometry/chi_angles.hpp>
#include <fathom/geometry/residue_types.hpp>
#include <fathom/geometry/rigid_groups.hpp>
#include <fathom/geometry/stereochemistry.hpp>

namespace fathom {

/// What an unknown residue (X, index 20) consists of: no atom at all, as in AlphaFold2's tables, or the backbone
/// N CA C O with the geometry of glycine, so that a predicted chain has no hole.
enum class unknown_residue { absent, backbone };

/// Tables by residue index (20 amino acids, then X). Lengths in Angstrom, masks 0 or 1, indices of absent things 0.
/// Member names are those of the reference tables, so that files and readers can be compared by name.
struct residue_table_set {
  using reals = host_tensor<double>;
  using indices = host_tensor<std::int64_t>;

  reals restype_atom14_mask{{21, 14}};              ///< atom of this atom14 column exists
  reals restype_atom37_mask{{21, 37}};              ///< atom of this atom37 column exists (OXT never)
  indices restype_atom14_to_atom37{{21, 14}};       ///< atom37 column of an atom14 column
  indices restype_atom37_to_atom14{{21, 37}};       ///< atom14 column of an atom37 column
  indices restype_atom14_to_rigid_group{{21, 14}};  ///< group 0..7 that carries the atom
  indices restype_atom37_to_rigid_group{{21, 37}};
  reals restype_atom14_rigid_group_positions{{21, 14, 3}};  ///< position in the frame of its group
  reals restype_atom37_rigid_group_positions{{21, 37, 3}};
  reals restype_rigid_group_default_frame{{21, 8, 4, 4}};   ///< group frame in its parent's, all torsions 0 (Alg. 24)
  reals restype_rigid_group_mask{{21, 8}};                  ///< group holds heavy atoms and has a frame
  reals restype_rigid_group_is_ambiguous{{21, 8}};          ///< frame may be turned by pi
  indices restype_rigid_group_base_atom37_idx{{21, 8, 3}};  ///< atoms that define the frame (negative x, origin, xy)
  indices chi_atom_indices{{21, 4, 4}};                     ///< atom37 columns of chi1..chi4
  reals chi_angles_mask{{21, 4}};
  reals chi_pi_periodic{{21, 4}};
  reals restype_atom14_is_ambiguous{{21, 14}};
  indices restype_atom14_swap{{21, 14}};  ///< column after the renaming of ambiguous atoms, itself elsewhere (Alg. 26)
  reals atom37_van_der_waals_radius{{37}};
  reals atom14_dists_lower_bound{{21, 14, 14}};  ///< clash or mean - tolerance stddev within a residue
  reals atom14_dists_upper_bound{{21, 14, 14}};  ///< 1e10 or mean + tolerance stddev
  reals atom14_dists_stddev{{21, 14, 14}};       ///< 0 where neither a bond nor an angle fixes the distance
  reals between_res_bond_length_c_n{{2}, {peptide_bond_length[0], peptide_bond_length[1]}};
  reals between_res_bond_length_stddev_c_n{{2}, {peptide_bond_length_stddev[0], peptide_bond_length_stddev[1]}};
  reals between_res_cos_angles_c_n_ca{{2}, {peptide_cos_angle_c_n_ca[0], peptide_cos_angle_c_n_ca[1]}};
  reals between_res_cos_angles_ca_c_n{{2}, {peptide_cos_angle_ca_c_n[0], peptide_cos_angle_ca_c_n[1]}};
};

/// Slack of the distance bounds: overlap that two atoms may have, and how many standard deviations a bond may stray.
/// Defaults are those of AlphaFold2's structural violation loss.
struct distance_tolerance {
  double overlap = 1.5;
  double stddevs = 12.0;
};

namespace detail {

/// Column-major view of a frame in a table [.., 4, 4]: x axis along ex, y axis in the half plane of ey.
inline void write_frame(residue_table_set::reals& frames, int restype, int group, const double (&ex)[3],
                        const double (&ey)[3], const double (&origin)[3]) {
  const double nx = std::sqrt(ex[0] * ex[0] + ex[1] * ex[1] + ex[2] * ex[2]);
  double x[3], y[3];
  for (int k = 0; k < 3; ++k) x[k] = ex[k] / nx;
  const double along = ey[0] * x[0] + ey[1] * x[1] + ey[2] * x[2];
  for (int k = 0; k < 3; ++k) y[k] = ey[k] - along * x[k];
  const double ny = std::sqrt(y[0] * y[0] + y[1] * y[1] + y[2] * y[2]);
  for (int k = 0; k < 3; ++k) y[k] /= ny;
  const double z[3] = {x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]};
  for (int k = 0; k < 3; ++k) {
    frames(restype, group, k, 0) = x[k];
    frames(restype, group, k, 1) = y[k];
    frames(restype, group, k, 2) = z[k];
    frames(restype, group, k, 3) = origin[k];
  }
  frames(restype, group, 3, 3) = 1.0;
}

/// Row `source` of the published data fills row `restype` of the tables; `backbone_only` takes N CA C O.
inline void fill_atoms(residue_table_set& t, int restype, int source, bool backbone_only) {
  const char letter = restype_letter(source);
  for (const rigid_group_atom& atom : rigid_group_atoms) {
    if (atom.residue != letter) continue;
    const int a14 = atom14_index(source, atom.name), a37 = atom37_index(atom.name);
    if (backbone_only && a14 >= 4) continue;
    t.restype_atom14_mask(restype, a14) = t.restype_atom37_mask(restype, a37) = 1.0;
    t.restype_atom14_to_atom37(restype, a14) = a37;
    t.restype_atom37_to_atom14(restype, a37) = a14;
    t.restype_atom14_to_rigid_group(restype, a14) = t.restype_atom37_to_rigid_group(restype, a37) = atom.group;
    for (int k = 0; k < 3; ++k) {
      t.restype_atom14_rigid_group_positions(restype, a14, k) = atom.position[k];
      t.restype_atom37_rigid_group_positions(restype, a37, k) = atom.position[k];
    }
  }
}

/// Default frames from the resting positions: phi and psi from the backbone, chi1 from N CA CB, later ones along x.
inline void fill_frames(residue_table_set& t, int restype) {
  auto& frames = t.restype_rigid_group_default_frame;
  const auto at = [&](std::string_view name, double(&p)[3]) {
    const int column = atom37_index(name);
    for (int k = 0; k < 3; ++k) p[k] = t.restype_atom37_rigid_group_positions(restype, column, k);
  };
  const double origin[3] = {0, 0, 0}, right[3] = {1, 0, 0}, left[3] = {-1, 0, 0}, up[3] = {0, 1, 0};
  double n[3], ca[3], c[3], end[3], ex[3], ey[3];
  at("N", n), at("CA", ca), at("C", c);
  write_frame(frames, restype, group_backbone, right, up, origin);
  write_frame(frames, restype, group_pre_omega, right, up, origin);
  for (int k = 0; k < 3; ++k) ex[k] = n[k] - ca[k];
  write_frame(frames, restype, group_phi, ex, right, n);
  for (int k = 0; k < 3; ++k) ex[k] = c[k] - ca[k], ey[k] = ca[k] - n[k];
  write_frame(frames, restype, group_psi, ex, ey, c);
  for (int chi = 0; chi < chi_angle_count(restype); ++chi) {
    at(chi_atom_name(restype, chi, 2), end);
    for (int k = 0; k < 3; ++k) ex[k] = end[k] - (chi == 0 ? ca[k] : 0.0), ey[k] = chi == 0 ? n[k] - ca[k] : left[k];
    write_frame(frames, restype, group_chi1 + chi, ex, ey, end);
  }
}

/// Torsions, the atoms that define each group's frame, and which of them nature cannot tell apart.
inline void fill_torsions(residue_table_set& t, int restype) {
  constexpr std::string_view backbone[3] = {"C", "CA", "N"}, psi[3] = {"CA", "C", "O"};
  for (int k = 0; k < 3; ++k) {
    t.restype_rigid_group_base_atom37_idx(restype, group_backbone, k) = atom37_index(backbone[k]);
    t.restype_rigid_group_base_atom37_idx(restype, group_psi, k) = atom37_index(psi[k]);
  }
  t.restype_rigid_group_mask(restype, group_backbone) = t.restype_rigid_group_mask(restype, group_psi) = 1.0;
  for (int chi = 0; chi < chi_angle_count(restype); ++chi) {
    for (int k = 0; k < 4; ++k) t.chi_atom_indices(restype, chi, k) = atom37_index(chi_atom_name(restype, chi, k));
    for (int k = 0; k < 3; ++k)
      t.restype_rigid_group_base_atom37_idx(restype, group_chi1 + chi, k) = t.chi_atom_indices(restype, chi, k + 1);
    const double periodic = chi_is_pi_periodic(restype, chi) ? 1.0 : 0.0;
    t.chi_angles_mask(restype, chi) = t.restype_rigid_group_mask(restype, group_chi1 + chi) = 1.0;
    t.chi_pi_periodic(restype, chi) = t.restype_rigid_group_is_ambiguous(restype, group_chi1 + chi) = periodic;
  }
}

/// Bounds of distances inside a residue: van der Waals contact for all pairs, then bonds, then angles, the latter as
/// the third side of their triangle with c^2 = a^2 + b^2 - 2 a b cos(gamma) and first-order error propagation.
inline void fill_distance_bounds(residue_table_set& t, int restype, int source, const distance_tolerance& slack) {
  constexpr double degree = 3.14159265358979323846 / 180.0;
  const auto radius = [&](int column) { return van_der_waals_radius(atom14_name(source, column).front()); };
  for (int i = 0; i < atom14_count; ++i)
    for (int j = 0; j < atom14_count; ++j) {
      if (i == j || t.restype_atom14_mask(restype, i) == 0.0 || t.restype_atom14_mask(restype, j) == 0.0) continue;
      t.atom14_dists_lower_bound(restype, i, j) = radius(i) + radius(j) - slack.overlap;
      t.atom14_dists_upper_bound(restype, i, j) = 1e10;
    }
  double mean[atom14_count][atom14_count] = {}, stddev[atom14_count][atom14_count] = {};
  const auto set = [&](int i, int j, double length, double deviation) {
    for (int turn = 0; turn < 2; ++turn, std::swap(i, j)) {
      t.atom14_dists_lower_bound(restype, i, j) = length - slack.stddevs * deviation;
      t.atom14_dists_upper_bound(restype, i, j) = length + slack.stddevs * deviation;
      t.atom14_dists_stddev(restype, i, j) = deviation;
      mean[i][j] = length, stddev[i][j] = deviation;
    }
  };
  const char letter = restype_letter(source);
  for_each_bond(letter, [&](const bond_length& bond) {
    set(atom14_index(source, bond.first), atom14_index(source, bond.second), bond.mean, bond.stddev);
  });
  for_each_angle(letter, [&](const bond_angle& angle) {
    const int i = atom14_index(source, angle.first), v = atom14_index(source, angle.vertex),
              j = atom14_index(source, angle.third);
    const double a = mean[i][v], b = mean[v][j], cosine = std::cos(angle.mean * degree);
    const double length = std::sqrt(a * a + b * b - 2 * a * b * cosine);
    const double by_angle = a * b * std::sin(angle.mean * degree) / length * angle.stddev * degree;
    const double by_first = (a - b * cosine) / length * stddev[i][v];
    const double by_second = (b - a * cosine) / length * stddev[v][j];
    set(i, j, length, std::sqrt(by_angle * by_angle + by_first * by_first + by_second * by_second));
  });
}

}  // namespace detail

/// Builds all tables. Source of the formulas: AF2 Suppl. 1.8.1, 1.8.4 (Alg. 24), 1.8.5 (Alg. 26), 1.9.11 (bounds).
inline residue_table_set make_residue_tables(unknown_residue unknown = unknown_residue::absent,
                                             const distance_tolerance& slack = {}) {
  residue_table_set t;
  for (int restype = 0; restype < restype_count_with_x; ++restype) {
    const bool is_unknown = restype == restype_unknown;
    const int source = is_unknown ? restype_index('G') : restype;
    for (int column = 0; column < atom14_count; ++column) t.restype_atom14_swap(restype, column) = column;
    detail::fill_torsions(t, restype);
    if (is_unknown && unknown == unknown_residue::absent) continue;
    detail::fill_atoms(t, restype, source, is_unknown);
    detail::fill_frames(t, restype);
    detail::fill_distance_bounds(t, restype, source, slack);
  }
  for (const ambiguous_pair& pair : ambiguous_pairs) {
    const int restype = restype_index(pair.residue);
    const int i = atom14_index(restype, pair.first), j = atom14_index(restype, pair.second);
    t.restype_atom14_is_ambiguous(restype, i) = t.restype_atom14_is_ambiguous(restype, j) = 1.0;
    t.restype_atom14_swap(restype, i) = j;
    t.restype_atom14_swap(restype, j) = i;
  }
  for (int column = 0; column < atom37_count; ++column)
    t.atom37_van_der_waals_radius(column) = van_der_waals_radius(atom37_element(column));
  return t;
}

/// The tables with default tolerances, made once on first use (safe from several threads).
inline const residue_table_set& residue_tables(unknown_residue unknown = unknown_residue::absent) {
  static const residue_table_set absent = make_residue_tables(unknown_residue::absent);
  static const residue_table_set backbone = make_residue_tables(unknown_residue::backbone);
  return unknown == unknown_residue::absent ? absent : backbone;
}

}  // namespace fathom
