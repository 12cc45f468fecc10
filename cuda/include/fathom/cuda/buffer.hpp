// SPDX-License-Identifier: Apache-2.0
// Device memory behind a shared pointer, and copies between it and the host.
#pragma once

#include <memory>

#include <fathom/cuda/context.hpp>

namespace fathom::cuda {

/// Room for n elements, at least one. Returned to the pool in the order of the stream; keeps the context alive.
template <class T>
std::shared_ptr<T> device_buffer(const std::shared_ptr<context>& c, index_t n) {
  const std::size_t bytes = static_cast<std::size_t>(n > 0 ? n : 1) * sizeof(T);
  return std::shared_ptr<T>(static_cast<T*>(c->allocate(bytes)), [c, bytes](T* data) { c->deallocate(data, bytes); });
}

/// Host to device; the host's values may be changed as soon as this returns.
template <class T>
void upload(context& c, T* to, const T* from, index_t n) {
  if (n <= 0) return;
  const auto operation = [n] { return fathom::detail::concat("upload of ", n, " values"); };
  const device_guard here(c.device());
  detail::check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(n) * sizeof(T), cudaMemcpyHostToDevice, c.stream()),
                "cudaMemcpyAsync", operation);
  detail::check(cudaStreamSynchronize(c.stream()), "cudaStreamSynchronize", operation);
}

/// Device to host; the values are there after synchronize().
template <class T>
void download(context& c, T* to, const T* from, index_t n) {
  if (n <= 0) return;
  const auto operation = [n] { return fathom::detail::concat("download of ", n, " values"); };
  const device_guard here(c.device());
  detail::check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(n) * sizeof(T), cudaMemcpyDeviceToHost, c.stream()),
                "cudaMemcpyAsync", operation);
}

}  // namespace fathom::cuda
