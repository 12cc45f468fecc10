// SPDX-License-Identifier: Apache-2.0
#include "suite.hpp"

#include <fathom/backend/cpu.hpp>

TEST_CASE("conformance: kernels of cpu<double>") {
  conformance::check_kernels(fathom::cpu<double>{{.threads = 3}});
}
TEST_CASE("conformance: operations of cpu<double>") {
  conformance::check_operations(fathom::cpu<double>{{.threads = 3}});
}
TEST_CASE("conformance: cpu<double> gives the same bits on any number of threads") {
  const fathom::cpu<double> one{{.threads = 1}};
  for (const int threads : {2, 3, 4, 7}) {
    CAPTURE(threads);
    conformance::check_same_bits(fathom::cpu<double>{{.threads = threads}}, one);
  }
}
