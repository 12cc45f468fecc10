// SPDX-License-Identifier: Apache-2.0
// Clipping by the global norm and the moving average of parameters, by hand.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/train/clip.hpp>
#include <fathom/train/ema.hpp>

#include "support/frames.hpp"

using namespace fathom;

namespace {
template <class B>
using tree_of = std::vector<tensor<B, 1>>;

template <class B>
tree_of<B> pair_of(const B& b, const std::vector<double>& first, const std::vector<double>& second) {
  const auto make = [&](const std::vector<double>& v) {
    return from_host<1>(b, host_tensor<double>({static_cast<index_t>(v.size())}, v));
  };
  return {make(first), make(second)};
}
template <class B>
std::vector<double> values(const tree_of<B>& x) {
  const auto host = to_host(train::flatten(x));
  return {host.data.begin(), host.data.end()};
}
}  // namespace

TEST_CASE_TEMPLATE("train: the global norm goes over all tensors", B, reference<double>, cpu<double>, cpu<float>) {
  const B b;
  // 1 + 4 + 4 + 16 = 25
  const auto g = pair_of(b, {1, -2}, {2, 4});
  CHECK(train::global_norm(g) == doctest::Approx(5).epsilon(1e-7));
  const auto shorter = train::clip_by_global_norm(g, 0.5);
  CHECK(shorter.norm == doctest::Approx(5).epsilon(1e-7));
  const std::vector<double> tenth{0.1, -0.2, 0.2, 0.4};
  for (std::size_t i = 0; i < 4; ++i) CHECK(values(shorter.gradient)[i] == doctest::Approx(tenth[i]).epsilon(1e-6));
  CHECK(values(train::clip_by_global_norm(g, 5.001).gradient) == std::vector<double>{1, -2, 2, 4});
  CHECK_THROWS_AS(train::clip_by_global_norm(g, 0), error);
}

TEST_CASE("train: a gradient that is not finite is refused by name") {
  const cpu<float> b;
  CHECK_THROWS_WITH_AS(train::clip_by_global_norm(pair_of(b, {1, 2}, {3, NAN}), 1), doctest::Contains("'1'"),
                       numerical_error);
  CHECK_THROWS_WITH_AS(train::clip_by_global_norm(pair_of(b, {INFINITY, 2}, {3, 4}), 1), doctest::Contains("'0'"),
                       numerical_error);
  // Finite values whose squares overflow.
  CHECK_THROWS_WITH_AS(train::clip_by_global_norm(pair_of(b, {1e30, 2}, {3, 4}), 1), doctest::Contains("overflows"),
                       numerical_error);
  CHECK(train::first_not_finite(pair_of(b, {1, 2}, {3, 4})).empty());
}

TEST_CASE_TEMPLATE("train: the moving average", B, reference<double>, cpu<double>) {
  const B b;
  train::exponential_moving_average<B> average({.decay = 0.75});
  CHECK_THROWS_AS(average.parameters(pair_of(b, {0}, {0})), error);
  const auto start = pair_of(b, {1, 2}, {-4});
  average.update(start);
  CHECK(values(average.parameters(start)) == std::vector<double>{1, 2, -4});
  const auto held = average.parameters(start);
  average.update(pair_of(b, {5, 2}, {0}));
  CHECK(values(average.parameters(start)) == std::vector<double>{2, 2, -3});
  CHECK(values(held) == std::vector<double>{1, 2, -4});
  // Constant parameters p: the distance shrinks by the decay at every step.
  for (int step = 0; step < 20; ++step) average.update(pair_of(b, {10, 10}, {10}));
  const double left = std::pow(0.75, 20);
  CHECK(values(average.parameters(start))[0] == doctest::Approx(10 - 8 * left).epsilon(1e-12));
  CHECK(values(average.parameters(start))[2] == doctest::Approx(10 - 13 * left).epsilon(1e-12));
  CHECK_THROWS_AS(average.update(pair_of(b, {1}, {1})), shape_error);
}
