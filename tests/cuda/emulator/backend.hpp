// SPDX-License-Identifier: Apache-2.0
// A backend whose fused operations are the CUDA kernels on the emulator; everything else is the oracle's loops.
#pragma once

#include "cuda_on_cpu.hpp"

#include <fathom/backend/reference.hpp>

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

}  // namespace fathom::emulator
