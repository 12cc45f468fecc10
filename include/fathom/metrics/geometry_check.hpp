// SPDX-License-Identifier: Apache-2.0
// Bond lengths and angles inside each residue of a chain against the tables.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <fathom/geometry/residue_constants.hpp>
#include <fathom/metrics/ideal_residue.hpp>
#include <fathom/metrics/points.hpp>

namespace fathom::metrics {

/// Which values a chain is held against: those of the rigid groups that a structure module assembles (Engh and Huber's
/// within 0.05 Angstrom and 3 degrees), or Engh and Huber's means.
enum class ideal_geometry { rigid_groups, engh_huber };

/// How far one bond (two atoms, Angstrom) or angle (three, degrees) is from its table value.
struct geometry_deviation {
  double deviation = 0;  ///< |found - expected|
  double found = 0, expected = 0;
  index_t residue = -1;  ///< counted from 0
  std::string atoms;     ///< "HIS CD2-NE2"
};

struct geometry_report {
  geometry_deviation worst_bond, worst_angle;
  /// Ring of proline: CD-N and the angles there follow from chi1 and chi2, so rigid groups cannot fix them.
  geometry_deviation worst_ring_bond, worst_ring_angle;
  index_t bonds = 0, angles = 0;  ///< checked, rings not counted
  index_t missing_atoms = 0;      ///< heavy atoms of the residue types (no OXT) that are absent
  index_t not_finite = 0;         ///< atoms with NaN or infinite coordinates
  bool within(double angstrom, double degrees) const {
    return not_finite == 0 && worst_bond.deviation <= angstrom && worst_angle.deviation <= degrees;
  }
};

namespace detail {

/// A bond (third = -1) or angle of a residue type with its expected value.
struct geometry_term {
  int first, second, third;
  double expected;
  bool torsion_free;  ///< the value does not depend on any chi
};

inline double measure(const std::array<point, atom37_count>& atoms, const geometry_term& term) {
  const auto at = [&](int column) -> const point& { return atoms[static_cast<std::size_t>(column)]; };
  return term.third < 0 ? distance(at(term.first), at(term.second))
                        : angle(at(term.first), at(term.second), at(term.third));
}

/// Terms of a residue type. Two conformations tell which of them the rigid groups fix.
inline std::vector<geometry_term> geometry_terms(int restype, ideal_geometry ideal) {
  const auto one = ideal_residue(restype, {}, 20, {40, 80, 120, 160});
  const auto two = ideal_residue(restype, {}, 140, {-70, 100, -130, 15});
  std::vector<geometry_term> terms;
  const auto add = [&](geometry_term term) {
    const double a = measure(one, term), b = measure(two, term);
    term.torsion_free = std::abs(a - b) < 1e-6;
    if (ideal == ideal_geometry::rigid_groups && term.torsion_free) term.expected = a;
    terms.push_back(term);
  };
  // The backbone of an unknown residue is that of glycine.
  const char letter = restype == restype_unknown ? 'G' : restype_letter(restype);
  for_each_bond(letter, [&](const bond_length& bond) {
    add({atom37_index(bond.first), atom37_index(bond.second), -1, bond.mean, true});
  });
  for_each_angle(letter, [&](const bond_angle& bend) {
    add({atom37_index(bend.first), atom37_index(bend.vertex), atom37_index(bend.third), bend.mean, true});
  });
  return terms;
}

inline const std::vector<geometry_term>& cached_geometry_terms(int restype, ideal_geometry ideal) {
  static const auto all = [] {
    std::array<std::array<std::vector<geometry_term>, restype_count_with_x>, 2> made;
    for (int type = 0; type < restype_count_with_x; ++type) {
      made[0][static_cast<std::size_t>(type)] = geometry_terms(type, ideal_geometry::rigid_groups);
      made[1][static_cast<std::size_t>(type)] = geometry_terms(type, ideal_geometry::engh_huber);
    }
    return made;
  }();
  return all[ideal == ideal_geometry::rigid_groups ? 0 : 1][static_cast<std::size_t>(restype)];
}

}  // namespace detail

/// Checks every bond and bond angle whose atoms are present. `Protein` has aatype [N], positions [N, 37, 3] in Angstrom
/// and mask [N, 37], such as io::protein. Missing atoms are counted, not held against the chain.
template <class Protein>
geometry_report geometry_check(const Protein& chain, ideal_geometry ideal = ideal_geometry::rigid_groups) {
  const residue_table_set& tables = residue_tables(unknown_residue::backbone);
  geometry_report report;
  for (index_t i = 0; i < static_cast<index_t>(chain.aatype.size()); ++i) {
    const int given = static_cast<int>(chain.aatype[static_cast<std::size_t>(i)]);
    const int type = given >= 0 && given < restype_count ? given : restype_unknown;
    std::array<point, atom37_count> atoms{};
    std::array<bool, atom37_count> good{};
    for (int column = 0; column < atom37_count; ++column) {
      const auto at = static_cast<std::size_t>(column);
      for (std::size_t k = 0; k < 3; ++k) atoms[at][k] = chain.positions(i, column, k);
      const bool present = chain.mask(i, column) > 0.5;
      const bool finite = std::isfinite(atoms[at][0]) && std::isfinite(atoms[at][1]) && std::isfinite(atoms[at][2]);
      good[at] = present && finite;
      report.not_finite += present && !finite ? 1 : 0;
      report.missing_atoms += !present && tables.restype_atom37_mask(type, column) > 0.5 ? 1 : 0;
    }
    for (const auto& term : detail::cached_geometry_terms(type, ideal)) {
      const auto has = [&](int column) { return column < 0 || good[static_cast<std::size_t>(column)]; };
      if (!(has(term.first) && has(term.second) && has(term.third))) continue;
      const bool bond = term.third < 0;
      if (term.torsion_free) ++(bond ? report.bonds : report.angles);
      geometry_deviation& worst = term.torsion_free ? (bond ? report.worst_bond : report.worst_angle)
                                                    : (bond ? report.worst_ring_bond : report.worst_ring_angle);
      const double found = detail::measure(atoms, term);
      // Coinciding atoms have no angle: as far off as can be.
      const double deviation = std::isnan(found) ? 180.0 : std::abs(found - term.expected);
      if (deviation <= worst.deviation) continue;
      std::string names = std::string(restype_name(type)) + " ";
      for (const int column : {term.first, term.second, term.third})
        if (column >= 0) names += std::string(atom37_names[static_cast<std::size_t>(column)]) + "-";
      names.pop_back();
      worst = {deviation, found, term.expected, i, names};
    }
  }
  return report;
}

}  // namespace fathom::metrics
