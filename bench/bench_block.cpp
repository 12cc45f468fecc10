// SPDX-License-Identifier: Apache-2.0
// One full Evoformer block with AlphaFold2's sizes, forward and forward with backward, beside the machine's own sgemm
// and, where PEER_OPENFOLD names a checkout of OpenFold (and PEER_PYTHON an interpreter with PyTorch), OpenFold's
// block. All three take turns, so that a machine that slows down slows all of them.
//
//   bench/run.sh block
//   PEER_PYTHON=venv/bin/python PEER_OPENFOLD=checkout bench/run.sh block
#include <benchmark/benchmark.h>

#include <map>
#include <memory>

#include <fathom/autodiff/gradient.hpp>
#include <fathom/evoformer/evoformer.hpp>
#include <fathom/op/random.hpp>

#include "common.hpp"
#include "peer.hpp"

using namespace fathom;

namespace {

using B = cpu<float>;

struct row {
  double ours = 0, peer = 0, sgemm = 0, rate = 0, peak = 0;
};
std::map<std::string, row> table;

const B& processor() {
  static const B b(cpu_options{.threads = bench::threads()});
  return b;
}

bench::peer& openfold() {
  static const auto made =
      bench::peer_of("PEER_OPENFOLD", FATHOM_SOURCE_DIR "/bench/peers/openfold_block.py", processor().threads());
  return *made;
}

const evoformer_block<B, alphafold2>& block() {
  static const auto made = initialise(evoformer_block<B, alphafold2>(processor()), {.seed = 1, .final_scale = 0.5});
  return made;
}

msa_pair<B> state(index_t s, index_t n) {
  return {random_normal<3>(processor(), {s, n, alphafold2::c_m}, 1),
          random_normal<3>(processor(), {n, n, alphafold2::c_z}, 2)};
}

/// Multiply-adds of one forward block, twice: products only.
double block_flops(double s, double n) {
  using D = alphafold2;
  const double cm = D::c_m, cz = D::c_z, hm = D::c_hidden_msa_att * D::no_heads_msa,
               hp = D::c_hidden_pair_att * D::no_heads_pair;
  const double row = s * n * cm * hm * 5 + n * n * cz * D::no_heads_msa + 2 * s * n * n * hm;
  const double column = s * n * cm * hm * 5 + 2 * n * s * s * hm;
  const double transitions = 2 * D::transition_n * (s * n * cm * cm + n * n * cz * cz);
  const double c = D::c_hidden_opm;
  const double opm = 2 * s * n * cm * c + n * n * c * c * (s + cz);
  const double mul = D::c_hidden_mul;
  const double triangle = 2 * (n * n * cz * mul * 4 + n * n * n * mul + n * n * mul * cz + n * n * cz * cz);
  const double attention = 2 * (n * n * cz * hp * 5 + n * n * cz * D::no_heads_pair + 2 * n * n * n * hp);
  return 2 * (row + column + transitions + opm + triangle + attention);
}

void run(benchmark::State& bench, const std::string& what, index_t s, index_t n) {
  const auto y = state(s, n);
  const auto mask = full_masks(processor(), s, n);
  const auto forward = [&] { benchmark::DoNotOptimize(block()(y, mask)); };
  const bool recomputes = what == "recompute", both = recomputes || what == "backward";
  const auto backward = [&] {
    // PyTorch keeps all activations; so do we here, unless asked to show what recomputation costs.
    const keep_activations keep(recomputes ? 0 : std::int64_t(8) << 30);
    const auto tree = std::tuple(block(), y);
    benchmark::DoNotOptimize(value_and_gradient(
        [&](const auto& t) {
          using A = autodiff<B>;
          const masks<A> m{constant(A(processor()), mask.msa), constant(A(processor()), mask.pair)};
          const auto out = std::get<0>(t)(std::get<1>(t), m);
          return sum(out.m) + sum(out.z);
        },
        tree));
  };
  const auto before = memory_counter::in_use();
  processor().release_memory();
  memory_counter::reset_peak();
  both ? backward() : forward();
  const double peak = static_cast<double>(memory_counter::peak() - before);
  const std::string order = (both ? "backward " : "forward ") + std::to_string(s) + " " + std::to_string(n);
  openfold().measure(order);
  std::vector<double> ours, peers, rates;
  for (auto _ : bench) {
    rates.push_back(bench::sgemm_rate(processor()));
    ours.push_back(bench::seconds_of([&] { both ? backward() : forward(); }));
    if (const auto seconds = openfold().measure(order)) peers.push_back(*seconds);
    bench.SetIterationTime(ours.back());
  }
  const double flops = block_flops(static_cast<double>(s), static_cast<double>(n)) * (both ? 3 : 1);
  row r{bench::median(ours), bench::median(peers), bench::median(rates), flops * 1e-9 / bench::median(ours), peak};
  bench.counters["GFLOP/s"] = r.rate;
  bench.counters["sgemm"] = r.sgemm;
  bench.counters["share"] = r.rate / r.sgemm;
  if (!peers.empty()) bench.counters["peer_ms"] = r.peer * 1e3;
  table[what + "_" + std::to_string(s) + "x" + std::to_string(n)] = r;
}

}  // namespace

int main(int argc, char** argv) {
  std::printf("products by %s\n", bench::products_by);
  for (const auto& [what, s, n] : std::vector<std::tuple<std::string, index_t, index_t>>{{"forward", 128, 64},
                                                                                         {"forward", 128, 128},
                                                                                         {"forward", 128, 256},
                                                                                         {"backward", 128, 64},
                                                                                         {"backward", 128, 128},
                                                                                         {"recompute", 128, 128}})
    benchmark::RegisterBenchmark(("block/" + what + "/" + std::to_string(s) + "x" + std::to_string(n)).c_str(),
                                 [what = what, s = s, n = n](benchmark::State& state) { run(state, what, s, n); })
        ->UseManualTime()
        ->Iterations(7)
        ->Unit(benchmark::kMillisecond);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();

  std::printf("\n%-22s %10s %10s %8s %10s %8s %8s\n", "block", "ms", "GFLOP/s", "share", "peer ms", "ratio", "MB");
  for (const auto& [name, r] : table)
    std::printf("%-22s %10.1f %10.1f %7.0f%% %10.1f %8.2f %8.0f\n", name.c_str(), r.ours * 1e3, r.rate,
                100 * r.rate / r.sgemm, r.peer * 1e3, r.peer / r.ours, r.peak * 1e-6);
  std::printf("peer: %s\n",
              openfold().name().empty() ? "none (set PEER_OPENFOLD, PEER_PYTHON)" : openfold().name().c_str());
  struct goal {
    const char* name;
    double ratio, share;
  };
  bool pass = true;
  for (const goal& g :
       {goal{"forward_128x64", 2.2, 0.65}, goal{"forward_128x128", 2.3, 0.65}, goal{"forward_128x256", 3.6, 0.6},
        goal{"backward_128x64", 1.7, 0}, goal{"backward_128x128", 1.7, 0}}) {
    const auto at = table.find(g.name);
    if (at == table.end()) continue;
    const row& r = at->second;
    const std::string name = std::string("block_") + g.name;
    if (g.share > 0) pass = bench::result(name + "_share_of_sgemm", r.rate / r.sgemm, g.share, false) && pass;
    if (r.peer > 0) pass = bench::result(name + "_speed_over_peer", r.peer / r.ours, g.ratio, false) && pass;
  }
  return pass ? 0 : 1;
}
