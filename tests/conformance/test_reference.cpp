// SPDX-License-Identifier: Apache-2.0
#include "suite.hpp"

TEST_CASE("conformance: kernels of reference<float>") { conformance::check_kernels(fathom::reference<float>{}); }
TEST_CASE("conformance: operations of reference<float>") { conformance::check_operations(fathom::reference<float>{}); }
