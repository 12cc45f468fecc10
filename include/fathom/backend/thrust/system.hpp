// SPDX-License-Identifier: Apache-2.0
// The device systems of Thrust that compute in host memory, as types: a backend of each can live in one program.
// omp and tbb have headers of their own, because they need OpenMP and TBB.
#pragma once

#include <thrust/execution_policy.h>
#include <thrust/system/cpp/execution_policy.h>

#if THRUST_DEVICE_SYSTEM == THRUST_DEVICE_SYSTEM_OMP
#include <fathom/backend/thrust/omp.hpp>
#elif THRUST_DEVICE_SYSTEM == THRUST_DEVICE_SYSTEM_TBB
#include <fathom/backend/thrust/tbb.hpp>
#endif

namespace fathom::thrust_system {

/// One thread, plain loops.
struct cpp {
  static constexpr const char* name = "thrust cpp";
  static auto policy() { return ::thrust::cpp::par; }
};

/// What THRUST_DEVICE_SYSTEM names; cpp where that is CUDA (a GPU has cuda::gpu).
#if THRUST_DEVICE_SYSTEM == THRUST_DEVICE_SYSTEM_OMP
using chosen = omp;
#elif THRUST_DEVICE_SYSTEM == THRUST_DEVICE_SYSTEM_TBB
using chosen = tbb;
#else
using chosen = cpp;
#endif

}  // namespace fathom::thrust_system
