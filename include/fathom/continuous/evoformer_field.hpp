// SPDX-License-Identifier: Apache-2.0
// The Evoformer as a vector field: one full AlphaFold2 block, conditioned on the depth t, says how (m, z) moves.
#pragma once

#include <fathom/evoformer/evoformer_block.hpp>
#include <fathom/evoformer/state.hpp>
#include <fathom/nn/time_embedding.hpp>

namespace fathom {

/// dm/dt, dz/dt = scale(t) * (block(y + shift(t)) - (y + shift(t))), y = (m, z)
///
/// shift(t) and scale(t) = 1 + linear(t) have one value per channel of m and z, from one time embedding. With the
/// embedding at zero the field is autonomous and one Euler step of length 1 is one discrete block (AF2 Suppl. Alg. 6).
/// Masks are the context of a solve: field(t, y, mask).
template <backend B, evoformer_dims D>
struct evoformer_field {
  using backend_type = B;
  static constexpr index_t c_m = D::c_m, c_z = D::c_z;

  evoformer_block<B, D> block;
  time_embedding<B, 2 * (D::c_m + D::c_z)> time_mlp;

  evoformer_field() = default;
  explicit evoformer_field(const B& b) : block(b), time_mlp(b) {}

  void visit(auto&& v) {
    v("block", block);
    v("time_mlp", time_mlp);
  }
  template <class B2>
  using rebind = evoformer_field<B2, D>;

  msa_pair<B> operator()(const ode_time<B>& t, const msa_pair<B>& y, const masks<B>& mask,
                         const dropout_key& dropout = {}) const {
    const auto condition = time_mlp(t);
    const auto part = [&](index_t from, index_t n) { return slice(condition, 0, from, from + n); };
    const msa_pair<B> shifted{y.m + part(0, c_m), y.z + part(c_m, c_z)};
    auto next = block(shifted, mask, dropout);
    next.m = (next.m - shifted.m) * (part(c_m + c_z, c_m) + 1.0);
    next.z = (next.z - shifted.z) * (part(2 * c_m + c_z, c_z) + 1.0);
    return next;
  }
};

}  // namespace fathom
