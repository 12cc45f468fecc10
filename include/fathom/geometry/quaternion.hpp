// SPDX-License-Identifier: Apache-2.0
// Quaternions (w, x, y, z) over the last axis, and their rotation matrices.
#pragma once

#include <cmath>

#include <fathom/geometry/rotation.hpp>

namespace fathom {

/// Hamilton's product a b.
template <class B, int R>
tensor<B, R> quat_multiply(const tensor<B, R>& a, const tensor<B, R>& b) {
  static constexpr double table[64] = {1, 0, 0, 0, 0, -1, 0, 0,  0, 0,  -1, 0, 0, 0, 0,  -1,  // w
                                       0, 1, 0, 0, 1, 0,  0, 0,  0, 0,  0,  1, 0, 0, -1, 0,   // x
                                       0, 0, 1, 0, 0, 0,  0, -1, 1, 0,  0,  0, 0, 1, 0,  0,   // y
                                       0, 0, 0, 1, 0, 0,  1, 0,  0, -1, 0,  0, 1, 0, 0,  0};  // z
  return bilinear_table(a, b, table);
}

/// q (0, v): q [..., 4], v [..., 3].
template <class B, int R>
tensor<B, R> quat_multiply_by_vec(const tensor<B, R>& q, const tensor<B, R>& v) {
  static constexpr double embed[12] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1};
  return quat_multiply(q, linear_table(v, embed));
}

/// q / |q|
template <class B, int R>
tensor<B, R> quat_normalize(const tensor<B, R>& q) {
  return unit_vector(q, 0);
}

/// conj(q) / |q|^2
template <class B, int R>
tensor<B, R> quat_inverse(const tensor<B, R>& q) {
  static constexpr double conjugate[16] = {1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -1};
  return linear_table(q, conjugate) / unsqueeze(sum_product(q, q), R - 1);
}

/// The matrix of v -> q v conj(q), without normalising q: |q|^2 times a rotation. q [..., 4] to [..., 3, 3].
template <class B, int R>
tensor<B, R + 1> quat_to_rot(const tensor<B, R>& q) {
  static constexpr double table[144] = {1, 0,  0,  0,  0, 1,  0, 0, 0, 0, -1, 0, 0, 0, 0, -1,  // w2 + x2 - y2 - z2
                                        0, 0,  0,  -2, 0, 0,  2, 0, 0, 0, 0,  0, 0, 0, 0, 0,   // 2 (xy - wz)
                                        0, 0,  2,  0,  0, 0,  0, 2, 0, 0, 0,  0, 0, 0, 0, 0,   // 2 (xz + wy)
                                        0, 0,  0,  2,  0, 0,  2, 0, 0, 0, 0,  0, 0, 0, 0, 0,   // 2 (xy + wz)
                                        1, 0,  0,  0,  0, -1, 0, 0, 0, 0, 1,  0, 0, 0, 0, -1,  // w2 - x2 + y2 - z2
                                        0, -2, 0,  0,  0, 0,  0, 0, 0, 0, 0,  2, 0, 0, 0, 0,   // 2 (yz - wx)
                                        0, 0,  -2, 0,  0, 0,  0, 2, 0, 0, 0,  0, 0, 0, 0, 0,   // 2 (xz - wy)
                                        0, 2,  0,  0,  0, 0,  0, 0, 0, 0, 0,  2, 0, 0, 0, 0,   // 2 (yz + wx)
                                        1, 0,  0,  0,  0, -1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1};  // w2 - x2 - y2 + z2
  extents<R + 1> e{};
  for (std::size_t a = 0; a + 1 < static_cast<std::size_t>(R); ++a) e[a] = q.shape()[a];
  e[R - 1] = e[R] = 3;
  return reshape<R + 1>(bilinear_table(q, q, table), e);
}

namespace functor {
/// Component `part` of the unit quaternion with w >= 0 of a rotation matrix: of the four formulas that divide by
/// 4 |component|, the one with the largest divisor.
struct quat_component {
  int part;
  template <class T>
  FATHOM_HD T operator()(T r00, T r01, T r02, T r10, T r11, T r12, T r20, T r21, T r22) const {
    // Row k is 4 q_k q.
    const T rows[4][4] = {{T(1) + r00 + r11 + r22, r21 - r12, r02 - r20, r10 - r01},
                          {r21 - r12, T(1) + r00 - r11 - r22, r10 + r01, r02 + r20},
                          {r02 - r20, r10 + r01, T(1) - r00 + r11 - r22, r21 + r12},
                          {r10 - r01, r02 + r20, r21 + r12, T(1) - r00 - r11 + r22}};
    int best = 0;
    for (int k = 1; k < 4; ++k)
      if (rows[k][k] > rows[best][best]) best = k;
    T square = 0;
    for (int k = 0; k < 4; ++k) square += rows[best][k] * rows[best][k];
    const T length = std::sqrt(square);
    return (rows[best][0] < T(0) ? -rows[best][part] : rows[best][part]) / length;
  }
};
}  // namespace functor

/// r [..., 3, 3] to q [..., 4]
struct rot_to_quat_op {
  static constexpr const char* name = "rot_to_quat";
  template <class B, int R>
  static auto forward(const tensor<B, R>& r) {
    if (r.extent(-2) != 3 || r.extent(-1) != 3)
      throw shape_error(
          detail::concat(name, ": expected rotations [..., 3, 3], got extents ", to_string_extents(r.shape())));
    extents<R - 1> e{};
    for (std::size_t a = 0; a < e.size(); ++a) e[a] = r.shape()[a];
    e[R - 2] = 4;
    tensor<B, R - 1> q(r.backend(), e);
    // One entry of every matrix, or one component of every quaternion, as a tensor over the leading axes.
    const auto leading = [](const auto& x, index_t offset) {
      extents<R - 2> outer{}, steps{};
      for (std::size_t a = 0; a < outer.size(); ++a) {
        outer[a] = x.shape()[a];
        steps[a] = x.strides()[a];
      }
      return x.reinterpret(outer, steps, offset);
    };
    const auto entry = [&](int i, int j) { return leading(r, i * r.stride(-2) + j * r.stride(-1)).view(); };
    for (int part = 0; part < 4; ++part) {
      auto out = leading(q, part * q.stride(-1));
      r.backend().map(functor::quat_component{part}, out.mutable_view(), entry(0, 0), entry(0, 1), entry(0, 2),
                      entry(1, 0), entry(1, 1), entry(1, 2), entry(2, 0), entry(2, 1), entry(2, 2));
    }
    return op_result{q, none{}};
  }
  template <class Cotangent>
  static auto vjp(const none&, const Cotangent&) {
    return std::tuple(none{});
  }
};

/// Unit quaternions [..., 4] with w >= 0 of rotation matrices [..., 3, 3]. Values only: no gradient flows through it.
template <class B, int R>
tensor<B, R - 1> rot_to_quat(const tensor<B, R>& r) {
  return apply<rot_to_quat_op>(r);
}

}  // namespace fathom
