// SPDX-License-Identifier: Apache-2.0
// Losses on torsion angles as points (sin, cos) (AF2 Suppl. Alg. 27).
#pragma once

#include <fathom/geometry/residue_lookup.hpp>
#include <fathom/loss/masked_mean.hpp>
#include <fathom/op/extremum.hpp>

namespace fathom::loss {

struct supervised_chi_options {
  double chi_weight = 0.5, angle_norm_weight = 0.01;
  double eps = 1e-6;       ///< under the root of the norm
  double mean_eps = 1e-4;  ///< in the denominators of the means
};

/// Side-chain torsions and lengths of the unnormalised angles, over all blocks: angles and unnormalized_angles
/// [block, n, 7, 2], true chi (sin, cos) [n, 4, 2] with mask [n, 4], seq_mask [n], aatype [n]. The error of a torsion
/// of period pi is the smaller one.
template <backend B>
tensor<B, 0> supervised_chi(const tensor<B, 4>& angles, const tensor<B, 4>& unnormalized_angles,
                            const tensor<B, 3>& chi_sin_cos, const tensor<B, 2>& chi_mask, const tensor<B, 1>& seq_mask,
                            const tensor<B, 1, index_t>& aatype, const supervised_chi_options& options = {}) {
  const index_t blocks = angles.extent(0), n = angles.extent(1);
  fathom::detail::expect_extents<4>("supervised_chi", "angles", angles, {blocks, n, 7, 2});
  fathom::detail::expect_extents<4>("supervised_chi", "unnormalized_angles", unnormalized_angles, {blocks, n, 7, 2});
  fathom::detail::expect_extents<3>("supervised_chi", "chi_sin_cos", chi_sin_cos, {n, chi_count, 2});
  const auto turned = affine(residue_lookup<2>(residue_tables().chi_pi_periodic, aatype), -2, 1);
  const auto chi = slice(angles, 2, 3, 7);
  const auto error = sum_squared_difference(chi, unsqueeze(chi_sin_cos, 0));
  const auto other = sum_squared_difference(chi, unsqueeze(chi_sin_cos * unsqueeze(turned, 2), 0));
  const auto squared = masked_mean(minimum(error, other), chi_mask, options.mean_eps);
  const auto length = sqrt(sum_product(unnormalized_angles, unnormalized_angles) + options.eps);
  const auto off = masked_mean(abs(length - 1.0), unsqueeze(seq_mask, 1), options.mean_eps);
  return options.chi_weight * squared + options.angle_norm_weight * off;
}

/// All torsions alike, without masks: mean of min(|a/|a| - t|^2, |a/|a| - t'|^2) + 0.02 mean ||a| - 1|; a, t, t' [n, 7,
/// 2].
template <backend B>
tensor<B, 0> torsion_angle(const tensor<B, 3>& angles, const tensor<B, 3>& truth, const tensor<B, 3>& alt_truth,
                           double angle_norm_weight = 0.02) {
  const auto length = sqrt(sum_product(angles, angles));
  const auto unit = angles / unsqueeze(length, 2);
  const auto error = minimum(sum_squared_difference(unit, truth), sum_squared_difference(unit, alt_truth));
  return mean(error) + angle_norm_weight * mean(abs(length - 1.0));
}

}  // namespace fathom::loss
