// SPDX-License-Identifier: Apache-2.0
// FAPE: values by hand, invariance, slices of pairs, gradients.
#include <doctest/doctest.h>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/loss/fape.hpp>

#include "support/frames.hpp"

using namespace fathom;
using testing::normal;

namespace {

template <class B>
struct example {
  rigid<B> frames, truth;
  tensor<B, 1> frames_mask, points_mask;
  tensor<B, 2> points, true_points;

  example(const B& b, index_t f, index_t p, std::uint64_t seed = 1)
      : frames(testing::random_frames(b, f, seed, 5).to_rigid()),
        truth(testing::random_frames(b, f, seed + 1, 5).to_rigid()),
        frames_mask(full<1>(b, {f}, scalar_of<B>(1))),
        points_mask(full<1>(b, {p}, scalar_of<B>(1))),
        points(normal<2>(b, {p, 3}, seed + 2, 6)),
        true_points(normal<2>(b, {p, 3}, seed + 3, 6)) {}
  double operator()(const loss::fape_options& options = {}) const {
    return static_cast<double>(item(loss::fape(frames, truth, frames_mask, points, true_points, points_mask, options)));
  }
};

/// The definition, pair by pair.
template <class B>
double by_hand(const example<B>& x, double clamp) {
  const auto seen = [](const rigid<B>& frames, const tensor<B, 2>& points) {
    return to_host(invert_apply_to_points(
        frames, broadcast_to<3>(unsqueeze(points, 0), {frames.translation.extent(0), points.extent(0), 3})));
  };
  const auto a = seen(x.frames, x.points), b = seen(x.truth, x.true_points);
  const auto fm = to_host(x.frames_mask), pm = to_host(x.points_mask);
  double total = 0, frames = 0, points = 0;
  for (index_t i = 0; i < a.shape[0]; ++i)
    for (index_t j = 0; j < a.shape[1]; ++j) {
      double squared = 1e-4;
      for (index_t k = 0; k < 3; ++k) squared += (a(i, j, k) - b(i, j, k)) * (a(i, j, k) - b(i, j, k));
      total += std::min(std::sqrt(squared), clamp) / 10 * fm(i) * pm(j);
    }
  for (const double m : fm.data) frames += m;
  for (const double m : pm.data) points += m;
  return total / ((frames + 1e-4) * (points + 1e-4));
}

}  // namespace

TEST_CASE_TEMPLATE("loss: FAPE follows its definition, masked and clamped", B, reference<double>, cpu<double>) {
  example<B> x(B{}, 4, 7);
  x.frames_mask = from_host<1>(B{}, host_tensor<double>({4}, {1, 0, 1, 1}));
  x.points_mask = from_host<1>(B{}, host_tensor<double>({7}, {1, 1, 0, 1, 0, 1, 1}));
  CHECK(x() == doctest::Approx(by_hand(x, 10)).epsilon(1e-12));
  CHECK(x({.clamp_distance = 7}) == doctest::Approx(by_hand(x, 7)).epsilon(1e-12));
  CHECK(x({.clamped_share = 0}) == doctest::Approx(by_hand(x, 1e9)).epsilon(1e-12));
  CHECK(x({.clamped_share = 0.3}) == doctest::Approx(0.3 * by_hand(x, 10) + 0.7 * by_hand(x, 1e9)).epsilon(1e-12));
}

TEST_CASE("loss: FAPE of a perfect prediction is the root of eps, in any orientation; a mirror image is not perfect") {
  const cpu<double> b;
  example<cpu<double>> x(b, 5, 9);
  const auto motion = testing::random_frames(b, 1, 77, 30);
  const auto turn = [&](const tensor<cpu<double>, 2>& p) {
    return rotate(broadcast_to<3>(quat_to_rot(motion.quaternion), {p.extent(0), 3, 3}), p) + motion.translation;
  };
  x.frames = {matmul(quat_to_rot(motion.quaternion), x.truth.rotation), turn(x.truth.translation)};
  x.points = turn(x.true_points);
  CHECK(x() == doctest::Approx(0.01 / 10 * 5 / (5 + 1e-4) * 9 / (9 + 1e-4)).epsilon(1e-8));
  x.points = x.true_points * from_host<1>(b, host_tensor<double>({3}, {1, 1, -1}));
  CHECK(x() > 0.1);
}

TEST_CASE("loss: FAPE in slices of frames equals the definition") {
  // More pairs than one slice holds.
  const example<cpu<double>> x(cpu<double>{}, 60, 9000);
  REQUIRE(chunk_rows(60, 6 * 9000) < 60);
  CHECK(x() == doctest::Approx(by_hand(x, 10)).epsilon(1e-10));
}

TEST_CASE_TEMPLATE("loss: gradients of FAPE", B, reference<double>, cpu<double>) {
  const B b;
  const example<B> x(b, 3, 5);
  const auto pairs = testing::random_mask(b, 3, 5, 5);
  const auto f = [&](const auto& leaves) {
    using X = std::remove_cvref_t<decltype(std::get<0>(leaves))>;
    using A = typename X::backend_type;
    const auto& [rotation, translation, points] = leaves;
    const auto& handle = points.backend();
    const auto fixed = [&](const auto& v) { return constant(handle, v); };
    const rigid<A> frames{rotation, translation}, truth{fixed(x.truth.rotation), fixed(x.truth.translation)};
    const auto fm = fixed(x.frames_mask), pm = fixed(x.points_mask);
    const auto true_points = fixed(x.true_points);
    const std::optional<tensor<A, 2>> pair_mask(fixed(pairs));
    return loss::fape(frames, truth, fm, points, true_points, pm, {.clamped_share = 0.5}) +
           loss::fape(frames, truth, fm, points, true_points, pm, loss::fape_options{}, pair_mask);
  };
  CHECK(gradient_check(f, std::tuple(x.frames.rotation, x.frames.translation, x.points), {.samples = 9}) < 1e-6);
}

TEST_CASE("loss: FAPE names what does not fit") {
  example<reference<double>> x(reference<double>{}, 3, 5);
  x.points = normal<2>(reference<double>{}, {4, 3}, 1);
  CHECK_THROWS_WITH_AS(x(), doctest::Contains("predicted points"), shape_error);
}
