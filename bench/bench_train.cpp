// SPDX-License-Identifier: Apache-2.0
// One training step of the model that ships (compact_fold_model: crops of 192 residues, batch of 2, heun:2), as
// examples/train runs it on this many threads, beside the machine's own sgemm. Its products are counted, not estimated:
// those of one pass forward and backward in which nothing is computed twice, whatever the timed step repeats.
//
//   bench/run.sh train
#define FATHOM_COUNT_PRODUCTS 1
#include <cmath>
#include <cstdio>
#include <vector>

#include <fathom/train/chain_files.hpp>
#include <fathom/train/sample.hpp>
#include <fathom/train/trainer.hpp>

#include "common.hpp"

using namespace fathom;

namespace {

using B = cpu<float>;
using model = compact_fold_model<B, compact>;

/// The shipped chains one behind the other, 40 Angstrom apart, until there are `length` residues.
train::chain long_chain(index_t length) {
  const auto chains = train::read_chains(FATHOM_SOURCE_DIR "/examples/data/chains");
  train::chain all;
  all.name = all.cluster = "joined";
  all.positions = host_tensor<float>({length, atom14_count, 3});
  all.mask = host_tensor<std::uint8_t>({length, atom14_count});
  for (std::size_t next = 0; all.size() < length; ++next) {
    const auto& from = chains[next % chains.size()];
    for (index_t i = 0; i < from.size() && all.size() < length; ++i) {
      const index_t at = all.size();
      all.aatype.push_back(from.aatype[static_cast<std::size_t>(i)]);
      for (index_t atom = 0; atom < atom14_count; ++atom) {
        all.mask(at, atom) = from.mask(i, atom);
        for (index_t x = 0; x < 3; ++x)
          all.positions(at, atom, x) = from.positions(i, atom, x) + (x == 0 ? 40.0f * static_cast<float>(next) : 0.0f);
      }
    }
  }
  return all;
}

}  // namespace

int main() {
  bench::introduce();
  train::training_config c;
  c.crop = 192;
  c.batch = 2;
  c.clamp_probability = 0.75;
  c.solvers = "heun:2";
  c.phases = "0: fape=1 supervised_chi=0.1 distogram=0.3 plddt=0.01 violation=0.05";
  const auto chain = long_chain(c.crop);
  std::vector<train::sample> batch;
  for (index_t k = 0; k < c.batch; ++k) {
    train::sample_draw draw;
    draw.length = c.crop;
    draw.key = static_cast<std::uint64_t>(k);
    batch.push_back(train::make_sample(chain, draw));
  }
  const B whole(cpu_options{.threads = bench::threads()});
  const int workers = std::min(bench::threads(), static_cast<int>(c.batch));
  const cpu_options inside{.threads = std::max(1, bench::threads() / workers)};
  train::trainer<model> run(c, workers, [&] { return B(inside); });
  run.keep_up_to(std::int64_t(2048) << 20);  // the default of examples/train

  // The same gradient, twice: with every activation kept, and with chunks run again.
  train::run_options options;
  options.solver = parse_trunk_solvers(c.solvers).front();
  options.dropout = c.dropout;
  options.loss.weights = train::weights_at(train::parse_phases(c.phases), 0);
  options.loss.crop = c.crop;
  const auto gradient = [&](std::int64_t kept) {
    const keep_activations keep(kept);
    return to_host(train::differentiate(run.model(), batch.front(), options).gradient).data;
  };
  const std::int64_t at_first = cpu_kernels::multiply_adds.load();
  const auto kept = gradient(std::int64_t(8) << 30);
  const double products = static_cast<double>(cpu_kernels::multiply_adds.load() - at_first);
  const auto again = gradient(0);
  double difference = 0;
  for (std::size_t i = 0; i < kept.size(); ++i)
    difference = std::max(difference, std::abs(static_cast<double>(kept[i]) - static_cast<double>(again[i])));

  run.step(batch);
  memory_counter::reset_peak();
  std::vector<double> seconds, rates;
  for (int turn = 0; turn < 7; ++turn) {
    rates.push_back(bench::sgemm_rate(whole));
    seconds.push_back(bench::seconds_of([&] { run.step(batch); }));
  }
  const double peak = static_cast<double>(memory_counter::peak());
  const double took = bench::median(seconds), sgemm = bench::median(rates);
  const double rate = 2e-9 * products * static_cast<double>(c.batch) / took;
  std::printf("%-32s %10s %10s %10s %8s %8s\n", "training step", "ms", "GFLOP", "GFLOP/s", "share", "MB");
  std::printf("%-32s %10.1f %10.1f %10.1f %7.0f%% %8.0f\n", "small model, crop 192, batch 2", took * 1e3, rate * took,
              rate, 100 * rate / sgemm, peak * 1e-6);
  bench::report::of_this_run().row("small model, crop 192, batch 2", {{"ms", took * 1e3},
                                                                      {"GFLOP", rate * took},
                                                                      {"GFLOP/s", rate},
                                                                      {"share", rate / sgemm},
                                                                      {"sgemm GFLOP/s", sgemm},
                                                                      {"MB", peak * 1e-6}});
  const bool same = bench::result("train_step_gradient_change_when_chunks_are_kept", difference, 0, true);
  return bench::result("train_step_share_of_sgemm", rate / sgemm, 0.6, false) && same ? 0 : 1;
}
