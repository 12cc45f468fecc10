// SPDX-License-Identifier: Apache-2.0
// Points in space for the measures of this folder: host code in double, no backend.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string_view>
#include <vector>

#include <fathom/core/error.hpp>
#include <fathom/core/host_tensor.hpp>
#include <fathom/geometry/atom_names.hpp>

namespace fathom::metrics {

inline constexpr double pi = 3.14159265358979323846;

/// A place or a direction, in Angstrom.
using point = std::array<double, 3>;

inline point operator+(const point& a, const point& b) { return {a[0] + b[0], a[1] + b[1], a[2] + b[2]}; }
inline point operator-(const point& a, const point& b) { return {a[0] - b[0], a[1] - b[1], a[2] - b[2]}; }
inline point operator*(double s, const point& a) { return {s * a[0], s * a[1], s * a[2]}; }
inline double dot(const point& a, const point& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
inline point cross(const point& a, const point& b) {
  return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}
inline double norm(const point& a) { return std::sqrt(dot(a, a)); }
inline double distance(const point& a, const point& b) { return norm(a - b); }

/// Angle a-b-c at b in degrees, 0..180; NaN when two of the points coincide.
inline double angle(const point& a, const point& b, const point& c) {
  const point u = a - b, v = c - b;
  if (norm(u) == 0 || norm(v) == 0) return std::nan("");
  return std::atan2(norm(cross(u, v)), dot(u, v)) * 180 / pi;
}

/// Torsion a-b-c-d in degrees, -180..180 (IUPAC sign); NaN when three of the points lie on a line.
inline double torsion(const point& a, const point& b, const point& c, const point& d) {
  const point axis = c - b, left = cross(b - a, axis), right = cross(axis, d - c);
  if (norm(left) == 0 || norm(right) == 0) return std::nan("");
  return std::atan2(dot(cross(left, right), axis) / norm(axis), dot(left, right)) * 180 / pi;
}

/// Points with a mask of the same length; 0 means absent.
struct masked_points {
  std::vector<point> at;
  std::vector<double> mask;
  std::size_t size() const { return at.size(); }
  bool has(std::size_t i) const { return mask[i] > 0.5; }
};

/// One atom per residue out of atom37 arrays [N, 37, 3] and [N, 37].
inline masked_points atom_trace(const host_tensor<double>& positions, const host_tensor<double>& mask,
                                std::string_view atom) {
  if (positions.rank() != 3 || mask.rank() != 2 || positions.shape[1] != atom37_count || positions.shape[2] != 3 ||
      mask.shape[0] != positions.shape[0] || mask.shape[1] != atom37_count)
    throw shape_error(fathom::detail::concat("atom_trace: expected positions [N, 37, 3] and mask [N, 37], got ",
                                             to_string_extents(positions.shape), " and ",
                                             to_string_extents(mask.shape)));
  const int column = atom37_index(atom);
  if (column < 0) throw input_error(fathom::detail::concat("atom_trace: '", atom, "' is no name of the atom37 layout"));
  masked_points trace;
  for (index_t i = 0; i < positions.shape[0]; ++i) {
    trace.at.push_back({positions(i, column, 0), positions(i, column, 1), positions(i, column, 2)});
    trace.mask.push_back(mask(i, column));
  }
  return trace;
}

/// The CA atoms of anything with `positions` [N, 37, 3] and `mask` [N, 37], such as io::protein.
template <class Protein>
masked_points ca_trace(const Protein& chain) {
  return atom_trace(chain.positions, chain.mask, "CA");
}

/// Residues present in both, as two lists of equal length. Throws shape_error when the chains differ in length.
struct point_pairs {
  std::vector<point> first, second;
  std::size_t size() const { return first.size(); }
};
inline point_pairs common_points(const masked_points& first, const masked_points& second) {
  if (first.size() != second.size() || first.mask.size() != first.size() || second.mask.size() != second.size())
    throw shape_error(fathom::detail::concat("common_points: the two chains have ", first.size(), " and ",
                                             second.size(), " residues; give them the same residues, with a mask"));
  point_pairs pairs;
  for (std::size_t i = 0; i < first.size(); ++i)
    if (first.has(i) && second.has(i)) {
      pairs.first.push_back(first.at[i]);
      pairs.second.push_back(second.at[i]);
    }
  return pairs;
}

}  // namespace fathom::metrics
