// SPDX-License-Identifier: Apache-2.0
// Group 01: linear, layer norm, attention.
#include <fathom/nn/layer_norm.hpp>
#include <fathom/nn/linear.hpp>

#include "support/golden_registry.hpp"

namespace {

using namespace fathom;

template <class Run>
using backend_t = typename std::remove_cvref_t<Run>::backend_type;

const golden::covers linear_case("01_linear", [](auto& run) {
  run.differentiable(std::array{"y"}, run.load(linear<backend_t<decltype(run)>, 16, 12>(run.backend())),
                     [](const auto& module, const auto& x) { return std::tuple(module(x)); },
                     run.template input<3>("x"));
});

const golden::covers layer_norm_case("01_layernorm", [](auto& run) {
  run.differentiable(std::array{"y"}, run.load(layer_norm<backend_t<decltype(run)>, 16>(run.backend())),
                     [](const auto& module, const auto& x) { return std::tuple(module(x)); },
                     run.template input<3>("x"));
});

}  // namespace
