// SPDX-License-Identifier: Apache-2.0
// The body of a run on a GPU, for the .cu file that instantiates it with a precision and a trunk.
#pragma once

#include <optional>

#include <fathom/cuda/gpu.hpp>
#include <fathom/cuda/nccl.hpp>

#include "run_impl.hpp"

template <class Precision, class Depth>
int run_gpu(const train_arguments& a, stop_request& stop, fathom::train::process_group* group) {
  namespace cuda = fathom::cuda;
  try {
    // One GPU for each process of a machine.
    const int device = group != nullptr ? group->rank() % cuda::device_count() : 0;
#ifdef FATHOM_WITH_NCCL
    std::optional<cuda::nccl_group> over_nccl;
    if (group != nullptr) group = &over_nccl.emplace(cuda::join_over_nccl(*group, cuda::context::of_device(device)));
#endif
    // Every worker has a stream of its own.
    const auto backend_of = [&](int) { return cuda::gpu<Precision>(std::make_shared<cuda::context>(device)); };
    return run_training<Depth>(a, stop, group, backend_of);
  } catch (const cuda::memory_error& problem) {
    throw fathom::resource_error(problem.what());
  }
}
