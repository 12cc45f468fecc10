// SPDX-License-Identifier: Apache-2.0
// Frames that keep their rotation as a quaternion: what the structure module refines.
#pragma once

#include <fathom/geometry/rigid.hpp>

namespace fathom {

/// quaternion (w, x, y, z) [n, 4] and translation [n, 3].
template <backend B>
struct quaternion_rigid {
  using backend_type = B;
  tensor<B, 2> quaternion, translation;

  void visit(auto&& v) {
    v("quaternion", quaternion);
    v("translation", translation);
  }
  template <class B2>
  using rebind = quaternion_rigid<B2>;

  rigid<B> to_rigid() const { return {quat_to_rot(quaternion), translation}; }
  /// [n, 7]
  tensor<B, 2> to_tensor_7() const { return concatenate(std::vector{quaternion, translation}, 1); }
};

/// n frames at the origin, not turned.
template <backend B>
quaternion_rigid<B> identity_quaternion_rigid(const B& b, index_t n) {
  static constexpr double identity[4] = {1, 0, 0, 0};
  return {broadcast_to<2>(constant_table<1>(b, {4}, identity), {n, 4}), full<2>(b, {n, 3}, scalar_of<B>(0))};
}

/// One step of the backbone (AF2 Suppl. Alg. 23): update [n, 6] holds x, y, z of the quaternion (1, x, y, z), which
/// turns first, then a translation seen from the frame as it was. The new quaternion is normalised.
template <class B>
quaternion_rigid<B> compose_q_update(const quaternion_rigid<B>& frame, const tensor<B, 2>& update) {
  const auto turn = quat_multiply_by_vec(frame.quaternion, slice(update, 1, 0, 3));
  return {quat_normalize(frame.quaternion + turn), frame.to_rigid()(slice(update, 1, 3, 6))};
}

}  // namespace fathom
