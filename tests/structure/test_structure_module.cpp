// SPDX-License-Identifier: Apache-2.0
// The structure module and its parts: gradients, equivariance, padding, threads, the stopped rotation gradient.
#include <doctest/doctest.h>

#include <set>
#include <string>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/structure/structure_module.hpp>

#include "support/frames.hpp"
#include "support/golden_dims.hpp"

using namespace fathom;
using golden::dims;
using testing::difference;
using testing::normal;
using testing::probe;

#define BACKENDS reference<double>, cpu<double>

namespace {

template <class B>
struct example {
  structure_module<B, dims> module;
  tensor<B, 2> single;
  tensor<B, 3> pair;
  tensor<B, 1, index_t> aatype;
  tensor<B, 1> mask;

  example(const B& b, index_t n, index_t blocks, std::uint64_t seed = 1)
      : module(testing::randomised(structure_module<B, dims>(b), seed)),
        single(normal<2>(b, {n, dims::c_s}, seed + 1)),
        pair(normal<3>(b, {n, n, dims::c_z}, seed + 2)),
        aatype(from_host<1>(b, testing::any_sequence(n))),
        mask(full<1>(b, {n}, scalar_of<B>(1))) {
    module.options.blocks = blocks;
  }
  predicted_structure<B> operator()() const { return module(single, pair, aatype, mask); }
};

/// A number that sees every output of every block.
template <class B>
tensor<B, 0> probe_all(const predicted_structure<B>& predicted) {
  tensor<B, 0> total = full<0>(predicted.single().backend(), {}, scalar_of<B>(0));
  std::uint64_t seed = 10;
  tree::for_each(predicted, [&](const auto& leaf) { total = total + probe(leaf, ++seed) * 0.1; });
  return total;
}

}  // namespace

TEST_CASE("structure: parameters have OpenFold's names") {
  std::set<std::string> names;
  const structure_module<reference<double>, dims> module{reference<double>{}};
  tree::for_each_named(module, [&](const std::string& path, const auto&) { names.insert(path); });
  for (const char* name :
       {"layer_norm_s.weight", "layer_norm_z.bias", "linear_in.weight", "ipa.linear_q.weight", "ipa.linear_kv.bias",
        "ipa.linear_q_points.linear.weight", "ipa.linear_kv_points.linear.bias", "ipa.linear_b.weight",
        "ipa.head_weights", "ipa.linear_out.weight", "layer_norm_ipa.weight", "transition.layers.0.linear_3.bias",
        "transition.layer_norm.weight", "bb_update.linear.weight", "angle_resnet.linear_in.weight",
        "angle_resnet.linear_initial.bias", "angle_resnet.layers.1.linear_2.weight", "angle_resnet.linear_out.bias"})
    CHECK_MESSAGE(names.count(name) == 1, name);
  CHECK(names.size() == 45);
}

TEST_CASE_TEMPLATE("structure: gradients of the angle resnet, the transition and the backbone update", B, BACKENDS) {
  const B b;
  const auto s = normal<2>(b, {4, dims::c_s}, 1), s0 = normal<2>(b, {4, dims::c_s}, 2);
  const gradient_check_options thorough{1e-5, 10, 1};
  const auto resnet = testing::randomised(angle_resnet<B, dims::c_s, dims::c_resnet, 7>(b), 3);
  CHECK(gradient_check(
            [](const auto& in) {
              const auto& [module, x, x0] = in;
              const auto predicted = module(x, x0);
              return probe(predicted.angles) + probe(predicted.unnormalized, 5);
            },
            std::tuple(resnet, s, s0), thorough) < 1e-6);
  const auto transition = testing::randomised(structure_transition<B, dims::c_s>(b, 2), 4);
  CHECK(gradient_check([](const auto& in) { return probe(std::get<0>(in)(std::get<1>(in))); },
                       std::tuple(transition, s), thorough) < 1e-6);
  CHECK(gradient_check(
            [](const auto& in) {
              const auto& [module, x, frames] = in;
              return probe(compose_q_update(frames, module(x)).to_tensor_7());
            },
            std::tuple(testing::randomised(backbone_update<B, dims::c_s>(b), 5), s, testing::random_frames(b, 4, 6)),
            thorough) < 1e-6);
}

TEST_CASE_TEMPLATE("structure: gradients of the structure module", B, BACKENDS) {
  const B b;
  const example<B> x(b, 5, 1);
  const auto loss = [&](const auto& in) {
    const auto& [module, single, pair] = in;
    const auto backend = single.backend();
    return probe_all(module(single, pair, constant(backend, x.aatype), constant(backend, x.mask)));
  };
  CHECK(gradient_check(loss, std::tuple(x.module, x.single, x.pair), {1e-5, 3, 2}) < 1e-6);
  CHECK(live_gradient_nodes() == 0);
}

TEST_CASE("structure: rotations carry no gradient from one block to the next, translations do") {
  using B = reference<double>;
  const B b;
  example<B> x(b, 4, 1);
  // Constant updates: the frames of the last block know the start directly or not at all.
  x.module.bb_update.linear.weight = zeros_like(x.module.bb_update.linear.weight);
  const auto gradient_of_start = [&](index_t blocks) {
    x.module.options.blocks = blocks;
    const auto loss = [&](const auto& in) {
      const auto& [module, start] = in;
      const auto a = start.translation.backend();
      return probe(module(constant(a, x.single), constant(a, x.pair), constant(a, x.aatype), constant(a, x.mask), start)
                       .last()
                       .frames.to_tensor_7());
    };
    return std::get<1>(value_and_gradient(loss, std::tuple(x.module, testing::random_frames(b, 4, 3))).second);
  };
  const auto one = gradient_of_start(1), two = gradient_of_start(2);
  CHECK(testing::largest(one.quaternion) > 0.1);
  CHECK(testing::largest(one.translation) > 0.1);
  CHECK(difference(one.translation, two.translation) < 1e-12);
  // Within a block the translation update is turned by the rotation, so the first block's still reaches its quaternion.
  x.module.bb_update.linear.bias =
      x.module.bb_update.linear.bias * from_host<1>(b, host_tensor<double>({6}, {1, 1, 1, 0, 0, 0}));
  CHECK(testing::largest(gradient_of_start(1).quaternion) > 0.1);
  CHECK(testing::largest(gradient_of_start(2).quaternion) == 0);
}

