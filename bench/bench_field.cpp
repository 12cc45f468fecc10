// SPDX-License-Identifier: Apache-2.0
// One evaluation of the paper's field, beside the machine's own sgemm and, where PEER_ODE names a checkout of the
// paper's repository, the paper's own in the PyTorch of PEER_PYTHON and of PEER_PYTHON_2. All take turns. Calls of the
// heap are those of the timed evaluations, tensors and bookkeeping together.
//
//   bench/run.sh field
//   eval "$(bench/peers.sh)" && bench/run.sh field
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <map>

#include <fathom/continuous/paper_field.hpp>
#include <fathom/op/random.hpp>

#include "../tests/support/heap_calls.hpp"
#include "common.hpp"
#include "peer.hpp"

using namespace fathom;

namespace {

using B = cpu<float>;
using field_t = evoformer_ode_func<B>;

struct row {
  double ours = 0, peer = 0, sgemm = 0, rate = 0, goal = 0, peak = 0, first_peer = 0, second_peer = 0;
  long allocations = 0;
};
std::map<std::string, row> table;

const B& processor() {
  static const B b(cpu_options{.threads = bench::threads()});
  return b;
}

bench::peers& paper() {
  static bench::peers made("PEER_ODE", FATHOM_SOURCE_DIR "/bench/peers/paper_field.py", processor().threads());
  return made;
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
  const auto before = memory_counter::in_use();
  processor().release_memory();
  memory_counter::reset_peak();
  evaluate();
  const double peak = static_cast<double>(memory_counter::peak() - before);
  bench::sgemm_rate(processor());  // its matrices are not the field's allocations
  for (int warm = 0; warm < 3; ++warm) evaluate();
  const std::string order = "forward " + std::to_string(s) + " " + std::to_string(n);
  paper().warm(order);
  std::vector<double> ours, rates;
  long allocations = 0;
  for (auto _ : bench) {
    rates.push_back(bench::sgemm_rate(processor()));
    const long calls = heap_calls.load();
    const double seconds = bench::seconds_of(evaluate);
    allocations += heap_calls.load() - calls;
    ours.push_back(seconds);
    paper().measure(order);
    bench.SetIterationTime(seconds);
  }
  row r{bench::median(ours), paper().best(),     bench::median(rates), 0, goal, peak,
        paper().seconds(0),  paper().seconds(1), allocations};
  r.rate = field_flops(static_cast<double>(s), static_cast<double>(n)) * 1e-9 / r.ours;
  table[std::to_string(s) + "x" + std::to_string(n)] = r;
}

}  // namespace

int main(int argc, char** argv) {
  bench::introduce();
  paper().introduce("set PEER_ODE and PEER_PYTHON, see bench/peers.sh");
  for (const auto& [s, n, goal] :
       std::vector<std::tuple<index_t, index_t, double>>{{64, 128, 3.5}, {64, 256, 4}, {128, 256, 5}})
    benchmark::RegisterBenchmark(("field/" + std::to_string(s) + "x" + std::to_string(n)).c_str(),
                                 [s = s, n = n, goal = goal](benchmark::State& state) { run(state, s, n, goal); })
        ->UseManualTime()
        ->Iterations(7)
        ->Unit(benchmark::kMillisecond);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();

  std::printf("\n%-10s %10s %10s %8s %10s %10s %8s %8s %12s\n", "field", "ms", "GFLOP/s", "share", "peer 1 ms",
              "peer 2 ms", "ratio", "MB", "heap calls");
  for (const auto& [name, r] : table) {
    std::printf("%-10s %10.1f %10.1f %7.0f%% %10.1f %10.1f %8.2f %8.0f %12ld\n", name.c_str(), r.ours * 1e3, r.rate,
                100 * r.rate / r.sgemm, r.first_peer * 1e3, r.second_peer * 1e3, r.peer / r.ours, r.peak * 1e-6,
                r.allocations);
    bench::report::of_this_run().row(name, {{"ms", r.ours * 1e3},
                                            {"GFLOP/s", r.rate},
                                            {"share", r.rate / r.sgemm},
                                            {"sgemm GFLOP/s", r.sgemm},
                                            {"peer 1 ms", r.first_peer * 1e3},
                                            {"peer 2 ms", r.second_peer * 1e3},
                                            {"ratio", r.peer / r.ours},
                                            {"MB", r.peak * 1e-6},
                                            {"heap calls", static_cast<double>(r.allocations)}});
  }
  bool pass = true;
  for (const auto& [name, r] : table) {
    pass = bench::result("field_" + name + "_heap_calls", static_cast<double>(r.allocations), 0, true) && pass;
    if (r.peer > 0)
      pass =
          bench::result("field_" + name + "_speed_over_peer", r.peer / r.ours, bench::peer_goal(r.goal), false) && pass;
  }
  return pass ? 0 : 1;
}
