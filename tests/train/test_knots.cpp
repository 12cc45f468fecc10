// SPDX-License-Identifier: Apache-2.0
// Weights that vary along the depth, in training: from a trained stack to a field, checkpoints, files, gradients.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <fathom/backend/cpu.hpp>
#include <fathom/train/checkpoint.hpp>
#include <fathom/train/start.hpp>

#include "support/folder.hpp"
#include "support/random.hpp"

using namespace fathom;
namespace fs = std::filesystem;

namespace {

using B = cpu<float>;
constexpr index_t blocks = 3, s = 2, n = 7;

struct tiny : compact {
  static constexpr index_t c_m = 16, c_z = 8, c_s = 16;
  static constexpr index_t c_hidden_msa_att = 8, no_heads_msa = 2, c_hidden_opm = 4, c_hidden_mul = 8;
  static constexpr index_t c_hidden_pair_att = 8, no_heads_pair = 1;
};

/// What a trainer wants of a model, the trunk alone: compiled in a fraction of the time.
template <backend B, class Depth>
struct trunk_model {
  using backend_type = B;
  using depth_type = Depth;
  static constexpr bool continuous = std::is_same_v<Depth, continuous_depth>;
  struct {
    struct {
      index_t blocks = 4;
    } options;
  } structure_module;
  typename Depth::template trunk<B, tiny> evoformer;

  trunk_model() = default;
  explicit trunk_model(const B& b, index_t of_stack = blocks) : evoformer(make(b, of_stack)) {}
  void visit(auto&& v) { v("evoformer", evoformer); }
  template <class B2>
  using rebind = trunk_model<B2, Depth>;

