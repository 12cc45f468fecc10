// SPDX-License-Identifier: Apache-2.0
// Frame-aligned point error (AF2 Suppl. Alg. 28): how far points are off as seen from every frame.
#pragma once

#include <limits>
#include <optional>

#include <fathom/autodiff/chunked.hpp>
#include <fathom/geometry/rigid.hpp>
#include <fathom/nn/chunk_rows.hpp>
#include <fathom/op/clamped_norm.hpp>
#include <fathom/op/reduction.hpp>

namespace fathom::loss {

/// Errors are clamped at `clamp_distance` Angstrom with weight `clamped_share` and taken whole with weight
/// 1 - clamped_share, then divided by length_scale.
struct fape_options {
  double clamp_distance = 10;
  double clamped_share = 1;
  double length_scale = 10;
  double eps = 1e-4;
};

namespace detail {
/// [R_p^T | -R_t^T | -(R_p^T t_p - R_t^T t_t)]: [f, 3, 7], so that one product with [x_p; x_t; 1] gives the difference
/// of the two local coordinates.
template <class B>
tensor<B, 3> local_difference(const rigid<B>& predicted, const rigid<B>& truth) {
  const auto to_predicted = inverse_rotation(predicted.rotation), to_truth = inverse_rotation(truth.rotation);
  const auto shift = rotate(to_truth, truth.translation) - rotate(to_predicted, predicted.translation);
  return concatenate(std::vector{to_predicted, -to_truth, unsqueeze(shift, 2)}, 2);
}
/// Sums over points of weighted errors, for some frames.
struct errors_of_frames {
  clamped_norm_options norm;
  template <class Shared, class Frames, class Weights>
  auto operator()(const Shared& shared, const Frames& frames, const Weights& pair_weights) const {
    const auto& [points, weights] = shared;
    const index_t f = frames.extent(0), p = points.extent(1);
    const auto rows = reshape<2>(permute(frames, {1, 0, 2}), {3 * f, 7});
    const auto error = clamped_norm(reshape<3>(matmul(rows, points), {3, f, p}), norm);
    if (pair_weights) return sum_product(error, *pair_weights);
    return squeeze(matmul(error, weights), 1);
  }
};
}  // namespace detail

/// Frames [f] with mask [f], points [p, 3] with mask [p]: sum of masked errors / ((eps + f) (eps + p)), counting the
/// frames and points that the masks keep. With a pair mask [f, p], whose ones choose pairs, the sum over all kept pairs
/// is divided by eps + their number. Memory is O(f + p), in slices of pairs.
template <backend B>
tensor<B, 0> fape(const rigid<B>& predicted_frames, const rigid<B>& true_frames, const tensor<B, 1>& frames_mask,
                  const tensor<B, 2>& predicted_points, const tensor<B, 2>& true_points,
                  const tensor<B, 1>& points_mask, const fape_options& options = {},
                  const std::optional<tensor<B, 2>>& pair_mask = std::nullopt) {
  const char* const name = "fape";
  const auto& b = predicted_points.backend();
  const index_t f = frames_mask.extent(0), p = points_mask.extent(0);
  fathom::detail::expect_extents<2>(name, "predicted frames", predicted_frames.translation, {f, 3});
  fathom::detail::expect_extents<2>(name, "true frames", true_frames.translation, {f, 3});
  fathom::detail::expect_extents<2>(name, "predicted points", predicted_points, {p, 3});
  fathom::detail::expect_extents<2>(name, "true points", true_points, {p, 3});
  if (pair_mask) fathom::detail::expect_extents<2>(name, "pair mask", *pair_mask, {f, p});
  const auto ones = full<2>(b, {p, 1}, scalar_of<B>(1));
  const auto points = transpose(concatenate(std::vector{predicted_points, true_points, ones}, 1), 0, 1);
  const detail::errors_of_frames errors{{options.eps, options.clamp_distance, options.clamped_share}};
  const auto frames = detail::local_difference(predicted_frames, true_frames);
  std::optional<tensor<B, 2>> pair_weights;
  if (pair_mask) pair_weights = *pair_mask * unsqueeze(points_mask, 0);
  const auto of_frame =
      chunked(errors, std::tuple(points, unsqueeze(points_mask, 1)), chunk_rows(f, 6 * p), frames, pair_weights);
  const auto total = sum(of_frame * frames_mask) / options.length_scale;
  if (pair_mask) return total / (sum(*pair_weights * unsqueeze(frames_mask, 1)) + options.eps);
  return total / ((sum(frames_mask) + options.eps) * (sum(points_mask) + options.eps));
}

}  // namespace fathom::loss
