// SPDX-License-Identifier: Apache-2.0
// What a gradient costs as a solve gets deeper, in bytes and in seconds.
//
// (a) The full AlphaFold2 block as a field (16 sequences x 32 residues): peak bytes at 10 and 1,000 steps, eight stored
//     states. (b) The paper's field at 64 x 64: bytes and seconds from 1 to 64 rk4 steps, six stored states, all states
//     stored, and everything recorded; beside it torchdiffeq, direct and by its adjoint, where PEER_TORCHDIFFEQ names
//     its checkout (and PEER_PYTHON an interpreter with PyTorch). (c) The compact model that ships (drawn from a seed
//     where the file is not there), 64 residues, 4 and 64 steps of heun, four stored states: peak bytes of the
//     gradient through its trunk. (That of a whole training step: tests/train.)
//
//   bench/run.sh depth [-- memory|time|long|compact]
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <fathom/continuous/evoformer_field.hpp>
#include <fathom/continuous/paper_field.hpp>
#include <fathom/io/parameters.hpp>
#include <fathom/model/compact_checkpoint.hpp>
#include <fathom/ode/ode.hpp>
#include <fathom/op/random.hpp>
#include <fathom/train/chain_files.hpp>
#include <fathom/train/sample.hpp>

#include "common.hpp"
#include "peer.hpp"

using namespace fathom;

