// SPDX-License-Identifier: Apache-2.0
// Group 07: heads.
#include <fathom/heads/aux_heads.hpp>

#include "support/golden_registry.hpp"

namespace golden_heads {
namespace {

using namespace fathom;

template <class Run>
using backend_t = typename std::remove_cvref_t<Run>::backend_type;

const golden::covers distogram_case("07_head_distogram", [](auto& run) {
  run.differentiable(
      std::array{"logits"}, run.load(distogram_head<backend_t<decltype(run)>, 12>(run.backend())),
      [](const auto& head, const auto& z) { return std::tuple(head(z)); }, run.template input<3>("z"));
});

const golden::covers resolved_case("07_head_experimentally_resolved", [](auto& run) {
  run.differentiable(
      std::array{"logits"}, run.load(experimentally_resolved_head<backend_t<decltype(run)>, 18>(run.backend())),
      [](const auto& head, const auto& s) { return std::tuple(head(s)); }, run.template input<2>("s"));
});

const golden::covers masked_msa_case("07_head_masked_msa", [](auto& run) {
  run.differentiable(
      std::array{"logits"}, run.load(masked_msa_head<backend_t<decltype(run)>, 16>(run.backend())),
      [](const auto& head, const auto& m) { return std::tuple(head(m)); }, run.template input<3>("m"));
});

const golden::covers plddt_case("07_head_plddt", [](auto& run) {
  run.differentiable(
      std::array{"logits", "plddt"}, run.load(plddt_head<backend_t<decltype(run)>, 18, 14>(run.backend())),
      [](const auto& head, const auto& s) {
        const auto logits = head(s);
        return std::tuple(logits, expected_plddt(logits));
      },
      run.template input<2>("s"));
});

const golden::covers tm_case("07_head_tm", [](auto& run) {
  const auto weights = run.template in<1>("residue_weight_mask");
  const auto chains = run.template in_index<1>("asym_id");
  const double max_bin = run.template option<double>("max_bin");
  run.differentiable(
      std::array{"iptm", "logits", "predicted_aligned_error", "ptm", "ptm_weighted"},
      run.load(tm_head<backend_t<decltype(run)>, 12>(run.backend())),
      [&](const auto& head, const auto& z) {
        using B = typename std::remove_cvref_t<decltype(z)>::backend_type;
        const auto logits = head(z);
        const std::optional<tensor<B, 1>> all, some(golden::like(z, weights));
        return std::tuple(predicted_interface_tm(logits, golden::like(z, chains), all, {max_bin}), logits,
                          predicted_aligned_error(logits, max_bin), predicted_tm(logits, all, {max_bin}),
                          predicted_tm(logits, some, {max_bin}));
      },
      run.template input<3>("z"));
  run.values("out.max_predicted_aligned_error", host_tensor<double>({}, max_predicted_aligned_error(64, max_bin)));
});

}  // namespace
}  // namespace golden_heads
