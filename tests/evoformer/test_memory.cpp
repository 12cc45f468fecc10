// SPDX-License-Identifier: Apache-2.0
// Memory of a block at the size of the performance target: 128 sequences, 128 residues, AlphaFold2's channels.
#include <doctest/doctest.h>

#include <fathom/backend/cpu.hpp>
#include <fathom/core/memory.hpp>
#include <fathom/evoformer/evoformer.hpp>

using namespace fathom;

TEST_CASE("evoformer: a block's forward peaks at four times its state beyond inputs and weights") {
  using B = cpu<float>;
  const B b(cpu_options{.threads = 4});
  const index_t s = 128, n = 128;
  const std::int64_t state = (s * n * alphafold2::c_m + n * n * alphafold2::c_z) * 4;
  const auto block = initialise(evoformer_block<B, alphafold2>(b), {.seed = 1, .final_scale = 0.1});
  const msa_pair<B> x{full<3>(b, {s, n, alphafold2::c_m}, 0.1f), full<3>(b, {n, n, alphafold2::c_z}, -0.2f)};
  const auto mask = full_masks(b, s, n);
  const std::int64_t before = memory_counter::current();
  memory_counter::reset_peak();
  const auto y = block(x, mask);
  const std::int64_t peak = memory_counter::peak() - before;
  MESSAGE("peak " << static_cast<double>(peak) / static_cast<double>(state) << " times the state");
  CHECK(peak >= state);  // the output is counted
  CHECK(peak <= 4 * state);
  CHECK(y.m.shape() == x.m.shape());
}
