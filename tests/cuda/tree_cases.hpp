// SPDX-License-Identifier: Apache-2.0
// What the kernels over all leaves are compared with reference<double> on, the same on the emulator and on a GPU.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <fathom/backend/reference.hpp>
#include <fathom/core/philox.hpp>
#include <fathom/ode/tree_state.hpp>
#include <fathom/train/adam.hpp>

namespace tree_cases {

using namespace fathom;

/// Many leaves of two ranks, more than one launch takes.
template <class B>
struct leaves {
  using backend_type = B;
  std::vector<tensor<B, 2>> matrices;
  std::vector<tensor<B, 3>> pairs;
  void visit(auto&& v) {
    v("matrices", matrices);
    v("pairs", pairs);
  }
  template <class B2>
  using rebind = leaves<B2>;
};

template <int R, class B>
tensor<B, R> drawn(const B& b, const extents<R>& e, std::uint64_t seed) {
  host_tensor<float> host(std::vector<index_t>(e.begin(), e.end()));
  for (std::size_t i = 0; i < host.data.size(); ++i) host.data[i] = static_cast<float>(2 * philox_uniform(seed, i) - 1);
  return from_host<R>(b, host);
}
template <class B>
leaves<B> state(const B& b, std::uint64_t seed, int matrices = 35) {
  leaves<B> y;
  for (int n = 0; n < matrices; ++n)
    y.matrices.push_back(drawn<2>(b, {n % 5, 3 + n}, seed * 100 + static_cast<std::uint64_t>(n)));
  y.pairs.push_back(drawn<3>(b, {17, 19, 8}, seed * 100 + 98));
  y.pairs.push_back(drawn<3>(b, {2, 3, 1}, seed * 100 + 99));
  return y;
}
/// Largest difference of all leaves.
template <class X, class Y>
double distance(const X& got, const Y& expected) {
  std::vector<double> values;
  tree::for_each(expected, [&](const auto& leaf) {
    for (const double x : to_host(leaf).data) values.push_back(x);
  });
  double worst = 0;
  std::size_t at = 0;
  tree::for_each(got, [&](const auto& leaf) {
    for (const auto x : to_host(leaf).data) worst = std::max(worst, std::abs(static_cast<double>(x) - values[at++]));
  });
  REQUIRE(at == values.size());
  return worst;
}

template <class B, std::size_t M>
auto combined(const B& b, const std::array<double, M>& c, bool with_first) {
  const auto y = state(b, 1);
  std::vector<leaves<B>> k;
  std::array<const leaves<B>*, M> at;
  for (std::size_t m = 0; m < M; ++m) k.push_back(state(b, 2 + m));
  for (std::size_t m = 0; m < M; ++m) at[m] = &k[m];
  leaves<B> out;
  if (with_first)
    ode::state_traits<leaves<B>>::combine(out, y, c, at);
  else
    ode::state_traits<leaves<B>>::scaled_sum(out, c, at);
  return out;
}

template <class B>
void check_combinations(const B& b) {
  const reference<double> oracle;
  for (const bool with_first : {true, false}) {
    CHECK(distance(combined(b, std::array{0.5}, with_first), combined(oracle, std::array{0.5}, with_first)) < 1e-6);
    const std::array<double, 7> c{0.25, -1, 0, 2, 0.125, 3, -0.75};
    CHECK(distance(combined(b, c, with_first), combined(oracle, c, with_first)) < 1e-5);
  }
  // The result may hold the storage of an earlier one; strided terms take the other way.
  const auto y = state(b, 1, 2), k = state(b, 2, 2);
  auto out = state(b, 3, 2), turned = k;
  turned.pairs[0] = turned.pairs[0].reinterpret(extents<3>{17, 19, 8}, extents<3>{8, 17 * 8, 1});
  using traits = ode::state_traits<leaves<B>>;
  const auto* const before = out.pairs[0].data();
  traits::combine(out, y, std::array{1.0}, std::array{&k});
  CHECK(out.pairs[0].data() == before);
  const auto plain = to_host(out.pairs[0]);
  traits::combine(out, y, std::array{1.0}, std::array<const leaves<B>*, 1>{&turned});
  const auto strided = to_host(out.pairs[0]), added = to_host(turned.pairs[0]), first = to_host(y.pairs[0]);
  for (std::size_t i = 0; i < strided.data.size(); ++i) CHECK(strided.data[i] == first.data[i] + added.data[i]);
  CHECK(plain.data != strided.data);
}

template <class B>
ode::leaf_error error_of(const B& b, bool weighted, double spoilt = 0) {
  using traits = ode::state_traits<leaves<B>>;
  auto y0 = state(b, 1), y1 = state(b, 2), k1 = state(b, 3);
  const auto k2 = state(b, 4);
  if (spoilt != 0) {
    auto host = to_host(k1.pairs[0]);
    host.data[8 * 7 + 3] = static_cast<typename B::scalar>(spoilt);
    k1.pairs[0] = from_host<3>(b, host);
  }
  leaves<B> weights = state(b, 5);
  for (auto& w : weights.matrices) w = full<2>(b, w.shape(), typename B::scalar(0.5));
  // A mask of positions, repeated over channels; position 7 is left out.
  host_tensor<float> mask({17 * 19}, 1.0f);
  mask.data[7] = 0;
  for (std::size_t i = 20; i < mask.data.size(); i += 3) mask.data[i] = 0;
  weights.pairs[0] = from_host<1>(b, mask).reinterpret(extents<3>{17, 19, 8}, extents<3>{19, 1, 0});
  weights.pairs[1] = full<3>(b, {2, 3, 1}, typename B::scalar(0));
  return traits::error_norm(y0, y1, std::array{0.5, -0.25}, std::array<const leaves<B>*, 2>{&k1, &k2},
                            ode::tolerances{.rtol = 1e-1, .atol = 1e-2}, weighted ? &weights : nullptr);
}

template <class B>
void check_errors(const B& b) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const bool weighted : {false, true}) {
    const auto got = error_of(b, weighted), expected = error_of(reference<double>{}, weighted);
    CHECK(got.leaf == expected.leaf);
    CHECK(std::abs(got.square - expected.square) < 1e-5 * expected.square);
  }
  // Not a number wins, but not where the mask is 0.
  const auto spoilt = error_of(b, false, nan);
  CHECK(spoilt.square != spoilt.square);
  CHECK(spoilt.leaf == 35);
  CHECK(error_of(b, true, nan).square == error_of(b, true).square);
  // A mask that repeats in another way takes the other way.
  using traits = ode::state_traits<tensor<B, 2>>;
  const auto y = drawn<2>(b, {6, 5}, 1);
  const auto rows =
      from_host<1>(b, host_tensor<float>({5}, {1, 0, 1, 1, 0})).reinterpret(extents<2>{6, 5}, extents<2>{0, 1});
  const double got = traits::error_norm(y, y, std::array{1.0}, std::array{&y}, {}, &rows).square;
  const auto host = to_host(y);
  double sum = 0;
  for (const index_t i : {0, 1, 2, 3, 4, 5})
    for (const index_t j : {0, 2, 3}) {
      const double x = static_cast<double>(host(i, j)), r = x / (1e-6 + 1e-3 * std::abs(x));
      sum += r * r / 18;
    }
  CHECK(std::abs(got - sum) < 1e-4 * sum);
}

template <class B>
void check_adam(const B& b) {
  const auto trained = [](const auto& on) {
    auto p = state(on, 1, 600);
    p.pairs[0] = p.pairs[0].reinterpret(extents<3>{19, 17, 8}, extents<3>{8, 19 * 8, 1});  // strided parameters
    train::adam<std::remove_cvref_t<decltype(on)>> optimiser({.weight_decay = 0.1});
    for (std::uint64_t step = 2; step < 4; ++step) {
      auto g = state(on, step, 600);
      g.pairs[0] = drawn<3>(on, {19, 17, 8}, step);
      p = optimiser.update(p, g, 0.01);
    }
    return p;
  };
  CHECK(distance(trained(b), trained(reference<double>{})) < 1e-5);
  train::adam<B> optimiser;
  const auto moved = optimiser.update(state(b, 1, 4), state(b, 2, 4), 0.1);
  for (const auto& leaf : moved.matrices) CHECK((leaf.data() - moved.matrices[0].data()) % 64 == 0);
  optimiser = {};
  CHECK_THROWS_WITH_AS(optimiser.update(state(b, 1, 2), state(b, 1, 3), 0.1),
                       "adam: the gradient has 5 tensors, expected 4", shape_error);
}

}  // namespace tree_cases
