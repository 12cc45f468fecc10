// SPDX-License-Identifier: Apache-2.0
// Group 04: input, recycling, extra-MSA and template embedders.
#include <fathom/embed/extra_msa_embedder.hpp>
#include <fathom/embed/input_embedder.hpp>
#include <fathom/embed/recycling_embedder.hpp>
#include <fathom/embed/template_embedder.hpp>

#include "support/golden_dims.hpp"
#include "support/golden_registry.hpp"

namespace golden_embed {
namespace {

using namespace fathom;
using golden::dims;

template <class Run>
using backend_t = typename std::remove_cvref_t<Run>::backend_type;

const golden::covers input_case("04_input_embedder", [](auto& run) {
  const auto residue_index = run.template in_index<1>("ri");
  run.differentiable(
      std::array{"m", "z"}, run.load(input_embedder<backend_t<decltype(run)>, dims>(run.backend())),
      [&](const auto& embed, const auto& tf, const auto& msa) {
        const auto x = embed(tf, golden::like(tf, residue_index), msa);
        return std::tuple(x.m, x.z);
      },
      run.template input<2>("tf"), run.template input<3>("msa"));
});

const golden::covers recycling_case("04_recycling_embedder", [](auto& run) {
  auto module = run.load(recycling_embedder<backend_t<decltype(run)>, dims>(run.backend()));
  module.options = {run.template option<double>("min_bin"), run.template option<double>("max_bin")};
  const auto x = run.template in<2>("x");
  run.differentiable(
      std::array{"m", "z"}, module,
      [&](const auto& embed, const auto& m, const auto& z) {
        const auto update = embed(m, z, golden::like(m, x));
        return std::tuple(update.m, update.z);
      },
      run.template input<2>("m"), run.template input<3>("z"));
});

const golden::covers extra_case("04_extra_msa_embedder", [](auto& run) {
  run.values("in.feat",
             to_host(extra_msa_feature(run.template in_index<2>("extra_msa"), run.template in<2>("extra_has_deletion"),
                                       run.template in<2>("extra_deletion_value"))));
  run.differentiable(
      std::array{"a"}, run.load(extra_msa_embedder<backend_t<decltype(run)>, dims>(run.backend())),
      [](const auto& embed, const auto& feat) { return std::tuple(embed(feat)); }, run.template input<3>("feat"));
});

const golden::covers angle_case("04_template_angle_embedder", [](auto& run) {
  run.values("in.feat", to_host(template_single_feature(run.template in_index<2>("template_aatype"),
                                                        run.template in<4>("template_torsion_angles_sin_cos"),
                                                        run.template in<4>("template_alt_torsion_angles_sin_cos"),
                                                        run.template in<3>("template_torsion_angles_mask"))));
  run.differentiable(
      std::array{"a"}, run.load(template_single_embedder<backend_t<decltype(run)>, dims>(run.backend())),
      [](const auto& embed, const auto& feat) { return std::tuple(embed(feat)); }, run.template input<3>("feat"));
});

const golden::covers pair_case("04_template_pair_embedder", [](auto& run) {
  auto module = run.load(template_pair_embedder<backend_t<decltype(run)>, dims>(run.backend()));
  module.options = {run.template option<double>("min_bin"), run.template option<double>("max_bin"),
                    run.template option<double>("eps"), run.template option<bool>("use_unit_vector")};
  const auto geometry = make_template_geometry(
      run.template in_index<1>("template_aatype"), run.template in<3>("template_all_atom_positions"),
      run.template in<2>("template_all_atom_mask"), run.template in<2>("template_pseudo_beta"),
      run.template in<1>("template_pseudo_beta_mask"), module.options.eps);
  run.values("in.feat", to_host(module.features(geometry)));
  run.output("t", module(geometry), " from the template's geometry");
  run.differentiable(
      std::array{"t"}, module, [](const auto& embed, const auto& feat) { return std::tuple(embed(feat)); },
      run.template input<3>("feat"));
});

const golden::covers stack_case("04_template_pair_stack", [](auto& run) {
  auto module = run.load(
      template_pair_stack<backend_t<decltype(run)>, dims>(run.backend(), run.template option<index_t>("no_blocks")));
  module.set_options({run.template option<bool>("tri_mul_first")});
  const auto mask = run.template in<3>("mask");
  run.differentiable(
      std::array{"t"}, module,
      [&](const auto& refine, const auto& t) { return std::tuple(refine(t, select(golden::like(t, mask), 0, 0))); },
      run.template input<4>("t"));
});

const golden::covers pointwise_case("04_template_pointwise_attention", [](auto& run) {
  auto module = run.load(template_pointwise_attention<backend_t<decltype(run)>, dims>(run.backend()));
  module.options.inf = run.template option<double>("inf");
  const auto mask = run.template in<1>("template_mask");
  run.differentiable(
      std::array{"z"}, module,
      [&](const auto& attend, const auto& t, const auto& z) { return std::tuple(attend(t, z, golden::like(z, mask))); },
      run.template input<4>("t"), run.template input<3>("z"));
});

}  // namespace
}  // namespace golden_embed
