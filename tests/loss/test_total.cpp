// SPDX-License-Identifier: Apache-2.0
// The whole loss of one sample: parts, weights, scaling, gradients from every output of the model.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <string>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/loss/total.hpp>

#include "support/frames.hpp"
#include "support/ideal_chain.hpp"

using namespace fathom;
using testing::normal;

namespace {

constexpr index_t n = 7, blocks = 2;

/// Everything a model says, as free variables.
template <class B>
struct outputs {
  using backend_type = B;
  std::vector<quaternion_rigid<B>> frames;
  std::vector<tensor<B, 3>> angles;
  aux_logits<B> logits;

  void visit(auto&& v) {
    v("frames", frames);
    v("angles", angles);
    v("logits", logits);
  }
  template <class B2>
  using rebind = outputs<B2>;

  predicted_structure<B> structure(const tensor<B, 1, index_t>& aatype) const {
    const auto geometry = make_residue_geometry(aatype);
    predicted_structure<B> predicted;
    for (std::size_t block = 0; block < frames.size(); ++block) {
      structure_step<B> step;
      step.frames = frames[block];
      step.unnormalized_angles = angles[block];
      step.angles = unit_vector(angles[block], 1e-8);
      step.sidechain_frames = torsion_angles_to_frames(step.frames.to_rigid(), step.angles, geometry.default_frames);
      step.positions = frames_to_atom14(step.sidechain_frames, geometry);
      predicted.steps.push_back(step);
    }
    return predicted;
  }
};

template <class B>
struct sample {
  loss::targets<B> truth;
  outputs<B> said;
  loss::total_options options;

  explicit sample(const B& b) {
    const auto chain = test::ideal_chain("DAFEYLK", test::torsions{});
    host_tensor<double> types({n});
    host_tensor<std::int64_t> numbers({n});
    for (index_t i = 0; i < n; ++i) types(i) = chain.aatype[static_cast<std::size_t>(i)], numbers(i) = i;
    truth = loss::make_targets(aatype_from_host(b, types), from_host<1>(b, numbers), full<1>(b, {n}, scalar_of<B>(1)),
                               from_host<3>(b, chain.positions), from_host<2>(b, chain.mask));
    truth.true_msa = from_host<2>(b, host_tensor<std::int64_t>({2, n}, std::vector<std::int64_t>(2 * n, 3)));
    truth.bert_mask = testing::random_mask(b, 2, n, 8, 0.3);
    truth.options.use_clamped_fape = 0.3;
    for (index_t block = 0; block < blocks; ++block) {
      const auto seed = static_cast<std::uint64_t>(10 * block);
      said.frames.push_back(testing::random_frames(b, n, 20 + seed, 3));
      said.angles.push_back(normal<3>(b, {n, 7, 2}, 21 + seed));
    }
    said.logits = {normal<2>(b, {n, 50}, 1), normal<3>(b, {n, n, 64}, 2), normal<3>(b, {2, n, 23}, 3),
                   normal<2>(b, {n, 37}, 4), normal<3>(b, {n, n, 64}, 5)};
    options.weights = loss::finetuning_ptm.loss;
    options.weights.smooth_lddt = 0.5;
  }
  template <class X>
  auto operator()(const X& x) const {
    const auto handle = x.logits.plddt.backend();
    return loss::total(x.structure(constant(handle, truth.aatype)), x.logits, truth, options);
  }
};

}  // namespace

