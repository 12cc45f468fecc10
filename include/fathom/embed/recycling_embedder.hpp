// SPDX-License-Identifier: Apache-2.0
// What one pass hands to the next (AF2 Suppl. Alg. 32).
#pragma once

#include <tuple>

#include <fathom/autodiff/chunked.hpp>
#include <fathom/embed/distance_bins.hpp>
#include <fathom/evoformer/dims.hpp>
#include <fathom/nn/chunk_rows.hpp>
#include <fathom/nn/layer_norm.hpp>
#include <fathom/nn/linear.hpp>

namespace fathom {

/// Edges of the bins in Angstrom.
struct recycling_options {
  double min_bin = 3.25, max_bin = 20.75;
};

/// What recycling adds to the first row of m, [n, c_m], and to z, [n, n, c_z].
template <backend B>
struct recycling_update {
  using backend_type = B;
  tensor<B, 2> m;
  tensor<B, 3> z;

  void visit(auto&& v) {
    v("m", m);
    v("z", z);
  }
  template <class B2>
  using rebind = recycling_update<B2>;
};

/// m = LN(m[0]); z = LN(z) + linear(one-hot bins of the distances between pseudo-beta positions).
template <backend B, evoformer_dims D>
struct recycling_embedder {
  using backend_type = B;

  fathom::linear<B, D::recycle_bins, D::c_z> linear;
  layer_norm<B, D::c_m> layer_norm_m;
  layer_norm<B, D::c_z> layer_norm_z;
  recycling_options options;

  recycling_embedder() = default;
  explicit recycling_embedder(const B& b) : linear(b), layer_norm_m(b), layer_norm_z(b) {}

  void visit(auto&& v) {
    v("linear", linear);
    v("layer_norm_m", layer_norm_m);
    v("layer_norm_z", layer_norm_z);
  }
  template <class B2>
  using rebind = recycling_embedder<B2, D>;

  /// First row m [n, c_m], z [n, n, c_z] and pseudo-beta positions x [n, 3] (Angstrom) of the pass before; zeros at the
  /// first pass.
  recycling_update<B> operator()(const tensor<B, 2>& m, const tensor<B, 3>& z, const tensor<B, 2>& x) const {
    const index_t n = m.extent(0);
    detail::expect_extents<3>("recycling_embedder", "z", z, {n, n, D::c_z});
    detail::expect_extents<2>("recycling_embedder", "x", x, {n, 3});
    const auto all = detach(x);
    auto updated = chunked(
        [edges = distance_bin_edges{options.min_bin, options.max_bin, D::recycle_bins}](
            const auto& shared, const auto& rows, const auto& from) {
          const auto& [norm, map, points] = shared;
          return norm(rows) + map(distance_bins(from, points, edges));
        },
        std::tuple(layer_norm_z, linear, all), chunk_rows(n, n * (2 * D::c_z + D::recycle_bins)), z, all);
    return {layer_norm_m(m), std::move(updated)};
  }
};

}  // namespace fathom
