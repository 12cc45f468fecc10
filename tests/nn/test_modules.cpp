// SPDX-License-Identifier: Apache-2.0
// The layers of the nn room: gradients of inputs and parameters, batches, chunk sizes.
#include <doctest/doctest.h>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/nn/attention.hpp>
#include <fathom/nn/global_attention.hpp>
#include <fathom/nn/layer_norm.hpp>
#include <fathom/nn/transition.hpp>

#include "support/random.hpp"

using namespace fathom;
using testing::normal;
using testing::probe;
using testing::random_mask;
using testing::randomised;

#define BACKENDS reference<double>, cpu<double>

TEST_CASE_TEMPLATE("nn: gradients of the layers and their inputs", B, BACKENDS) {
  const B b;
  const auto x = normal<3>(b, {3, 5, 4}, 1);
  const auto check = [&](const auto& module, const auto&... inputs) {
    return gradient_check(
        [](const auto& in) {
          return std::apply([](const auto& self, const auto&... args) { return probe(self(args...)); }, in);
        },
        std::tuple(module, inputs...));
  };
  CHECK(check(randomised(linear<B, 4, 3>(b), 2), x) < 1e-6);
  CHECK(check(randomised(layer_norm<B, 4>(b), 3), x) < 1e-6);
  CHECK(check(randomised(transition<B, 4, 3>(b), 4), x) < 1e-6);
  CHECK(check(randomised(transition<B, 4, 3>(b), 4), x, random_mask(b, 3, 5, 5)) < 1e-6);
  const auto attend = randomised(multihead_attention<B, 4, 6, 6, 3, 2>(b), 6);
  const auto kv = normal<3>(b, {3, 7, 6}, 7);
  CHECK(check(attend, x, kv) < 1e-6);
  const auto biased = [&](const auto& in) {
    const auto& [self, q, k, key_bias, pair_bias] = in;
    using A = typename std::remove_cvref_t<decltype(q)>::backend_type;
    return probe(self(q, k, std::optional<tensor<A, 2>>(key_bias), std::optional<tensor<A, 3>>(pair_bias)));
  };
  CHECK(gradient_check(biased, std::tuple(attend, x, kv, normal<2>(b, {3, 7}, 8), normal<3>(b, {2, 5, 7}, 9))) < 1e-6);
  CHECK(check(randomised(multihead_attention<B, 4, 6, 6, 3, 2, false>(b), 10), x, kv) < 1e-6);
  // inf of 1e9 times a step of the mask is no small difference: the mask stays constant.
  const auto mask = random_mask(b, 3, 5, 11);
  CHECK(gradient_check(
            [&](const auto& in) {
              return probe(std::get<0>(in)(std::get<1>(in), constant(std::get<1>(in).backend(), mask)));
            },
            std::tuple(randomised(global_attention<B, 4, 3, 2>(b), 12), x)) < 1e-6);
  CHECK(live_gradient_nodes() == 0);
}

TEST_CASE("nn: a leading batch axis is a stack of single calls") {
  using B = reference<double>;
  const B b;
  const auto module = randomised(transition<B, 4, 2>(b), 1);
  const auto x = normal<4>(b, {3, 2, 5, 4}, 2);
  const auto mask = reshape<3>(random_mask(b, 2, 5, 3), {1, 2, 5});
  const auto y = module(x, mask);
  for (index_t i = 0; i < 3; ++i)
    CHECK(to_host(select(y, 0, i)).data == to_host(module(select(x, 0, i), select(mask, 0, 0))).data);
  CHECK_THROWS_WITH_AS(module(x, normal<3>(b, {2, 2, 5}, 4)), doctest::Contains("a batch of 3"), shape_error);
}

TEST_CASE("nn: chunks cover all rows evenly and shrink with their cost") {
  for (const index_t rows : {1, 7, 128, 1000})
    for (const index_t cost : {1, 1000, 100000, 10000000}) {
      const index_t chunk = chunk_rows(rows, cost);
      CHECK(chunk >= 1);
      CHECK(chunk <= rows);
      CHECK((chunk == 1 || chunk * cost <= (3 << 19)));
      const index_t chunks = (rows + chunk - 1) / chunk;
      CHECK(chunk * chunks - rows < chunks);
    }
  CHECK(chunk_rows(0, 10) == 1);
}
