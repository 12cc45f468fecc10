// SPDX-License-Identifier: Apache-2.0
// Runs a kernel that works by blocks: a struct with `threads`, `shared_bytes` and a call without arguments. Only for
// nvcc.
#pragma once

#include <climits>
#include <vector>

#include <fathom/core/error.hpp>
#include <fathom/core/host_tensor.hpp>
#include <fathom/cuda/context.hpp>
#include <fathom/tensor/strided_view.hpp>

namespace fathom::cuda {

template <class Body>
__global__ void __launch_bounds__(Body::threads) run_blocks(const __grid_constant__ Body body) {
  body();
}

template <class Precision>
class gpu;

/// body() in every thread of `blocks` blocks; `what` and the extents of `view` say what failed.
template <class Precision, class Body, class View>
void launch_blocks(const gpu<Precision>& b, index_t blocks, const Body& body, const char* what, const View& view) {
  if (blocks <= 0) return;
  const auto operation = [what, &view] {
    return fathom::detail::concat(what, " over ",
                                  to_string_extents(std::vector<index_t>(view.extent, view.extent + view.rank)));
  };
  if (blocks > INT_MAX)
    throw cuda_error(fathom::detail::concat(operation(), ": ", blocks,
                                            " blocks are more than a launch can have; use "
                                            "smaller chunks"));
  const auto context = b.context();
  const device_guard here(context->device());
  constexpr std::size_t always_there = std::size_t(48) << 10;
  if constexpr (Body::shared_bytes > always_there)
    detail::check(cudaFuncSetAttribute(run_blocks<Body>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                       static_cast<int>(Body::shared_bytes)),
                  "cudaFuncSetAttribute", operation);
  run_blocks<<<static_cast<unsigned>(blocks), static_cast<unsigned>(Body::threads), Body::shared_bytes,
               context->stream()>>>(body);
  detail::check(cudaGetLastError(), "kernel launch", operation);
}

}  // namespace fathom::cuda
