// SPDX-License-Identifier: Apache-2.0
// Group 03: the extra-MSA block and stack. Their MSA transition is always masked.
#include "golden/cases/evoformer_cases.hpp"

namespace golden_extra_msa {
namespace {

using namespace fathom;

template <class Block, class Run>
Block extra(Block block, Run& run) {
  block = golden::configured(block, run);
  block.msa_att_col.global_attention.options = {run.template option<double>("inf"), run.template option<double>("eps")};
  return block;
}

const golden::covers block_case("03_extra_msa_block", [](auto& run) {
  using B = typename std::remove_cvref_t<decltype(run)>::backend_type;
  golden::block_case(run, extra(extra_msa_block<B, golden::dims>(run.backend()), run));
});

const golden::covers stack_case("03_extra_msa_stack", [](auto& run) {
  using B = typename std::remove_cvref_t<decltype(run)>::backend_type;
  extra_msa_stack<B, golden::dims> stack(run.backend(), run.template option<index_t>("no_blocks"));
  for (auto& block : stack.blocks) block = extra(block, run);
  const auto mask = golden::read_masks(run, true);
  run.differentiable(
      std::array{"z"}, run.load(stack),
      [&](const auto& self, const auto& m, const auto& z) {
        return std::tuple(self({m, z}, golden::masks_like(m, mask)));
      },
      run.template input<3>("m"), run.template input<3>("z"));
});

}  // namespace
}  // namespace golden_extra_msa
