// SPDX-License-Identifier: Apache-2.0
// One GPU and one stream with everything that works on them: memory pool, cuBLAS and cuBLASLt handles, workspace.
#pragma once

#include <cublasLt.h>
#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include <fathom/core/config.hpp>
#include <fathom/core/memory.hpp>
#include <fathom/cuda/error.hpp>
#include <fathom/cuda/lt_choices.hpp>
#include <fathom/cuda/memory_account.hpp>

namespace fathom::cuda {

/// Makes a device the current one, and restores the one before.
class device_guard {
 public:
  explicit device_guard(int device) {
    detail::check(cudaGetDevice(&before_), "cudaGetDevice", "device_guard");
    if (before_ == device) return;
    detail::check(cudaSetDevice(device), "cudaSetDevice", "device_guard");
    changed_ = true;
  }
  ~device_guard() {
    if (changed_) (void)cudaSetDevice(before_);
  }
  device_guard(const device_guard&) = delete;
  device_guard& operator=(const device_guard&) = delete;

 private:
  int before_ = 0;
  bool changed_ = false;
};

/// GPUs of this machine; throws cuda_error where there is none.
inline int device_count() {
  int devices = 0;
  detail::check(cudaGetDeviceCount(&devices), "cudaGetDeviceCount", "cuda::device_count");
  return devices;
}

/// Work on a context runs in the order it was asked for; several contexts run beside each other. One caller at a time.
/// Throws cuda_error where the device is missing or the driver refuses.
class context {
 public:
  explicit context(int device) : device_(device) {
    int devices = 0;
    detail::check(cudaGetDeviceCount(&devices), "cudaGetDeviceCount", "cuda::context");
    if (device < 0 || device >= devices)
      throw cuda_error(fathom::detail::concat("cuda::context: device ", device, " does not exist, this machine has ",
                                              devices, detail::advice(cudaErrorInvalidDevice)));
    const device_guard here(device);
    detail::check(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, device),
                  "cudaDeviceGetAttribute", "cuda::context");
    detail::check(cudaDeviceGetDefaultMemPool(&pool_, device), "cudaDeviceGetDefaultMemPool", "cuda::context");
    // Freed memory stays with the process: the next evaluation asks for the same sizes again.
    std::uint64_t keep = UINT64_MAX;
    detail::check(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &keep), "cudaMemPoolSetAttribute",
                  "cuda::context");
    try {
      detail::check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags",
                    "cuda::context");
      detail::check(cublasCreate(&blas_), "cublasCreate", "cuda::context");
      detail::check(cublasSetStream(blas_, stream_), "cublasSetStream", "cuda::context");
      // With a workspace of its own, cuBLAS gives the same bits in every run whatever other streams do.
      detail::check(cudaMallocAsync(&workspace_, workspace_size, stream_), "cudaMallocAsync", "cuda::context");
      detail::check(cublasSetWorkspace(blas_, workspace_, workspace_size), "cublasSetWorkspace", "cuda::context");
      detail::check(cublasLtCreate(&lt_), "cublasLtCreate", "cuda::context");
    } catch (...) {
      release();
      throw;
    }
  }
  ~context() { release(); }
  context(const context&) = delete;
  context& operator=(const context&) = delete;

  /// The context that every plain handle of a device shares. Never destroyed: the driver is gone before the process is.
  static const std::shared_ptr<context>& of_device(int device) {
    static std::mutex& guard = *new std::mutex;
    static auto& all = *new std::map<int, std::shared_ptr<context>>;
    const std::lock_guard<std::mutex> one_caller(guard);
    auto& found = all[device];
    if (!found) found = std::make_shared<context>(device);
    return found;
  }

  int device() const { return device_; }
  cudaStream_t stream() const { return stream_; }
  cublasHandle_t blas() const { return blas_; }
  cublasLtHandle_t lt() const { return lt_; }
  /// workspace_size bytes for products, one at a time in the order of the stream.
  void* workspace() const { return workspace_; }
  static constexpr std::size_t workspace_size = std::size_t(32) << 20;
  int multiprocessors() const { return multiprocessors_; }
  /// Algorithms that cuBLASLt has been asked for.
  lt_choices& lt_algorithms() { return lt_algorithms_; }

  /// Waits for the stream; raises what destructors could not.
  void synchronize() {
    const device_guard here(device_);
    detail::check(cudaStreamSynchronize(stream_), "cudaStreamSynchronize", "synchronize");
    detail::check(static_cast<cudaError_t>(pending_.exchange(cudaSuccess)), "cudaFreeAsync", "synchronize");
  }

  /// Handles of this context may hold up to `bytes` (0: no limit but the device's memory). Layers that work in chunks
  /// make them small enough for it by themselves; what needs more all the same throws memory_error.
  void limit_memory(std::size_t bytes) { account_.limit = bytes; }
  std::size_t memory_limit() const { return account_.limit; }
  /// Bytes of scratch that a chunk of such a layer may need.
  std::size_t chunk_bytes() const { return account_.chunk_bytes(); }

  /// `bytes` of device memory, in the order of the stream. Counted in memory_counter, too.
  void* allocate(std::size_t bytes) {
    const device_guard here(device_);
    if (!account_.allows(bytes)) throw memory_error(account_.refusal(bytes, device_));
    void* data = nullptr;
    const cudaError_t status = cudaMallocAsync(&data, bytes, stream_);
    if (status == cudaErrorMemoryAllocation) {
      (void)cudaGetLastError();
      (void)cudaMemGetInfo(&account_.device_free, &account_.device_total);
      throw memory_error(account_.refusal(bytes, device_));
    }
    detail::check(status, "cudaMallocAsync",
                  [bytes] { return fathom::detail::concat("allocating ", bytes, " bytes"); });
    capture_.made(data);
    account_.used += bytes;
    memory_counter::add(bytes);
    return data;
  }
  void deallocate(void* data, std::size_t bytes) noexcept {
    account_.used -= bytes;
    memory_counter::remove(bytes);
    if (!capture_.frees_now(data)) return;
    int before = device_;
    (void)cudaGetDevice(&before);
    if (before != device_) (void)cudaSetDevice(device_);
    const cudaError_t status = cudaFreeAsync(data, stream_);
    if (before != device_) (void)cudaSetDevice(before);
    if (status != cudaSuccess && status != cudaErrorCudartUnloading) pending_.store(status);
  }

  /// What is asked for from here on is recorded instead of done; see graph.hpp.
  void begin_capture() {
    const device_guard here(device_);
    detail::check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture",
                  "cuda::graph");
    capture_.begin();
  }
  /// The recording; null where it is spoilt. `kept` gets the number of buffers made in it that are still alive.
  cudaGraph_t end_capture(std::size_t& kept) {
    const device_guard here(device_);
    cudaGraph_t recording = nullptr;
    const cudaError_t status = cudaStreamEndCapture(stream_, &recording);
    if (status != cudaSuccess) (void)cudaGetLastError();
    kept = capture_.end();
    for (void* const data : capture_.deferred())
      if (const cudaError_t freed = cudaFreeAsync(data, stream_); freed != cudaSuccess) pending_.store(freed);
    return recording;
  }

  /// Bytes that the pool has handed out, now and at most since reset_memory_peak().
  std::uint64_t memory_used() const { return pool_value(cudaMemPoolAttrUsedMemCurrent); }
  std::uint64_t memory_peak() const { return pool_value(cudaMemPoolAttrUsedMemHigh); }
  void reset_memory_peak() {
    std::uint64_t zero = 0;
    detail::check(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrUsedMemHigh, &zero), "cudaMemPoolSetAttribute",
                  "reset_memory_peak");
  }

 private:
  std::uint64_t pool_value(cudaMemPoolAttr attribute) const {
    std::uint64_t value = 0;
    detail::check(cudaMemPoolGetAttribute(pool_, attribute, &value), "cudaMemPoolGetAttribute", "cuda::context");
    return value;
  }
  void release() noexcept {
    if (lt_ != nullptr) (void)cublasLtDestroy(lt_);
    if (blas_ != nullptr) (void)cublasDestroy(blas_);
    if (workspace_ != nullptr) (void)cudaFreeAsync(workspace_, stream_);
    if (stream_ != nullptr) {
      (void)cudaStreamSynchronize(stream_);
      (void)cudaStreamDestroy(stream_);
    }
  }

  int device_;
  int multiprocessors_ = 0;
  cudaMemPool_t pool_ = nullptr;
  cudaStream_t stream_ = nullptr;
  cublasHandle_t blas_ = nullptr;
  cublasLtHandle_t lt_ = nullptr;
  lt_choices lt_algorithms_;
  void* workspace_ = nullptr;
  memory_account account_;
  capture_account capture_;
  std::atomic<int> pending_{cudaSuccess};
};

}  // namespace fathom::cuda
