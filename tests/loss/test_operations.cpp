// SPDX-License-Identifier: Apache-2.0
// The operations that losses are made of: values by hand, gradients against differences, both backends.
#include <doctest/doctest.h>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/loss/bins.hpp>
#include <fathom/op/clamped_norm.hpp>
#include <fathom/op/comparison.hpp>
#include <fathom/op/cross_entropy.hpp>
#include <fathom/op/extremum.hpp>

#include "support/frames.hpp"

using namespace fathom;
using testing::difference;
using testing::normal;

namespace {
template <class B>
tensor<B, 1> vector(const B& b, const std::vector<double>& values) {
  return from_host<1>(b, host_tensor<double>({static_cast<index_t>(values.size())}, values));
}
template <class B, int R>
std::vector<double> values(const tensor<B, R>& x) {
  const auto host = to_host(x);
  return {host.data.begin(), host.data.end()};
}
using list = std::vector<double>;
}  // namespace

TEST_CASE_TEMPLATE("loss: comparisons are 1 where they hold", B, reference<double>, cpu<double>) {
  const B b;
  const auto a = vector(b, {1, 2, 3, NAN}), c = vector(b, {2, 2, 2, 2});
  CHECK(values(less(a, c)) == list{1, 0, 0, 0});
  CHECK(values(less_than(a, 2)) == list{1, 0, 0, 0});
  CHECK(values(greater_than(a, 2)) == list{0, 0, 1, 0});
  CHECK(values(to_real(from_host<1>(b, host_tensor<std::int64_t>({3}, {-4, 0, 70000})))) == list{-4, 0, 70000});
}

TEST_CASE_TEMPLATE("loss: extrema, shared gradients at ties, NaN stays", B, reference<double>, cpu<double>) {
  const B b;
  const auto a = vector(b, {1, 2, 3}), c = vector(b, {2, 2, 2});
  CHECK(values(minimum(a, c)) == list{1, 2, 2});
  CHECK(values(maximum(a, c)) == list{2, 2, 3});
  CHECK(values(abs(vector(b, {-1.5, 0, 2}))) == list{1.5, 0, 2});
  CHECK(std::isnan(values(minimum(vector(b, {NAN}), vector(b, {0.0})))[0]));
  CHECK(std::isnan(values(minimum(vector(b, {0.0}), vector(b, {NAN})))[0]));
  CHECK(std::isnan(values(maximum(vector(b, {0.0}), vector(b, {NAN})))[0]));
  const auto gradient = [&](const auto& f) { return values(value_and_gradient(f, a).second); };
  CHECK(gradient([&](const auto& x) { return sum(minimum(x, constant(x.backend(), c))); }) == list{1, 0.5, 0});
  CHECK(gradient([&](const auto& x) { return sum(maximum(constant(x.backend(), c), x)); }) == list{0, 0.5, 1});
  CHECK(gradient([&](const auto& x) { return sum(abs(x - 2.0)); }) == list{-1, 0, 1});
  const auto rows = from_host<2>(b, host_tensor<double>({2, 3}, {1, 5, 2, 7, 7, 0}));
  CHECK(values(max(rows, 1)) == list{5, 7});
  const auto of_max = value_and_gradient([](const auto& x) { return sum(max(x, 1)); }, rows).second;
  CHECK(values(of_max) == list{0, 1, 0, 0.5, 0.5, 0});
}

TEST_CASE_TEMPLATE("loss: cross entropy of uniform and certain logits", B, reference<double>, cpu<double>) {
  const B b;
  const auto labels = from_host<1>(b, host_tensor<std::int64_t>({3}, {0, 2, 1}));
  const auto uniform = full<2>(b, {3, 4}, 700.0);
  for (const double x : values(cross_entropy(uniform, labels)))
    CHECK(x == doctest::Approx(std::log(4.0)).epsilon(1e-12));
  const auto logits = from_host<2>(b, host_tensor<double>({1, 3}, {1, 2, 4}));
  const double log_sum = std::log(std::exp(1.0) + std::exp(2.0) + std::exp(4.0));
  const auto second = from_host<1>(b, host_tensor<std::int64_t>({1}, std::vector<std::int64_t>{1}));
  CHECK(values(cross_entropy(logits, second))[0] == doctest::Approx(log_sum - 2).epsilon(1e-12));
  CHECK_THROWS_AS(cross_entropy(logits, labels), shape_error);
  const auto random = normal<2>(b, {3, 4}, 1);
  const auto f = [&](const auto& x) { return testing::probe(cross_entropy(x, constant(x.backend(), labels))); };
  CHECK(gradient_check(f, random, {.samples = 12}) < 1e-7);
}

TEST_CASE_TEMPLATE("loss: bins of distances and of scores", B, reference<double>, cpu<float>) {
  const B b;
  // Edges 1, 2, 3.
  const auto squared = vector(b, {0.25, 1.0, 1.21, 6.25, 9.61, 1e6});
  CHECK(to_host(loss::squared_distance_bin(squared, 1, 3, 3)).data == std::vector<index_t>{0, 0, 1, 2, 3, 3});
  const auto score = vector(b, {0.0, 0.019, 0.021, 0.5, 0.999, 1.0});
  CHECK(to_host(loss::unit_interval_bin(score, 50)).data == std::vector<index_t>{0, 0, 1, 25, 49, 49});
}

TEST_CASE_TEMPLATE("loss: clamped lengths of vectors", B, reference<double>, cpu<double>) {
  const B b;
  // Lengths 5 and 13 (with eps 0), clamped at 10.
  const auto x = from_host<3>(b, host_tensor<double>({3, 1, 2}, {3, 3, 4, 4, 0, 12}));
  CHECK(values(clamped_norm(x, {0, 10, 1})) == list{5, 10});
  CHECK(values(clamped_norm(x, {0, 10, 0})) == list{5, 13});
  CHECK(values(clamped_norm(x, {0, 10, 0.25}))[1] == doctest::Approx(0.25 * 10 + 0.75 * 13).epsilon(1e-12));
  const auto f = [](const auto& v) { return testing::probe(clamped_norm(v, {1e-4, 10, 0.25})); };
  CHECK(gradient_check(f, x, {.samples = 6}) < 1e-7);
  CHECK_THROWS_AS(clamped_norm(transpose(x, 0, 1), clamped_norm_options{}), shape_error);
}
