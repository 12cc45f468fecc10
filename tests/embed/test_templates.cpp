// SPDX-License-Identifier: Apache-2.0
// Template embedder: gradients of its parts and of the whole, absent templates, padding, names.
#include <doctest/doctest.h>

#include <set>
#include <string>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/embed/template_embedder.hpp>

#include "support/frames.hpp"
#include "support/golden_dims.hpp"

using namespace fathom;
using golden::dims;
using testing::difference;
using testing::normal;
using testing::probe;

#define BACKENDS reference<double>, cpu<double>

namespace {

/// Two templates of n residues; positions some 5 Angstrom apart.
template <class B>
template_input<B> random_templates(const B& b, index_t n, std::uint64_t seed, double second = 1) {
  host_tensor<std::int64_t> types({2, n});
  for (index_t i = 0; i < 2 * n; ++i) types(i / n, i % n) = (5 * i + 2) % 22;
  return make_template_input<B>(from_host<2>(b, types), normal<4>(b, {2, n, 37, 3}, seed, 5),
                                full<3>(b, {2, n, 37}, scalar_of<B>(1)),
                                from_host<1>(b, host_tensor<double>({2}, {1, second})));
}
template <class A, class B>
template_input<A> as_constant(const A& a, const template_input<B>& x) {
  return {constant(a, x.aatype),       constant(a, x.positions),        constant(a, x.atom_mask),
          constant(a, x.pseudo_beta),  constant(a, x.pseudo_beta_mask), constant(a, x.torsions),
          constant(a, x.alt_torsions), constant(a, x.torsion_mask),     constant(a, x.mask)};
}

}  // namespace

TEST_CASE_TEMPLATE("embed: gradients of template pointwise attention", B, BACKENDS) {
  const B b;
  const auto module = testing::randomised(template_pointwise_attention<B, dims>(b), 1);
  const auto mask = from_host<1>(b, host_tensor<double>({3}, {1, 0, 1}));
  const auto loss = [&](const auto& in) {
    const auto& [attend, t, z] = in;
    return probe(attend(t, z, constant(z.backend(), mask)));
  };
  const auto point = std::tuple(module, normal<4>(b, {3, 4, 4, dims::c_t}, 2), normal<3>(b, {4, 4, dims::c_z}, 3));
  CHECK(gradient_check(loss, point, {1e-4, 12, 1}) < 1e-6);
  CHECK(live_gradient_nodes() == 0);
}

TEST_CASE_TEMPLATE("embed: gradients of the template pair stack in both orders", B, BACKENDS) {
  const B b;
  for (const bool tri_mul_first : {false, true}) {
    auto module = testing::randomised(template_pair_stack<B, dims>(b, 1), 4);
    module.set_options({tri_mul_first});
    const auto mask = testing::random_mask(b, 4, 4, 5);
    const auto loss = [&](const auto& in) {
      const auto& [refine, t] = in;
      return probe(refine(t, constant(t.backend(), mask)));
    };
    const auto point = std::tuple(module, normal<4>(b, {2, 4, 4, dims::c_t}, 6));
    CHECK(gradient_check(loss, point, {1e-4, 4, 1}) < 1e-6);
  }
}

TEST_CASE_TEMPLATE("embed: gradients of the whole template embedder", B, BACKENDS) {
  const B b;
  const index_t n = 4;
  auto module = testing::randomised(template_embedder<B, dims>(b, 1), 7);
  module.template_pair_embedder.options.use_unit_vector = true;
  const auto templates = random_templates(b, n, 8);
  const auto mask = full<2>(b, {n, n}, 1.0);
  const auto loss = [&](const auto& in) {
    const auto& [embed, z] = in;
    const auto a = z.backend();
    const auto x = embed(as_constant(a, templates), z, constant(a, mask));
    return probe(x.pair) + probe(x.single, 5);
  };
  CHECK(gradient_check(loss, std::tuple(module, normal<3>(b, {n, n, dims::c_z}, 9)), {1e-5, 4, 1}) < 1e-6);
  CHECK(live_gradient_nodes() == 0);
}

