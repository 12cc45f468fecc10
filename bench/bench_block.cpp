// SPDX-License-Identifier: Apache-2.0
// One full Evoformer block with AlphaFold2's sizes, forward and forward with backward, and its sub-layers one by one at
// 128 x 256, beside the machine's own sgemm and, where PEER_OPENFOLD names a checkout of OpenFold, OpenFold's block in
// the PyTorch of PEER_PYTHON and of PEER_PYTHON_2. All take turns, so that a machine that slows down slows all of them.
//
//   bench/run.sh block
//   bench/run.sh block -- --benchmark_filter=module
//   eval "$(bench/peers.sh)" && bench/run.sh block
#include <benchmark/benchmark.h>

#include <map>
#include <memory>

#include <fathom/autodiff/gradient.hpp>
#include <fathom/evoformer/evoformer.hpp>
#include <fathom/op/random.hpp>

#include "common.hpp"
#include "on_gpu.hpp"
#include "peer.hpp"

using namespace fathom;

namespace {

using B = cpu<float>;

struct row {
  double ours = 0, peer = 0, sgemm = 0, rate = 0, peak = 0, first_peer = 0, second_peer = 0;
};
std::map<std::string, row> table;

const B& processor() {
  static const B b(cpu_options{.threads = bench::threads()});
  return b;
}

bench::peers& openfold() {
  static bench::peers made("PEER_OPENFOLD", FATHOM_SOURCE_DIR "/bench/peers/openfold_block.py", processor().threads());
  return made;
}

const evoformer_block<B, alphafold2>& block() {
  static const auto made = initialise(evoformer_block<B, alphafold2>(processor()), {.seed = 1, .final_scale = 0.5});
  return made;
}

msa_pair<B> state(index_t s, index_t n) {
  return {random_normal<3>(processor(), {s, n, alphafold2::c_m}, 1),
          random_normal<3>(processor(), {n, n, alphafold2::c_z}, 2)};
}

/// Multiply-adds of one forward pass of a sub-layer, twice: products only.
double sublayer_flops(evoformer_sublayer which, double s, double n) {
  using D = alphafold2;
  const double cm = D::c_m, cz = D::c_z, hm = D::c_hidden_msa_att * D::no_heads_msa,
               hp = D::c_hidden_pair_att * D::no_heads_pair, mul = D::c_hidden_mul, c = D::c_hidden_opm;
  switch (which) {
    case evoformer_sublayer::msa_row_attention:
      return 2 * (s * n * cm * hm * 5 + n * n * cz * D::no_heads_msa + 2 * s * n * n * hm);
    case evoformer_sublayer::msa_column_attention:
      return 2 * (s * n * cm * hm * 5 + 2 * n * s * s * hm);
    case evoformer_sublayer::msa_transition:
      return 4 * D::transition_n * s * n * cm * cm;
    case evoformer_sublayer::outer_product_mean:
      return 2 * (2 * s * n * cm * c + n * n * c * c * (s + cz));
    case evoformer_sublayer::triangle_multiplication_outgoing:
    case evoformer_sublayer::triangle_multiplication_incoming:
      return 2 * (n * n * cz * mul * 4 + n * n * n * mul + n * n * mul * cz + n * n * cz * cz);
    case evoformer_sublayer::triangle_attention_starting:
    case evoformer_sublayer::triangle_attention_ending:
      return 2 * (n * n * cz * hp * 5 + n * n * cz * D::no_heads_pair + 2 * n * n * n * hp);
    case evoformer_sublayer::pair_transition:
      return 4 * D::transition_n * n * n * cz * cz;
  }
  return 0;
}
double block_flops(double s, double n) {
  double sum = 0;
  for (const auto which : block_sublayers(false)) sum += sublayer_flops(which, s, n);
  return sum;
}

/// What the table calls them, and the share of sgemm that each is to reach at 128 x 256; 0: none is asked for.
struct named_module {
  const char* name;
  evoformer_sublayer which;
  double goal;
};
constexpr named_module modules[] = {
    {"row_attention", evoformer_sublayer::msa_row_attention, 0.4},
    {"column_attention", evoformer_sublayer::msa_column_attention, 0},
    {"msa_transition", evoformer_sublayer::msa_transition, 0},
    {"outer_product_mean", evoformer_sublayer::outer_product_mean, 0},
    {"triangle_multiplication_outgoing", evoformer_sublayer::triangle_multiplication_outgoing, 0.45},
    {"triangle_multiplication_incoming", evoformer_sublayer::triangle_multiplication_incoming, 0.45},
    {"triangle_attention_starting", evoformer_sublayer::triangle_attention_starting, 0.4},
    {"triangle_attention_ending", evoformer_sublayer::triangle_attention_ending, 0.4},
    {"pair_transition", evoformer_sublayer::pair_transition, 0}};

/// One sub-layer's update at 128 x 256, without its residual.
void run_module(benchmark::State& bench, const named_module& one) {
  constexpr index_t s = 128, n = 256;
  const auto y = state(s, n);
  const auto mask = full_masks(processor(), s, n);
  const auto update = [&] { benchmark::DoNotOptimize(block().update(one.which, y, mask)); };
  const auto before = memory_counter::in_use();
  processor().release_memory();
  memory_counter::reset_peak();
  update();
  const double peak = static_cast<double>(memory_counter::peak() - before);
  update();
  std::vector<double> ours, rates;
  for (auto _ : bench) {
    rates.push_back(bench::sgemm_rate(processor()));
    ours.push_back(bench::seconds_of(update));
    bench.SetIterationTime(ours.back());
  }
  row r;
  r.ours = bench::median(ours);
  r.sgemm = bench::median(rates);
  r.rate = sublayer_flops(one.which, s, n) * 1e-9 / r.ours;
  r.peak = peak;
  table[std::string("module_") + one.name] = r;
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
  openfold().warm(order);
  std::vector<double> ours, rates;
  for (auto _ : bench) {
    rates.push_back(bench::sgemm_rate(processor()));
    ours.push_back(bench::seconds_of([&] { both ? backward() : forward(); }));
    openfold().measure(order);
    bench.SetIterationTime(ours.back());
  }
  const double flops = block_flops(static_cast<double>(s), static_cast<double>(n)) * (both ? 3 : 1);
  row r{bench::median(ours),   openfold().best(),    bench::median(rates), flops * 1e-9 / bench::median(ours), peak,
        openfold().seconds(0), openfold().seconds(1)};
  bench.counters["GFLOP/s"] = r.rate;
  bench.counters["sgemm"] = r.sgemm;
  bench.counters["share"] = r.rate / r.sgemm;
  if (r.peer > 0) bench.counters["peer_ms"] = r.peer * 1e3;
  table[what + "_" + std::to_string(s) + "x" + std::to_string(n)] = r;
}

}  // namespace