 private:
  static auto make(const B& b, index_t of_stack) {
    if constexpr (continuous) {
      static_cast<void>(of_stack);
      return continuous_evoformer<B, tiny>(b);
    } else {
      return evoformer_stack<B, tiny>(b, of_stack);
    }
  }
};
using net = trunk_model<B, continuous_depth>;
using control = trunk_model<B, discrete_depth>;

const B& handle() {
  static const B b(cpu_options{.threads = 1});
  return b;
}

/// m, z and s at the end of the depth.
template <class Model>
auto outcome(const Model& model, const trunk_solver& solver, std::uint64_t seed = 1) {
  using backend_type = typename Model::backend_type;
  const backend_type b = model.evoformer.linear.weight.backend();
  const auto& plain = primal(model.evoformer.linear.weight).backend();
  const msa_pair<backend_type> y0{constant(b, testing::normal<3>(plain, {s, n, tiny::c_m}, seed)),
                                  constant(b, testing::normal<3>(plain, {n, n, tiny::c_z}, seed + 1))};
  const masks<backend_type> mask{full<2>(b, {s, n}, 1.0f), full<2>(b, {n, n}, 1.0f)};
  // As run_trunk does it, for the methods that are needed here.
  const auto y = [&]() -> msa_pair<backend_type> {
    if constexpr (!Model::continuous) {
      return run_trunk(model.evoformer, y0, mask, solver);
    } else {
      const ode::interval span{0, model.evoformer.options.depth};
      const ode::fixed_steps steps{static_cast<long>(solver.steps)};
      const auto field = ode::with_context(model.evoformer.field, mask);
      if constexpr (plain_backend<backend_type>) {
        if (solver.method.index() == 0) return ode::solve(field, y0, span, ode::euler{}, steps).y1;
      } else if (solver.states > 0) {
        const ode::checkpointed policy{.slots = static_cast<std::int64_t>(solver.states)};
        return ode::solve_in_graph(trunk_field<backend_type, tiny>(model.evoformer.field, {}), y0, span, ode::heun{},
                                   steps, policy, {}, mask)
            .y1;
      }
      return ode::solve(field, y0, span, ode::heun{}, steps).y1;
    }
  }();
  return std::tuple(y.m, y.z, trunk_single(model.evoformer, y));
}
template <class Model>
std::vector<float> values(const Model& model, const char* solver) {
  const auto [m, z, single] = outcome(model, parse_trunk_solver(solver));
  std::vector<float> all;
  for (const auto& part : {to_host(m).data, to_host(z).data, to_host(single).data})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}
double distance(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

/// The sample's key draws the initial state; its loss is the size of what comes out.
template <class Depth>
train::sample_gradient<B> differentiate(const trunk_model<B, Depth>& model, const train::sample& one,
                                        const train::run_options& run) {
  train::sample_gradient<B> result;
  auto [loss, gradient] = value_and_gradient(
      [&](const auto& recorded) {
        const auto [m, z, single] = outcome(recorded, run.solver, one.key);
        return sum(square(m)) * 1e-3 + sum(square(z)) * 1e-3 + sum(square(single)) * 1e-3;
      },
      model);
  result.loss = loss;
  result.gradient = train::flatten(gradient);
  return result;
}

train::training_config settings(index_t knots, int degree) {
  train::training_config c;
  c.batch = 2;
  c.depth = blocks;
  c.blocks = blocks;
  c.knots = knots;
  c.knot_degree = degree;
  c.warmup = 5;
  c.learning_rate = 1e-3;
  c.solvers = "euler:3,heun:1";
  return c;
}
template <class Model = net>
train::trainer<Model> start(const train::training_config& c) {
  return train::trainer<Model>(c, 1, [] { return handle(); });
}
template <class Model>
void advance(train::trainer<Model>& run, index_t steps) {
  while (run.steps() < steps) {
    std::vector<train::sample> batch(2);
    for (std::uint64_t k = 0; k < 2; ++k) batch[k].key = 10 * (run.next_sample() + k) + 1;
    run.step(batch);
  }
}
template <class Model>
std::vector<float> weights(const train::trainer<Model>& run) {
  return to_host(train::flatten(run.model())).data;
}

/// A stack, saved as training saves it; a smooth one's weights are linear in the depth.
control save_stack(const fs::path& path, bool smooth) {
  auto c = settings(1, 0);
  c.discrete = true;
  auto model = initialise(train::make_model<control>(handle(), c), {.seed = 4, .final_scale = 0.4});
  auto& stack = model.evoformer.blocks;
  const auto direction = stack[1];
  for (std::size_t k = 1; smooth && k < blocks; ++k) {
    const double share = 0.2 * static_cast<double>(k);
    tree::for_each_zipped(
        [&](auto& own, const auto& first, const auto& other) { own = first + (other - first) * share; }, stack[k],
        std::as_const(stack[0]), std::as_const(direction));
  }
  auto metadata = train::detail::metadata_of(c, 0);
  metadata["model"] = "compact_fold_model";
  metadata["depth"] = "discrete";
  io::save(path, model, metadata);
  return model;
}

}  // namespace

TEST_CASE("train: a trained stack becomes a field whose Euler steps are its blocks, and is trained on") {
  const testing::folder here;
  const auto path = here.path / "control.safetensors";
  const auto stack = save_stack(path, false);
  const auto expected = values(stack, "euler:1");

  train::training_config c = settings(1, 1);
  c.structure_blocks = 3;
  train::take_model(c, path);
  CHECK(c.knots == blocks);
  CHECK(c.depth == blocks);
  CHECK(c.knot_degree == 0);
  CHECK(c.structure_blocks == 4);
  auto run = start(c);
  CHECK(distance(values(run.model(), "euler:3"), expected) > 1e-2);
  train::start_from(run, c.start);
  CHECK(distance(values(run.model(), "euler:3"), expected) < 1e-4);
  CHECK(distance(values(run.averaged(), "euler:3"), expected) < 1e-4);
  const double other_steps = distance(values(run.model(), "heun:6"), expected);
  CHECK(other_steps > 1e-3);

  // Every block in two pieces.
  auto finer = start(settings(2 * blocks, 0));
  train::start_from(finer, path);
  CHECK(distance(values(finer.model(), "euler:3"), expected) < 1e-4);
  // On a shorter axis the field is faster.
  auto shorter = c;
  shorter.depth = 1;
  auto fast = start(shorter);
  train::start_from(fast, c.start);
  CHECK(distance(values(fast.model(), "euler:3"), expected) < 1e-4);

  const auto before = weights(run);
  advance(run, 1);
  CHECK(weights(run) != before);
  CHECK_THROWS_WITH_AS(run.start_from(run.model()), doctest::Contains("before the first"), error);
}

TEST_CASE("train: a linear basis comes close to a stack that varies little, closer than weights that do not vary") {
  const testing::folder here;
  const auto path = here.path / "control.safetensors";
  const auto expected = values(save_stack(path, true), "euler:1");
  const auto started = [&](index_t knots, int degree) {
    auto run = start(settings(knots, degree));
    train::start_from(run, path);
    return run.model();
  };
  const double linear = distance(values(started(blocks, 1), "euler:3"), expected);
  const double constant = distance(values(started(1, 0), "euler:3"), expected);
  CAPTURE(linear);
  CAPTURE(constant);
  CHECK(linear < 0.8 * constant);
  CHECK(linear > 1e-4);
}

TEST_CASE("train: a run with several coefficients resumes bitwise, round trips and is refused by another") {
  const testing::folder here;
  const auto c = settings(3, 1);
  const auto checkpoint = here.path / "c.safetensors", file = here.path / "m.safetensors";
  auto whole = start(c);
  // Coefficients start equal, and part.
  CHECK(to_host(whole.model().evoformer.field.further[1].msa_transition.linear_1.weight).data ==
        to_host(whole.model().evoformer.field.block.msa_transition.linear_1.weight).data);
  advance(whole, 3);
  CHECK(to_host(whole.model().evoformer.field.further[1].msa_transition.linear_1.weight).data !=
        to_host(whole.model().evoformer.field.block.msa_transition.linear_1.weight).data);
  auto first = start(c);
  advance(first, 1);
  train::save_checkpoint(checkpoint, first);
  auto second = start(train::read_config(checkpoint));
  train::load_checkpoint(checkpoint, second);
  advance(second, 3);
  CHECK(weights(second) == weights(whole));

  auto other = start(settings(2, 1));
  CHECK_THROWS_WITH_AS(train::load_checkpoint(checkpoint, other), doctest::Contains("settings: knots"),
                       checkpoint_error);
  auto pieces = start(settings(3, 0));
  CHECK_THROWS_WITH_AS(train::load_checkpoint(checkpoint, pieces), doctest::Contains("knot_degree"), checkpoint_error);

  // The settings agree, the parameters do not.
  auto stack = start<control>(c);
  CHECK_THROWS_WITH_AS(train::load_checkpoint(checkpoint, stack), doctest::Contains("other parameters"),
                       checkpoint_error);

  train::save_model(file, second);
  const io::safetensors saved(file);
  const auto settings_there = read_compact_settings(saved.metadata(), "m");
  CHECK(settings_there.knots == 3);
  CHECK(settings_there.knot_degree == 1);
  const auto read = load_compact<net>(handle(), saved, settings_there);
  CHECK(values(read, "heun:2") == values(second.averaged(), "heun:2"));

  // Other coefficients for a model that has been trained: one becomes several equal ones, others are fitted.
  auto finer = start(settings(9, 1));
  train::start_from(finer, file);
  CHECK(distance(values(finer.model(), "heun:2"), values(read, "heun:2")) < 1e-4);
  auto elsewhere = settings(3, 1);
  elsewhere.depth = 1;
  auto wrong = start(elsewhere);
  CHECK_THROWS_WITH_AS(train::start_from(wrong, file), doctest::Contains("depth is 3"), checkpoint_error);
  auto single = start(settings(1, 0));
  train::save_model(file, single);
  auto several = start(settings(4, 1));
  train::start_from(several, file);
  CHECK(distance(values(several.model(), "euler:2"), values(single.model(), "euler:2")) < 1e-5);
}

TEST_CASE("train: coefficients have the same gradient with stored states as with a recorded solve") {
  const auto c = settings(3, 1);
  auto trained = start(c);
  advance(trained, 5);
  const auto model = trained.model();
  train::sample one;
  one.key = 3;
  train::run_options run;
  run.solver = parse_trunk_solver("heun:4");
  const auto recorded = differentiate(model, one, run);
  run.solver.states = 2;
  const auto stored = differentiate(model, one, run);
  const double size = train::global_norm(recorded.gradient);
  CHECK(train::global_norm(stored.gradient - recorded.gradient) < 1e-3 * size);
  const auto gradient = train::unflatten(model, recorded.gradient);
  const auto norm = [](const auto& weights_of) { return item(sum(square(weights_of.msa_transition.linear_2.weight))); };
  CHECK(norm(gradient.evoformer.field.block) > 0);
  for (const auto& further : gradient.evoformer.field.further) CHECK(norm(further) > 0);
}
