// SPDX-License-Identifier: Apache-2.0
// Adam against its formulas by hand, over a tree; restarts; storage that others hold stays as it is.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include <fathom/autodiff/gradient.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/nn/linear.hpp>
#include <fathom/op/reduction.hpp>
#include <fathom/train/adam.hpp>

#include "support/frames.hpp"

using namespace fathom;
using testing::difference;
using testing::normal;

namespace {

template <class B>
struct parameters {
  using backend_type = B;
  linear<B, 3, 2> first;
  tensor<B, 1> second;
  tensor<B, 1, index_t> numbers;
  struct {
    int untouched = 4;
  } settings;

  void visit(auto&& v) {
    v("first", first);
    v("second", second);
    v("numbers", numbers);
  }
  template <class B2>
  using rebind = parameters<B2>;
};

template <class B>
parameters<B> example(const B& b, std::uint64_t seed) {
  parameters<B> p{
      linear<B, 3, 2>(b), normal<1>(b, {4}, seed), from_host<1>(b, host_tensor<std::int64_t>({2}, {7, 8})), {}};
  p.first.weight = transpose(normal<2>(b, {3, 2}, seed + 1), 0, 1);  // strided: flattening must read it in order
  p.first.bias = normal<1>(b, {2}, seed + 2);
  return p;
}

/// Adam of one scalar, as in the paper.
struct by_hand {
  double p, m = 0, v = 0;
  int step = 0;
  void update(double g, double rate, double decay = 0) {
    ++step;
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    const double mean = m / (1 - std::pow(0.9, step)), square = v / (1 - std::pow(0.999, step));
    p = p - rate * decay * p - rate * mean / (std::sqrt(square) + 1e-5);
  }
};

}  // namespace

TEST_CASE_TEMPLATE("train: flattening and windows", B, reference<double>, cpu<double>) {
  const B b;
  const auto p = example(b, 1);
  CHECK(train::parameter_count(p) == 12);
  const auto flat = train::flatten(p);
  CHECK(flat.extent(0) == 12);
  CHECK(difference(slice(flat, 0, 0, 6), reshape<1>(p.first.weight, {6})) == 0);
  CHECK(difference(slice(flat, 0, 8, 12), p.second) == 0);
  const auto back = train::unflatten(p, flat);
  CHECK(difference(back.first.weight, p.first.weight) == 0);
  CHECK(difference(back.first.bias, p.first.bias) == 0);
  CHECK(back.second.data() == back.first.weight.data() + 8);
  CHECK(difference(back.numbers, p.numbers) == 0);
  CHECK_THROWS_AS(train::unflatten(p, slice(flat, 0, 0, 11)), shape_error);
  CHECK(train::parameter_count(p, 8) == 24);
  const auto apart = train::unflatten(p, zeros<1>(b, {24}), 8);
  CHECK(apart.first.bias.data() == apart.first.weight.data() + 8);
  CHECK(apart.second.data() == apart.first.weight.data() + 16);
  CHECK_THROWS_AS(train::unflatten(p, flat, 8), shape_error);
  parameters<B> empty{linear<B, 3, 2>(b), {}, {}, {}};
  CHECK_THROWS_WITH_AS(train::flatten(empty), doctest::Contains("first.weight"), error);
}

TEST_CASE_TEMPLATE("train: Adam follows its formulas, element by element", B, reference<double>, cpu<double>) {
  const B b;
  for (const double decay : {0.0, 0.1}) {
    auto p = example(b, 1);
    const auto start = to_host(train::flatten(p));
    std::vector<by_hand> expected;
    for (const double x : start.data) expected.push_back({x});
    train::adam<B> optimiser({.weight_decay = decay});
    for (std::uint64_t step = 0; step < 5; ++step) {
      const auto g = example(b, 100 + step);
      const double rate = 1e-2 / static_cast<double>(step + 1);
      const auto before = p;
      p = optimiser.update(p, g, rate);
      const auto gradient = to_host(train::flatten(g)), now = to_host(train::flatten(p));
      for (std::size_t i = 0; i < expected.size(); ++i) {
        expected[i].update(gradient.data[i], rate, decay);
        CHECK(now.data[i] == doctest::Approx(expected[i].p).epsilon(1e-13));
      }
      CHECK(difference(before.second, p.second) > 0);
    }
    CHECK(optimiser.step == 5);
    CHECK(p.settings.untouched == 4);
  }
}

TEST_CASE("train: the first step moves every parameter by the learning rate against the sign of its gradient") {
  const cpu<double> b;
  train::adam<cpu<double>> optimiser({.eps = 0});
  const auto p = example(b, 1), g = example(b, 2);
  const auto moved = to_host(train::flatten(optimiser.update(p, g, 0.25)));
  const auto from = to_host(train::flatten(p)), gradient = to_host(train::flatten(g));
  for (std::size_t i = 0; i < from.data.size(); ++i)
    CHECK(moved.data[i] - from.data[i] == doctest::Approx(gradient.data[i] > 0 ? -0.25 : 0.25).epsilon(1e-12));
}

TEST_CASE("train: a copy of the optimiser goes on bitwise as the original, whatever the original does meanwhile") {
  const cpu<float> b;
  auto p = example(b, 1);
  train::adam<cpu<float>> optimiser;
  for (std::uint64_t step = 0; step < 3; ++step) p = optimiser.update(p, example(b, 10 + step), 1e-2);
  auto saved = optimiser;
  const auto saved_p = p;
  std::vector<float> first, second;
  for (std::uint64_t step = 3; step < 6; ++step) p = optimiser.update(p, example(b, 10 + step), 1e-2);
  first = to_host(train::flatten(p)).data;
  p = saved_p;
  for (std::uint64_t step = 3; step < 6; ++step) p = saved.update(p, example(b, 10 + step), 1e-2);
  second = to_host(train::flatten(p)).data;
  CHECK(first == second);
}

TEST_CASE("train: Adam finds the minimum of a quadratic") {
  const cpu<double> b;
  auto p = example(b, 1);
  const auto target = example(b, 9);
  train::adam<cpu<double>> optimiser;
  const auto loss = [&](const auto& x) {
    const auto at = [&](const auto& v) { return constant(x.second.backend(), v); };
    return sum(square(x.second - at(target.second))) + sum(square(x.first.weight - at(target.first.weight))) +
           sum(square(x.first.bias - at(target.first.bias)));
  };
  const double start = value_and_gradient(loss, p).first;
  for (int step = 0; step < 800; ++step) p = optimiser.update(p, value_and_gradient(loss, p).second, 2e-2);
  CHECK(value_and_gradient(loss, p).first < 1e-6 * start);
}

TEST_CASE("train: a gradient of another size is refused") {
  const cpu<double> b;
  std::vector<tensor<cpu<double>, 1>> p{normal<1>(b, {3}, 1)}, g{normal<1>(b, {4}, 2)};
  train::adam<cpu<double>> optimiser;
  CHECK_THROWS_AS(optimiser.update(p, g, 1e-3), shape_error);
}
