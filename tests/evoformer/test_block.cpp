// SPDX-License-Identifier: Apache-2.0
// Block and stacks: gradients, the sub-layers one by one, dropout, and what wrong extents say.
#include <doctest/doctest.h>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/reference.hpp>

#include "evoformer/small_dims.hpp"

using namespace fathom;
using namespace fathom::testing;

namespace {

using B = reference<double>;
constexpr index_t s = 3, n = 4;

template <class State>
auto loss(const State& y) {
  return probe(y.m, 5) + probe(y.z, 6);
}

/// The worst error of the gradient of a block in its parameters and inputs.
template <class Block>
double check(const Block& block, const msa_pair<B>& x, const masks<B>& mask, dropout_key key = {}) {
  const double worst = gradient_check(
      [&](const auto& in) {
        const auto& [self, state] = in;
        return loss(self(state, masks_on(state.m, mask), key));
      },
      std::tuple(block, x), {1e-5, 2, 1});
  CHECK(live_gradient_nodes() == 0);
  return worst;
}

evoformer_block<B, tiny> example() { return randomised(evoformer_block<B, tiny>(B{}), 3); }

}  // namespace

TEST_CASE("evoformer: gradients of the block") {
  const B b;
  const auto x = random_state(b, s, n, tiny::c_m, tiny::c_z, 1);
  const auto mask = random_masks(b, s, n, 3);
  auto block = example();
  CHECK(check(block, x, mask) < 1e-6);
  block.options.opm_first = true;
  block.options.mask_trans = block.pair_stack.options.mask_trans = false;
  CHECK(check(block, x, mask) < 1e-6);
  CHECK(check(randomised(evoformer_block<B, tiny, false, true>(b), 4), x, mask) < 1e-6);
}

TEST_CASE("evoformer: gradients through dropout, whose masks are drawn again on the way back") {
  const B b;
  const auto x = random_state(b, s, n, tiny::c_m, tiny::c_z, 1);
  CHECK(check(example(), x, random_masks(b, s, n, 3), dropout_key{17, 0.5}) < 1e-6);
}

TEST_CASE("evoformer: gradients of the extra-MSA block") {
  const B b;
  const auto x = random_state(b, s, n, tiny::c_e, tiny::c_z, 1);
  CHECK(check(randomised(extra_msa_block<B, tiny>(b), 5), x, random_masks(b, s, n, 3)) < 1e-6);
}

TEST_CASE("evoformer: gradients of the stacks") {
  const B b;
  const auto mask = random_masks(b, s, n, 3);
  CHECK(gradient_check(
            [&](const auto& in) {
              const auto y = std::get<0>(in)(std::get<1>(in), masks_on(std::get<1>(in).m, mask));
              return loss(y) + probe(y.s, 7);
            },
            std::tuple(randomised(evoformer_stack<B, tiny>(b, 2), 6), random_state(b, s, n, tiny::c_m, tiny::c_z, 1)),
            {1e-5, 1, 1}) < 1e-6);
  CHECK(gradient_check(
            [&](const auto& in) { return probe(std::get<0>(in)(std::get<1>(in), masks_on(std::get<1>(in).m, mask))); },
            std::tuple(randomised(extra_msa_stack<B, tiny>(b, 2), 6), random_state(b, s, n, tiny::c_e, tiny::c_z, 1)),
            {1e-5, 1, 1}) < 1e-6);
  CHECK(live_gradient_nodes() == 0);
}

TEST_CASE("evoformer: a block is its sub-layers in order") {
  const B b;
  const auto x = random_state(b, s, n, tiny::c_m, tiny::c_z, 1);
  const auto mask = random_masks(b, s, n, 3);
  for (const bool first : {false, true}) {
    auto block = example();
    block.options.opm_first = first;
    auto y = x;
    int at = 0, where = -1;
    for (const auto which : block.order()) {
      if (which == evoformer_sublayer::outer_product_mean) where = at;
      ++at;
      auto& changed = changes_msa(which) ? y.m : y.z;
      changed = changed + block.update(which, y, mask);
    }
    CHECK(where == (first ? 0 : 3));
    const auto whole = block(x, mask);
    CHECK(to_host(whole.m).data == to_host(y.m).data);
    CHECK(to_host(whole.z).data == to_host(y.z).data);
  }
  CHECK_THROWS_AS(example().pair_stack.update(evoformer_sublayer::msa_transition, x.z, mask.pair), error);
}

