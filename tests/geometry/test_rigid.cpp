// SPDX-License-Identifier: Apache-2.0
// Quaternions, rotations and rigid transforms: algebra, special cases, gradients.
#include <doctest/doctest.h>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>

#include "support/frames.hpp"

using namespace fathom;
using testing::difference;
using testing::normal;
using testing::probe;

#define BACKENDS reference<double>, cpu<double>

namespace {
template <class F, class... X>
double check(const F& f, const X&... xs) {
  return gradient_check([&](const auto& in) { return std::apply([&](const auto&... x) { return f(x...); }, in); },
                        std::tuple(xs...), {1e-4, 12, 1});
}
}  // namespace

TEST_CASE_TEMPLATE("geometry: a unit quaternion gives a proper rotation", B, BACKENDS) {
  const B b;
  const auto r = quat_to_rot(quat_normalize(normal<2>(b, {9, 4}, 1)));
  CHECK(difference(matmul(r, inverse_rotation(r)), identity_rotation<1>(b, {9})) < 1e-14);
  const auto column = [&](index_t k) { return select(r, 2, k); };
  CHECK(difference(cross(column(0), column(1)), column(2)) < 1e-14);
  // (cos a/2, sin a/2, 0, 0) turns about x.
  const auto quarter = from_host<2>(b, host_tensor<double>({1, 4}, {std::sqrt(0.5), std::sqrt(0.5), 0, 0}));
  const auto sin_cos = from_host<2>(b, host_tensor<double>({1, 2}, {1, 0}));
  CHECK(difference(quat_to_rot(quarter), rotation_about_x(sin_cos)) < 1e-15);
}

TEST_CASE_TEMPLATE("geometry: products of quaternions are products of rotations", B, BACKENDS) {
  const B b;
  const auto p = normal<2>(b, {7, 4}, 2), q = normal<2>(b, {7, 4}, 3);
  CHECK(difference(quat_to_rot(quat_multiply(p, q)), matmul(quat_to_rot(p), quat_to_rot(q))) < 1e-12);
  const auto one = broadcast_to<2>(from_host<1>(b, host_tensor<double>({4}, {1, 0, 0, 0})), {7, 4});
  CHECK(difference(quat_multiply(p, quat_inverse(p)), one) < 1e-14);
  const auto v = normal<2>(b, {7, 3}, 4);
  const auto turned = quat_multiply(quat_multiply_by_vec(quat_normalize(p), v), quat_inverse(quat_normalize(p)));
  CHECK(difference(slice(turned, 1, 1, 4), rotate(quat_to_rot(quat_normalize(p)), v)) < 1e-13);
}

TEST_CASE_TEMPLATE("geometry: rot_to_quat inverts quat_to_rot, half turns included", B, BACKENDS, cpu<float>) {
  const B b;
  const double bound = sizeof(scalar_of<B>) == 8 ? 1e-14 : 1e-6;
  host_tensor<double> some({24, 4});
  for (std::size_t i = 0; i < some.data.size(); ++i) some.data[i] = normal_quantile(philox_uniform(5, i));
  // Each component in turn is the only one, or nearly so.
  for (index_t i = 0; i < 8; ++i)
    for (index_t k = 0; k < 4; ++k) some(i, k) = i % 4 == k ? 1 : i < 4 ? 0 : 0.01;
  for (index_t i = 0; i < 24; ++i)
    if (some(i, 0) < 0)
      for (index_t k = 0; k < 4; ++k) some(i, k) = -some(i, k);
  const auto q = quat_normalize(from_host<2>(b, some));
  CHECK(difference(rot_to_quat(quat_to_rot(q)), q) < bound);
  CHECK_THROWS_AS(rot_to_quat(normal<3>(b, {2, 3, 4}, 1)), shape_error);
}

TEST_CASE_TEMPLATE("geometry: frames form a group that acts on points", B, BACKENDS) {
  const B b;
  const auto f = testing::random_frames(b, 6, 6).to_rigid(), g = testing::random_frames(b, 6, 7).to_rigid();
  const auto x = normal<2>(b, {6, 3}, 8);
  CHECK(difference(compose(f, g)(x), f(g(x))) < 1e-13);
  CHECK(difference(invert(f)(f(x)), x) < 1e-13);
  CHECK(difference(invert_apply(f, x), invert(f)(x)) < 1e-13);
  CHECK(difference(identity_rigid<1>(b, {6})(x), x) == 0);
  const auto points = normal<3>(b, {6, 5, 3}, 9);
  CHECK(difference(select(apply_to_points(f, points), 1, 3), f(select(points, 1, 3))) < 1e-13);
  CHECK(difference(invert_apply_to_points(f, apply_to_points(f, points)), points) < 1e-13);
  const auto back = from_4x4(to_4x4(f));
  CHECK(difference(back.rotation, f.rotation) == 0);
  CHECK(difference(back.translation, f.translation) == 0);
}

