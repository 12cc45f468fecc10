// SPDX-License-Identifier: Apache-2.0
// How parameters start (AF2 Suppl. 1.11.4).
#include <doctest/doctest.h>

#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/nn/attention.hpp>
#include <fathom/nn/layer_norm.hpp>
#include <fathom/nn/transition.hpp>

using namespace fathom;
using B = reference<double>;

namespace {

struct statistics {
  double mean = 0, deviation = 0, largest = 0;
};
template <class Tensor>
statistics of(const Tensor& x) {
  const auto host = to_host(x);
  const double n = static_cast<double>(host.data.size());
  statistics s;
  for (const double v : host.data) {
    s.mean += v / n;
    s.largest = std::max(s.largest, std::abs(v));
  }
  for (const double v : host.data) s.deviation += (v - s.mean) * (v - s.mean) / n;
  s.deviation = std::sqrt(s.deviation);
  return s;
}

template <init How>
statistics weight_of() {
  return of(initialise(linear<B, 300, 200>(B{}, How), {.seed = 5}).weight);
}

}  // namespace

TEST_CASE("nn: weights have the deviation of their initialiser") {
  const auto lecun = weight_of<init::lecun>(), he = weight_of<init::he>(), glorot = weight_of<init::glorot>();
  const auto normal = weight_of<init::normal>();
  CHECK(lecun.deviation == doctest::Approx(std::sqrt(1 / 300.0)).epsilon(0.02));
  CHECK(he.deviation == doctest::Approx(std::sqrt(2 / 300.0)).epsilon(0.02));
  CHECK(glorot.deviation == doctest::Approx(std::sqrt(2 / 500.0)).epsilon(0.02));
  CHECK(normal.deviation == doctest::Approx(std::sqrt(1 / 300.0)).epsilon(0.02));
  CHECK(std::abs(lecun.mean) < 0.02 * lecun.deviation);
  // Truncated at two deviations before rescaling; uniform; not truncated.
  CHECK(lecun.largest < 2.28 * std::sqrt(1 / 300.0));
  CHECK(glorot.largest < std::sqrt(6 / 500.0));
  CHECK(normal.largest > 3 * normal.deviation);
}

TEST_CASE("nn: final weights are zero, gates open, unless a scale asks for more") {
  const auto final = initialise(linear<B, 6, 4>(B{}, init::final));
  CHECK(of(final.weight).largest == 0);
  CHECK(of(final.bias).largest == 0);
  const auto gating = initialise(linear<B, 6, 4>(B{}, init::gating));
  CHECK(of(gating.weight).largest == 0);
  for (const double v : to_host(gating.bias).data) CHECK(v == 1);
  const auto drawn = of(initialise(linear<B, 300, 200>(B{}, init::final), {.final_scale = 0.1}).weight);
  CHECK(drawn.deviation == doctest::Approx(0.1 * std::sqrt(1 / 300.0)).epsilon(0.02));
  const auto norm = initialise(layer_norm<B, 4>(B{}));
  for (const double v : to_host(norm.weight).data) CHECK(v == 1);
  for (const double v : to_host(norm.bias).data) CHECK(v == 0);
}

TEST_CASE("nn: a parameter depends on the seed and its path alone") {
  using module_t = transition<B, 4, 2>;
  const auto one = initialise(module_t(B{}), {.seed = 1}), two = initialise(module_t(B{}), {.seed = 2});
  CHECK(to_host(one.linear_1.weight).data == to_host(initialise(module_t(B{}), {.seed = 1}).linear_1.weight).data);
  CHECK(to_host(one.linear_1.weight).data != to_host(two.linear_1.weight).data);
  const auto stack = initialise(std::vector<module_t>(2, module_t(B{})), {.seed = 1});
  CHECK(to_host(stack[0].linear_1.weight).data != to_host(stack[1].linear_1.weight).data);
  const auto longer = initialise(std::vector<module_t>(3, module_t(B{})), {.seed = 1});
  CHECK(to_host(longer[1].linear_1.weight).data == to_host(stack[1].linear_1.weight).data);
  const auto other = initialise(transition<cpu<float>, 4, 2>(cpu<float>{}), {.seed = 1});
  const auto x = to_host(one.linear_1.weight);
  const auto y = to_host(other.linear_1.weight);
  for (std::size_t i = 0; i < x.data.size(); ++i) CHECK(y.data[i] == static_cast<float>(x.data[i]));
}

TEST_CASE("nn: a fresh transition is the zero update, and unfilled parameters are refused") {
  const B b;
  const auto x = full<3>(b, {2, 3, 4}, 0.7);
  CHECK(of(initialise(transition<B, 4, 2>(b))(x)).largest == 0);
  const transition<B, 4, 2> unfilled(b);
  CHECK_THROWS_WITH_AS(unfilled(x), doctest::Contains("fill parameters first"), error);
}
