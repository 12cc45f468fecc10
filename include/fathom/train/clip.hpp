// SPDX-License-Identifier: Apache-2.0
// Clipping gradients by their global norm.
#pragma once

#include <cmath>
#include <string>

#include <fathom/op/reduction.hpp>
#include <fathom/train/flat.hpp>

namespace fathom::train {

/// Name of the first parameter that holds a value that is not finite; empty where all are.
template <class X>
std::string first_not_finite(const X& x) {
  using B = tree::backend_of_t<X>;
  std::string found;
  tree::for_each_named(x, [&](const std::string& path, const auto& leaf) {
    if constexpr (any_tensor<decltype(leaf)>)
      if constexpr (detail::is_parameter<B, decltype(leaf)>) {
        if (!found.empty() || leaf.empty()) return;
        for (const auto value : to_host(leaf).data)
          if (!std::isfinite(value)) {
            found = path;
            return;
          }
      }
  });
  return found;
}

/// sqrt(sum of all squares)
template <class X>
double global_norm(const X& x) {
  using B = tree::backend_of_t<X>;
  double total = 0;
  tree::for_each(x, [&](const auto& leaf) {
    if constexpr (any_tensor<decltype(leaf)>)
      if constexpr (detail::is_parameter<B, decltype(leaf)>)
        if (!leaf.empty()) total += static_cast<double>(item(sum(square(leaf))));
  });
  return std::sqrt(total);
}

template <class X>
struct clipped {
  X gradient;
  double norm;  ///< before clipping
};

/// The gradient, scaled down to norm `limit` where it is longer. For clipping per sample (AF2) clip each sample's
/// gradient before the mean; for the whole batch (OpenFold) clip the mean. Throws numerical_error, naming the
/// parameter, where a value is not finite.
template <class X>
clipped<X> clip_by_global_norm(const X& gradient, double limit) {
  if (!(limit > 0))
    throw error(::fathom::detail::concat("clip_by_global_norm: the limit must be positive, got ", limit));
  const double norm = global_norm(gradient);
  if (!std::isfinite(norm)) {
    const auto name = first_not_finite(gradient);
    throw numerical_error(
        name.empty() ? std::string("clip_by_global_norm: the norm of the gradient overflows; lower the loss scale")
                     : ::fathom::detail::concat("clip_by_global_norm: the gradient of '", name,
                                                "' is not finite; lower the learning rate, or resume from the "
                                                "last checkpoint"));
  }
  if (norm <= limit) return {gradient, norm};
  using B = tree::backend_of_t<X>;
  X scaled = gradient;
  tree::for_each(scaled, [&](auto& leaf) {
    if constexpr (any_tensor<decltype(leaf)>)
      if constexpr (detail::is_parameter<B, decltype(leaf)>)
        if (!leaf.empty()) leaf = leaf * (limit / norm);
  });
  return {std::move(scaled), norm};
}

}  // namespace fathom::train
