// SPDX-License-Identifier: Apache-2.0
// Group 03: the Evoformer stack with its single representation.
#include "golden/cases/evoformer_cases.hpp"

namespace golden_evoformer_stack {
namespace {

using namespace fathom;

const golden::covers stack_case("03_evoformer_stack", [](auto& run) {
  using B = typename std::remove_cvref_t<decltype(run)>::backend_type;
  if (run.template option<bool>("fuse_projection_weights"))
    return run.fail("hyperparameters", "a stack with fused projections is not covered");
  evoformer_stack<B, golden::dims> stack(run.backend(), run.template option<index_t>("no_blocks"));
  for (auto& block : stack.blocks) {
    block = golden::configured(block, run);
    block.options.mask_trans = run.template option<bool>("mask_trans");
  }
  const auto mask = golden::read_masks(run, true);
  run.exclude_fully_masked(
      "s", golden::first_row(golden::trunk_positions(run.host("in.msa_mask"), run.host("in.pair_mask")).m));
  run.differentiable(
      std::array{"m", "z", "s"}, run.load(stack),
      [&](const auto& self, const auto& m, const auto& z) {
        const auto y = self({m, z}, golden::masks_like(m, mask));
        return std::tuple(y.m, y.z, y.s);
      },
      run.template input<3>("m"), run.template input<3>("z"));
});

}  // namespace
}  // namespace golden_evoformer_stack