TEST_CASE("evoformer: a block leaves its inputs as they are") {
  const B b;
  const auto x = random_state(b, s, n, tiny::c_m, tiny::c_z, 1);
  const auto m = to_host(x.m).data, z = to_host(x.z).data;
  example()(x, random_masks(b, s, n, 3));
  CHECK(to_host(x.m).data == m);
  CHECK(to_host(x.z).data == z);
}

TEST_CASE("evoformer: dropout repeats under one key, and acts where AlphaFold2 drops") {
  const B b;
  const auto x = random_state(b, s, n, tiny::c_m, tiny::c_z, 1);
  const auto mask = full_masks(b, s, n);
  auto block = example();
  const dropout_key key{5, 0.1};
  const auto once = block(x, mask, key), twice = block(x, mask, key), other = block(x, mask, dropout_key{6, 0.1});
  CHECK(to_host(once.m).data == to_host(twice.m).data);
  CHECK(to_host(once.z).data == to_host(twice.z).data);
  CHECK(to_host(once.z).data != to_host(other.z).data);
  // The rates are the block's: whatever the key says, as long as it says dropout at all.
  CHECK(to_host(block(x, mask, dropout_key{5, 0.9}).z).data == to_host(once.z).data);
  using enum evoformer_sublayer;
  for (const auto which : block.order()) {
    const auto whole = to_host(block.update(which, x, mask)), dropped = to_host(block.update(which, x, mask, key));
    const bool drops = which != msa_column_attention && which != msa_transition && which != outer_product_mean &&
                       which != pair_transition;
    CHECK((whole.data != dropped.data) == drops);
    if (!drops) continue;
    // Shared along the sequences (m) and rows i (z), by the ending node along j.
    const bool along_second = which == triangle_attention_ending;
    for (index_t i = 0; i < whole.shape[0]; ++i)
      for (index_t j = 0; j < whole.shape[1]; ++j)
        for (index_t c = 0; c < whole.shape[2]; ++c) {
          const index_t i0 = along_second ? i : 0, j0 = along_second ? 0 : j;
          CHECK((dropped(i, j, c) == 0) == (dropped(i0, j0, c) == 0));
        }
  }
  block.options.msa_dropout = block.pair_stack.options.pair_dropout = 0;
  CHECK(to_host(block(x, mask, key).z).data == to_host(block(x, mask).z).data);
  // Blocks of a stack draw their own.
  evoformer_stack<B, tiny> stack(b, 2);
  stack = randomised(stack, 8);
  stack.blocks[1] = stack.blocks[0];
  const auto first = stack.blocks[0](x, mask, key.split(0));
  const auto both = stack.blocks[1](first, mask, key.split(1)), repeated = stack.blocks[1](first, mask, key.split(0));
  CHECK(to_host(stack(x, mask, key).z).data == to_host(both.z).data);
  CHECK(to_host(stack(x, mask, key).z).data != to_host(repeated.z).data);
}

TEST_CASE("evoformer: extents that do not fit are named") {
  const B b;
  const auto x = random_state(b, s, n, tiny::c_m, tiny::c_z, 1);
  const auto block = example();
  CHECK_THROWS_WITH_AS(block({x.m, slice(x.z, 0, 0, 2)}, full_masks(b, s, n)),
                       doctest::Contains("evoformer_block: z has extents [2, 4, 5], expected [4, 4, 5]"), shape_error);
  CHECK_THROWS_WITH_AS(block({slice(x.m, 2, 0, 3), x.z}, full_masks(b, s, n)), doctest::Contains("[3, 4, 3]"),
                       shape_error);
  CHECK_THROWS_WITH_AS(block(x, full_masks(b, s + 1, n)), doctest::Contains("the MSA mask"), shape_error);
}
