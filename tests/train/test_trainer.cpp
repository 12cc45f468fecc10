// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <fathom/backend/cpu.hpp>
#include <fathom/train/chain_files.hpp>
#include <fathom/train/checkpoint.hpp>
#include <fathom/train/loader.hpp>
#include <fathom/train/validation.hpp>

#include "support/folder.hpp"
#include "support/solvers.hpp"
#include "thread_group.hpp"
#include "tiny_run.hpp"

using namespace fathom;
using namespace tiny_run;
namespace fs = std::filesystem;

namespace {

std::string bytes_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("train: the loss of a few chains falls" * doctest::skip(too_slow)) {
  auto c = settings();
  c.recycles = 0;
  c.mask_fraction = 0;
  c.dropout = 0;
  c.learning_rate = 5e-3;
  const auto mean_of = [](auto& run, index_t from, index_t to) {
    advance(run, from);
    double sum = 0;
    for (index_t k = from; k < to; ++k) sum += advance(run, k + 1).loss;
    return sum / static_cast<double>(to - from);
  };
  auto run = start<net>(c);
  const double before = mean_of(run, 0, 5), after = mean_of(run, 85, 100);
  CHECK(after < 0.93 * before);
}

TEST_CASE("train: weights do not depend on the number of threads or on kept activations, bitwise") {
  auto one = start<net>(settings(), 1), three = start<net>(settings(), 3);
  three.keep_up_to(std::int64_t(1) << 40);
  advance(one, 4);
  advance(three, 4);
  CHECK(weights(one) == weights(three));
  CHECK(to_host(train::flatten(one.averaged())).data == to_host(train::flatten(three.averaged())).data);
}

TEST_CASE("train: stored states in the trunk give the gradient of the recorded solve in memory that does not grow") {
  auto c = settings();
  c.crop = 24;
  auto s = sample_of(c, 2);
  // Every layer does work, so that every parameter of the trunk has a gradient.
  const B b(cpu_options{.threads = 1});
  const auto model = initialise(train::make_model<net>(b, c), {.seed = 4, .final_scale = 0.3});
  train::run_options run;
  run.dropout = 0.1;
  run.loss.crop = c.crop;
  const auto peak = [&](const train::run_options& how) {
    b.release_memory();
    memory_counter::reset_peak();
    const auto before = memory_counter::current();
    train::differentiate(model, s, how);
    return static_cast<double>(memory_counter::peak() - before);
  };
  for (const char* solver : {"heun:5", "euler:7", "rk4:3"}) {
    CAPTURE(solver);
    run.solver = parse_trunk_solver(solver);
    const auto recorded = train::differentiate(model, s, run);
    run.solver.states = 2;
    CHECK(run.solver.text() == solver);
    const auto stored = train::differentiate(model, s, run);
    CHECK(stored.loss == doctest::Approx(recorded.loss).epsilon(1e-5));
    const double size = train::global_norm(recorded.gradient);
    CHECK(size > 0);
    CHECK(train::global_norm(stored.gradient - recorded.gradient) < 1e-3 * size);
  }
  run.solver = parse_trunk_solver("heun:4");
  const double recorded = peak(run);
  run.solver.states = 4;
  const double four = peak(run);
  run.solver.steps = 32;
  CHECK(peak(run) < 1.05 * four);
  CHECK(four < recorded);
}

TEST_CASE("train: a resumed run is bitwise the unbroken one") {
  const testing::folder here;
  auto whole = start<net>(settings());
  advance(whole, 6);
  {
    auto first = start<net>(settings());
    advance(first, 3);
    train::save_checkpoint(here.path / "c.safetensors", first);
    advance(first, 5);  // work that is lost
  }
  auto second = start<net>(settings());
  train::load_checkpoint(here.path / "c.safetensors", second);
  CHECK(second.steps() == 3);
  advance(second, 6);
  CHECK(weights(second) == weights(whole));
  train::save_checkpoint(here.path / "second.safetensors", second);
  train::save_checkpoint(here.path / "whole.safetensors", whole);
  CHECK(bytes_of(here.path / "second.safetensors") == bytes_of(here.path / "whole.safetensors"));
  // Another batch and crop from here on: samples are counted, none comes twice.
  auto c = settings();
  c.batch = 2;
  c.crop = 20;
  auto wider = start<net>(c);
  train::load_checkpoint(here.path / "second.safetensors", wider);
  CHECK(wider.next_sample() == 18);
  advance(wider, 7);
  CHECK(wider.next_sample() == 20);
}

TEST_CASE("train: a checkpoint of another run is refused, naming what differs") {
  const testing::folder here;
  const auto path = here.path / "c.safetensors";
  auto run = start<net>(settings());
  train::save_checkpoint(path, run);  // before the first step, too
  auto same = start<net>(settings());
  train::load_checkpoint(path, same);
  CHECK(same.steps() == 0);
  CHECK(weights(same) == weights(run));

  auto c = settings();
  c.depth = 2;
  c.structure_blocks = 3;
  auto other = start<net>(c);
  CHECK_THROWS_WITH_AS(train::load_checkpoint(path, other), doctest::Contains("depth structure_blocks"),
                       checkpoint_error);
  train::save_model(here.path / "m.safetensors", run);
  CHECK_THROWS_WITH_AS(train::load_checkpoint(here.path / "m.safetensors", same), doctest::Contains("no checkpoint"),
                       checkpoint_error);
  // A file cut short is no checkpoint, and what was loaded before stays.
  const auto whole = bytes_of(path);
  std::ofstream(path, std::ios::binary).write(whole.data(), static_cast<std::streamsize>(whole.size() / 2));
  CHECK_THROWS_AS(train::load_checkpoint(path, same), io_error);
  CHECK(weights(same) == weights(run));
}

TEST_CASE("train: a saved model says how it was trained and folds as the averaged weights do") {
  const testing::folder here;
  auto run = start<net>(settings());
  advance(run, 2);
  const auto path = here.path / "m.safetensors";
  train::save_model(path, run);
  const auto config = train::read_config(path);
  CHECK(train::to_settings(config) == train::to_settings(settings()));
  const B b(cpu_options{.threads = 1});
  auto model = train::make_model<net>(b, config);
  io::fill(model, io::open_checkpoint(path));
  const auto& c = chains().front();
  const auto one = train::predict(model, c, run.shipped_solver(), 1);
  const auto two = train::predict(run.averaged(), c, run.shipped_solver(), 1);
  CHECK(one.positions.data == two.positions.data);
  CHECK(one.b_factor_is_plddt);
  const auto scores = train::validate(run, {c});
  CHECK(scores.chains == 1);
  CHECK(scores.lddt_ca ==
        doctest::Approx(metrics::lddt(metrics::ca_trace(one), metrics::ca_trace(train::to_protein(c))).mean));
}

TEST_CASE("train: two processes of two samples become one process of four, bitwise") {
  auto c = settings();
  c.batch = 4;
  auto one = start<net>(c);
  const auto alone = advance(one, 3);
  c.batch = 2;
  std::vector<std::vector<float>> found(2);
  std::vector<double> losses(2);
  on_threads(2, [&](train::process_group& group) {
    auto run = start<net>(c);
    run.join(group);
    train::step_report last;
    const auto share = run.share();
    for (std::uint64_t k = 0; run.steps() < 3; k += 2)
      last = run.step({sample_of(c, share(k)), sample_of(c, share(k + 1))});
    const auto rank = static_cast<std::size_t>(group.rank());
    found[rank] = weights(run);
    losses[rank] = last.loss;
    if (run.samples() != 12 || run.next_sample() != 12 + 2 * rank) throw error("samples are miscounted");
  });
  CHECK(found[0] == weights(one));
  CHECK(found[1] == weights(one));
  CHECK(losses[0] == alone.loss);
  CHECK(losses[1] == alone.loss);
}

TEST_CASE("train: what stops one process stops all, and leaves every state alone") {
  const auto c = settings();
  std::vector<int> stopped(2, 0);
  on_threads(2, [&](train::process_group& group) {
    auto run = start<net>(c);
    run.join(group);
    const auto before = weights(run);
    auto batch = next_batch(c, run.next_sample());
    const auto rank = static_cast<std::size_t>(group.rank());
    if (rank == 1) batch[0].positions(4, 1, 0) = std::numeric_limits<float>::quiet_NaN();
    try {
      run.step(batch);
    } catch (const train::process_stopped&) {
      stopped[rank] = 1;
    } catch (const numerical_error&) {
      stopped[rank] = 2;
    }
    if (weights(run) != before || run.steps() != 0) throw error("the state has changed");
  });
  CHECK(stopped == std::vector<int>{1, 2});
}

TEST_CASE("train: killed at any moment, a run goes on as if it had not been") {
  const testing::folder here;
  constexpr index_t steps = 24;
  const auto c = settings();
  double step_seconds = 0;
  {
    auto whole = start<net>(c);
    const auto begin = std::chrono::steady_clock::now();
    advance(whole, steps);
    step_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / steps;
    train::save_checkpoint(here.path / "whole.safetensors", whole);
  }
  const auto path = here.path / "c.safetensors";
  // The child trains and saves after every step, from wherever the one before it left off.
  const auto life = [&] {
    auto run = start<net>(c);
    if (fs::exists(path)) train::load_checkpoint(path, run);
    train::loader samples([&](std::uint64_t n) { return sample_of(c, n); }, run.next_sample());
    while (run.steps() < steps) {
      run.step(samples.next(c.batch));
      train::save_checkpoint(path, run);
    }
  };
  int killed = 0;
  std::uint64_t draw = 0;
  for (int attempt = 0; attempt < 200; ++attempt) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      int code = 0;
      try {
        life();
      } catch (...) {
        code = 1;
      }
      ::_exit(code);
    }
    // The first twenty lives end by SIGKILL, somewhere between the first moments and the second step, whatever the
    // machine.
    if (attempt < 20) {
      std::this_thread::sleep_for(std::chrono::duration<double>(1.5 * step_seconds * philox_uniform(99, draw++)));
      ::kill(child, SIGKILL);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFSIGNALED(status)) {
      ++killed;
      continue;
    }
    REQUIRE(WEXITSTATUS(status) == 0);
    break;
  }
  CHECK(killed >= 10);
  CHECK(bytes_of(path) == bytes_of(here.path / "whole.safetensors"));
}

