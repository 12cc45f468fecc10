// SPDX-License-Identifier: Apache-2.0
// Group 09: sizes, weights and the comparison of gradients, shared by the translation units of the group.
#pragma once

#include <fathom/continuous/paper_field.hpp>
#include <fathom/io/parameters.hpp>

#include "support/golden_registry.hpp"

namespace fathom::golden {

/// The channels of the cases with random weights.
struct paper_test_dims {
  static constexpr index_t c_m = 16, c_z = 12, hidden_dim = 8, num_heads = 2;
};
struct paper_test_dims_2 : paper_test_dims {
  static constexpr index_t hidden_dim = 4;
};

/// The released weights, which the cases do not repeat: from the repository, wherever the golden files are.
template <class B>
evoformer_ode_func<B> trained_field(const B& b) {
  return load<evoformer_ode_func<B>>(b, std::filesystem::path(FATHOM_SOURCE_DIR) / "examples" / "models" /
                                            "paper_evoformer_ode.safetensors");
}

/// <prefix>param.*, <prefix>in.m and <prefix>in.z, as far as the file has them, against gradients of (field, m, z).
/// `stored`: the file's precision as a fraction of a tensor's largest value; 0: elements are compared.
template <class B, class Run, class Gradients>
void compare_gradients(Run& run, const std::string& prefix, const Gradients& gradients, double stored = 0) {
  const double largest = run.largest(prefix);
  const auto compare = [&](const std::string& key, const auto& got) {
    if (!run.has(key)) return;
    if (stored > 0) run.limit({0, std::max(stored * run.largest(key), 1e-11 * largest) / std::max(1.0, largest)});
    run.gradient_under(key, got, largest);
  };
  tree::for_each_named(std::get<0>(gradients),
                       [&](const std::string& path, const auto& leaf) { compare(prefix + "param." + path, leaf); });
  compare(prefix + "in.m", std::get<1>(gradients));
  compare(prefix + "in.z", std::get<2>(gradients));
}

}  // namespace fathom::golden
