// SPDX-License-Identifier: Apache-2.0
// Rotation matrices [..., 3, 3] that act on column vectors.
#pragma once

#include <fathom/op/bilinear.hpp>
#include <fathom/op/matmul.hpp>

namespace fathom {

/// r v: r [..., 3, 3], v [..., 3].
template <class B, int R>
tensor<B, R> rotate(const tensor<B, R + 1>& r, const tensor<B, R>& v) {
  return squeeze(matmul(r, unsqueeze(v, R)), R);
}

/// The transpose, which is the inverse of a rotation.
template <class B, int R>
tensor<B, R> inverse_rotation(const tensor<B, R>& r) {
  return transpose(r, R - 2, R - 1);
}

/// Identity matrices for leading extents `e`: [e..., 3, 3].
template <int R, backend B>
tensor<B, R + 2> identity_rotation(const B& b, const extents<R>& e) {
  static constexpr double identity[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
  extents<R + 2> whole{};
  for (std::size_t a = 0; a < e.size(); ++a) whole[a] = e[a];
  whole[R] = whole[R + 1] = 3;
  return broadcast_to<R + 2>(constant_table<2>(b, {3, 3}, identity), whole);
}

/// Turns about the x axis [..., 3, 3] from (sin, cos) [..., 2], which need not be of length one (AF2 Suppl. Alg. 25):
/// [[1, 0, 0], [0, cos, -sin], [0, sin, cos]].
template <class B, int R>
tensor<B, R + 1> rotation_about_x(const tensor<B, R>& sin_cos) {
  static constexpr double turn[18] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, -1, 0, 0, 0, 1, 0, 0, 1};
  static constexpr double fixed[9] = {1, 0, 0, 0, 0, 0, 0, 0, 0};
  extents<R + 1> e{};
  for (std::size_t a = 0; a + 1 < static_cast<std::size_t>(R); ++a) e[a] = sin_cos.shape()[a];
  e[R - 1] = e[R] = 3;
  return reshape<R + 1>(linear_table(sin_cos, turn), e) + constant_table<2>(sin_cos.backend(), {3, 3}, fixed);
}

}  // namespace fathom
