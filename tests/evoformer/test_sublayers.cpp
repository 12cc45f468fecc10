// SPDX-License-Identifier: Apache-2.0
// The sub-layers alone: gradients of inputs and parameters, and what a batch axis means.
#include <doctest/doctest.h>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>

#include "evoformer/small_dims.hpp"

using namespace fathom;
using namespace fathom::testing;

namespace {

constexpr index_t s = 4, n = 5;

/// The worst relative error of the gradient of module(x..., mask) in the module and x.
template <class Module, class B, class... X>
double check(const Module& module, const tensor<B, 2>& mask, const X&... x) {
  const double worst = gradient_check(
      [&](const auto& in) {
        return std::apply(
            [&](const auto& self, const auto& first, const auto&... rest) {
              return probe(self(first, rest..., constant(first.backend(), mask)));
            },
            in);
      },
      std::tuple(randomised(module, 11), x...));
  CHECK(live_gradient_nodes() == 0);
  return worst;
}

}  // namespace

#define BACKENDS reference<double>, cpu<double>

TEST_CASE_TEMPLATE("evoformer: gradients of the MSA sub-layers", B, BACKENDS) {
  const B b;
  const auto m = normal<3>(b, {s, n, 6}, 1), z = normal<3>(b, {n, n, 5}, 2);
  const auto mask = random_mask(b, s, n, 3);
  CHECK(check(msa_row_attention<B, 6, 5, 3, 2>(b), mask, m, z) < 1e-6);
  CHECK(check(msa_column_attention<B, 6, 3, 2>(b), mask, m) < 1e-6);
  CHECK(check(msa_column_global_attention<B, 6, 3, 2>(b), mask, m) < 1e-6);
  CHECK(check(msa_transition<B, 6, 2>(b), mask, m) < 1e-6);
  CHECK(check(outer_product_mean<B, 6, 5, 2>(b), mask, m) < 1e-6);
}

TEST_CASE_TEMPLATE("evoformer: gradients of the pair sub-layers", B, BACKENDS) {
  const B b;
  const auto z = normal<3>(b, {n, n, 5}, 2);
  const auto mask = random_mask(b, n, n, 3);
  CHECK(check(triangle_multiplication_outgoing<B, 5, 4>(b), mask, z) < 1e-6);
  CHECK(check(triangle_multiplication_incoming<B, 5, 4>(b), mask, z) < 1e-6);
  CHECK(check(triangle_multiplication_outgoing<B, 5, 4, true>(b), mask, z) < 1e-6);
  CHECK(check(triangle_multiplication_incoming<B, 5, 4, true>(b), mask, z) < 1e-6);
  CHECK(check(triangle_attention_starting<B, 5, 2, 3>(b), mask, z) < 1e-6);
  CHECK(check(triangle_attention_ending<B, 5, 2, 3>(b), mask, z) < 1e-6);
  CHECK(check(pair_transition<B, 5, 2>(b), mask, z) < 1e-6);
}

TEST_CASE("evoformer: the gradient of the outer product mean in its mask") {
  using B = reference<double>;
  const B b;
  // Masks between 0 and 1: the count and both projections depend on them.
  const auto mask = sigmoid(normal<2>(b, {s, n}, 3));
  const auto module = randomised(outer_product_mean<B, 6, 5, 2>(b), 4);
  CHECK(gradient_check([](const auto& in) { return probe(std::get<0>(in)(std::get<1>(in), std::get<2>(in))); },
                       std::tuple(module, normal<3>(b, {s, n, 6}, 1), mask)) < 1e-6);
}

TEST_CASE("evoformer: a batch axis is a stack of single calls") {
  using B = reference<double>;
  const B b;
  const auto row = randomised(msa_row_attention<B, 6, 5, 3, 2>(b), 1);
  const auto m = normal<4>(b, {2, s, n, 6}, 1), z = normal<4>(b, {2, n, n, 5}, 2);
  const auto mask = stack(std::vector{random_mask(b, s, n, 3), random_mask(b, s, n, 4)}, 0);
  const auto pair = stack(std::vector{random_mask(b, n, n, 5), random_mask(b, n, n, 6)}, 0);
  const auto same = [](const auto& x, const auto& y) { CHECK(to_host(x).data == to_host(y).data); };
  const auto column = randomised(msa_column_attention<B, 6, 3, 2>(b), 2);
  const auto global = randomised(msa_column_global_attention<B, 6, 3, 2>(b), 2);
  const auto opm = randomised(outer_product_mean<B, 6, 5, 2>(b), 2);
  const auto multiply = randomised(triangle_multiplication_incoming<B, 5, 4>(b), 2);
  const auto attend = randomised(triangle_attention_ending<B, 5, 2, 3>(b), 2);
  const auto pairs = randomised(pair_stack<B, 5, 4, 2, 3, 2>(b), 2);
  for (index_t i = 0; i < 2; ++i) {
    const auto m_i = select(m, 0, i), z_i = select(z, 0, i);
    const auto mask_i = select(mask, 0, i), pair_i = select(pair, 0, i);
    same(select(row(m, z, mask), 0, i), row(m_i, z_i, mask_i));
    same(select(column(m, mask), 0, i), column(m_i, mask_i));
    same(select(global(m, mask), 0, i), global(m_i, mask_i));
    same(select(opm(m, mask), 0, i), opm(m_i, mask_i));
    same(select(multiply(z, pair), 0, i), multiply(z_i, pair_i));
    same(select(attend(z, pair), 0, i), attend(z_i, pair_i));
    same(select(pairs(z, pair), 0, i), pairs(z_i, pair_i));
  }
}

TEST_CASE("evoformer: the ending node is the starting node of the transposed pairs") {
  using B = reference<double>;
  const B b;
  const auto ending = randomised(triangle_attention_ending<B, 5, 2, 3>(b), 1);
  triangle_attention_starting<B, 5, 2, 3> starting(b);
  starting.layer_norm = ending.layer_norm;
  starting.linear = ending.linear;
  starting.mha = ending.mha;
  const auto z = normal<3>(b, {n, n, 5}, 2);
  const auto mask = random_mask(b, n, n, 3);
  CHECK(to_host(ending(z, mask)).data ==
        to_host(transpose(starting(transpose(z, 0, 1), transpose(mask, 0, 1)), 0, 1)).data);
}

TEST_CASE("evoformer: the fused projections are the separate ones side by side") {
  using B = reference<double>;
  const B b;
  const auto apart = randomised(triangle_multiplication_outgoing<B, 5, 4>(b), 1);
  triangle_multiplication_outgoing<B, 5, 4, true> fused(b);
  fused.linear_ab_p = apart.projection();
  fused.linear_ab_g = apart.projection_gate();
  fused.linear_g = apart.linear_g;
  fused.linear_z = apart.linear_z;
  fused.layer_norm_in = apart.layer_norm_in;
  fused.layer_norm_out = apart.layer_norm_out;
  const auto z = normal<3>(b, {n, n, 5}, 2);
  const auto mask = random_mask(b, n, n, 3);
  CHECK(to_host(fused(z, mask)).data == to_host(apart(z, mask)).data);
}
