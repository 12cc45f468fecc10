// SPDX-License-Identifier: Apache-2.0
#include "suite.hpp"

#include <fathom/backend/thrust.hpp>

TEST_CASE_TEMPLATE("conformance: kernels of Thrust's cpp system", T, float, double) {
  conformance::check_kernels(fathom::thrust_backend<T, fathom::thrust_system::cpp>{});
}
TEST_CASE_TEMPLATE("conformance: operations of Thrust's cpp system", T, float, double) {
  conformance::check_operations(fathom::thrust_backend<T, fathom::thrust_system::cpp>{});
}
