// SPDX-License-Identifier: Apache-2.0
// Group 03: how blocks and stacks are compared, shared by the translation units of the group.
#pragma once

#include <fathom/evoformer/evoformer.hpp>

#include "support/golden_dims.hpp"
#include "support/golden_masks.hpp"
#include "support/golden_registry.hpp"

namespace fathom::golden {

/// Positions of m and z that are decided by rounding where a residue or a sequence is padding throughout.
template <class Run>
masks<typename Run::backend_type> read_masks(Run& run, bool has_m) {
  const auto msa = run.host("in.msa_mask"), pair = run.host("in.pair_mask");
  const auto seen = trunk_positions(msa, pair);
  run.exclude_fully_masked("z", seen.z);
  if (has_m) run.exclude_fully_masked("m", seen.m);
  run.exclude_from_scale("z", pairs_with_data(msa));
  return {run.template in<2>("msa_mask"), run.template in<2>("pair_mask")};
}

/// Masks on the backend, plain or autodiff, of x.
template <class X, class B>
auto masks_like(const X& x, const masks<B>& mask) {
  return masks<typename X::backend_type>{like(x, mask.msa), like(x, mask.pair)};
}

template <class Block, class Run>
Block configured(Block block, Run& run) {
  const bool mask_trans = run.template option<bool>("mask_trans");
  if (run.has_option("no_column_attention") && run.template option<bool>("no_column_attention"))
    run.fail("hyperparameters", "no_column_attention is not covered");
  block.options.opm_first = run.template option<bool>("opm_first");
  block.pair_stack.options.mask_trans = mask_trans;
  return block;
}

/// in.m and in.z to out.m and out.z
template <class Block, class Run>
void block_case(Run& run, const Block& block) {
  const auto mask = read_masks(run, true);
  run.differentiable(std::array{"m", "z"}, run.load(block),
                     [&](const auto& self, const auto& m, const auto& z) {
                       const auto y = self({m, z}, masks_like(m, mask));
                       return std::tuple(y.m, y.z);
                     },
                     run.template input<3>("m"), run.template input<3>("z"));
}

}  // namespace fathom::golden
