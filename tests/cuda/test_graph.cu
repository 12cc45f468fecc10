// SPDX-License-Identifier: Apache-2.0
// Recorded work beside the same work asked for directly, limits on memory, and training over NCCL. Without a GPU this
// shows that all of it compiles and links.
#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include <fathom/autodiff/chunked.hpp>
#include <fathom/continuous/evoformer_field.hpp>
#include <fathom/cuda/gpu.hpp>
#include <fathom/cuda/nccl.hpp>
#include <fathom/cuda/recorded.hpp>
#include <fathom/nn/linear.hpp>
#include <fathom/ode/ode.hpp>

#include "../evoformer/small_dims.hpp"
#include "device.hpp"

using namespace fathom;
using namespace fathom::testing;

namespace {

using B = cuda::gpu<float>;

template <int R>
void check_same_bits(const tensor<B, R>& got, const tensor<B, R>& expected) {
  const auto a = to_host(got), b = to_host(expected);
  REQUIRE(a.shape == b.shape);
  CHECK(std::memcmp(a.data.data(), b.data.data(), a.data.size() * sizeof(float)) == 0);
}

struct halve_rows {
  template <class S, class X>
  auto operator()(const S&, const X& x) const {
    return x * 0.5;
  }
};

}  // namespace

TEST_CASE("cuda: a recorded layer gives what it gave, for new values too") {
  if (!has_gpu()) return;
  const B b(std::make_shared<cuda::context>(0));
  const auto layer = initialise(linear<B, 24, 40>(b), {.seed = 1, .final_scale = 1});
  const auto x = normal<3>(b, {5, 7, 24}, 2), y = normal<3>(b, {5, 7, 24}, 3);
  cuda::recorded again(
      b, [&](const auto& in) { return layer(in); }, x);
  check_same_bits(again(x), layer(x));
  check_same_bits(again(y), layer(y));
  CHECK_THROWS_AS((void)again(normal<3>(b, {4, 7, 24}, 2)), shape_error);
}

TEST_CASE("cuda: a recorded solve of fixed steps has the bits of the solve") {
  if (!has_gpu()) return;
  const B b(std::make_shared<cuda::context>(0));
  const auto field = randomised(evoformer_field<B, tiny>(b), 3);
  const auto y0 = random_state(b, 5, 7, tiny::c_m, tiny::c_z, 1);
  const auto mask = full_masks(b, 5, 7);
  ode::options<msa_pair<B>> options;
  options.check_finite = false;
  const auto solve = [&](const msa_pair<B>& y) {
    return ode::solve(ode::with_context(field, mask), y, {0.0, 1.0}, ode::rk4{}, ode::fixed_steps{2}, options).y1;
  };
  const auto expected = solve(y0);
  cuda::recorded again(b, solve, y0);
  for (int i = 0; i < 2; ++i) {
    const auto got = again(y0);
    check_same_bits(got.m, expected.m);
    check_same_bits(got.z, expected.z);
  }
}

TEST_CASE("cuda: what cannot be recorded is refused by a sentence") {
  if (!has_gpu()) return;
  const auto own = std::make_shared<cuda::context>(0);
  const B b(own);
  const auto x = full<1>(b, {8}, 1.0f);
  std::string said;
  try {
    const cuda::graph asks_for_a_value(own, [&] { (void)to_host(x); });
  } catch (const cuda::cuda_error& failed) {
    said = failed.what();
  }
  CHECK(said.find("a graph cannot hold transfers to the host") != std::string::npos);
  tensor<B, 1> kept;
  said.clear();
  try {
    const cuda::graph leaves_something(own, [&] { kept = clone(x); });
  } catch (const cuda::cuda_error& failed) {
    said = failed.what();
  }
  CHECK(said.find("1 buffers made by the recorded work outlive it") != std::string::npos);
  kept = {};
  CHECK(to_host(full<1>(b, {3}, 2.0f)).data == std::vector<float>{2, 2, 2});
}

TEST_CASE("cuda: a graph is recorded anew in place") {
  if (!has_gpu()) return;
  const auto own = std::make_shared<cuda::context>(0);
  const B b(own);
  auto x = full<1>(b, {8}, 1.0f);
  const auto fill = [&](float value) {
    return [&, value] { b.generate(detail::constant_value<float>{value}, x.mutable_view()); };
  };
  cuda::graph set(own, fill(2.0f));
  CHECK(to_host(x).data.front() == 1.0f);
  set.launch();
  CHECK(to_host(x).data.front() == 2.0f);
  set.update(fill(3.0f));
  set.launch();
  CHECK(to_host(x).data.front() == 3.0f);
}

TEST_CASE("cuda: under a limit chunks shrink by themselves, and what is too much is refused") {
  if (!has_gpu()) return;
  const auto own = std::make_shared<cuda::context>(0);
  const B b(own);
  const auto x = normal<2>(b, {64, 1 << 14}, 1);
  const auto expected = chunked(halve_rows{}, std::tuple(), 16, x);
  CHECK(b.chunk_of(16) > 64);
  own->limit_memory(24 << 20);
  CHECK(b.chunk_of(16) == 4);
  check_same_bits(chunked(halve_rows{}, std::tuple(), 16, x), expected);
  CHECK_THROWS_AS((void)full<1>(b, {1 << 23}, 0.0f), cuda::memory_error);
  own->limit_memory(0);
  CHECK(to_host(full<1>(b, {1 << 23}, 2.0f)).data.back() == 2.0f);
}

#ifdef FATHOM_WITH_NCCL
TEST_CASE("cuda: one process over NCCL sums what it adds") {
  if (!has_gpu()) return;
  cuda::nccl_group group{cuda::nccl_link(cuda::context::of_device(0), cuda::new_nccl_group(), 0, 1, 1)};
  std::vector<float> sums(1000, 0.0f);
  group.sum_in_order(sums, [&](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) sums[i] += 2.0f;
  });
  CHECK(sums == std::vector<float>(1000, 2.0f));
  CHECK(group.any(true));
  CHECK_FALSE(group.any(false));
}
#endif
