// SPDX-License-Identifier: Apache-2.0
// FAPE of a predicted structure: backbone over all blocks of the structure module, all atoms of the last (AF2 Suppl.
// Alg. 20, lines 17 and 28).
#pragma once

#include <vector>

#include <fathom/loss/fape.hpp>
#include <fathom/structure/structure_module.hpp>

namespace fathom::loss {

/// share of the errors that are clamped: 1 in a clamped sample, 0 in an unclamped one (use_clamped_fape); side chains
/// are always clamped.
struct structure_fape_options {
  double clamp_distance = 10, loss_unit_distance = 10, eps = 1e-4;
  double backbone_weight = 0.5, sidechain_weight = 0.5;
};

/// Mean over blocks of the error of CA atoms (the frames' origins) in backbone frames. frames: one rigid [n] for each
/// block; truth [n] with mask [n].
template <backend B>
tensor<B, 0> backbone_fape(const std::vector<rigid<B>>& blocks, const rigid<B>& truth, const tensor<B, 1>& mask,
                           double use_clamped_fape = 1, const structure_fape_options& options = {}) {
  if (blocks.empty()) throw error("backbone_fape: no blocks; give the frames of at least one");
  const fape_options how{options.clamp_distance, use_clamped_fape, options.loss_unit_distance, options.eps};
  std::vector<tensor<B, 0>> of_block;
  for (const auto& frames : blocks)
    of_block.push_back(fape(frames, truth, mask, frames.translation, truth.translation, mask, how));
  const double n = static_cast<double>(of_block.size());
  return linear_combination(of_block, std::vector<double>(of_block.size(), 1 / n));
}

/// True rigid groups and atoms under the names that fit the prediction better.
template <backend B>
struct sidechain_truth {
  rigid<B, 2> frames, alt_frames;  ///< [n, 8]
  tensor<B, 2> frames_exist;       ///< [n, 8]
  tensor<B, 3> positions;          ///< [n, 14, 3], renamed
  tensor<B, 2> positions_exist;    ///< [n, 14], renamed
  tensor<B, 1> alt_is_better;      ///< [n], 1 where the alternative names were chosen

  using backend_type = B;
  void visit(auto&& v) {
    v("frames", frames);
    v("alt_frames", alt_frames);
    v("frames_exist", frames_exist);
    v("positions", positions);
    v("positions_exist", positions_exist);
    v("alt_is_better", alt_is_better);
  }
  template <class B2>
  using rebind = sidechain_truth<B2>;
};

/// All atoms [n, 14, 3] seen from all rigid groups [n, 8]; clamped.
template <backend B>
tensor<B, 0> sidechain_fape(const rigid<B, 2>& frames, const tensor<B, 3>& positions, const sidechain_truth<B>& truth,
                            const structure_fape_options& options = {}) {
  const index_t n = positions.extent(0);
  fathom::detail::expect_extents<3>("sidechain_fape", "positions", positions, {n, atom14_count, 3});
  fathom::detail::expect_extents<3>("sidechain_fape", "frames", frames.translation, {n, rigid_group_count, 3});
  const auto flat = [&](const rigid<B, 2>& x) {
    return rigid<B>{reshape<3>(x.rotation, {n * rigid_group_count, 3, 3}),
                    reshape<2>(x.translation, {n * rigid_group_count, 3})};
  };
  const auto choose = [&](const auto& one, const auto& other, const auto& share) {
    return one * affine(share, -1, 1) + other * share;
  };
  const auto share = reshape<3>(truth.alt_is_better, {n, 1, 1});
  const rigid<B, 2> target{choose(truth.frames.rotation, truth.alt_frames.rotation, unsqueeze(share, 3)),
                           choose(truth.frames.translation, truth.alt_frames.translation, share)};
  const fape_options how{options.clamp_distance, 1, options.loss_unit_distance, options.eps};
  return fape(flat(frames), flat(target), reshape<1>(truth.frames_exist, {n * rigid_group_count}),
              reshape<2>(positions, {n * atom14_count, 3}), reshape<2>(truth.positions, {n * atom14_count, 3}),
              reshape<1>(truth.positions_exist, {n * atom14_count}), how);
}

/// Backbone and side-chain part of a prediction, with their weights.
template <backend B>
tensor<B, 0> structure_fape(const predicted_structure<B>& predicted, const rigid<B>& backbone,
                            const tensor<B, 1>& backbone_mask, const sidechain_truth<B>& truth,
                            double use_clamped_fape = 1, const structure_fape_options& options = {}) {
  std::vector<rigid<B>> blocks;
  for (const auto& step : predicted.steps) blocks.push_back(step.frames.to_rigid());
  const auto& last = predicted.last();
  return options.backbone_weight * backbone_fape(blocks, backbone, backbone_mask, use_clamped_fape, options) +
         options.sidechain_weight * sidechain_fape(last.sidechain_frames, last.positions, truth, options);
}

}  // namespace fathom::loss
