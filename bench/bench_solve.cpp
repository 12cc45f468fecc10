// SPDX-License-Identifier: Apache-2.0
// Whole solves of the paper's field: rk4 with one step (four evaluations) and dopri5 to a tolerance, beside as many
// single evaluations, and, where PEER_TORCHDIFFEQ names a checkout of torchdiffeq, beside its rk4 in the PyTorch of
// PEER_PYTHON and of PEER_PYTHON_2. All take turns.
//
//   bench/run.sh solve
//   eval "$(bench/peers.sh)" && bench/run.sh solve
#include <cstdio>
#include <string>
#include <vector>

#include <fathom/continuous/paper_field.hpp>
#include <fathom/io/parameters.hpp>
#include <fathom/ode/ode.hpp>
#include <fathom/op/random.hpp>

#include "common.hpp"
#include "peer.hpp"

using namespace fathom;

namespace {

using B = cpu<float>;
using field_t = evoformer_ode_func<B>;
using state = msa_pair<B>;

struct solved {
  double seconds = 0, evaluations = 0, one_evaluation = 0, peak = 0, peer = 0, first_peer = 0, second_peer = 0;
};

/// Medians of `turns` solves, the same number of single evaluations and the peers', in turns.
template <class Solve>
solved measure(const B& b, const field_t& field, const state& y0, int turns, bench::peers& peers,
               const std::string& order, const Solve& solve) {
  const auto t = full<0>(b, {}, 0.3f);
  solved s;
  b.release_memory();
  memory_counter::reset_peak();
  const auto before = memory_counter::in_use();
  s.evaluations = static_cast<double>(solve());
  s.peak = static_cast<double>(memory_counter::peak() - before);
  field(t, y0);
  if (!order.empty()) peers.warm(order);
  std::vector<double> ours, single;
  for (int turn = 0; turn < turns; ++turn) {
    ours.push_back(bench::seconds_of(solve));
    single.push_back(bench::seconds_of([&] { field(t, y0); }));
    if (!order.empty()) peers.measure(order);
  }
  s.seconds = bench::median(ours);
  s.one_evaluation = bench::median(single);
  if (order.empty()) return s;
  s.peer = peers.best();
  s.first_peer = peers.seconds(0);
  s.second_peer = peers.seconds(1);
  return s;
}

}  // namespace

int main() {
  bench::introduce();
  const B b(cpu_options{.threads = bench::threads()});
  const auto field = load<field_t>(b, FATHOM_SOURCE_DIR "/examples/models/paper_evoformer_ode.safetensors");
  bench::peers torch("PEER_TORCHDIFFEQ", FATHOM_SOURCE_DIR "/bench/peers/torchdiffeq_paper.py", b.threads());
  torch.introduce("set PEER_TORCHDIFFEQ and PEER_PYTHON, see bench/peers.sh");
  std::printf("%-18s %10s %12s %14s %10s %10s %8s %8s\n", "solve", "ms", "evaluations", "over their own", "peer 1 ms",
              "peer 2 ms", "ratio", "MB");
  const auto show = [](const std::string& name, const solved& s) {
    const double over = s.seconds / (s.evaluations * s.one_evaluation), ratio = s.peer / s.seconds;
    std::printf("%-18s %10.1f %12.0f %14.3f %10.1f %10.1f %8.2f %8.0f\n", name.c_str(), s.seconds * 1e3, s.evaluations,
                over, s.first_peer * 1e3, s.second_peer * 1e3, ratio, s.peak * 1e-6);
    std::fflush(stdout);
    bench::report::of_this_run().row(name, {{"ms", s.seconds * 1e3},
                                            {"evaluations", s.evaluations},
                                            {"over their own", over},
                                            {"peer 1 ms", s.first_peer * 1e3},
                                            {"peer 2 ms", s.second_peer * 1e3},
                                            {"ratio", ratio},
                                            {"MB", s.peak * 1e-6}});
    return over;
  };
  const auto start = [&](index_t s, index_t n) {
    return state{random_normal<3>(b, {s, n, field_t::c_m}, 1), random_normal<3>(b, {n, n, field_t::c_z}, 2)};
  };
  bool pass = true;
  double ratio_at_128 = 0;
  for (const index_t n : {index_t(64), index_t(128)}) {
    const auto y0 = start(64, n);
    const std::string size = "64x" + std::to_string(n);
    const auto s = measure(b, field, y0, 5, torch, "forward 64 " + std::to_string(n) + " 1", [&] {
      return ode::solve(field, y0, {0, 1}, ode::rk4{}, ode::fixed_steps{1}).stats.evaluations;
    });
    pass = bench::result("solve_rk4_" + size + "_over_its_evaluations", show("rk4 " + size, s), 1.05, true) && pass;
    ratio_at_128 = s.peer / s.seconds;
  }
  const auto y0 = start(32, 32);
  const auto s = measure(b, field, y0, 3, torch, "", [&] {
    return ode::solve(field, y0, {0, 1}, ode::dopri5{}, ode::i{.rtol = 1e-3, .atol = 1e-3}).stats.evaluations;
  });
  pass = bench::result("solve_dopri5_32x32_over_its_evaluations", show("dopri5 32x32", s), 1.1, true) && pass;
  if (!torch.empty())
    pass = bench::result("solve_rk4_64x128_speed_over_torchdiffeq", ratio_at_128, bench::peer_goal(3.5), false) && pass;
  return pass ? 0 : 1;
}
