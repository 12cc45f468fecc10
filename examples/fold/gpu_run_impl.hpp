// SPDX-License-Identifier: Apache-2.0
// The body of a runner on a GPU, for the .cu file that instantiates it with a precision.
#pragma once

#include <fathom/cuda/gpu.hpp>

#include "compact_run_impl.hpp"
#include "run_gpu.hpp"

template <class Precision>
fold_outcome run_gpu(const fold_arguments& a, const fathom::features& query,
                     const std::function<void(const fathom::fold_progress&)>& progress) {
  using B = fathom::cuda::gpu<Precision>;
  try {
    const B b;
    b.context()->limit_memory(a.memory);
    fold_outcome outcome = a.dims == "alphafold2" ? run_fold<fathom::alphafold2>(b, a, query, progress)
                           : a.dims == "small"    ? run_fold<fathom::small>(b, a, query, progress)
                                                  : run_compact_on(b, a, query, progress);
    b.synchronize();
    outcome.peak_bytes = static_cast<std::int64_t>(b.context()->memory_peak());
    return outcome;
  } catch (const fathom::cuda::memory_error& problem) {
    throw fathom::resource_error(problem.what());
  }
}
