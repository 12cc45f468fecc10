// SPDX-License-Identifier: Apache-2.0
// Reproducible random tensors, masks and losses for tests.
#pragma once

#include <fathom/autodiff/gradient.hpp>
#include <fathom/core/philox.hpp>
#include <fathom/nn/initialise.hpp>
#include <fathom/op/reduction.hpp>

namespace fathom::testing {

/// Independent standard normal values times `scale`.
template <int R, class B>
tensor<B, R> normal(const B& b, const extents<R>& e, std::uint64_t seed, double scale = 1) {
  host_tensor<double> host(std::vector<index_t>(e.begin(), e.end()));
  for (std::size_t i = 0; i < host.data.size(); ++i) host.data[i] = scale * normal_quantile(philox_uniform(seed, i));
  return from_host<R>(b, host);
}

/// 0 or 1, 1 with probability `present`; the first row and column are all 1, so that no row or column is empty.
template <class B>
tensor<B, 2> random_mask(const B& b, index_t rows, index_t columns, std::uint64_t seed, double present = 0.75) {
  host_tensor<double> host({rows, columns});
  for (index_t i = 0; i < rows; ++i)
    for (index_t j = 0; j < columns; ++j)
      host(i, j) = i == 0 || j == 0 ||
                           philox_uniform(seed, static_cast<std::uint64_t>(i * columns + j)) < present
                       ? 1
                       : 0;
  return from_host<2>(b, host);
}

/// Every parameter drawn away from zero, so that no path of a fresh module is dead: matrices with deviation
/// 1/sqrt(fan_in), vectors 0.3, layer-norm weights around 1.
template <class Module>
Module randomised(Module module, std::uint64_t seed) {
  tree::for_each_named(module, [&](const std::string& path, auto& leaf) {
    using leaf_t = std::remove_cvref_t<decltype(leaf)>;
    const bool norm = path.find("layer_norm") != std::string::npos;
    const double scale = leaf_t::rank == 2 ? 1 / std::sqrt(static_cast<double>(leaf.extent(-1))) : norm ? 0.2 : 0.3;
    const std::uint64_t key = detail::path_key(seed, path);
    leaf = normal<leaf_t::rank>(leaf.backend(), leaf.shape(), key, scale);
    if (norm && path.size() > 6 && path.compare(path.size() - 6, 6, "weight") == 0) leaf = leaf + 1.0;
  });
  return module;
}

/// sum(c * y) with fixed random c: a loss that sees every element of y.
template <class B, int R>
tensor<B, 0> probe(const tensor<B, R>& y, std::uint64_t seed = 99) {
  const auto c = normal<R>(primal(y).backend(), y.shape(), seed);
  return sum(y * constant(y.backend(), c));
}

}  // namespace fathom::testing
