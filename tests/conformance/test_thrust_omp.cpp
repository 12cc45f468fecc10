// SPDX-License-Identifier: Apache-2.0
#include "suite.hpp"

#include <fathom/backend/thrust.hpp>
#include <fathom/backend/thrust/omp.hpp>

// ThreadSanitizer sees nothing of libgomp's synchronisation.
#if defined(_OPENMP) && !defined(__SANITIZE_THREAD__)
using omp_backend = fathom::thrust_backend<float, fathom::thrust_system::omp>;

TEST_CASE("conformance: kernels of Thrust's omp system") { conformance::check_kernels(omp_backend{}); }
TEST_CASE("conformance: operations of Thrust's omp system") { conformance::check_operations(omp_backend{}); }
TEST_CASE("conformance: Thrust gives the same bits on any number of OpenMP threads") {
  const auto kernels_with = [](int threads) {
    omp_set_num_threads(threads);
    return conformance::kernel_records(omp_backend{});
  };
  const auto operations_with = [](int threads) {
    omp_set_num_threads(threads);
    return conformance::operation_records(omp_backend{}, conformance::layout::transposed);
  };
  const auto kernels = kernels_with(1);
  const auto operations = operations_with(1);
  for (const int threads : {2, 3}) {
    CAPTURE(threads);
    conformance::compare_bitwise(kernels_with(threads), kernels);
    conformance::compare_bitwise(operations_with(threads), operations);
  }
}
#else
TEST_CASE("conformance: skipped, Thrust's omp system") { MESSAGE("SKIPPED: built without OpenMP, or for TSan"); }
#endif
