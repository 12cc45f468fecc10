// SPDX-License-Identifier: Apache-2.0
// Points in space whose distances come close to given ones (metric multidimensional scaling).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <fathom/metrics/points.hpp>

namespace fathom::metrics {

namespace detail {

/// The leading eigenvectors of a symmetric matrix, each scaled by the root of its eigenvalue (0 where that is
/// negative): subspace iteration from fixed vectors, columns orthonormalised at every turn.
inline std::vector<point> leading_axes(const host_tensor<double>& a, int iterations) {
  const index_t n = a.shape[0];
  std::vector<std::vector<double>> v(3, std::vector<double>(static_cast<std::size_t>(n)));
  for (std::size_t k = 0; k < 3; ++k)
    for (std::size_t i = 0; i < v[k].size(); ++i)
      v[k][i] = std::cos(pi * (static_cast<double>(k) + 1) * (static_cast<double>(i) + 0.5) / static_cast<double>(n));
  std::vector<double> next(static_cast<std::size_t>(n));
  double value[3] = {};
  for (int turn = 0; turn < iterations; ++turn)
    for (std::size_t k = 0; k < 3; ++k) {
      for (index_t i = 0; i < n; ++i) {
        double sum = 0;
        for (index_t j = 0; j < n; ++j) sum += a(i, j) * v[k][static_cast<std::size_t>(j)];
        next[static_cast<std::size_t>(i)] = sum;
      }
      for (std::size_t l = 0; l < k; ++l) {
        double along = 0;
        for (std::size_t i = 0; i < next.size(); ++i) along += next[i] * v[l][i];
        for (std::size_t i = 0; i < next.size(); ++i) next[i] -= along * v[l][i];
      }
      double size = 0, along = 0;
      for (std::size_t i = 0; i < next.size(); ++i) size += next[i] * next[i], along += next[i] * v[k][i];
      size = std::sqrt(size);
      value[k] = along < 0 ? -size : size;
      if (size > 0)
        for (std::size_t i = 0; i < next.size(); ++i) v[k][i] = next[i] / size;
    }
  std::vector<point> axes(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < axes.size(); ++i)
    for (std::size_t k = 0; k < 3; ++k) axes[i][k] = std::sqrt(std::max(0.0, value[k])) * v[k][i];
  return axes;
}

}  // namespace detail

struct embedding_options {
  int iterations = 1000;
  double locality = 4;  ///< 0: all pairs count the same; k: as target^-k
};

/// N points whose distances approximate `target` [N, N] (symmetric, Angstrom): classical scaling (Torgerson 1952), then
/// majorisation (de Leeuw 1977), point by point, of the stress sum_ij target_ij^-locality (|x_i - x_j| - target_ij)^2,
/// which no iteration raises. The image is the one whose CA torsions lean to the right. Throws shape_error for a matrix
/// that is not square.
inline std::vector<point> embed_distances(const host_tensor<double>& target, const embedding_options& options = {}) {
  if (target.rank() != 2 || target.shape[0] != target.shape[1])
    throw shape_error(
        fathom::detail::concat("embed_distances: expected [N, N], got ", to_string_extents(target.shape)));
  const index_t n = target.shape[0];
  if (n == 0) return {};
  const double share = 1 / static_cast<double>(n);
  // Double centring turns squared distances into inner products.
  std::vector<double> row(static_cast<std::size_t>(n));
  double all = 0;
  for (index_t i = 0; i < n; ++i) {
    for (index_t j = 0; j < n; ++j) row[static_cast<std::size_t>(i)] += share * target(i, j) * target(i, j);
    all += share * row[static_cast<std::size_t>(i)];
  }
  host_tensor<double> inner({n, n});
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < n; ++j)
      inner(i, j) = -0.5 * (target(i, j) * target(i, j) - row[static_cast<std::size_t>(i)] -
                            row[static_cast<std::size_t>(j)] + all);
  auto x = detail::leading_axes(inner, 100);
  // One point after the other goes to the minimum of a parabola that lies above the stress and touches it here.
  host_tensor<double> weight({n, n});
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < n; ++j)
      if (i != j && target(i, j) > 0) weight(i, j) = std::pow(target(i, j), -options.locality);
  for (int turn = 0; turn < options.iterations; ++turn)
    for (std::size_t i = 0; i < x.size(); ++i) {
      point sum{0, 0, 0};
      double all_weights = 0;
      for (std::size_t j = 0; j < x.size(); ++j) {
        const auto row_i = static_cast<index_t>(i), row_j = static_cast<index_t>(j);
        const double w = weight(row_i, row_j), d = distance(x[i], x[j]);
        if (w == 0) continue;
        sum = sum + w * (d > 1e-12 ? x[j] + (target(row_i, row_j) / d) * (x[i] - x[j]) : x[i]);
        all_weights += w;
      }
      if (all_weights > 0) x[i] = (1 / all_weights) * sum;
    }
  double lean = 0;
  for (std::size_t i = 0; i + 3 < x.size(); ++i) {
    const double turn = torsion(x[i], x[i + 1], x[i + 2], x[i + 3]);
    if (std::isfinite(turn)) lean += std::sin(turn * pi / 180);
  }
  if (lean < 0)
    for (auto& p : x) p[2] = -p[2];
  return x;
}

}  // namespace fathom::metrics
