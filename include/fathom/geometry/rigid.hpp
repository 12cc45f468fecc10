// SPDX-License-Identifier: Apache-2.0
// Rigid transforms (frames): x -> rotation x + translation.
#pragma once

#include <fathom/geometry/quaternion.hpp>
#include <fathom/tree/tree.hpp>

namespace fathom {

/// Frames over R leading axes: rotation [..., 3, 3], translation [..., 3]. rigid<B> holds one frame for each residue.
template <backend B, int R = 1>
struct rigid {
  using backend_type = B;
  tensor<B, R + 2> rotation;
  tensor<B, R + 1> translation;

  void visit(auto&& v) {
    v("rotation", rotation);
    v("translation", translation);
  }
  template <class B2>
  using rebind = rigid<B2, R>;

  /// Leading extents.
  extents<R> shape() const {
    extents<R> e{};
    for (std::size_t a = 0; a < e.size(); ++a) e[a] = translation.shape()[a];
    return e;
  }
  /// A point of each frame in global coordinates: [..., 3].
  tensor<B, R + 1> operator()(const tensor<B, R + 1>& point) const { return rotate(rotation, point) + translation; }
};

/// Identity frames for leading extents `e`.
template <int R, backend B>
rigid<B, R> identity_rigid(const B& b, const extents<R>& e) {
  extents<R + 1> vectors{};
  for (std::size_t a = 0; a < e.size(); ++a) vectors[a] = e[a];
  vectors[R] = 3;
  return {identity_rotation<R>(b, e), full<R + 1>(b, vectors, scalar_of<B>(0))};
}

/// Several points of each frame, [..., p, 3], in global coordinates.
template <class B, int R>
tensor<B, R + 2> apply_to_points(const rigid<B, R>& frame, const tensor<B, R + 2>& points) {
  return matmul(points, inverse_rotation(frame.rotation)) + unsqueeze(frame.translation, R);
}
/// Global points [..., p, 3] as seen from each frame.
template <class B, int R>
tensor<B, R + 2> invert_apply_to_points(const rigid<B, R>& frame, const tensor<B, R + 2>& points) {
  return matmul(points - unsqueeze(frame.translation, R), frame.rotation);
}
/// A global point [..., 3] as seen from each frame.
template <class B, int R>
tensor<B, R + 1> invert_apply(const rigid<B, R>& frame, const tensor<B, R + 1>& point) {
  return rotate(inverse_rotation(frame.rotation), point - frame.translation);
}

/// a b: first b, then a.
template <class B, int R>
rigid<B, R> compose(const rigid<B, R>& a, const rigid<B, R>& b) {
  return {matmul(a.rotation, b.rotation), a(b.translation)};
}
/// The inverse transform, taking the transpose for the inverse rotation.
template <class B, int R>
rigid<B, R> invert(const rigid<B, R>& frame) {
  const auto back = inverse_rotation(frame.rotation);
  return {back, -rotate(back, frame.translation)};
}
/// The same rotation, the translation times `factor` (a change of the unit of length).
template <class B, int R>
rigid<B, R> scale_translation(const rigid<B, R>& frame, double factor) {
  return {frame.rotation, frame.translation * factor};
}
/// Stops the gradient of the rotation, as between the blocks of the structure module.
template <class B, int R>
rigid<B, R> detach_rotation(const rigid<B, R>& frame) {
  return {detach(frame.rotation), frame.translation};
}

/// [..., 4, 4] with the translation in the last column.
template <class B, int R>
tensor<B, R + 2> to_4x4(const rigid<B, R>& frame) {
  static constexpr double last[4] = {0, 0, 0, 1};
  extents<R + 2> e{};
  for (std::size_t a = 0; a < static_cast<std::size_t>(R); ++a) e[a] = frame.translation.shape()[a];
  e[R] = 1;
  e[R + 1] = 4;
  const auto bottom = broadcast_to<R + 2>(constant_table<1>(frame.translation.backend(), {4}, last), e);
  const auto top = concatenate(std::vector{frame.rotation, unsqueeze(frame.translation, R + 1)}, R + 1);
  return concatenate(std::vector{top, bottom}, R);
}
/// From [..., 4, 4].
template <class B, int R>
rigid<B, R - 2> from_4x4(const tensor<B, R>& matrix) {
  const auto top = slice(matrix, R - 2, 0, 3);
  return {slice(top, R - 1, 0, 3), select(top, R - 1, 3)};
}
/// From a quaternion (w, x, y, z), not normalised, and a translation: [..., 7].
template <class B, int R>
rigid<B, R - 1> from_tensor_7(const tensor<B, R>& t) {
  return {quat_to_rot(slice(t, R - 1, 0, 4)), slice(t, R - 1, 4, 7)};
}

/// Frame of three points with the axis from p_neg_x to the origin along x and p_xy in the xy plane (AF2 Suppl. Alg. 21,
/// Gram-Schmidt with eps under each root). All [..., 3].
template <class B, int R>
rigid<B, R - 1> from_3_points(const tensor<B, R>& p_neg_x, const tensor<B, R>& origin, const tensor<B, R>& p_xy,
                              double eps = 1e-8) {
  const auto x = unit_vector(origin - p_neg_x, eps);
  const auto in_plane = p_xy - origin;
  const auto y = unit_vector(in_plane - x * unsqueeze(sum_product(x, in_plane), R - 1), eps);
  return {stack(std::vector{x, y, cross(x, y)}, R), origin};
}

/// Backbone frame with the origin at ca, c on the positive x axis and n in the xy plane, as a product of three turns:
/// about z, then y (both bring c to the x axis), then x (brings n to the plane); eps under each root. All [..., 3].
template <class B, int R>
rigid<B, R - 1> frame_from_reference(const tensor<B, R>& n, const tensor<B, R>& ca, const tensor<B, R>& c,
                                     double eps = 1e-20) {
  // A turn by an angle given as (sin, cos) is linear in them: table[9, 2], and a fixed 1 on its axis.
  static constexpr double about_z[18] = {0, 1, -1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0};
  static constexpr double about_y[18] = {0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1};
  static constexpr double z_axis[9] = {0, 0, 0, 0, 0, 0, 0, 0, 1}, y_axis[9] = {0, 0, 0, 0, 1, 0, 0, 0, 0};
  const auto turn = [](const auto& sine, const auto& cosine, const double(&table)[18], const double(&axis)[9]) {
    const auto flat = linear_table(concatenate(std::vector{sine, cosine}, R - 1), table);
    extents<R + 1> e{};
    for (std::size_t a = 0; a + 1 < static_cast<std::size_t>(R); ++a) e[a] = sine.shape()[a];
    e[R - 1] = e[R] = 3;
    return reshape<R + 1>(flat, e) + constant_table<2>(sine.backend(), {3, 3}, axis);
  };
  const auto part = [](const tensor<B, R>& v, index_t k) { return slice(v, R - 1, k, k + 1); };
  const auto to_c = c - ca, to_n = n - ca;
  const auto cx = part(to_c, 0), cy = part(to_c, 1), cz = part(to_c, 2);
  const auto in_plane = square(cx) + square(cy);
  const auto r1 = sqrt(in_plane + eps), r2 = sqrt(in_plane + square(cz) + eps);
  const auto first = turn(-cy / r1, cx / r1, about_z, z_axis);
  const auto second = turn(cz / r2, sqrt(in_plane) / r2, about_y, y_axis);
  const auto both = matmul(second, first);
  const auto turned = rotate(both, to_n);
  const auto ny = part(turned, 1), nz = part(turned, 2);
  const auto r3 = sqrt(square(ny) + square(nz) + eps);
  const auto third = rotation_about_x(concatenate(std::vector{-nz / r3, ny / r3}, R - 1));
  return {inverse_rotation(matmul(third, both)), ca};
}

}  // namespace fathom