TEST_CASE_TEMPLATE("structure: moving the start moves the whole prediction along", B, BACKENDS) {
  const B b;
  const index_t n = 7;
  const example<B> x(b, n, 3);
  const auto start = testing::random_frames(b, n, 4, 5), motion = testing::random_frames(b, 1, 5, 30);
  const auto here = x.module(x.single, x.pair, x.aatype, x.mask, start);
  const auto there = x.module(x.single, x.pair, x.aatype, x.mask, testing::moved(motion, start));
  const auto turned = quat_to_rot(motion.quaternion);
  const auto exists = unsqueeze(make_residue_geometry(x.aatype).atom14_mask, 2);
  for (std::size_t block = 0; block < 3; ++block) {
    const auto &before = here.steps[block], &after = there.steps[block];
    CHECK(difference(before.state, after.state) < 1e-9);
    CHECK(difference(before.angles, after.angles) < 1e-9);
    const auto expected = testing::moved(motion, before.frames);
    CHECK(difference(expected.translation, after.frames.translation) < 1e-8);
    CHECK(difference(expected.quaternion, after.frames.quaternion) < 1e-9);
    const auto atoms =
        (matmul(before.positions, broadcast_to<3>(inverse_rotation(turned), {n, 3, 3})) + motion.translation) * exists;
    CHECK(difference(atoms, after.positions) < 1e-8);
    CHECK(difference(matmul(broadcast_to<4>(unsqueeze(turned, 1), {n, 8, 3, 3}), before.sidechain_frames.rotation),
                     after.sidechain_frames.rotation) < 1e-9);
  }
}

TEST_CASE_TEMPLATE("structure: padding changes nothing for the residues that are there", B, BACKENDS, cpu<float>) {
  const B b;
  const index_t n = 9, valid = 6;
  example<B> x(b, n, 3);
  host_tensor<double> mask({n}, 1.0);
  for (index_t i = valid; i < n; ++i) mask(i) = 0;
  x.mask = from_host<1>(b, mask);
  const auto head = [&](const auto& t) { return slice(t, 0, 0, valid); };
  const auto before = x();
  // Any other finite values in the padding.
  const auto present = unsqueeze(x.mask, 1);
  auto other = x;
  other.single = x.single * present + normal<2>(b, {n, dims::c_s}, 50, 1e4) * affine(present, -1, 1);
  const auto both = unsqueeze(present * unsqueeze(x.mask, 0), 2);
  other.pair = x.pair * both + normal<3>(b, {n, n, dims::c_z}, 51, 1e4) * affine(both, -1, 1);
  const auto after = other();
  // The same residues without padding.
  auto alone = x;
  alone.single = head(x.single);
  alone.pair = slice(head(x.pair), 1, 0, valid);
  alone.mask = head(x.mask);
  alone.aatype = from_host<1>(b, testing::any_sequence(valid));
  const auto short_one = alone();
  const double bound = sizeof(scalar_of<B>) == 8 ? 1e-11 : 1e-4;
  for (std::size_t block = 0; block < 3; ++block) {
    const auto &a = before.steps[block], &c = after.steps[block], &d = short_one.steps[block];
    CHECK(difference(head(a.state), head(c.state)) == 0);
    CHECK(difference(head(a.positions), head(c.positions)) == 0);
    CHECK(difference(head(a.angles), head(c.angles)) == 0);
    CHECK(difference(head(a.state), d.state) < bound);
    CHECK(difference(head(a.positions), d.positions) < bound * testing::largest(d.positions));
  }
}

TEST_CASE("structure: the number of threads does not matter, bit for bit") {
  using B = cpu<float>;
  const auto positions = [](int threads) {
    const B b{cpu_options{.threads = threads}};
    return to_host(example<B>(b, 33, 2)().last().positions).data;
  };
  const auto one = positions(1);
  CHECK(positions(2) == one);
  CHECK(positions(4) == one);
}

TEST_CASE("structure: dropout acts in training only and is reproduced by its key") {
  using B = reference<double>;
  const B b;
  example<B> x(b, 6, 2);
  const auto still = x().single();
  x.module.options.dropout = {7, 0.1};
  const auto first = x().single(), again = x().single();
  x.module.options.dropout = {8, 0.1};
  CHECK(difference(first, again) == 0);
  CHECK(difference(first, still) > 1e-3);
  CHECK(difference(first, x().single()) > 1e-3);
}

TEST_CASE("structure: wrong extents and settings are named") {
  using B = reference<double>;
  const B b;
  example<B> x(b, 4, 1);
  CHECK_THROWS_AS(x.module(x.single, slice(x.pair, 0, 0, 3), x.aatype, x.mask), shape_error);
  CHECK_THROWS_AS(x.module(slice(x.single, 1, 0, 3), x.pair, x.aatype, x.mask), shape_error);
  x.module.options.blocks = 0;
  CHECK_THROWS_AS(x(), error);
}