int main(int argc, char** argv) {
  if (const auto code = bench::block_device(argc, argv)) return *code;
  bench::introduce();
  openfold().introduce("set PEER_OPENFOLD and PEER_PYTHON, see bench/peers.sh");
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
  for (const auto& one : modules)
    benchmark::RegisterBenchmark((std::string("module/") + one.name).c_str(),
                                 [&one](benchmark::State& state) { run_module(state, one); })
        ->UseManualTime()
        ->Iterations(7)
        ->Unit(benchmark::kMillisecond);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();

  std::printf("\n%-42s %10s %10s %8s %10s %10s %8s %8s\n", "block", "ms", "GFLOP/s", "share", "peer 1 ms", "peer 2 ms",
              "ratio", "MB");
  for (const auto& [name, r] : table) {
    std::printf("%-42s %10.1f %10.1f %7.0f%% %10.1f %10.1f %8.2f %8.0f\n", name.c_str(), r.ours * 1e3, r.rate,
                100 * r.rate / r.sgemm, r.first_peer * 1e3, r.second_peer * 1e3, r.peer / r.ours, r.peak * 1e-6);
    bench::report::of_this_run().row(name, {{"ms", r.ours * 1e3},
                                            {"GFLOP/s", r.rate},
                                            {"share", r.rate / r.sgemm},
                                            {"sgemm GFLOP/s", r.sgemm},
                                            {"peer 1 ms", r.first_peer * 1e3},
                                            {"peer 2 ms", r.second_peer * 1e3},
                                            {"ratio", r.peer / r.ours},
                                            {"MB", r.peak * 1e-6}});
  }
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
    if (r.peer > 0)
      pass = bench::result(name + "_speed_over_peer", r.peer / r.ours, bench::peer_goal(g.ratio), false) && pass;
  }
  for (const auto& one : modules) {
    const auto at = table.find(std::string("module_") + one.name);
    if (at == table.end() || one.goal <= 0) continue;
    pass = bench::result(at->first + "_128x256_share_of_sgemm", at->second.rate / at->second.sgemm, one.goal, false) &&
           pass;
  }
  return pass ? 0 : 1;
}
