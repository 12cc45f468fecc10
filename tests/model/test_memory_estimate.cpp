// SPDX-License-Identifier: Apache-2.0
// The estimate of a fold's memory is an upper bound, and not a wild one.
#include <doctest/doctest.h>

#include <fathom/backend/cpu.hpp>
#include <fathom/features/featurize.hpp>
#include <fathom/io/alignment.hpp>
#include <fathom/model/memory_estimate.hpp>

#include "support/solvers.hpp"

using namespace fathom;

TEST_CASE("model: the estimate of memory lies above what a fold uses, within a factor of two and a half") {
  using B = cpu<float>;
  const auto alignment = io::read_alignment(FATHOM_SOURCE_DIR "/examples/data/1a3a.a3m");
  const auto query = featurize(alignment, {.seed = 0, .clusters = 64, .extra = 128});
  for (const solver_choice& solver : {solver_choice(ode::euler{}), solver_choice(ode::rk4{})}) {
    CAPTURE(name_of(solver));
    const B b(cpu_options{.threads = 2});
    const fold_options options{.recycles = 1, .solver = solver, .control = ode::fixed_steps{1}};
    const auto before = memory_counter::current();
    memory_counter::reset_peak();
    const auto model = initialise(fold_model<B, small>(b), {.seed = 1, .final_scale = 0.1});
    const auto estimate = fold_memory_estimate<float, small>(query, options, tree::count(model));
    model.fold(query, options);
    const auto used = memory_counter::peak() - before;
    CAPTURE(used);
    CAPTURE(estimate);
    CHECK(used <= estimate);
    CHECK(2 * estimate <= 5 * used);
  }
}