TEST_CASE("train: what is not finite stops the run with a diagnosis and leaves the state alone") {
  const auto c = settings();
  auto run = start<net>(c);
  advance(run, 2);
  const auto before = weights(run);
  auto batch = next_batch(c, run.next_sample());
  batch[1].name = "the broken one";
  batch[1].positions(4, 1, 0) = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH_AS(run.step(batch), doctest::Contains("step 3, sample 'the broken one'"), numerical_error);
  CHECK(run.steps() == 2);
  CHECK(weights(run) == before);
  advance(run, 3);  // and may go on

  auto wild = settings();
  wild.explosion = 1.02;
  wild.learning_rate = 0.5;
  wild.warmup = 0;
  wild.clip_batch = wild.clip_sample = 0;
  auto exploding = start<net>(wild);
  CHECK_THROWS_AS(advance(exploding, 60), numerical_error);
}

TEST_CASE("train: the learning rate warms up, stays, and decays where it is told to") {
  train::training_config c;
  c.learning_rate = 1e-3;
  c.warmup = 10;
  CHECK(train::learning_rate(c, 0) == doctest::Approx(1e-4));
  CHECK(train::learning_rate(c, 9) == doctest::Approx(1e-3));
  CHECK(train::learning_rate(c, 100000) == doctest::Approx(1e-3));
  c.decay_from = 100;
  c.decay_steps = 50;
  CHECK(train::learning_rate(c, 99) == doctest::Approx(1e-3));
  CHECK(train::learning_rate(c, 125) == doctest::Approx(5e-4));
  CHECK(train::learning_rate(c, 150) == 0);
}

TEST_CASE("train: one short crop is learnt by heart" * doctest::skip(too_slow)) {
  auto c = settings();
  c.recycles = 0;
  c.mask_fraction = 0;
  c.dropout = 0;
  c.batch = 1;
  c.crop = 12;
  c.solvers = "euler:2";
  c.clip_sample = c.clip_batch = 1;
  c.learning_rate = 5e-3;
  c.clamp_probability = 0;
  const auto whole = chains()[1];  // 1guu_A: a helix to begin with
  const std::vector<train::chain> one = {train::make_chain(train::to_protein(whole, 8, 12), "crop")};
  const train::sampler draw(one, {.seed = 1, .crop = 12, .clamp_probability = 0});
  auto run = start<net>(c);
  double best = 0;
  while (run.steps() < 400 && best < 0.8) best = std::max(best, run.step({train::make_sample(one[0], draw(0))}).lddt);
  CHECK(best >= 0.8);
}
