// SPDX-License-Identifier: Apache-2.0
// One evaluation of the paper's field, beside the machine's own sgemm and, where PEER_ODE names a checkout of the
// paper's repository (and PEER_PYTHON an interpreter with PyTorch), the paper's own. All three take turns.
//
//   bench/run.sh field
//   PEER_PYTHON=venv/bin/python PEER_ODE=checkout bench/run.sh field
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <map>
#include <memory>

#include <fathom/continuous/paper_field.hpp>
#include <fathom/op/random.hpp>

#include "common.hpp"
#include "peer.hpp"

using namespace fathom;

namespace {

using B = cpu<float>;
using field_t = evoformer_ode_func<B>;

struct row {
  double ours = 0, peer = 0, sgemm = 0, rate = 0, goal = 0;
  std::int64_t allocations = 0;
};
std::map<std::string, row> table;

const B& processor() {
  static const B b(cpu_options{.threads = bench::threads()});
  return b;
}

bench::peer& paper() {
  static const auto made =
      bench::peer_of("PEER_ODE", FATHOM_SOURCE_DIR "/bench/peers/paper_field.py", processor().threads());
  return *made;
}

/// Multiply-adds of one evaluation, twice: products only.
double field_flops(double s, double n) {
  const double cm = field_t::c_m, cz = field_t::c_z, h = field_t::hidden;
  const double row = s * n * cm * h * 5 + n * n * cz * field_t::heads + 2 * s * n * n * h;
  const double column = s * n * cm * h * 3 + 2 * n * s * s * h;
  const double transitions = 8 * (s * n * cm * cm + n * n * cz * cz);
  const double outer = 2 * s * n * cm * field_t::c_outer + n * n * field_t::c_outer * (s + cz);
  const double triangle = n * n * cz * (3 * h + cz) + n * n * n * h;
  return 2 * (row + column + transitions + outer + triangle);
}

void run(benchmark::State& bench, index_t s, index_t n, double goal) {
  static const auto field = initialise(field_t(processor()), {.seed = 1, .final_scale = 0.5});
  const msa_pair<B> y{random_normal<3>(processor(), {s, n, field_t::c_m}, 1),
                      random_normal<3>(processor(), {n, n, field_t::c_z}, 2)};
  const auto t = full<0>(processor(), {}, 0.3f);
  const auto evaluate = [&] { benchmark::DoNotOptimize(field(t, y)); };
  bench::sgemm_rate(processor());  // its matrices are not the field's allocations
  for (int warm = 0; warm < 3; ++warm) evaluate();
  const std::string order = "forward " + std::to_string(s) + " " + std::to_string(n);
  paper().measure(order);
  std::vector<double> ours, peers, rates;
  const auto before = memory_counter::allocations();
  for (auto _ : bench) {
    rates.push_back(bench::sgemm_rate(processor()));
    ours.push_back(bench::seconds_of(evaluate));
    if (const auto seconds = paper().measure(order)) peers.push_back(*seconds);
    bench.SetIterationTime(ours.back());
  }
  row r{
      bench::median(ours), bench::median(peers), bench::median(rates), 0, goal, memory_counter::allocations() - before};
  r.rate = field_flops(static_cast<double>(s), static_cast<double>(n)) * 1e-9 / r.ours;
  table[std::to_string(s) + "x" + std::to_string(n)] = r;
}

}  // namespace

int main(int argc, char** argv) {
  std::printf("products by %s\n", bench::products_by);
  for (const auto& [s, n, goal] :
       std::vector<std::tuple<index_t, index_t, double>>{{64, 128, 3.5}, {64, 256, 4}, {128, 256, 5}})
    benchmark::RegisterBenchmark(("field/" + std::to_string(s) + "x" + std::to_string(n)).c_str(),
                                 [s = s, n = n, goal = goal](benchmark::State& state) { run(state, s, n, goal); })
        ->UseManualTime()
        ->Iterations(7)
        ->Unit(benchmark::kMillisecond);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();

  std::printf("\n%-10s %10s %10s %8s %10s %8s %12s\n", "field", "ms", "GFLOP/s", "share", "peer ms", "ratio",
              "allocations");
  for (const auto& [name, r] : table)
    std::printf("%-10s %10.1f %10.1f %7.0f%% %10.1f %8.2f %12lld\n", name.c_str(), r.ours * 1e3, r.rate,
                100 * r.rate / r.sgemm, r.peer * 1e3, r.peer / r.ours, static_cast<long long>(r.allocations));
  std::printf("peer: %s\n", paper().name().empty() ? "none (set PEER_ODE, PEER_PYTHON)" : paper().name().c_str());
  bool pass = true;
  for (const auto& [name, r] : table) {
    pass = bench::result("field_" + name + "_storage_allocations", static_cast<double>(r.allocations), 0, true) && pass;
    if (r.peer > 0) pass = bench::result("field_" + name + "_speed_over_peer", r.peer / r.ours, r.goal, false) && pass;
  }
  return pass ? 0 : 1;
}
