// SPDX-License-Identifier: Apache-2.0
// Peak bytes of one Evoformer block's forward pass beyond its inputs and weights, as a multiple of the state (m and z).
#include <cstdio>

#include <fathom/evoformer/evoformer.hpp>

#include "common.hpp"

using namespace fathom;

int main() {
  std::printf("products by %s\n", bench::products_by);
  using B = cpu<float>;
  const B b(cpu_options{.threads = 4});
  const auto block = initialise(evoformer_block<B, alphafold2>(b), {.seed = 1, .final_scale = 0.5});
  std::printf("%-10s %12s %12s %8s\n", "block", "state MB", "peak MB", "ratio");
  bool pass = true;
  for (const auto& [s, n] : {std::pair<index_t, index_t>{128, 64}, {128, 128}, {128, 256}}) {
    const auto mask = full_masks(b, s, n);
    const msa_pair<B> y{full<3>(b, {s, n, alphafold2::c_m}, 0.5f), full<3>(b, {n, n, alphafold2::c_z}, 0.5f)};
    const double state = 4.0 * static_cast<double>(tree::count(y));
    b.release_memory();
    b.pool().release_scratch();
    const auto before = memory_counter::in_use();
    memory_counter::reset_peak();
    const auto out = block(y, mask);
    const double peak = static_cast<double>(memory_counter::peak() - before);
    std::printf("%3td x %-4td %12.1f %12.1f %8.2f\n", s, n, state / 1e6, peak / 1e6, peak / state);
    const double goal = n == 256 ? 3 : n == 128 ? 2.5 : 3.5;
    pass = bench::result("block_forward_" + std::to_string(s) + "x" + std::to_string(n) + "_peak_over_state",
                         peak / state, goal, true) &&
           pass;
  }
  return pass ? 0 : 1;
}
