// SPDX-License-Identifier: Apache-2.0
// Peak bytes of one Evoformer block's forward pass beyond its inputs and weights, as a multiple of the state (m and z);
// and the block at 1,024 residues x 128 sequences: whether it runs in 20 GB, the whole process counted.
//
//   bench/run.sh memory
//   bench/run.sh memory -- small        without 1,024 residues (half a minute on four threads)
#include <sys/resource.h>

#include <cstdio>
#include <cstring>

#include <fathom/evoformer/evoformer.hpp>
#include <fathom/op/random.hpp>

#include "common.hpp"

using namespace fathom;

namespace {

using B = cpu<float>;

/// Most memory that this process ever had, in bytes.
double peak_of_process() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

struct cost {
  double state = 0, peak = 0, seconds = 0;
};

cost forward(const B& b, const evoformer_block<B, alphafold2>& block, index_t s, index_t n) {
  const auto mask = full_masks(b, s, n);
  const msa_pair<B> y{random_normal<3>(b, {s, n, alphafold2::c_m}, 1), random_normal<3>(b, {n, n, alphafold2::c_z}, 2)};
  b.release_memory();
  b.pool().release_scratch();
  const auto before = memory_counter::in_use();
  memory_counter::reset_peak();
  cost c;
  c.seconds = bench::seconds_of([&] {
    const auto out = block(y, mask);
    c.peak = static_cast<double>(memory_counter::peak() - before);
    if (!std::isfinite(item(sum(out.m) + sum(out.z)))) throw numerical_error("bench_memory: a value is not finite");
  });
  c.state = 4.0 * static_cast<double>(tree::count(y));
  return c;
}

}  // namespace

int main(int argc, char** argv) {
  bench::introduce();
  const B b(cpu_options{.threads = bench::threads()});
  const auto block = initialise(evoformer_block<B, alphafold2>(b), {.seed = 1, .final_scale = 0.5});
  std::printf("%-12s %12s %12s %8s %10s\n", "block", "state MB", "peak MB", "ratio", "ms");
  const auto show = [&](const std::string& name, const cost& c) {
    std::printf("%-12s %12.1f %12.1f %8.2f %10.0f\n", name.c_str(), c.state / 1e6, c.peak / 1e6, c.peak / c.state,
                c.seconds * 1e3);
    std::fflush(stdout);
    bench::report::of_this_run().row(name, {{"state MB", c.state * 1e-6},
                                            {"MB", c.peak * 1e-6},
                                            {"peak over state", c.peak / c.state},
                                            {"ms", c.seconds * 1e3}});
  };
  bool pass = true;
  for (const auto& [s, n] : {std::pair<index_t, index_t>{128, 64}, {128, 128}, {128, 256}}) {
    const cost c = forward(b, block, s, n);
    const std::string size = std::to_string(s) + "x" + std::to_string(n);
    show(size, c);
    const double goal = n == 256 ? 3 : n == 128 ? 2.5 : 3.5;
    pass = bench::result("block_forward_" + size + "_peak_over_state", c.peak / c.state, goal, true) && pass;
  }
  if (argc > 1 && std::strcmp(argv[1], "small") == 0) return pass ? 0 : 1;
  show("128x1024", forward(b, block, 128, 1024));
  pass = bench::result("block_forward_128x1024_process_gb", peak_of_process() * 1e-9, 20, true) && pass;
  return pass ? 0 : 1;
}
