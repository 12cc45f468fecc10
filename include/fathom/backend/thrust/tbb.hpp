// SPDX-License-Identifier: Apache-2.0
// Thrust's TBB system: thrust_backend<float, thrust_system::tbb>. Link TBB (libtbb-dev); without its
// headers the system does not exist.
#pragma once

#if __has_include(<tbb/blocked_range.h>)
#include <thrust/system/tbb/execution_policy.h>

namespace fathom::thrust_system {

/// As many threads as TBB gives (tbb::global_control).
struct tbb {
  static constexpr const char* name = "thrust tbb";
  static auto policy() { return ::thrust::tbb::par; }
};

}  // namespace fathom::thrust_system
#endif
