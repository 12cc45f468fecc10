// SPDX-License-Identifier: Apache-2.0
// Once its storage has grown, evaluating a field takes nothing from the heap: neither tensors nor bookkeeping.
#include <doctest/doctest.h>

#include <fathom/backend/cpu.hpp>
#include <fathom/continuous/paper_field.hpp>
#include <fathom/evoformer/evoformer.hpp>
#include <fathom/op/random.hpp>

#include "support/sanitizer.hpp"

#if FATHOM_SANITIZED
TEST_CASE("continuous: an evaluation of a block or of the paper's field takes nothing from the heap") {
  MESSAGE("skipped: the sanitizer's allocator stands where the calls would be counted");
}
#else

#include "support/heap_calls.hpp"

using namespace fathom;

namespace {

using B = cpu<float>;

struct tiny : small {
  static constexpr index_t c_m = 16, c_z = 16, c_hidden_msa_att = 8, no_heads_msa = 2, c_hidden_opm = 4;
  static constexpr index_t c_hidden_mul = 16, c_hidden_pair_att = 8, no_heads_pair = 2, transition_n = 2;
};

template <class Field>
long calls_when_warm(const Field& evaluate) {
  for (int warm = 0; warm < 4; ++warm) evaluate();
  const long before = heap_calls.load();
  for (int time = 0; time < 3; ++time) evaluate();
  return heap_calls.load() - before;
}

}  // namespace

TEST_CASE("continuous: an evaluation of a block or of the paper's field takes nothing from the heap") {
  // With several threads chance decides which of them runs which task, and so whose scratch a task needs.
  int threads = 0;
  SUBCASE("one thread") { threads = 1; }
  SUBCASE("three threads") { threads = 3; }
  const B b(cpu_options{.threads = threads});
  const index_t s = 12, n = 20;
  {
    const auto block = initialise(evoformer_block<B, tiny>(b), {.seed = 1, .final_scale = 0.5});
    const msa_pair<B> y{random_normal<3>(b, {s, n, tiny::c_m}, 1), random_normal<3>(b, {n, n, tiny::c_z}, 2)};
    const auto mask = full_masks(b, s, n);
    const long cold = heap_calls.load();
    block(y, mask);
    CHECK(heap_calls.load() > cold);  // the counter counts
    CHECK(calls_when_warm([&] { block(y, mask); }) == 0);
  }
  {
    const auto field = initialise(evoformer_ode_func<B>(b), {.seed = 1, .final_scale = 0.5});
    using field_t = evoformer_ode_func<B>;
    const msa_pair<B> y{random_normal<3>(b, {s, n, field_t::c_m}, 1), random_normal<3>(b, {n, n, field_t::c_z}, 2)};
    const auto t = full<0>(b, {}, 0.3f);
    CHECK(calls_when_warm([&] { field(t, y); }) == 0);
  }
}
#endif
