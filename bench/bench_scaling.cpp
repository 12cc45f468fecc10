// SPDX-License-Identifier: Apache-2.0
// What four threads gain over one, of an Evoformer block's forward pass and of a 2048^3 sgemm, in turns: both share the
// machine's clocks, caches and memory, so that sgemm's own gain is the most to be had.
#include <cstdio>

#include <fathom/evoformer/evoformer.hpp>
#include <fathom/op/random.hpp>

#include "common.hpp"

using namespace fathom;

int main() {
  bench::introduce();
  using B = cpu<float>;
  constexpr index_t s = 128, n = 128;
  const auto made = [](int threads) {
    const B b(cpu_options{.threads = threads});
    return std::tuple(
        b, initialise(evoformer_block<B, alphafold2>(b), {.seed = 1, .final_scale = 0.5}),
        msa_pair<B>{random_normal<3>(b, {s, n, alphafold2::c_m}, 1), random_normal<3>(b, {n, n, alphafold2::c_z}, 2)},
        full_masks(b, s, n));
  };
  const auto one = made(1), four = made(4);
  const auto seconds = [](const auto& on) {
    const auto& [b, block, y, mask] = on;
    return bench::seconds_of([&, &block = block, &y = y, &mask = mask] { block(y, mask); });
  };
  std::vector<double> block_one, block_four, sgemm_one, sgemm_four;
  for (int round = 0; round < 8; ++round) {
    sgemm_one.push_back(bench::sgemm_seconds(std::get<0>(one)));
    sgemm_four.push_back(bench::sgemm_seconds(std::get<0>(four)));
    block_one.push_back(seconds(one));
    block_four.push_back(seconds(four));
    if (round == 0) sgemm_one.clear(), sgemm_four.clear(), block_one.clear(), block_four.clear();
  }
  const double block = bench::median(block_one) / bench::median(block_four);
  const double sgemm = bench::median(sgemm_one) / bench::median(sgemm_four);
  std::printf("%-22s %12s %12s %8s\n", "", "1 thread ms", "4 threads ms", "gain");
  const auto show = [](const char* name, const std::vector<double>& with_one, const std::vector<double>& with_four,
                       double gain) {
    const double first = bench::median(with_one) * 1e3, second = bench::median(with_four) * 1e3;
    std::printf("%-22s %12.1f %12.1f %8.2f\n", name, first, second, gain);
    bench::report::of_this_run().row(name, {{"1 thread ms", first}, {"4 threads ms", second}, {"gain", gain}});
  };
  show("block forward 128x128", block_one, block_four, block);
  show("sgemm 2048^3", sgemm_one, sgemm_four, sgemm);
  return bench::result("scaling_block_forward_128x128_4_over_1", block, 2.3, false) ? 0 : 1;
}
