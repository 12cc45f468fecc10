// SPDX-License-Identifier: Apache-2.0
#include "suite.hpp"

#include <fathom/backend/cpu.hpp>

TEST_CASE("conformance: kernels of cpu<float>") {
  conformance::check_kernels(fathom::cpu<float>{{.threads = 3}});
}
TEST_CASE("conformance: operations of cpu<float>") {
  conformance::check_operations(fathom::cpu<float>{{.threads = 3}});
}
TEST_CASE("conformance: cpu<float> gives the same bits on any number of threads") {
  const fathom::cpu<float> one{{.threads = 1}};
  for (const int threads : {2, 3, 4, 7}) {
    CAPTURE(threads);
    conformance::check_same_bits(fathom::cpu<float>{{.threads = threads}}, one);
  }
}
