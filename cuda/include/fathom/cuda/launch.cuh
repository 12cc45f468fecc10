// SPDX-License-Identifier: Apache-2.0
// Runs one of the device_kernels on n threads of a GPU. Only for nvcc.
#pragma once

#include <fathom/cuda/context.hpp>

namespace fathom::cuda {

template <class Body>
__global__ void __launch_bounds__(256) run_body(const Body body, index_t n) {
  const index_t step = static_cast<index_t>(gridDim.x) * blockDim.x;
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) body(i);
}

/// body(0) ... body(n - 1) in any order; `operation` says what failed, and is called only then.
template <class Body, class Operation>
void launch(const context& c, index_t n, const Body& body, const Operation& operation) {
  if (n <= 0) return;
  constexpr index_t threads = 256;
  const index_t blocks = (n + threads - 1) / threads, most = static_cast<index_t>(c.multiprocessors()) * 32;
  const device_guard here(c.device());
  run_body<<<static_cast<unsigned>(blocks < most ? blocks : most), static_cast<unsigned>(threads), 0, c.stream()>>>(body, n);
  detail::check(cudaGetLastError(), "kernel launch", operation);
}

}  // namespace fathom::cuda
