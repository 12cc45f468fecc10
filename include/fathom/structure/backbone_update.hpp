// SPDX-License-Identifier: Apache-2.0
// Six numbers for each residue that turn and shift its frame (AF2 Suppl. Alg. 23).
#pragma once

#include <fathom/geometry/quaternion_rigid.hpp>
#include <fathom/nn/linear.hpp>

namespace fathom {

/// s [n, C] to [n, 6]: x, y, z of the quaternion (1, x, y, z), then a translation; see compose_q_update.
template <backend B, index_t C>
struct backbone_update {
  using backend_type = B;
  fathom::linear<B, C, 6> linear;

  backbone_update() = default;
  explicit backbone_update(const B& b) : linear(b, init::final) {}
  void visit(auto&& v) { v("linear", linear); }
  template <class B2>
  using rebind = backbone_update<B2, C>;

  tensor<B, 2> operator()(const tensor<B, 2>& s) const { return linear(s); }
};

}  // namespace fathom
