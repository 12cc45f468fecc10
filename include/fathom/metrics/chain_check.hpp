// SPDX-License-Identifier: Apache-2.0
// What holds between the residues of a chain: CA spacing, peptide bonds, clashes, the hand of helices.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <fathom/geometry/residue_constants.hpp>
#include <fathom/metrics/points.hpp>

namespace fathom::metrics {

struct chain_report {
  std::vector<double> ca_ca;       ///< [N-1] distance of consecutive CA, NaN where one is absent
  double worst_ca_ca = 0;          ///< largest |d - 3.802| (trans) among consecutive numbers
  double worst_peptide_bond = 0;   ///< largest |C-N - table| in Angstrom among consecutive numbers
  index_t chain_breaks = 0;        ///< C-N longer than 2.5 Angstrom between consecutive numbers
  index_t clashes = 0;             ///< pairs of atoms of different residues closer than radii - 1.5 Angstrom
  index_t right_handed_turns = 0;  ///< CA i..i+3 wound like an alpha helix (torsion 50 +- 30 degrees, d 4.2..6.5)
  index_t left_handed_turns = 0;   ///< its mirror image
};

/// Spacing, breaks, clashes and handedness of a chain; members as io::protein has them. A clash is an overlap of van
/// der Waals spheres by more than `overlap` (AF2 Suppl. 1.9.11); the bond C-N of neighbours and disulfides are none.
/// The clash search looks at all pairs of residues and, where they are near, at all pairs of their atoms.
template <class Protein>
chain_report chain_check(const Protein& chain, double overlap = 1.5) {
  chain_report report;
  const auto n = static_cast<index_t>(chain.aatype.size());
  const int ca = atom37_index("CA"), c = atom37_index("C"), nitrogen = atom37_index("N"), sg = atom37_index("SG");
  const auto has = [&](index_t i, int column) { return chain.mask(i, column) > 0.5; };
  const auto at = [&](index_t i, int column) {
    return point{chain.positions(i, column, 0), chain.positions(i, column, 1), chain.positions(i, column, 2)};
  };
  const auto follows = [&](index_t i) {
    const auto k = static_cast<std::size_t>(i);
    return chain.residue_number[k + 1] - chain.residue_number[k] == 1;
  };
  for (index_t i = 0; i + 1 < n; ++i) {
    const bool both = has(i, ca) && has(i + 1, ca);
    report.ca_ca.push_back(both ? distance(at(i, ca), at(i + 1, ca)) : std::nan(""));
    if (both && follows(i))
      report.worst_ca_ca = std::max(report.worst_ca_ca, std::abs(report.ca_ca.back() - ca_ca_distance));
    if (!has(i, c) || !has(i + 1, nitrogen) || !follows(i)) continue;
    const double length = distance(at(i, c), at(i + 1, nitrogen));
    const bool proline = restype_letter(chain.aatype[static_cast<std::size_t>(i + 1)]) == 'P';
    report.worst_peptide_bond =
        std::max(report.worst_peptide_bond, std::abs(length - peptide_bond_length[proline ? 1 : 0]));
    report.chain_breaks += length > 2.5 ? 1 : 0;
  }
  for (index_t i = 0; i + 3 < n; ++i) {
    if (!(has(i, ca) && has(i + 1, ca) && has(i + 2, ca) && has(i + 3, ca))) continue;
    const double turn = torsion(at(i, ca), at(i + 1, ca), at(i + 2, ca), at(i + 3, ca));
    const double span = distance(at(i, ca), at(i + 3, ca));
    if (span < 4.2 || span > 6.5) continue;
    report.right_handed_turns += std::abs(turn - 50) <= 30 ? 1 : 0;
    report.left_handed_turns += std::abs(turn + 50) <= 30 ? 1 : 0;
  }
  // Residues whose spheres around CA are apart cannot touch.
  std::vector<double> radius(static_cast<std::size_t>(n), 0.0);
  for (index_t i = 0; i < n; ++i)
    for (int a = 0; a < atom37_count; ++a)
      if (has(i, a) && has(i, ca))
        radius[static_cast<std::size_t>(i)] =
            std::max(radius[static_cast<std::size_t>(i)], distance(at(i, a), at(i, ca)));
  constexpr double widest = 2 * 1.8;
  for (index_t i = 0; i < n; ++i)
    for (index_t j = i + 1; j < n; ++j) {
      const double reach = radius[static_cast<std::size_t>(i)] + radius[static_cast<std::size_t>(j)] + widest;
      if (has(i, ca) && has(j, ca) && distance(at(i, ca), at(j, ca)) > reach) continue;
      for (int a = 0; a < atom37_count; ++a) {
        if (!has(i, a)) continue;
        for (int b = 0; b < atom37_count; ++b) {
          if (!has(j, b) || (a == sg && b == sg) || (a == c && b == nitrogen && j == i + 1)) continue;
          const double contact = van_der_waals_radius(atom37_element(a)) + van_der_waals_radius(atom37_element(b));
          report.clashes += distance(at(i, a), at(j, b)) < contact - overlap ? 1 : 0;
        }
      }
    }
  return report;
}

}  // namespace fathom::metrics
