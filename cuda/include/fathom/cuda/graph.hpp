// SPDX-License-Identifier: Apache-2.0
// CUDA graphs: work recorded once and launched as a whole, so that the gaps between kernels vanish.
#pragma once

#include <memory>
#include <utility>

#include <fathom/cuda/context.hpp>

namespace fathom::cuda {

/// A recording of what `work()` asks of a context's stream, ready to be launched any number of times on that stream.
///
/// Nothing runs while it is recorded. The work must have run once before (libraries and kernels are loaded then), ends
/// with its results in buffers made before it, and neither waits nor moves values to or from the host. Numbers that the
/// host passes (step lengths, times) are part of the recording. Not for several threads at once.
class graph {
 public:
  template <class Work>
  graph(std::shared_ptr<context> c, const Work& work) : context_(std::move(c)) {
    const recording made(*context_, work);
    instantiate(made.handle);
  }
  ~graph() {
    if (executable_ != nullptr) (void)cudaGraphExecDestroy(executable_);
  }
  graph(graph&& other) noexcept
      : context_(std::move(other.context_)), executable_(std::exchange(other.executable_, nullptr)) {}
  graph& operator=(graph&& other) noexcept {
    std::swap(context_, other.context_);
    std::swap(executable_, other.executable_);
    return *this;
  }

  /// Puts the recorded work into the stream; returns at once.
  void launch() const {
    const device_guard here(context_->device());
    detail::check(cudaGraphLaunch(executable_, context_->stream()), "cudaGraphLaunch", "cuda::graph");
  }

  /// Records anew, in place where the new work differs in its numbers and buffers alone.
  template <class Work>
  void update(const Work& work) {
    const recording made(*context_, work);
    const device_guard here(context_->device());
    cudaGraphExecUpdateResultInfo difference{};
    if (cudaGraphExecUpdate(executable_, made.handle, &difference) == cudaSuccess) return;
    (void)cudaGetLastError();
    context_->synchronize();  // it may still run
    (void)cudaGraphExecDestroy(std::exchange(executable_, nullptr));
    instantiate(made.handle);
  }

 private:
  struct recording {
    template <class Work>
    recording(context& c, const Work& work) {
      c.begin_capture();
      std::size_t kept = 0;
      try {
        work();
      } catch (...) {
        if (const auto spoilt = c.end_capture(kept)) (void)cudaGraphDestroy(spoilt);
        throw;
      }
      handle = c.end_capture(kept);
      if (handle == nullptr)
        throw cuda_error(fathom::detail::concat("cuda::graph: the work cannot be recorded",
                                                detail::advice(cudaErrorStreamCaptureInvalidated)));
      if (kept > 0) {
        (void)cudaGraphDestroy(std::exchange(handle, nullptr));
        throw cuda_error(fathom::detail::concat("cuda::graph: ", kept,
                                                " buffers made by the recorded work outlive it; "
                                                "write results to tensors that were made before"));
      }
    }
    ~recording() {
      if (handle != nullptr) (void)cudaGraphDestroy(handle);
    }
    recording(const recording&) = delete;
    recording& operator=(const recording&) = delete;

    cudaGraph_t handle = nullptr;
  };

  void instantiate(cudaGraph_t recorded) {
    const device_guard here(context_->device());
    detail::check(cudaGraphInstantiate(&executable_, recorded, 0), "cudaGraphInstantiate", "cuda::graph");
  }

  std::shared_ptr<context> context_;
  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace fathom::cuda
