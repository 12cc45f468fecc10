// SPDX-License-Identifier: Apache-2.0
// The model is compiled in tests/model/instantiate/model.cpp only; here it is used.
#include <doctest/doctest.h>

#include <fathom/features/featurize.hpp>
#include <fathom/io/a3m.hpp>

#include "model/instantiate/model.hpp"

using namespace fathom;

TEST_CASE("model: a model compiled in another translation unit folds here") {
  const cpu<float> b(cpu_options{.threads = 1});
  const auto model = initialise(fold_model<cpu<float>, instantiated_dims>(b), {.seed = 3, .final_scale = 0.1});
  const auto query = featurize(io::parse_a3m(">q\nMKVLAWG\n>r\nMRVL-WG\n", "text"), {.clusters = 2, .extra = 2});
  const auto folded = model.fold(query, {.recycles = 0, .solver = ode::euler{}, .control = ode::fixed_steps{1}});
  CHECK(folded.structure.sequence() == "MKVLAWG");
  CHECK(folded.solution.stats.evaluations == 1);
  CHECK(folded.plddt.size() == 7);
}
