// SPDX-License-Identifier: Apache-2.0
// Solvers' arithmetic and Adam on all leaves of a tree in one launch, on the emulator beside reference<double>.
#include "emulator/backend.hpp"

#include <doctest/doctest.h>

#include <fathom/cuda/kernels/tree_kernels.cuh>
#include <fathom/ode/tree_state.hpp>

#include "tree_cases.hpp"

namespace {
using emulated = fathom::emulator::gpu<float>;
}  // namespace

template <>
struct fathom::ode::leaf_kernels<emulated> : fathom::cuda::kernels::leaf_kernels_on<emulated> {};
template <>
struct fathom::train::adam_kernel<emulated> : fathom::cuda::kernels::adam_kernel_on<emulated> {};

namespace {
/// Launches of one call.
template <class Call>
int launches_of(const Call& call) {
  const int before = fathom::emulator::launches;
  call();
  return fathom::emulator::launches - before;
}
}  // namespace

TEST_CASE("cuda: stage combinations over many leaves in one launch") {
  tree_cases::check_combinations(emulated{});
  // 37 leaves, 32 a launch.
  CHECK(launches_of([] { tree_cases::combined(emulated{}, std::array{0.5, 2.0}, true); }) == 2);
}
TEST_CASE("cuda: error norms over many leaves, weights, and values that are not numbers") {
  tree_cases::check_errors(emulated{});
  CHECK(launches_of([] { tree_cases::error_of(emulated{}, true); }) == 4);
}
TEST_CASE("cuda: steps of Adam on many tensors in one launch") {
  tree_cases::check_adam(emulated{});
  const auto p = tree_cases::state(emulated{}, 1, 100), g = tree_cases::state(emulated{}, 2, 100);
  fathom::train::adam<emulated> optimiser;
  CHECK(launches_of([&] { optimiser.update(p, g, 0.1); }) == 1);
}