TEST_CASE_TEMPLATE("embed: an absent template changes nothing, no template at all gives no pair update", B, BACKENDS,
                   cpu<float>) {
  const B b;
  const index_t n = 5;
  const auto module = testing::randomised(template_embedder<B, dims>(b), 10);
  const auto z = normal<3>(b, {n, n, dims::c_z}, 11);
  const auto mask = full<2>(b, {n, n}, scalar_of<B>(1));
  auto one = random_templates(b, n, 12, 0), other = random_templates(b, n, 12, 0);
  // Another second template behind the same mask.
  const auto keep = reshape<4>(one.mask, {2, 1, 1, 1});
  other.positions = one.positions * keep + normal<4>(b, {2, n, 37, 3}, 99, 5) * affine(keep, -1, 1);
  const auto first = module(one, z, mask), second = module(other, z, mask);
  CHECK(difference(first.pair, second.pair) == 0);
  CHECK(testing::largest(first.pair) > 0.1);
  CHECK(difference(first.pair, module(random_templates(b, n, 12, 1), z, mask).pair) > 1e-3);
  one.mask = one.mask * 0.0;
  CHECK(testing::largest(module(one, z, mask).pair) == 0);
  CHECK(first.single.shape() == extents<3>{2, n, dims::c_m});
  CHECK(difference(first.single_mask, select(one.torsion_mask, 2, 2)) == 0);
}

TEST_CASE_TEMPLATE("embed: pair features in chunks of rows equal the whole", B, BACKENDS) {
  const B b;
  const index_t n = 200;  // more rows than one chunk holds
  auto module = testing::randomised(template_pair_embedder<B, dims>(b), 13);
  module.options.use_unit_vector = true;
  const auto x = random_templates(b, n, 14);
  const auto geometry =
      make_template_geometry(detail::types_of(x.aatype, 1), select(x.positions, 0, 1), select(x.atom_mask, 0, 1),
                             select(x.pseudo_beta, 0, 1), select(x.pseudo_beta_mask, 0, 1));
  CHECK(difference(module(geometry), module(module.features(geometry))) < 1e-13);
}

TEST_CASE_TEMPLATE("embed: template features do not change when a template is moved", B, BACKENDS) {
  const B b;
  const index_t n = 6;
  template_pair_embedder<B, dims> module(b);
  module.options.use_unit_vector = true;
  const auto x = random_templates(b, n, 15);
  const auto motion = testing::random_frames(b, 1, 16, 20);
  const auto features = [&](bool moved) {
    const auto place = [&](const auto& points) {
      const auto turned = matmul(points, broadcast_to<3>(inverse_rotation(quat_to_rot(motion.quaternion)), {n, 3, 3}));
      return moved ? turned + motion.translation : points;
    };
    return module.features(make_template_geometry(
        detail::types_of(x.aatype, 0), place(select(x.positions, 0, 0)), select(x.atom_mask, 0, 0),
        select(place(unsqueeze(select(x.pseudo_beta, 0, 0), 1)), 1, 0), select(x.pseudo_beta_mask, 0, 0)));
  };
  CHECK(difference(features(false), features(true)) < 1e-8);
  // Torsions, too, known or not.
  const auto turn = reshape<4>(inverse_rotation(quat_to_rot(motion.quaternion)), {1, 1, 3, 3});
  host_tensor<double> some({2, n, 37}, 1.0);
  for (index_t i = 0; i < n; ++i) some(0, i, (5 * i) % 4) = 0;
  const auto known = from_host<3>(b, some);
  const auto here = x.positions * unsqueeze(known, 3);
  const auto there = (matmul(here, broadcast_to<4>(turn, {2, n, 3, 3})) + motion.translation) * unsqueeze(known, 3);
  const auto before = make_template_input<B>(x.aatype, here, known, x.mask);
  const auto after = make_template_input<B>(x.aatype, there, known, x.mask);
  CHECK(difference(before.torsions, after.torsions) < 1e-8);
  CHECK(difference(before.alt_torsions, after.alt_torsions) < 1e-8);
}

TEST_CASE("embed: template parameters have OpenFold's names, and an empty set of templates is refused") {
  using B = reference<double>;
  const template_embedder<B, dims> module{B{}};
  std::set<std::string> names;
  tree::for_each_named(module, [&](const std::string& path, const auto&) { names.insert(path); });
  for (const char* name : {"template_single_embedder.linear_1.weight", "template_pair_embedder.linear.bias",
                           "template_pair_stack.blocks.1.tri_att_end.mha.linear_g.weight",
                           "template_pair_stack.blocks.0.tri_mul_in.layer_norm_out.bias",
                           "template_pair_stack.blocks.0.pair_transition.linear_2.weight",
                           "template_pair_stack.layer_norm.weight", "template_pointwise_att.mha.linear_o.bias"})
    CHECK_MESSAGE(names.count(name) == 1, name);
  CHECK(names.count("template_pointwise_att.mha.linear_q.bias") == 0);
  const B b;
  CHECK_THROWS_AS(make_template_input<B>(tensor<B, 2, index_t>(b, {0, 3}), tensor<B, 4>(b, {0, 3, 37, 3}),
                                         tensor<B, 3>(b, {0, 3, 37}), tensor<B, 1>(b, {0})),
                  shape_error);
}
