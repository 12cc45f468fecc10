// SPDX-License-Identifier: Apache-2.0
// Group 01: linear, layer norm, attention.
#include <fathom/nn/attention.hpp>
#include <fathom/nn/global_attention.hpp>
#include <fathom/nn/layer_norm.hpp>
#include <fathom/nn/linear.hpp>

#include "support/golden_masks.hpp"
#include "support/golden_registry.hpp"

namespace golden_primitives {
namespace {

using namespace fathom;

template <class Run>
using backend_t = typename std::remove_cvref_t<Run>::backend_type;

const golden::covers linear_case("01_linear", [](auto& run) {
  run.differentiable(
      std::array{"y"}, run.load(linear<backend_t<decltype(run)>, 16, 12>(run.backend())),
      [](const auto& module, const auto& x) { return std::tuple(module(x)); }, run.template input<3>("x"));
});

const golden::covers layer_norm_case("01_layernorm", [](auto& run) {
  run.differentiable(
      std::array{"y"}, run.load(layer_norm<backend_t<decltype(run)>, 16>(run.backend())),
      [](const auto& module, const auto& x) { return std::tuple(module(x)); }, run.template input<3>("x"));
});

template <bool Gated, class Run>
void attention_case(Run& run) {
  using module_t = multihead_attention<backend_t<Run>, 16, 12, 12, 6, 4, Gated>;
  run.differentiable(
      std::array{"o"}, run.load(module_t(run.backend())),
      [](const auto& module, const auto& q_x, const auto& kv_x, const auto& bias1, const auto& bias2) {
        const index_t b = kv_x.extent(0), q = q_x.extent(1), k = kv_x.extent(1);
        return std::tuple(module(q_x, kv_x, reshape<2>(bias1, {b, k}), reshape<3>(bias2, {4, q, k})));
      },
      run.template input<3>("q_x"), run.template input<3>("kv_x"), run.template input<4>("bias1"),
      run.template input<4>("bias2"));
}
const golden::covers gated("01_attention_gated", [](auto& run) { attention_case<true>(run); });
const golden::covers ungated("01_attention_ungated", [](auto& run) { attention_case<false>(run); });

const golden::covers global("01_global_attention", [](auto& run) {
  auto module = run.load(global_attention<backend_t<decltype(run)>, 16, 6, 4>(run.backend()));
  module.options = {run.template option<double>("inf"), run.template option<double>("eps")};
  const auto mask = run.template in<2>("mask");
  run.exclude_fully_masked("m", golden::rows_with_data(run.host("in.mask"), 1));
  run.differentiable(
      std::array{"m"}, module,
      [&](const auto& self, const auto& m) { return std::tuple(self(m, golden::like(m, mask))); },
      run.template input<3>("m"));
});

}  // namespace
}  // namespace golden_primitives
