// SPDX-License-Identifier: Apache-2.0
// Compares gradients with central differences of the function itself.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include <fathom/autodiff/gradient.hpp>
#include <fathom/core/philox.hpp>

namespace fathom {

/// step: of the differences, for values of order 1; samples: elements tried in every leaf, all of them where it has no
/// more; seed: which ones.
struct gradient_check_options {
  double step = 1e-5;
  index_t samples = 6;
  std::uint64_t seed = 1;
};

namespace detail {

/// f with element `at` of `leaf` moved by `shift`.
template <class F, class X, class Leaf>
double moved(F& f, const X& x, Leaf& leaf, std::size_t at, double shift) {
  using leaf_t = std::remove_cvref_t<Leaf>;
  auto host = to_host(leaf);
  const Leaf before = leaf;
  host.data[at] += static_cast<typename leaf_t::value_type>(shift);
  leaf = from_host<leaf_t::rank>(before.backend(), host);
  const double value = static_cast<double>(item(f(x)));
  leaf = before;
  return value;
}

}  // namespace detail

/// The largest |difference quotient - gradient| over sampled elements of a tree in float64, relative to the largest
/// gradient of their leaf, but to no less than a thousandth of the tree's largest: a gradient that vanishes by symmetry has
/// no relative error. f maps the tree, on its backend and on autodiff of it, to a rank-0 tensor and must be smooth around x.
/// Differences are of fourth order: (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / (12 h).
template <class F, class X>
double gradient_check(F&& f, const X& x, const gradient_check_options& options = {}) {
  const X gradient = value_and_gradient(f, x).second;
  double largest = 0;
  tree::for_each(gradient, [&](const auto& leaf) {
    if constexpr (any_tensor<decltype(leaf)>) {
      static_assert(!std::is_same_v<typename std::remove_cvref_t<decltype(leaf)>::value_type, float>,
                    "fathom: gradient_check needs a backend of doubles; differences of floats prove nothing");
      if constexpr (std::is_floating_point_v<typename std::remove_cvref_t<decltype(leaf)>::value_type>)
        for (const double g : to_host(leaf).data) largest = std::max(largest, std::abs(g));
    }
  });
  double worst = 0;
  std::uint64_t number = 0;
  X point = x;
  X expected = gradient;
  tree::for_each_zipped(
      [&](auto& leaf, auto& expected_leaf) {
        using leaf_t = std::remove_cvref_t<decltype(leaf)>;
        ++number;
        if constexpr (any_tensor<leaf_t>) {
          if constexpr (std::is_floating_point_v<typename leaf_t::value_type>) {
            const auto g = to_host(expected_leaf).data;
            double scale = 1e-3 * largest;
            for (const double one : g) scale = std::max(scale, std::abs(one));
            const auto n = static_cast<std::uint64_t>(g.size()), wanted = static_cast<std::uint64_t>(options.samples);
            for (std::uint64_t k = 0; k < std::min(n, wanted); ++k) {
              const auto at = static_cast<std::size_t>(
                  n <= wanted ? k : philox(philox_split(options.seed, number), k) % n);
              const double h = options.step;
              const auto f_at = [&](double shift) { return detail::moved(f, std::as_const(point), leaf, at, shift); };
              const double quotient = (8 * (f_at(h) - f_at(-h)) - (f_at(2 * h) - f_at(-2 * h))) / (12 * h);
              const double error = std::abs(quotient - g[at]);
              // A gradient that is zero everywhere leaves the difference itself.
              worst = std::max(worst, std::isfinite(error) ? (scale > 0 ? error / scale : error) : HUGE_VAL);
            }
          }
        }
      },
      point, expected);
  return worst;
}

}  // namespace fathom
