// SPDX-License-Identifier: Apache-2.0
// The Evoformer as a vector field: one full AlphaFold2 block, conditioned on the depth t, says how (m, z) moves.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <fathom/continuous/spline_weights.hpp>
#include <fathom/evoformer/evoformer_block.hpp>
#include <fathom/evoformer/state.hpp>
#include <fathom/nn/initialise.hpp>
#include <fathom/nn/time_embedding.hpp>

namespace fathom {

/// How the block's weights depend on t: the degree of their splines and the end of the depth axis. Without meaning
/// where there is one coefficient.
struct evoformer_field_options {
  int degree = 0;
  double depth = 1;
};

/// dm/dt, dz/dt = scale(t) * (block(y + shift(t)) - (y + shift(t))), y = (m, z)
///
/// shift(t) and scale(t) = 1 + linear(t) have one value per channel of m and z, from one time embedding. With the
/// embedding at zero the field is autonomous and one Euler step of length 1 is one discrete block (AF2 Suppl. Alg. 6).
/// Masks are the context of a solve: field(t, y, mask).
///
/// With further coefficients the block's weights are a spline in t as well (spline_weights.hpp): `block` is the first
/// coefficient. They are summed once for each evaluation.
template <backend B, evoformer_dims D>
struct evoformer_field {
  using backend_type = B;
  static constexpr index_t c_m = D::c_m, c_z = D::c_z;

  evoformer_block<B, D> block;
  std::vector<evoformer_block<B, D>> further;
  time_embedding<B, 2 * (D::c_m + D::c_z)> time_mlp;
  evoformer_field_options options;

  evoformer_field() = default;
  explicit evoformer_field(const B& b) : block(b), time_mlp(b) {}

  void visit(auto&& v) {
    v("block", block);
    v("further", further);
    v("time_mlp", time_mlp);
  }
  template <class B2>
  using rebind = evoformer_field<B2, D>;

  /// From now on the weights have `knots` coefficients on [0, depth], copies of the first one where there were fewer.
  /// Throws error where these are no splines.
  void set_knots(index_t knots, int degree, double depth) {
    if (knots < 1)
      throw error(detail::concat("evoformer_field: ", knots, " coefficients of weights; needs at least 1"));
    if (knots > 1) spline_basis{static_cast<std::size_t>(knots), degree, depth}.check();
    options = {degree, depth};
    further.resize(static_cast<std::size_t>(knots - 1), block);
  }
  index_t knots() const { return 1 + static_cast<index_t>(further.size()); }
  spline_basis basis() const { return {1 + further.size(), options.degree, options.depth}; }

  /// The block with weights w(t).
  evoformer_block<B, D> at(const ode_time<B>& t) const {
    if (further.empty()) return block;
    std::vector<const evoformer_block<B, D>*> c{&block};
    for (const auto& one : further) c.push_back(&one);
    return spline_weights(basis(), t, c);
  }

  /// Coefficients start equal: training starts from weights that do not depend on t.
  void initialise(const std::string& path, const initialise_options& how) {
    detail::initialise_below(block, tree::detail::joined(path, "block"), how);
    detail::initialise_below(time_mlp, tree::detail::joined(path, "time_mlp"), how);
    for (auto& one : further) one = block;
  }

  msa_pair<B> operator()(const ode_time<B>& t, const msa_pair<B>& y, const masks<B>& mask,
                         const dropout_key& dropout = {}) const {
    const auto condition = time_mlp(t);
    const auto part = [&](index_t from, index_t n) { return slice(condition, 0, from, from + n); };
    const msa_pair<B> shifted{y.m + part(0, c_m), y.z + part(c_m, c_z)};
    const evoformer_block<B, D> now = at(t);
    auto next = now(shifted, mask, dropout);
    next.m = (next.m - shifted.m) * (part(c_m + c_z, c_m) + 1.0);
    next.z = (next.z - shifted.z) * (part(2 * c_m + c_z, c_z) + 1.0);
    return next;
  }
};

}  // namespace fathom
