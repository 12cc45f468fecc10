// SPDX-License-Identifier: Apache-2.0
#include "suite.hpp"

#include <fathom/backend/thrust.hpp>
#include <fathom/backend/thrust/tbb.hpp>

// ThreadSanitizer sees nothing of libtbb's synchronisation.
#if __has_include(<tbb/global_control.h>) && !defined(__SANITIZE_THREAD__)
#include <tbb/global_control.h>

using tbb_backend = fathom::thrust_backend<float, fathom::thrust_system::tbb>;

TEST_CASE("conformance: kernels of Thrust's tbb system") { conformance::check_kernels(tbb_backend{}); }
TEST_CASE("conformance: operations of Thrust's tbb system") { conformance::check_operations(tbb_backend{}); }
TEST_CASE("conformance: Thrust gives the same bits on any number of TBB threads") {
  const auto with = [](std::size_t threads) {
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
    return conformance::kernel_records(tbb_backend{});
  };
  const auto one = with(1);
  for (const std::size_t threads : {std::size_t{2}, std::size_t{3}, std::size_t{7}}) {
    CAPTURE(threads);
    conformance::compare_bitwise(with(threads), one);
  }
}
#else
TEST_CASE("conformance: skipped, Thrust's tbb system") { MESSAGE("SKIPPED: built without TBB, or for TSan"); }
#endif