namespace {

using B = cpu<float>;
using state = msa_pair<B>;

const B& processor() {
  static const B b = [] {
    const char* set = std::getenv("FATHOM_THREADS");
    return B(cpu_options{.threads = set != nullptr ? std::atoi(set) : 4});
  }();
  return b;
}

state random_state(index_t s, index_t n, index_t c_m, index_t c_z) {
  return {random_normal<3>(processor(), {s, n, c_m}, 1), random_normal<3>(processor(), {n, n, c_z}, 2)};
}

/// Six stored states, and all that the backward pass may hold.
const ode::checkpointed six_states{.bytes = 126000000, .slots = 6};

struct cost {
  double seconds = 0, bytes = 0;
};

/// Forward and backward; bytes beyond the field, the initial state and the cotangent.
template <class Field, class Policy>
cost gradient(const Field& field, const state& y0, const state& a, long steps, const Policy& policy) {
  processor().release_memory();
  memory_counter::reset_peak();
  const auto before = memory_counter::current();
  cost c;
  c.seconds = bench::seconds_of([&] {
    auto pullback = ode::solve_with_gradient(field, y0, {0, 1}, ode::rk4{}, ode::fixed_steps{steps}, policy).second;
    pullback.consume(a);
  });
  c.bytes = static_cast<double>(memory_counter::peak() - before);
  return c;
}

bool full_field() {
  const auto field = initialise(evoformer_field<B, alphafold2>(processor()), {.seed = 1, .final_scale = 0.02});
  const auto y0 = random_state(16, 32, alphafold2::c_m, alphafold2::c_z);
  const auto f = ode::differentiable(field, full_masks(processor(), 16, 32));
  const auto run = [&](long steps, const auto& policy) {
    processor().release_memory();
    memory_counter::reset_peak();
    const auto before = memory_counter::current();
    auto pullback = ode::solve_with_gradient(f, y0, {0, 1}, ode::euler{}, ode::fixed_steps{steps}, policy).second;
    pullback.consume(y0);
    return static_cast<double>(memory_counter::peak() - before) / 1e6;
  };
  std::printf("full Evoformer field, 16 x 32, euler: peak MB\n%8s %14s %14s\n", "steps", "8 states", "direct");
  double ten = 0, thousand = 0, direct_2 = 0, direct_10 = 0, direct_16 = 0;
  for (const long steps : {2L, 10L, 16L, 1000L}) {
    const double few = run(steps, ode::checkpointed{.slots = 8});
    std::printf("%8ld %14.1f", steps, few);
    if (steps == 10) ten = few;
    if (steps == 1000) thousand = few;
    if (steps <= 16) {
      const double all = run(steps, ode::direct{});
      std::printf(" %14.1f", all);
      if (steps == 2) direct_2 = all;
      if (steps == 10) direct_10 = all;
      if (steps == 16) direct_16 = all;
    }
    std::printf("\n");
    std::fflush(stdout);
  }
  const bool flat = bench::result("evoformer_gradient_bytes_1000_over_10_steps", thousand / ten, 1.05, true);
  // Bytes of a further step, late over early: 1 where they grow in proportion.
  const double late = (direct_16 - direct_10) / 6, early = (direct_10 - direct_2) / 8;
  const bool grows = bench::result("evoformer_direct_bytes_of_a_step_late_over_early", late / early, 0.9, false);
  return flat && grows;
}

struct paper_problem {
  evoformer_ode_func<B> field =
      load<evoformer_ode_func<B>>(processor(), FATHOM_SOURCE_DIR "/examples/models/paper_evoformer_ode.safetensors");
  state y0 = random_state(64, 64, paper_dims::c_m, paper_dims::c_z);
  state a = random_state(64, 64, paper_dims::c_m, paper_dims::c_z);
};

bool paper_memory(const paper_problem& p) {
  const auto f = ode::differentiable(p.field);
  std::printf("paper's field, 64 x 64, rk4: peak MB (a state has %.1f)\n%8s %14s %14s %14s\n",
              static_cast<double>(ode::state_traits<state>::bytes(p.y0)) / 1e6, "steps", "6 states", "all stored",
              "direct");
  double eight = 0, most = 0;
  for (const long steps : {1L, 8L, 16L, 64L}) {
    const double few = gradient(f, p.y0, p.a, steps, six_states).bytes / 1e6;
    std::printf("%8ld %14.1f", steps, few);
    if (steps == 8) eight = few;
    if (steps == 64) most = few;
    if (steps <= 16) {
      std::printf(" %14.1f", gradient(f, p.y0, p.a, steps, ode::checkpointed{}).bytes / 1e6);
      std::printf(" %14.1f", gradient(f, p.y0, p.a, steps, ode::direct{}).bytes / 1e6);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
  const bool flat = bench::result("paper_gradient_bytes_64_over_8_steps", most / eight, 1.05, true);
  const bool small = bench::result("paper_gradient_peak_mb_6_states", most, 150, true);
  return flat && small;
}

bool paper_time(const paper_problem& p) {
  const auto f = ode::differentiable(p.field);
  const char* checkout = std::getenv("PEER_TORCHDIFFEQ");
  const char* python = std::getenv("PEER_PYTHON");
  bench::peer torch(checkout != nullptr
                        ? std::vector<std::string>{python != nullptr ? python : "python3",
                                                   FATHOM_SOURCE_DIR "/bench/peers/torchdiffeq_paper.py",
                                                   std::to_string(processor().threads())}
                        : std::vector<std::string>{"false"});
  // First, while the peer has not run anything: it measures in children that start from nothing.
  for (const char* how : {"direct", "adjoint"}) {
    if (torch.name().empty()) break;
    std::printf("  torchdiffeq %s, peak MB beyond the start:", how);
    for (const char* n : {"1", "16"})
      if (const auto mb = torch.measure(std::string("memory_") + how + " 64 64 " + n))
        std::printf("  %s steps %.0f", n, *mb);
    std::printf("\n");
  }
  const long steps = 16;
  std::vector<double> few, all, recorded, recorded_to_few, recorded_to_all, torch_direct, torch_adjoint;
  for (int round = 0; round < 3; ++round) {
    // In turn, so that a machine that slows down slows all of them.
    const double r = gradient(f, p.y0, p.a, steps, ode::direct{}).seconds;
    const double six = gradient(f, p.y0, p.a, steps, six_states).seconds;
    const double every = gradient(f, p.y0, p.a, steps, ode::checkpointed{}).seconds;
    recorded.push_back(r), few.push_back(six), all.push_back(every);
    recorded_to_few.push_back(six / r), recorded_to_all.push_back(every / r);
    std::printf("  turn %d: direct %.2f, all stored %.2f, 6 states %.2f s\n", round + 1, r, every, six);
    std::fflush(stdout);
    if (const auto t = torch.measure("direct 64 64 " + std::to_string(steps))) torch_direct.push_back(*t);
    if (round == 0)
      if (const auto t = torch.measure("adjoint 64 64 " + std::to_string(steps))) torch_adjoint.push_back(*t);
  }
  std::printf("paper's field, 64 x 64, %ld rk4 steps, %d threads: seconds (medians of 3 turns)\n", steps,
              processor().threads());
  std::printf("  direct %.2f, all stored %.2f, 6 states %.2f\n", bench::median(recorded), bench::median(all),
              bench::median(few));
  bool pass = bench::result("paper_gradient_time_6_states_over_direct", bench::median(recorded_to_few), 1.55, true);
  pass =
      bench::result("paper_gradient_time_all_stored_over_direct", bench::median(recorded_to_all), 1.35, true) && pass;
  if (torch.name().empty()) {
    std::printf("  no peer: PEER_TORCHDIFFEQ=checkout, PEER_PYTHON=interpreter with PyTorch\n");
    return pass;
  }
  std::printf("  %s: direct %.2f, adjoint %.2f\n", torch.name().c_str(), bench::median(torch_direct),
              bench::median(torch_adjoint));
  const double ratio = bench::median(few) / bench::median(torch_direct);
  pass = bench::result("paper_gradient_time_6_states_over_torchdiffeq_direct", ratio, 1, true) && pass;
  return pass;
}

bool compact_memory() {
  using net = compact_fold_model<B, compact>;
  const std::string shipped = FATHOM_SOURCE_DIR "/examples/models/fathom_small.safetensors";
  const bool there = std::filesystem::exists(shipped);
  const auto model = [&] {
    if (!there) return initialise(net(processor()), {.seed = 1, .final_scale = 0.1});
    const io::safetensors file(shipped);
    return load_compact<net>(processor(), file, read_compact_settings(file.metadata(), shipped));
  }();
  train::sample_draw crop;
  crop.length = 64;
  const auto sample = train::make_sample(train::read_chains(FATHOM_SOURCE_DIR "/examples/data/chains").front(), crop);
  const auto in = upload(processor(), sample.query, sample.passes.front());
  const masks<B> mask{in.msa_mask, unsqueeze(in.seq_mask, 1) * unsqueeze(in.seq_mask, 0)};
  const auto y0 = model.embed(in, model.nothing_recycled(processor(), crop.length));
  const auto f = ode::differentiable(model.evoformer.field, mask);
  const auto peak = [](const auto& differentiate) {
    processor().release_memory();
    memory_counter::reset_peak();
    const auto before = memory_counter::current();
    differentiate();
    return static_cast<double>(memory_counter::peak() - before) / 1e6;
  };
  std::printf("compact model's trunk (%s), 64 residues, heun: peak MB of the gradient\n%8s %14s\n",
              there ? "as shipped" : "drawn from a seed", "steps", "4 states");
  double four = 0, most = 0;
  for (const long steps : {4L, 64L}) {
    const double megabytes = peak([&] {
      auto pullback = ode::solve_with_gradient(f, y0, {0, model.evoformer.options.depth}, ode::heun{},
                                               ode::fixed_steps{steps}, ode::checkpointed{.slots = 4})
                          .second;
      pullback.consume(y0);
    });
    std::printf("%8ld %14.1f\n", steps, megabytes);
    std::fflush(stdout);
    (steps == 4 ? four : most) = megabytes;
  }
  return bench::result("compact_gradient_bytes_64_over_4_steps", most / four, 1.05, true);
}

}  // namespace

int main(int argc, char** argv) {
  std::printf("products by %s\n", bench::products_by);
  const auto asked = [&](const char* name) {
    for (int n = 1; n < argc; ++n)
      if (std::strcmp(argv[n], name) == 0) return true;
    return argc == 1;
  };
  bool pass = true;
  if (asked("memory") || asked("time")) {
    const paper_problem paper;
    if (asked("memory")) pass = paper_memory(paper) && pass;
    if (asked("time")) pass = paper_time(paper) && pass;
  }
  if (asked("compact")) pass = compact_memory() && pass;
  if (asked("long")) pass = full_field() && pass;
  return pass ? 0 : 1;
}
