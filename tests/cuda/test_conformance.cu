// SPDX-License-Identifier: Apache-2.0
// The conformance suite on a GPU. Without one it compiles, links and says that it was skipped.
#include "../conformance/suite.hpp"

#include <fathom/cuda/gpu.hpp>

#include "device.hpp"

TEST_CASE("cuda: kernels of gpu<float>") {
  if (has_gpu()) conformance::check_kernels(fathom::cuda::gpu<float>{});
}
TEST_CASE("cuda: operations of gpu<float>") {
  if (has_gpu()) conformance::check_operations(fathom::cuda::gpu<float>{});
}
TEST_CASE("cuda: the same bits in every run") {
  if (has_gpu()) conformance::check_same_bits(fathom::cuda::gpu<float>{}, fathom::cuda::gpu<float>{});
}
TEST_CASE("cuda: kernels and operations of gpu<double>") {
  if (!has_gpu()) return;
  conformance::check_kernels(fathom::cuda::gpu<double>{});
  conformance::check_operations(fathom::cuda::gpu<double>{});
}
