// SPDX-License-Identifier: Apache-2.0
// Chains built from torsions with the model's own residue geometry, for tests.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <fathom/geometry/residue_constants.hpp>
#include <fathom/io/protein.hpp>
#include <fathom/metrics/ideal_residue.hpp>
#include <fathom/metrics/points.hpp>

namespace fathom::test {

using metrics::point;

struct torsions {
  double phi = -57, psi = -47, omega = 180;
  std::array<double, 4> chi = {-65, 175, 65, 170};
};

/// Place of d with |cd| = length, angle b-c-d and torsion a-b-c-d in degrees.
inline point place(const point& a, const point& b, const point& c, double length, double angle, double torsion) {
  using namespace metrics;
  const point u = (1 / distance(b, c)) * (c - b), raw = cross(b - a, u), n = (1 / norm(raw)) * raw, m = cross(n, u);
  const double alpha = angle * pi / 180, tau = torsion * pi / 180;
  return c + (-length * std::cos(alpha)) * u + (length * std::sin(alpha) * std::cos(tau)) * m +
         (length * std::sin(alpha) * std::sin(tau)) * n;
}

/// All heavy atoms of a chain with the given torsions; peptide bonds have the ideal length and angles.
inline io::protein ideal_chain(const std::string& sequence, const std::vector<torsions>& angles) {
  using namespace metrics;
  const auto& t = residue_tables(unknown_residue::backbone);
  io::protein chain(static_cast<index_t>(sequence.size()));
  point n{}, ca{}, c{};
  for (std::size_t i = 0; i < sequence.size(); ++i) {
    const auto row = static_cast<index_t>(i);
    const int type = restype_index(sequence[i]);
    chain.aatype[i] = type;
    const auto rest = [&](const char* atom) {
      const int column = atom37_index(atom);
      return point{t.restype_atom37_rigid_group_positions(type, column, 0),
                   t.restype_atom37_rigid_group_positions(type, column, 1),
                   t.restype_atom37_rigid_group_positions(type, column, 2)};
    };
    const point rest_n = rest("N"), rest_c = rest("C");
    if (i == 0) {
      n = rest_n, ca = {0, 0, 0}, c = rest_c;
    } else {
      const point old_n = n, old_ca = ca, old_c = c;
      const std::size_t next = sequence[i] == 'P' ? 1 : 0;
      n = place(old_n, old_ca, old_c, peptide_bond_length[next], std::acos(peptide_cos_angle_ca_c_n[0]) * 180 / pi,
                angles[i - 1].psi);
      ca =
          place(old_ca, old_c, n, norm(rest_n), std::acos(peptide_cos_angle_c_n_ca[0]) * 180 / pi, angles[i - 1].omega);
      c = place(old_c, n, ca, norm(rest_c), angle(rest_n, {0, 0, 0}, rest_c), angles[i].phi);
    }
    const auto atoms = ideal_residue(type, backbone_frame(n, ca, c), angles[i].psi, angles[i].chi);
    for (int column = 0; column < atom37_count; ++column) {
      if (t.restype_atom37_mask(type, column) == 0) continue;
      const point& p = atoms[static_cast<std::size_t>(column)];
      for (std::size_t k = 0; k < 3; ++k) chain.positions(row, column, k) = p[k];
      chain.mask(row, column) = 1;
    }
  }
  return chain;
}

/// The same torsions everywhere.
inline io::protein ideal_chain(const std::string& sequence, const torsions& everywhere) {
  return ideal_chain(sequence, std::vector<torsions>(sequence.size(), everywhere));
}

}  // namespace fathom::test
