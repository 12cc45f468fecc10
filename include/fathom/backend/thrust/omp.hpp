// SPDX-License-Identifier: Apache-2.0
// Thrust's OpenMP system: thrust_backend<float, thrust_system::omp>. Compile with -fopenmp, by a host compiler; without
// <omp.h> the system does not exist.
#pragma once

#if __has_include(<omp.h>)
#include <thrust/system/omp/execution_policy.h>

namespace fathom::thrust_system {

/// As many threads as OpenMP gives (OMP_NUM_THREADS, omp_set_num_threads).
struct omp {
  static constexpr const char* name = "thrust omp";
  static auto policy() { return ::thrust::omp::par; }
};

}  // namespace fathom::thrust_system
#endif
