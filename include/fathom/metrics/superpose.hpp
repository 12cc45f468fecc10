// SPDX-License-Identifier: Apache-2.0
// Least-squares superposition of two point sets by a proper rotation, and the deviations after it.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

#include <fathom/metrics/points.hpp>

namespace fathom::metrics {

/// x -> rotation x + translation; the rotation is proper (never a mirror image).
struct superposition {
  std::array<point, 3> rotation = {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
  point translation = {0, 0, 0};
  point operator()(const point& x) const {
    return point{dot(rotation[0], x), dot(rotation[1], x), dot(rotation[2], x)} + translation;
  }
};

namespace detail {

/// Eigenvector of the largest eigenvalue of a symmetric 4 x 4 matrix, by cyclic Jacobi rotations.
inline std::array<double, 4> leading_eigenvector(std::array<std::array<double, 4>, 4> a) {
  std::array<std::array<double, 4>, 4> vectors{};
  for (std::size_t i = 0; i < 4; ++i) vectors[i][i] = 1;
  for (int sweep = 0; sweep < 60; ++sweep) {
    double off = 0, scale = 0;
    for (std::size_t i = 0; i < 4; ++i)
      for (std::size_t j = 0; j < 4; ++j) (i == j ? scale : off) += a[i][j] * a[i][j];
    if (off <= 1e-32 * (scale + off)) break;
    for (std::size_t p = 0; p < 3; ++p)
      for (std::size_t q = p + 1; q < 4; ++q) {
        if (a[p][q] == 0) continue;
        const double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const double t = (theta >= 0 ? 1.0 : -1.0) / (std::abs(theta) + std::sqrt(theta * theta + 1));
        const double c = 1 / std::sqrt(t * t + 1), s = t * c;
        for (std::size_t k = 0; k < 4; ++k) {
          const double x = a[k][p], y = a[k][q];
          a[k][p] = c * x - s * y, a[k][q] = s * x + c * y;
        }
        for (std::size_t k = 0; k < 4; ++k) {
          const double x = a[p][k], y = a[q][k];
          a[p][k] = c * x - s * y, a[q][k] = s * x + c * y;
          const double u = vectors[k][p], v = vectors[k][q];
          vectors[k][p] = c * u - s * v, vectors[k][q] = s * u + c * v;
        }
      }
  }
  std::size_t best = 0;
  for (std::size_t i = 1; i < 4; ++i)
    if (a[i][i] > a[best][best]) best = i;
  return {vectors[0][best], vectors[1][best], vectors[2][best], vectors[3][best]};
}

}  // namespace detail

/// Proper rotation and translation that bring `moving` closest to `fixed` in the least-squares sense.
///
/// Horn's unit quaternion (J. Opt. Soc. Am. A 4, 629, 1987): the leading eigenvector of a symmetric 4 x 4 matrix made
/// of the correlations sum_i x_i y_i^T. Reflections cannot arise. Throws shape_error for lists of different length and
/// input_error for empty ones.
inline superposition superpose(const std::vector<point>& moving, const std::vector<point>& fixed) {
  if (moving.size() != fixed.size())
    throw shape_error(fathom::detail::concat("superpose: ", moving.size(), " points onto ", fixed.size(), " points"));
  if (moving.empty()) throw input_error("superpose: no points; the structures share no residue");
  const double n = static_cast<double>(moving.size());
  point x0{}, y0{};
  for (std::size_t i = 0; i < moving.size(); ++i) x0 = x0 + moving[i], y0 = y0 + fixed[i];
  x0 = (1 / n) * x0, y0 = (1 / n) * y0;
  double s[3][3] = {};
  for (std::size_t i = 0; i < moving.size(); ++i) {
    const point x = moving[i] - x0, y = fixed[i] - y0;
    for (std::size_t r = 0; r < 3; ++r)
      for (std::size_t c = 0; c < 3; ++c) s[r][c] += x[r] * y[c];
  }
  const std::array<std::array<double, 4>, 4> key = {
      {{s[0][0] + s[1][1] + s[2][2], s[1][2] - s[2][1], s[2][0] - s[0][2], s[0][1] - s[1][0]},
       {s[1][2] - s[2][1], s[0][0] - s[1][1] - s[2][2], s[0][1] + s[1][0], s[2][0] + s[0][2]},
       {s[2][0] - s[0][2], s[0][1] + s[1][0], s[1][1] - s[0][0] - s[2][2], s[1][2] + s[2][1]},
       {s[0][1] - s[1][0], s[2][0] + s[0][2], s[1][2] + s[2][1], s[2][2] - s[0][0] - s[1][1]}}};
  const auto [w, x, y, z] = detail::leading_eigenvector(key);
  superposition fit;
  fit.rotation = {{{w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)},
                   {2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)},
                   {2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z}}};
  fit.translation = y0 - fit(x0);
  return fit;
}

/// Root mean square of the distances between paired points as they are.
inline double rms_distance(const std::vector<point>& first, const std::vector<point>& second) {
  if (first.size() != second.size() || first.empty())
    throw shape_error(fathom::detail::concat("rms_distance: ", first.size(), " and ", second.size(), " points"));
  double sum = 0;
  for (std::size_t i = 0; i < first.size(); ++i) sum += dot(first[i] - second[i], first[i] - second[i]);
  return std::sqrt(sum / static_cast<double>(first.size()));
}

/// The moving points after superposition onto the fixed ones.
inline std::vector<point> superposed(const std::vector<point>& moving, const std::vector<point>& fixed) {
  const superposition fit = superpose(moving, fixed);
  std::vector<point> moved;
  moved.reserve(moving.size());
  for (const point& p : moving) moved.push_back(fit(p));
  return moved;
}

/// RMSD in Angstrom after the best superposition of the residues that both chains have.
inline double rmsd(const masked_points& model, const masked_points& native) {
  const point_pairs pairs = common_points(model, native);
  return rms_distance(superposed(pairs.first, pairs.second), pairs.second);
}

/// sqrt(sum_{i != j} (d_ij - d'_ij)^2 / (n (n - 1))): deviation of the distance matrices, which needs no superposition
/// and cannot tell a chain from its mirror image. 0 for fewer than two residues.
inline double drmsd(const masked_points& model, const masked_points& native) {
  const point_pairs pairs = common_points(model, native);
  const double n = static_cast<double>(pairs.size());
  double sum = 0;
  for (std::size_t i = 0; i < pairs.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      const double delta = distance(pairs.first[i], pairs.first[j]) - distance(pairs.second[i], pairs.second[j]);
      sum += 2 * delta * delta;
    }
  return n < 2 ? 0.0 : std::sqrt(sum / (n * (n - 1)));
}

}  // namespace fathom::metrics
