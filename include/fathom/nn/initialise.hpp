// SPDX-License-Identifier: Apache-2.0
// Drawing parameters (AF2 Suppl. 1.11.4): every tensor from its own key, derived from the seed and the parameter's path,
// so that a module draws the same values wherever and in whatever order it is built.
#pragma once

#include <cmath>
#include <string>

#include <fathom/core/philox.hpp>
#include <fathom/tree/tree.hpp>

namespace fathom {

/// How a weight matrix starts. final: zero, so that a residual branch starts as the identity; gating: weight 0, bias 1.
enum class init { lecun, he, glorot, gating, normal, final };

/// Settings of initialise.
struct initialise_options {
  std::uint64_t seed = 0;
  /// Where positive, `final` and `gating` weights are drawn too, with this fraction of LeCun's deviation, so that every
  /// path of an untrained model does work.
  double final_scale = 0;
};

namespace detail {

inline std::uint64_t path_key(std::uint64_t seed, const std::string& path) {
  std::uint64_t hash = 1469598103934665603ull;  // FNV-1a
  for (const char c : path) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return philox_split(seed, hash);
}

/// Normal, cut at two deviations, with deviation `scale` after the cut.
inline double truncated_normal(std::uint64_t key, std::uint64_t i, double scale) {
  constexpr double low = 0.022750131948179195;  // P(x < -2)
  return normal_quantile(low + philox_uniform(key, i) * (1 - 2 * low)) * scale / 0.8796256610342398;
}

template <class B, int R, class F>
tensor<B, R> drawn(const tensor<B, R>& like, const F& value) {
  host_tensor<scalar_of<B>> host(std::vector<index_t>(like.shape().begin(), like.shape().end()));
  for (std::size_t i = 0; i < host.data.size(); ++i) host.data[i] = static_cast<scalar_of<B>>(value(i));
  return from_host<R>(like.backend(), host);
}

/// weight [c_out, c_in]
template <class B>
tensor<B, 2> drawn_weight(const tensor<B, 2>& like, init how, std::uint64_t key, double final_scale) {
  const double fan_in = static_cast<double>(like.extent(1)), fan_out = static_cast<double>(like.extent(0));
  const double lecun = std::sqrt(1 / fan_in);
  switch (how) {
    case init::he:
      return drawn(like, [&](std::uint64_t i) { return truncated_normal(key, i, std::sqrt(2 / fan_in)); });
    case init::glorot:
      return drawn(like, [&](std::uint64_t i) {
        return (2 * philox_uniform(key, i) - 1) * std::sqrt(6 / (fan_in + fan_out));
      });
    case init::normal:
      return drawn(like, [&](std::uint64_t i) { return normal_quantile(philox_uniform(key, i)) * lecun; });
    case init::gating:
    case init::final:
      return drawn(like, [&](std::uint64_t i) {
        return final_scale > 0 ? truncated_normal(key, i, final_scale * lecun) : 0.0;
      });
    case init::lecun:
      break;
  }
  return drawn(like, [&](std::uint64_t i) { return truncated_normal(key, i, lecun); });
}

/// Every module below x that knows how to draw itself does so.
template <class X>
void initialise_below(X& x, const std::string& path, const initialise_options& options) {
  if constexpr (requires { x.initialise(path, options); }) {
    x.initialise(path, options);
  } else if constexpr (tree::list<X>) {
    std::size_t i = 0;
    for (auto& element : x) initialise_below(element, tree::detail::joined(path, std::to_string(i++)), options);
  } else if constexpr (tree::optional<X>) {
    if (x) initialise_below(*x, path, options);
  } else if constexpr (tree::branch<X>) {
    x.visit([&](const auto& name, auto& member) { initialise_below(member, tree::detail::joined(path, name), options); });
  } else {
    static_assert(!any_tensor<X>,
                  "fathom: a module that owns a bare tensor must say how it starts: give it "
                  "`void initialise(const std::string& path, const initialise_options&)`");
  }
}

}  // namespace detail

/// The module with all parameters drawn.
template <class Module>
Module initialise(Module module, const initialise_options& options = {}) {
  detail::initialise_below(module, "", options);
  return module;
}

}  // namespace fathom
