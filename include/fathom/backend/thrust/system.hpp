// SPDX-License-Identifier: Apache-2.0
// The device systems of Thrust that compute in host memory, as types: a backend of each can live in one program.
// omp and tbb have headers of their own, because they need OpenMP and TBB.
#pragma once

#include <thrust/execution_policy.h>
#include <thrust/system/cpp/execution_policy.h>

namespace fathom::thrust_system {

/// One thread, plain loops.
struct cpp {
  static constexpr const char* name = "thrust cpp";
  static auto policy() { return ::thrust::cpp::par; }
};

}  // namespace fathom::thrust_system
