// SPDX-License-Identifier: Apache-2.0
// A run that is over in seconds: a tiny model on crops of the shipped chains.
#pragma once

#include <cstdint>
#include <vector>

#include <fathom/backend/cpu.hpp>
#include <fathom/train/chain_files.hpp>
#include <fathom/train/trainer.hpp>

namespace tiny_run {

using namespace fathom;

using B = cpu<float>;

// Learning takes a hundred times as long under ThreadSanitizer and shows it nothing that the other tests do not.
#if defined(__SANITIZE_THREAD__)
constexpr bool too_slow = true;
#else
constexpr bool too_slow = false;
#endif

struct tiny : compact {
  static constexpr index_t c_m = 16, c_z = 8, c_s = 16;
  static constexpr index_t c_hidden_msa_att = 8, no_heads_msa = 2, c_hidden_opm = 4, c_hidden_mul = 8;
  static constexpr index_t c_hidden_pair_att = 8, no_heads_pair = 1;
  static constexpr index_t no_heads_ipa = 2, c_ipa = 8, c_resnet = 16;
};
using net = compact_fold_model<B, tiny, continuous_depth>;

inline train::training_config settings() {
  train::training_config c;
  c.crop = 16;
  c.batch = 3;
  c.structure_blocks = 2;
  c.solvers = "heun:1,euler:2";
  c.recycles = 1;
  c.warmup = 5;
  c.learning_rate = 2e-3;
  c.mask_fraction = 0.1;
  c.phases = "0: fape=1 supervised_chi=0.1 distogram=0.3 masked_msa=0.1 plddt=0.01";
  return c;
}

inline const std::vector<train::chain>& chains() {
  static const auto all = train::read_chains(FATHOM_SOURCE_DIR "/examples/data/chains");
  return all;
}

template <class Model>
train::trainer<Model> start(const train::training_config& c, int threads = 1) {
  return train::trainer<Model>(c, threads, [] { return B(cpu_options{.threads = 1}); });
}

inline train::sample sample_of(const train::training_config& c, std::uint64_t n) {
  const train::sampler draw(chains(), {.seed = c.seed, .crop = c.crop, .clamp_probability = c.clamp_probability});
  const auto d = draw(n);
  return train::make_sample(chains()[d.chain], d,
                            {.clusters = c.clusters, .passes = c.recycles + 1, .mask_fraction = c.mask_fraction});
}

inline std::vector<train::sample> next_batch(const train::training_config& c, std::uint64_t first) {
  std::vector<train::sample> batch;
  for (index_t k = 0; k < c.batch; ++k) batch.push_back(sample_of(c, first + static_cast<std::uint64_t>(k)));
  return batch;
}

template <class Model>
train::step_report advance(train::trainer<Model>& run, index_t steps) {
  train::step_report last;
  while (run.steps() < steps) last = run.step(next_batch(run.config(), run.next_sample()));
  return last;
}

template <class Model>
std::vector<float> weights(const train::trainer<Model>& run) {
  return to_host(train::flatten(run.model())).data;
}

}  // namespace tiny_run
