// SPDX-License-Identifier: Apache-2.0
// A residue built from its torsions with the published rigid groups: what a structure module's output must look like.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>

#include <fathom/geometry/residue_constants.hpp>
#include <fathom/metrics/points.hpp>

namespace fathom::metrics {

/// Axes and origin of a frame: p -> p.x x + p.y y + p.z z + origin.
struct rigid_frame {
  point x{1, 0, 0}, y{0, 1, 0}, z{0, 0, 1}, origin{0, 0, 0};
  point operator()(const point& p) const { return p[0] * x + p[1] * y + p[2] * z + origin; }
  rigid_frame operator*(const rigid_frame& inner) const {
    return {(*this)(inner.x) - origin, (*this)(inner.y) - origin, (*this)(inner.z) - origin, (*this)(inner.origin)};
  }
};

/// Rotation about the x axis by an angle in degrees.
inline rigid_frame x_rotation(double degrees) {
  const double c = std::cos(degrees * pi / 180), s = std::sin(degrees * pi / 180);
  rigid_frame frame;
  frame.y = {0, c, s};
  frame.z = {0, -s, c};
  return frame;
}

/// Frame with origin CA, x axis towards C, N in the xy plane with y > 0 (AF2 Suppl. Alg. 21).
inline rigid_frame backbone_frame(const point& n, const point& ca, const point& c) {
  rigid_frame frame;
  frame.origin = ca;
  frame.x = (1 / distance(c, ca)) * (c - ca);
  const point across = (n - ca) - dot(n - ca, frame.x) * frame.x;
  frame.y = (1 / norm(across)) * across;
  frame.z = cross(frame.x, frame.y);
  return frame;
}

/// Heavy atoms [37] of a residue in the given backbone frame (AF2 Suppl. Alg. 24). `psi` is the torsion N-CA-C-N', chi
/// in degrees; columns the residue lacks hold zeros. X is built as its backbone.
inline std::array<point, atom37_count> ideal_residue(int restype, const rigid_frame& backbone, double psi,
                                                     const std::array<double, chi_count>& chi) {
  const residue_table_set& t = residue_tables(unknown_residue::backbone);
  std::array<rigid_frame, rigid_group_count> groups;
  groups[group_backbone] = backbone;
  for (int g = group_psi; g < rigid_group_count; ++g) {
    const auto entry = [&](std::size_t row, int column) {
      return t.restype_rigid_group_default_frame(restype, g, static_cast<index_t>(row), column);
    };
    rigid_frame rest;
    for (std::size_t k = 0; k < 3; ++k)
      rest.x[k] = entry(k, 0), rest.y[k] = entry(k, 1), rest.z[k] = entry(k, 2), rest.origin[k] = entry(k, 3);
    const double turn = g == group_psi ? psi : chi[static_cast<std::size_t>(g - group_chi1)];
    const auto parent = static_cast<std::size_t>(g <= group_chi1 ? group_backbone : g - 1);
    groups[static_cast<std::size_t>(g)] = groups[parent] * rest * x_rotation(turn);
  }
  std::array<point, atom37_count> atoms{};
  for (int column = 0; column < atom37_count; ++column) {
    if (t.restype_atom37_mask(restype, column) == 0.0) continue;
    const auto group = static_cast<std::size_t>(t.restype_atom37_to_rigid_group(restype, column));
    const auto& local = t.restype_atom37_rigid_group_positions;
    atoms[static_cast<std::size_t>(column)] =
        groups[group]({local(restype, column, 0), local(restype, column, 1), local(restype, column, 2)});
  }
  return atoms;
}

}  // namespace fathom::metrics
