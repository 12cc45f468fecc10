// SPDX-License-Identifier: Apache-2.0
// The conformance suite on a GPU. Without one it compiles, links and says that it was skipped.
#include "../conformance/suite.hpp"

#include <fathom/cuda/gpu.hpp>

namespace {
bool has_gpu() {
  int devices = 0;
  const bool found = cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
  if (!found) MESSAGE("SKIPPED: no CUDA device");
  return found;
}
}  // namespace

TEST_CASE("cuda: kernels of gpu<float>") {
  if (has_gpu()) conformance::check_kernels(fathom::cuda::gpu<float>{});
}
TEST_CASE("cuda: operations of gpu<float>") {
  if (has_gpu()) conformance::check_operations(fathom::cuda::gpu<float>{});
}
TEST_CASE("cuda: the same bits in every run") {
  if (has_gpu()) conformance::check_same_bits(fathom::cuda::gpu<float>{}, fathom::cuda::gpu<float>{});
}
