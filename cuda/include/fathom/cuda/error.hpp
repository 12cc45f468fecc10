// SPDX-License-Identifier: Apache-2.0
// Errors of the CUDA runtime and of cuBLAS as exceptions that name the call, the operation and its extents.
#pragma once

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <string>

#include <fathom/core/error.hpp>

namespace fathom::cuda {

/// A call of the CUDA runtime or of cuBLAS failed. An error of a kernel may be reported by a later call.
struct cuda_error : error {
  using error::error;
};

/// Device memory, or what limit_memory allows of it, is used up.
struct memory_error : cuda_error {
  using cuda_error::cuda_error;
};

namespace detail {

inline const char* advice(cudaError_t status) {
  switch (status) {
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
      return ": this needs an NVIDIA GPU and a driver that knows this CUDA version; cpu<float> runs everywhere";
    case cudaErrorInvalidDevice:
      return ": no such device; nvidia-smi -L lists them, CUDA_VISIBLE_DEVICES hides them";
    case cudaErrorMemoryAllocation:
      return ": use fewer sequences or residues, or smaller chunks (context()->limit_memory)";
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorStreamCaptureInvalidated:
      return ": a graph cannot hold transfers to the host, waiting, or work that asks for a value (item, to_host, "
             "ode::options::check_finite)";
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
      return ": compile for this GPU (CMAKE_CUDA_ARCHITECTURES, nvcc -arch=native)";
    default:
      return "";
  }
}

/// Throws cuda_error "<operation>: <call> failed: <name> (<text>)<advice>". `operation` is called only then.
template <class Operation>
void check(cudaError_t status, const char* call, const Operation& operation) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();  // an error that the next call would report again
  throw cuda_error(fathom::detail::concat(operation(), ": ", call, " failed: ", cudaGetErrorName(status), " (",
                                          cudaGetErrorString(status), ")", advice(status)));
}
template <class Operation>
void check(cublasStatus_t status, const char* call, const Operation& operation) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw cuda_error(fathom::detail::concat(operation(), ": ", call, " failed: ", cublasGetStatusName(status), " (",
                                          cublasGetStatusString(status), ")"));
}
inline void check(cudaError_t status, const char* call, const char* operation) {
  check(status, call, [operation] { return operation; });
}
inline void check(cublasStatus_t status, const char* call, const char* operation) {
  check(status, call, [operation] { return operation; });
}

}  // namespace detail
}  // namespace fathom::cuda
