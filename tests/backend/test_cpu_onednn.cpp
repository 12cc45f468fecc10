// SPDX-License-Identifier: Apache-2.0
// The matrix products of the CPU backend once more, large ones in float32 by oneDNN, which the build links where it is
// found.
#if defined(FATHOM_WITH_ONEDNN)
#include "test_cpu_kernels_gemm.cpp"
#else
#include <doctest/doctest.h>
TEST_CASE("backend: products by oneDNN") { MESSAGE("skipped: oneDNN was not found"); }
#endif