TEST_CASE_TEMPLATE("loss: the total is the weighted sum of its terms times the root of the length", B,
                   reference<double>, cpu<double>) {
  sample<B> s(B{});
  const auto result = s(s.said);
  std::map<std::string, double> values;
  for (const auto& [name, value] : result.report()) values[name] = value;
  REQUIRE(values.size() == 11);
  const double expected = values.at("fape") + values.at("supervised_chi") + 0.3 * values.at("distogram") +
                          2 * values.at("masked_msa") + 0.01 * values.at("plddt_loss") +
                          0.01 * values.at("experimentally_resolved") + values.at("violation") + 0.1 * values.at("tm") +
                          0.5 * values.at("smooth_lddt");
  CHECK(values.at("unscaled_loss") == doctest::Approx(expected).epsilon(1e-12));
  CHECK(values.at("loss") == doctest::Approx(expected * std::sqrt(7.0)).epsilon(1e-12));
  for (const auto& [name, value] : values) {
    CAPTURE(name);
    CHECK(value > 0);
  }
  s.options.crop = 4;
  CHECK(item(s(s.said).loss) == doctest::Approx(2 * expected).epsilon(1e-12));
  CHECK(result.not_finite().empty());
}

TEST_CASE("loss: the clamp lottery mixes the backbone errors of a sample") {
  sample<cpu<double>> s(cpu<double>{});
  for (auto& frames : s.said.frames) frames.translation = frames.translation * 10.0;
  s.options.weights = loss::weights{.fape = 1, .supervised_chi = 0, .distogram = 0, .masked_msa = 0, .plddt = 0};
  const auto at = [&](double share) {
    s.truth.options.use_clamped_fape = share;
    return item(s(s.said).unscaled);
  };
  CHECK(at(0) > at(1) + 0.1);
  CHECK(at(0.3) == doctest::Approx(0.3 * at(1) + 0.7 * at(0)).epsilon(1e-12));
}

TEST_CASE("loss: a perfect structure has next to no structural loss") {
  const cpu<double> b;
  sample<cpu<double>> s(b);
  const auto torsions = atom37_to_torsion_angles(s.truth.all_atom_positions, s.truth.all_atom_mask, s.truth.aatype);
  // Torsions without atoms are zero vectors: give them a direction.
  const auto missing = unsqueeze(affine(torsions.mask, -1, 1), 2);
  const auto ahead = from_host<1>(b, host_tensor<double>({2}, {0, 1}));
  for (std::size_t block = 0; block < 2; ++block) {
    s.said.angles[block] = torsions.sin_cos * unsqueeze(torsions.mask, 2) + missing * ahead;
    const auto backbone = s.truth.backbone();
    s.said.frames[block] = {rot_to_quat(backbone.rotation), backbone.translation};
  }
  s.options.weights = loss::weights{.distogram = 0, .masked_msa = 0, .plddt = 0, .violation = 1};
  std::map<std::string, double> values;
  for (const auto& [name, value] : s(s.said).report()) values[name] = value;
  CHECK(values.at("fape") < 2e-3);
  CHECK(values.at("supervised_chi") < 1e-6);
  CHECK(values.at("violation") < 1e-2);
}

TEST_CASE("loss: gradients of the total reach every output of the model") {
  const sample<reference<double>> s(reference<double>{});
  const auto f = [&](const auto& x) { return s(x).loss; };
  const auto gradient = value_and_gradient(f, s.said).second;
  tree::for_each_named(gradient, [](const std::string& path, const auto& leaf) {
    CAPTURE(path);
    CHECK(testing::largest(leaf) > 0);
  });
  CHECK(gradient_check(f, s.said, {.step = 1e-5, .samples = 5}) < 1e-6);
}

TEST_CASE("loss: what is missing or broken is said by name") {
  sample<cpu<double>> s(cpu<double>{});
  s.said.logits.distogram = s.said.logits.distogram * INFINITY;
  CHECK(s(s.said).not_finite() == "distogram");
  s.said.logits.tm.reset();
  CHECK_THROWS_WITH_AS(s(s.said), doctest::Contains("no tm head"), error);
  s.options.weights = {.fape = 0, .supervised_chi = 0, .distogram = 0, .masked_msa = 0, .plddt = 0};
  CHECK_THROWS_WITH_AS(s(s.said), doctest::Contains("every weight is 0"), error);
}
