// SPDX-License-Identifier: Apache-2.0
// Backbones built from torsions with ideal bonds and angles.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include <fathom/metrics/points.hpp>

namespace fathom::metrics {

/// The point d at |c - d| = bond (Angstrom), angle b-c-d and torsion a-b-c-d (degrees).
inline point place_atom(const point& a, const point& b, const point& c, double bond, double bend, double turn) {
  const double cos_bend = std::cos(bend * pi / 180), sin_bend = std::sin(bend * pi / 180);
  const point axis = (1 / distance(b, c)) * (c - b);
  const point normal = cross(b - a, axis);
  const point up = (1 / norm(normal)) * normal, across = cross(up, axis);
  return c + (-bond * cos_bend) * axis + (bond * sin_bend * std::cos(turn * pi / 180)) * across +
         (bond * sin_bend * std::sin(turn * pi / 180)) * up;
}

struct backbone_atoms {
  point n, ca, c, o;
};

/// A backbone of `residues` with the same torsions everywhere (degrees, omega 180) and Engh and Huber's geometry. The
/// default is a right-handed alpha helix.
inline std::vector<backbone_atoms> ideal_backbone(std::size_t residues, double phi = -57.8, double psi = -47) {
  constexpr double n_ca = 1.458, ca_c = 1.525, c_n = 1.329, c_o = 1.231;
  constexpr double at_n = 121.7, at_ca = 111.0, at_c = 117.2, to_o = 120.1;
  std::vector<backbone_atoms> chain;
  for (std::size_t i = 0; i < residues; ++i) {
    backbone_atoms here{};
    if (i == 0) {
      here.n = {0, 0, 0};
      here.ca = {n_ca, 0, 0};
      here.c = here.ca + point{-ca_c * std::cos(at_ca * pi / 180), ca_c * std::sin(at_ca * pi / 180), 0};
    } else {
      const backbone_atoms& before = chain.back();
      here.n = place_atom(before.n, before.ca, before.c, c_n, at_c, psi);
      here.ca = place_atom(before.ca, before.c, here.n, n_ca, at_n, 180);
      here.c = place_atom(before.c, here.n, here.ca, ca_c, at_ca, phi);
    }
    here.o = place_atom(here.n, here.ca, here.c, c_o, to_o, psi + 180);
    chain.push_back(here);
  }
  return chain;
}

}  // namespace fathom::metrics
