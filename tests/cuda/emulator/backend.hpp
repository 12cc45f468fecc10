// SPDX-License-Identifier: Apache-2.0
// A backend whose fused operations are the CUDA kernels on the emulator; everything else is the oracle's loops.
#pragma once

#include "cuda_on_cpu.hpp"

#include <fathom/backend/reference.hpp>
#include <fathom/cuda/kernels/intrinsics.cuh>

namespace fathom::emulator {

/// Precision is that of cuda::gpu: float, or a tag whose storage is float.
template <class Precision>
struct gpu : reference<float> {
  /// No part of the handle's identity: tensors of both orders mix.
  order who = order::ascending;
  bool operator==(const gpu&) const { return true; }
};

/// Launches so far: whether a kernel was used at all, and how often.
inline int launches = 0;

template <class Precision, class Body, class View>
void launch_blocks(const gpu<Precision>& b, index_t blocks, const Body& body, const char*, const View&) {
  ++launches;
  run(dim3{static_cast<unsigned>(blocks)}, dim3{static_cast<unsigned>(Body::threads)}, Body::shared_bytes, body, b.who);
}

/// Room for the values of x, row-major.
template <class Precision, class T>
strided_view<float> row_major_like(const gpu<Precision>& b, const strided_view<T>& x, std::shared_ptr<float>& storage) {
  storage = b.template allocate<float>(x.size());
  return fathom::detail::row_major_like(storage.get(), x);
}

/// Products of matrices stored as bfloat16, as cuBLAS sums them.
template <class Precision, class Out>
void multiply_bf16(const gpu<Precision>& b, const strided_view<const cuda::kernels::bf16>& left,
                   const strided_view<const cuda::kernels::bf16>& right, const strided_view<Out>& out) {
  const auto widened = [&b](const auto& x, std::shared_ptr<float>& storage) {
    const auto wide = row_major_like(b, x, storage);
    b.map([](cuda::kernels::bf16 value) { return cuda::kernels::to_float(value); }, wide, x);
    return strided_view<const float>(wide);
  };
  std::shared_ptr<float> first, second, sums;
  if constexpr (std::is_same_v<Out, float>) {
    b.gemm(1.0f, widened(left, first), widened(right, second), 0.0f, out);
  } else {
    const auto wide = row_major_like(b, out, sums);
    b.gemm(1.0f, widened(left, first), widened(right, second), 0.0f, wide);
    b.map([](float value) { return cuda::kernels::to_bf16(value); }, out, strided_view<const float>(wide));
  }
}

}  // namespace fathom::emulator
