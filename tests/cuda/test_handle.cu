// SPDX-License-Identifier: Apache-2.0
// Handles, errors and precisions; what needs no GPU is checked on every machine.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include <fathom/core/philox.hpp>
#include <fathom/cuda/gpu.hpp>
#include <fathom/op/matmul.hpp>
#include <fathom/tensor/tensor.hpp>

#include "device.hpp"

using namespace fathom;

static_assert(plain_backend<cuda::gpu<float>> && plain_backend<cuda::gpu<double>> &&
              plain_backend<cuda::gpu<bf16_mixed>> && plain_backend<cuda::gpu<tf32_mixed>>);
static_assert(std::is_same_v<cuda::gpu<bf16_mixed>::scalar, float>);

namespace {
int devices() {
  int n = 0;
  return cudaGetDeviceCount(&n) == cudaSuccess ? n : 0;
}
template <class Call>
std::string message_of(const Call& call) {
  try {
    call();
  } catch (const cuda::cuda_error& failed) {
    return failed.what();
  }
  return "";
}
host_tensor<float> drawn(index_t rows, index_t columns, std::uint64_t seed) {
  host_tensor<float> x({rows, columns});
  for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] = static_cast<float>(2 * philox_uniform(seed, i) - 1);
  return x;
}
}  // namespace

TEST_CASE("cuda: handles are cheap and equal by device until they are used") {
  CHECK(cuda::gpu<float>{} == cuda::gpu<float>{0});
  CHECK_FALSE(cuda::gpu<float>{0} == cuda::gpu<float>{1});
  CHECK(tensor<cuda::gpu<float>, 2>{}.empty());
}

TEST_CASE("cuda: a failing call is named together with the operation and its cause") {
  const std::string text = message_of([] { (void)full<2>(cuda::gpu<float>{99}, {3, 4}, 1.0f); });
  CAPTURE(text);
  CHECK(text.find("cuda::context: ") == 0);
  if (devices() == 0)
    CHECK(text.find("cudaGetDeviceCount failed: ") != std::string::npos);
  else
    CHECK(text.find("device 99 does not exist") != std::string::npos);
  const std::string launched = message_of(
      [] { cuda::detail::check(cudaErrorLaunchOutOfResources, "kernel launch", [] { return "map over [3, 4]"; }); });
  CHECK(launched.find("map over [3, 4]: kernel launch failed: cudaErrorLaunchOutOfResources (") == 0);
  const std::string product =
      message_of([] { cuda::detail::check(CUBLAS_STATUS_INVALID_VALUE, "cublasGemmStridedBatchedEx", "matmul"); });
  CHECK(product.find("matmul: cublasGemmStridedBatchedEx failed: CUBLAS_STATUS_INVALID_VALUE") == 0);
}

TEST_CASE("cuda: bfloat16 and TF32 products stay within their rounding, float32 ones within 1e-5") {
  if (!has_gpu()) return;
  const auto a = drawn(65, 129, 1), b = drawn(129, 70, 2);
  const auto product = [&](const auto& gpu) { return to_host(matmul(from_host<2>(gpu, a), from_host<2>(gpu, b))); };
  const auto exact = product(cuda::gpu<float>{}), rounded = product(cuda::gpu<bf16_mixed>{}),
             in_between = product(cuda::gpu<tf32_mixed>{});
  double worst_exact = 0, worst_rounded = 0, worst_between = 0;
  for (index_t i = 0; i < 65; ++i)
    for (index_t j = 0; j < 70; ++j) {
      double sum = 0;
      for (index_t k = 0; k < 129; ++k) sum += static_cast<double>(a(i, k)) * b(k, j);
      worst_exact = std::max(worst_exact, std::abs(exact(i, j) - sum));
      worst_rounded = std::max(worst_rounded, std::abs(rounded(i, j) - sum));
      worst_between = std::max(worst_between, std::abs(in_between(i, j) - sum));
    }
  CHECK(worst_exact < 1e-4);
  CHECK(worst_rounded < 0.2);
  CHECK(worst_between < 0.03);
}

TEST_CASE("cuda: memory comes back to the pool, an own context has a stream of its own") {
  if (!has_gpu()) return;
  const auto own = std::make_shared<cuda::context>(0);
  const cuda::gpu<float> b(own);
  CHECK_FALSE(b == cuda::gpu<float>{});
  const auto before = own->memory_used();
  {
    const auto x = full<1>(b, {1 << 20}, 2.0f);
    CHECK(own->memory_used() >= before + (4u << 20));
    CHECK(to_host(x).data.back() == 2.0f);
  }
  b.synchronize();
  CHECK(own->memory_used() == before);
}
