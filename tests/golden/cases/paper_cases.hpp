// SPDX-License-Identifier: Apache-2.0
// Group 09: sizes, weights and the comparison of gradients, shared by the translation units of the group.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

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

/// How closely values must agree. stored: the file's precision as a fraction of a tensor's largest value; 0: elements are
/// compared. rounding: times the difference between two of our own results whose initial states differ by rounding.
struct closeness {
  double stored = 0, rounding = 10;
};

template <class T>
double largest_difference(const host_tensor<T>& a, const host_tensor<T>& b) {
  double worst = 0;
  for (std::size_t i = 0; i < a.data.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(a.data[i]) - static_cast<double>(b.data[i])));
  return worst;
}

/// <prefix>param.*, <prefix>in.m and <prefix>in.z, as far as the file has them, against gradients of (field, m, z).
/// `shifted`: the same from the initial state with other rounding, or null.
template <class B, class Run, class Gradients>
void compare_gradients(Run& run, const std::string& prefix, const Gradients& gradients, closeness close = {},
                       const Gradients* shifted = nullptr) {
  const double largest = run.largest(prefix);
  const auto compare = [&](const std::string& key, const auto& got, const auto& other) {
    if (!run.has(key)) return;
    if (close.stored > 0) {
      double allowed = std::max(close.stored * run.largest(key), 1e-11 * largest);
      if (shifted != nullptr) allowed = std::max(allowed, close.rounding * largest_difference(to_host(got), to_host(other)));
      run.limit({0, allowed / std::max(1.0, largest)});
    }
    run.gradient_under(key, got, largest);
  };
  const Gradients& others = shifted != nullptr ? *shifted : gradients;
  std::vector<std::string> names;
  tree::for_each_named(std::get<0>(gradients), [&](const std::string& path, const auto&) { names.push_back(path); });
  std::size_t n = 0;
  tree::for_each_zipped([&](const auto& got, const auto& other) { compare(prefix + "param." + names[n++], got, other); },
                        std::get<0>(gradients), std::get<0>(others));
  compare(prefix + "in.m", std::get<1>(gradients), std::get<1>(others));
  compare(prefix + "in.z", std::get<2>(gradients), std::get<2>(others));
}

}  // namespace fathom::golden
