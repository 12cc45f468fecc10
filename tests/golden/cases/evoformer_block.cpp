// SPDX-License-Identifier: Apache-2.0
// Group 03: the Evoformer block in both orders and with fused projections.
#include "golden/cases/evoformer_cases.hpp"

namespace golden_evoformer_block {
namespace {

using namespace fathom;

template <bool Fused, class Run>
void evoformer_block_case(Run& run) {
  using B = typename Run::backend_type;
  auto block = golden::configured(evoformer_block<B, golden::dims, false, Fused>(run.backend()), run);
  block.options.mask_trans = run.template option<bool>("mask_trans");
  golden::block_case(run, block);
}

const golden::covers block("03_evoformer_block", [](auto& run) {
  if (run.template option<bool>("fuse_projection_weights"))
    evoformer_block_case<true>(run);
  else
    evoformer_block_case<false>(run);
});

}  // namespace
}  // namespace golden_evoformer_block
