// SPDX-License-Identifier: Apache-2.0
// Language level, host/device marks and the index type: what every other header may rely on.
#pragma once

#include <cstddef>

#if defined(_MSVC_LANG)
#define FATHOM_CPLUSPLUS _MSVC_LANG
#else
#define FATHOM_CPLUSPLUS __cplusplus
#endif
#if FATHOM_CPLUSPLUS < 202002L
#error "fathom needs C++20: compile with -std=c++20 (nvcc: -std=c++20 as well; CMake 3.25.1 drops it for CUDA, see cmake/FathomCudaStandard.cmake)"
#endif

#if defined(__CUDACC__)
#define FATHOM_HD __host__ __device__
#else
#define FATHOM_HD
#endif

#if defined(_MSC_VER) && !defined(__clang__)
#define FATHOM_RESTRICT __restrict
#else
#define FATHOM_RESTRICT __restrict__
#endif


namespace fathom {

/// Signed type of extents, strides and counts.
using index_t = std::ptrdiff_t;

/// An extent that is known only at run time.
inline constexpr index_t dynamic = -1;

}  // namespace fathom
