// SPDX-License-Identifier: Apache-2.0
// Is there a GPU? Tests that need one say visibly that they were skipped.
#pragma once

#include <cuda_runtime_api.h>
#include <doctest/doctest.h>

inline bool has_gpu() {
  int devices = 0;
  const bool found = cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
  if (!found) MESSAGE("SKIPPED: no CUDA device");
  return found;
}