TEST_CASE_TEMPLATE("geometry: a frame of three points sees them where it should", B, BACKENDS) {
  const B b;
  const auto n = normal<2>(b, {8, 3}, 10), ca = normal<2>(b, {8, 3}, 11), c = normal<2>(b, {8, 3}, 12);
  const auto sees = [&](const rigid<B>& frame, const tensor<B, 2>& on_x, const tensor<B, 2>& in_plane, double side) {
    const auto first = to_host(invert_apply(frame, on_x)), second = to_host(invert_apply(frame, in_plane));
    for (index_t i = 0; i < 8; ++i) {
      CHECK(side * first(i, 0) > 0);
      CHECK(std::abs(first(i, 1)) < 1e-6);
      CHECK(std::abs(first(i, 2)) < 1e-6);
      CHECK(second(i, 1) > 0);
      CHECK(std::abs(second(i, 2)) < 1e-6);
    }
  };
  sees(from_3_points(n, ca, c), n, c, -1);
  sees(frame_from_reference(n, ca, c), c, n, 1);
  // Both constructions of the same frame: C on the x axis, N in the plane.
  const auto by_turns = frame_from_reference(n, ca, c, 1e-20);
  const auto by_axes = from_3_points(ca * 2.0 - c, ca, n, 1e-20);
  CHECK(difference(by_turns.rotation, by_axes.rotation) < 1e-10);
}

TEST_CASE_TEMPLATE("geometry: gradients of rotations, quaternions and frames", B, BACKENDS) {
  const B b;
  const auto p = normal<2>(b, {3, 4}, 13), q = normal<2>(b, {3, 4}, 14);
  const auto u = normal<2>(b, {3, 3}, 15), v = normal<2>(b, {3, 3}, 16), w = normal<2>(b, {3, 3}, 17);
  CHECK(check([](const auto& x, const auto& y) { return probe(quat_multiply(x, y)); }, p, q) < 1e-6);
  CHECK(check([](const auto& x) { return probe(quat_inverse(x)); }, p) < 1e-6);
  CHECK(check([](const auto& x) { return probe(quat_to_rot(x)); }, p) < 1e-6);
  CHECK(check([](const auto& x, const auto& y) { return probe(quat_multiply_by_vec(x, y)); }, p, u) < 1e-6);
  CHECK(check([](const auto& x, const auto& y) { return probe(cross(x, y)); }, u, v) < 1e-6);
  CHECK(check([](const auto& x) { return probe(rotation_about_x(x)); }, normal<2>(b, {3, 2}, 18)) < 1e-6);
  CHECK(check([](const auto& x, const auto& y, const auto& z) { return probe(to_4x4(from_3_points(x, y, z))); }, u, v,
              w) < 1e-6);
  CHECK(check([](const auto& x, const auto& y, const auto& z) { return probe(to_4x4(frame_from_reference(x, y, z))); },
              u, v, w) < 1e-6);
  CHECK(check(
            [](const auto& quaternion, const auto& translation, const auto& update) {
              using A = typename std::remove_cvref_t<decltype(update)>::backend_type;
              const auto frames = compose_q_update(quaternion_rigid<A>{quaternion, translation}, update);
              return probe(frames.to_tensor_7()) + probe(to_4x4(invert(frames.to_rigid())));
            },
            p, u, normal<2>(b, {3, 6}, 19)) < 1e-6);
  CHECK(live_gradient_nodes() == 0);
}

TEST_CASE("geometry: no gradient flows through rot_to_quat and detached rotations") {
  const reference<double> b;
  const auto frames = testing::random_frames(b, 3, 20).to_rigid();
  const auto [value, gradient] = value_and_gradient(
      [](const auto& f) { return probe(rot_to_quat(f.rotation)) + probe(to_4x4(detach_rotation(f))); }, frames);
  CHECK(std::isfinite(value));
  CHECK(testing::largest(gradient.rotation) == 0);
  CHECK(testing::largest(gradient.translation) > 0);
}
