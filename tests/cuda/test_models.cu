// SPDX-License-Identifier: Apache-2.0
// Whole modules on a GPU beside the oracle: an Evoformer block with its gradient, and the structure module. Without a
// GPU this shows that every functor they use can be the argument of a kernel.
#include <doctest/doctest.h>

#include <cmath>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/cuda/gpu.hpp>
#include <fathom/structure/structure_module.hpp>

#include "../evoformer/small_dims.hpp"
#include "device.hpp"

using namespace fathom;
using namespace fathom::testing;

namespace {

/// Loss, and the gradient in every parameter, of a block on backend B.
template <class B>
std::pair<double, std::vector<host_tensor<typename B::scalar>>> block_gradient(const B& b) {
  const auto block = randomised(evoformer_block<B, tiny>(b), 3);
  const auto x = random_state(b, 5, 7, tiny::c_m, tiny::c_z, 1);
  const auto mask = random_masks(b, 5, 7, 2);
  const auto [loss, gradient] = value_and_gradient(
      [&](const auto& self) {
        const auto& back = self.msa_transition.linear_1.weight.backend();
        const msa_pair<std::remove_cvref_t<decltype(back)>> in{constant(back, x.m), constant(back, x.z)};
        const auto y = self(in, masks_on(in.m, mask));
        return probe(y.m, 5) + probe(y.z, 6);
      },
      block);
  std::vector<host_tensor<typename B::scalar>> leaves;
  tree::for_each(gradient, [&](const auto& leaf) { leaves.push_back(to_host(leaf)); });
  return {loss, leaves};
}

template <class B>
host_tensor<typename B::scalar> positions(const B& b) {
  const auto fold = randomised(structure_module<B, tiny>(b), 1);
  host_tensor<index_t> types({6});
  host_tensor<double> ones({6}, 1.0);
  for (std::size_t i = 0; i < 6; ++i) types.data[i] = static_cast<index_t>(3 * i);
  const auto result = fold(normal<2>(b, {6, tiny::c_s}, 1), normal<3>(b, {6, 6, tiny::c_z}, 2), from_host<1>(b, types),
                           from_host<1>(b, ones));
  return to_host(result.last().positions);
}

template <class T>
double distance(const host_tensor<T>& got, const host_tensor<double>& expected) {
  REQUIRE(got.shape == expected.shape);
  double worst = 0, scale = 0.1;
  for (std::size_t i = 0; i < got.data.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(got.data[i]) - expected.data[i]));
    scale = std::max(scale, std::abs(expected.data[i]));
  }
  return worst / scale;
}

}  // namespace

TEST_CASE("cuda: gradient of an Evoformer block") {
  if (!has_gpu()) return;
  const auto [loss, leaves] = block_gradient(cuda::gpu<float>{});
  const auto [expected, expected_leaves] = block_gradient(reference<double>{});
  CHECK(std::abs(loss - expected) <= 1e-4 * std::max(1.0, std::abs(expected)));
  REQUIRE(leaves.size() == expected_leaves.size());
  for (std::size_t i = 0; i < leaves.size(); ++i) CHECK(distance(leaves[i], expected_leaves[i]) < 1e-4);
}

namespace {

/// m and z after a block on backend B.
template <class B>
std::pair<host_tensor<typename B::scalar>, host_tensor<typename B::scalar>> block_values(const B& b) {
  const auto block = randomised(evoformer_block<B, tiny>(b), 3);
  const auto x = random_state(b, 5, 7, tiny::c_m, tiny::c_z, 1);
  const auto y = block(x, masks_on(x.m, random_masks(b, 5, 7, 2)));
  return {to_host(y.m), to_host(y.z)};
}

template <class P>
void check_block(double bound) {
  const auto got = block_values(cuda::gpu<P>{});
  const auto expected = block_values(reference<double>{});
  CHECK(distance(got.first, expected.first) < bound);
  CHECK(distance(got.second, expected.second) < bound);
}

}  // namespace

TEST_CASE("cuda: an Evoformer block in float32, TF32 and bfloat16") {
  if (!has_gpu()) return;
  check_block<float>(1e-5);
  check_block<tf32_mixed>(5e-3);
  check_block<bf16_mixed>(2e-2);
}

TEST_CASE("cuda: gradient of an Evoformer block in float64, by differences") {
  if (!has_gpu()) return;
  using B = cuda::gpu<double>;
  const B b;
  const auto block = randomised(evoformer_block<B, tiny>(b), 3);
  const auto mask = random_masks(b, 3, 4, 2);
  const auto loss = [&](const auto& in) {
    const auto& x = std::get<1>(in);
    const auto y = std::get<0>(in)(x, masks_on(x.m, mask));
    return probe(y.m, 5) + probe(y.z, 6);
  };
  CHECK(gradient_check(loss, std::tuple(block, random_state(b, 3, 4, tiny::c_m, tiny::c_z, 1)), {1e-5, 2, 1}) < 1e-6);
}

TEST_CASE("cuda: structure module") {
  if (!has_gpu()) return;
  CHECK(distance(positions(cuda::gpu<float>{}), positions(reference<double>{})) < 1e-4);
}
