// SPDX-License-Identifier: Apache-2.0
// Group 08: small end-to-end models: three cycles, with and without templates, all heads, all losses, and the gradient
// of the last cycle.
#include <doctest/doctest.h>

#include <optional>
#include <string>

#include <fathom/autodiff/constants.hpp>
#include <fathom/loss/total.hpp>
#include <fathom/model/alphafold.hpp>
#include <fathom/nn/initialise.hpp>

#include "support/golden_registry.hpp"

// Not every backend runs every case: in a namespace with a name nothing counts as unused.
namespace golden_models {
struct model_dims : fathom::alphafold2 {
  static constexpr fathom::index_t c_m = 12, c_z = 10, c_s = 14, c_e = 8, c_t = 6;
  static constexpr fathom::index_t c_hidden_msa_att = 4, no_heads_msa = 2;
  static constexpr fathom::index_t c_hidden_opm = 4, c_hidden_mul = 6;
  static constexpr fathom::index_t c_hidden_pair_att = 4, no_heads_pair = 2;
  static constexpr fathom::index_t transition_n = 2, relpos_k = 5;
  static constexpr fathom::index_t c_hidden_extra_att = 4, no_heads_extra = 2;
  static constexpr fathom::index_t c_hidden_tri_att_t = 4, c_hidden_tri_mul_t = 6, no_heads_t = 2,
                                   pair_transition_n_t = 2;
  static constexpr fathom::index_t c_hidden_template_att = 4, no_heads_template_att = 2;
  static constexpr fathom::index_t c_ipa = 4, no_heads_ipa = 3, no_qk_points = 3, no_v_points = 4, c_resnet = 8;
};
}  // namespace golden_models

namespace {

using namespace fathom;
using golden_models::model_dims;

template <class B>
using small_alphafold = alphafold<B, model_dims, 8>;

/// Array `key` of cycle `k`, without the axis of cycles.
template <int R, class Run>
auto of_cycle(Run& run, const std::string& key, index_t k) {
  return select(from_host<R + 1>(run.backend(), run.host("cycle." + key)), 0, k);
}
template <int R, class Run>
auto index_of_cycle(Run& run, const std::string& key, index_t k) {
  const auto all = run.host_index("cycle." + key);
  host_tensor<std::int64_t> one(std::vector<index_t>(all.shape.begin() + 1, all.shape.end()));
  std::copy_n(all.data.begin() + k * one.size(), one.size(), one.data.begin());
  return from_host<R>(run.backend(), one);
}

template <class Run>
small_alphafold<typename Run::backend_type> read_model(Run& run, const nlohmann::json& of) {
  using B = typename Run::backend_type;
  alphafold_sizes sizes;
  sizes.evoformer_blocks = of.at("evoformer_stack").at("no_blocks");
  sizes.extra_msa_blocks = of.at("extra_msa").at("extra_msa_stack").at("no_blocks");
  sizes.template_blocks = of.at("template").at("template_pair_stack").at("no_blocks");
  sizes.templates = of.at("template").at("enabled");
  sizes.tm = of.at("heads").at("tm").at("enabled");
  small_alphafold<B> model(run.backend(), sizes);
  const bool mask_trans = of.at("_mask_trans");
  for (auto& block : model.evoformer.blocks) {
    block.options.opm_first = of.at("evoformer_stack").at("opm_first");
    block.options.mask_trans = mask_trans;
    block.pair_stack.options.mask_trans = mask_trans;
  }
  for (auto& block : model.extra_msa_stack.blocks) {
    const auto& stack = of.at("extra_msa").at("extra_msa_stack");
    block.options.opm_first = stack.at("opm_first");
    block.pair_stack.options.mask_trans = mask_trans;
    block.msa_att_col.global_attention.options = {stack.at("inf"), stack.at("eps")};
  }
  const auto& recycling = of.at("recycling_embedder");
  model.recycling_embedder.options = {recycling.at("min_bin"), recycling.at("max_bin")};
  if (model.template_embedder) {
    const auto& t = of.at("template");
    model.template_embedder->template_pair_embedder.options = {
        t.at("distogram").at("min_bin"), t.at("distogram").at("max_bin"), t.at("eps"), t.at("use_unit_vector")};
    model.template_embedder->template_pair_stack.set_options(
        {t.at("template_pair_stack").at("tri_mul_first").template get<bool>(), mask_trans});
    model.template_embedder->template_pointwise_att.options.inf = t.at("template_pointwise_attention").at("inf");
  }
  const auto& structure = of.at("structure_module");
  model.structure_module.options.blocks = structure.at("no_blocks");
  model.structure_module.options.trans_scale_factor = structure.at("trans_scale_factor");
  model.structure_module.ipa.options = {structure.at("inf"), structure.at("epsilon")};
  model.structure_module.angle_resnet.options.eps = structure.at("epsilon");
  return run.load(std::move(model));
}

[[maybe_unused]] loss::total_options read_loss(const nlohmann::json& of) {
  loss::total_options options;
  const auto number = [&](const char* term, const char* what) { return of.at(term).at(what).get<double>(); };
  const auto resolution = [&](const char* term) {
    return loss::resolution_range{number(term, "min_resolution"), number(term, "max_resolution")};
  };
  options.weights.fape = number("fape", "weight");
  options.weights.supervised_chi = number("supervised_chi", "weight");
  options.weights.distogram = number("distogram", "weight");
  options.weights.masked_msa = number("masked_msa", "weight");
  options.weights.plddt = number("plddt_loss", "weight");
  options.weights.experimentally_resolved = number("experimentally_resolved", "weight");
  options.weights.violation = number("violation", "weight");
  options.weights.tm = of.at("tm").at("enabled").get<bool>() ? number("tm", "weight") : 0;
  const auto& backbone = of.at("fape").at("backbone");
  const auto& sidechain = of.at("fape").at("sidechain");
  options.fape = {backbone.at("clamp_distance"), backbone.at("loss_unit_distance"), number("fape", "eps"),
                  backbone.at("weight"), sidechain.at("weight")};
  options.supervised_chi.chi_weight = number("supervised_chi", "chi_weight");
  options.supervised_chi.angle_norm_weight = number("supervised_chi", "angle_norm_weight");
  options.supervised_chi.eps = number("supervised_chi", "eps");
  options.distogram = {number("distogram", "min_bin"), number("distogram", "max_bin"), number("distogram", "eps")};
  options.masked_msa_eps = number("masked_msa", "eps");
  options.plddt = {{number("plddt_loss", "cutoff"), number("plddt_loss", "eps")}, resolution("plddt_loss")};
  options.experimentally_resolved = {resolution("experimentally_resolved"), number("experimentally_resolved", "eps")};
  options.violation.tolerance_factor = number("violation", "violation_tolerance_factor");
  options.violation.clash_overlap_tolerance = number("violation", "clash_overlap_tolerance");
  options.violation.average_clashes = of.at("violation").at("average_clashes");
  // The configured eps stands in the last denominator alone, where 1e-6 instead of it is 1e-9 of the loss.
  options.tm = {number("tm", "max_bin"), number("tm", "eps"), resolution("tm")};
  return options;
}

template <class Run>
fold_inputs<typename Run::backend_type> read_inputs(Run& run, index_t cycle) {
  fold_inputs<typename Run::backend_type> in;
  in.aatype = run.template in_index<1>("aatype");
  in.residue_index = run.template in_index<1>("residue_index");
  in.target_feat = run.template in<2>("target_feat");
  in.seq_mask = run.template in<1>("seq_mask");
  in.msa_feat = of_cycle<3>(run, "msa_feat", cycle);
  in.msa_mask = of_cycle<2>(run, "msa_mask", cycle);
  in.extra_msa = index_of_cycle<2>(run, "extra_msa", cycle);
  in.extra_has_deletion = of_cycle<2>(run, "extra_has_deletion", cycle);
  in.extra_deletion_value = of_cycle<2>(run, "extra_deletion_value", cycle);
  in.extra_msa_mask = of_cycle<2>(run, "extra_msa_mask", cycle);
  return in;
}

template <class Run>
template_input<typename Run::backend_type> read_templates(Run& run) {
  return {run.template in_index<2>("template_aatype"),
          run.template in<4>("template_all_atom_positions"),
          run.template in<3>("template_all_atom_mask"),
          run.template in<3>("template_pseudo_beta"),
          run.template in<2>("template_pseudo_beta_mask"),
          run.template in<4>("template_torsion_angles_sin_cos"),
          run.template in<4>("template_alt_torsion_angles_sin_cos"),
          run.template in<3>("template_torsion_angles_mask"),
          run.template in<1>("template_mask")};
}

template <class Run>
loss::targets<typename Run::backend_type> read_targets(Run& run, index_t cycle) {
  loss::targets<typename Run::backend_type> t;
  t.aatype = run.template in_index<1>("aatype");
  t.residue_index = run.template in_index<1>("residue_index");
  t.seq_mask = run.template in<1>("seq_mask");
  t.all_atom_positions = run.template in<3>("all_atom_positions");
  t.all_atom_mask = run.template in<2>("all_atom_mask");
  t.atom37_atom_exists = run.template in<2>("atom37_atom_exists");
  t.atom14_atom_exists = run.template in<2>("atom14_atom_exists");
  t.atom14_gt_positions = run.template in<3>("atom14_gt_positions");
  t.atom14_alt_gt_positions = run.template in<3>("atom14_alt_gt_positions");
  t.atom14_gt_exists = run.template in<2>("atom14_gt_exists");
  t.atom14_alt_gt_exists = run.template in<2>("atom14_alt_gt_exists");
  t.atom14_atom_is_ambiguous = run.template in<2>("atom14_atom_is_ambiguous");
  t.rigidgroups_gt_frames = from_4x4(run.template in<4>("rigidgroups_gt_frames"));
  t.rigidgroups_alt_gt_frames = from_4x4(run.template in<4>("rigidgroups_alt_gt_frames"));
  t.rigidgroups_gt_exists = run.template in<2>("rigidgroups_gt_exists");
  t.chi_angles_sin_cos = run.template in<3>("chi_angles_sin_cos");
  t.chi_mask = run.template in<2>("chi_mask");
  t.pseudo_beta = run.template in<2>("pseudo_beta");
  t.pseudo_beta_mask = run.template in<1>("pseudo_beta_mask");
  t.true_msa = index_of_cycle<2>(run, "true_msa", cycle);
  t.bert_mask = of_cycle<2>(run, "bert_mask", cycle);
  t.options = {run.host("in.resolution").data[0], run.host("in.use_clamped_fape").data[0]};
  return t;
}

template <class Run, class B>
void check_last(Run& run, const alphafold_pass<B>& got, index_t clusters) {
  const auto& heads = got.heads;
  run.output("msa", slice(got.trunk.m, 0, 0, clusters));
  run.output("pair", got.trunk.z);
  run.output("single", got.trunk.s);
  run.output("final_affine_tensor", got.structure.last().frames.to_tensor_7());
  run.output("final_atom_positions", got.positions);
  run.output("distogram_logits", heads.distogram);
  run.output("experimentally_resolved_logits", heads.experimentally_resolved);
  run.output("lddt_logits", heads.plddt);
  run.output("masked_msa_logits", heads.masked_msa);
  run.output("plddt", expected_plddt(heads.plddt));
  if (heads.tm) {
    run.output("tm_logits", *heads.tm);
    run.output("ptm_score", predicted_tm(*heads.tm));
    run.output("predicted_aligned_error", predicted_aligned_error(*heads.tm));
    run.values("out.max_predicted_aligned_error",
               host_tensor<double>({}, std::vector<double>{max_predicted_aligned_error()}));
  }
  const auto stacked = [&](const char* name, const auto& member) {
    std::vector<std::remove_cvref_t<decltype(member(got.structure.last()))>> parts;
    for (const auto& step : got.structure.steps) parts.push_back(member(step));
    run.output(std::string("sm.") + name, stack(parts, 0));
  };
  stacked("angles", [](const auto& step) { return step.angles; });
  stacked("unnormalized_angles", [](const auto& step) { return step.unnormalized_angles; });
  stacked("frames", [](const auto& step) { return step.frames.to_tensor_7(); });
  stacked("sidechain_frames", [](const auto& step) { return to_4x4(step.sidechain_frames); });
  stacked("positions", [](const auto& step) { return step.positions; });
  stacked("states", [](const auto& step) { return step.state; });
  run.output("sm.single", got.structure.single());
}

struct model_case {
  template <class Run>
  void operator()(Run& run) const {
    using B = typename Run::backend_type;
    const auto& b = run.backend();
    const auto residues = run.host("in.seq_mask");
    const bool padded = std::any_of(residues.data.begin(), residues.data.end(), [](double x) { return x == 0; });
    run.limit(padded ? golden::tolerance{1e-5, 1e-6} : golden::tolerance{1e-6, 1e-7});
    run.limit_float(2e-4, 5e-4);
    // In float32 rounding decides at residues that are padding throughout, and the losses count them.
    if (padded && !Run::is_double) return run.ignore_all("");
    const auto model = read_model(run, run.template option<nlohmann::json>("model"));
    const auto cycles = run.template option<index_t>("cycles");
    std::optional<template_input<B>> templates;
    if (model.template_embedder) templates = read_templates(run);

    auto before = model.nothing_recycled(b, residues.size());
    for (index_t cycle = 0; cycle < cycles; ++cycle) {
      const auto in = read_inputs(run, cycle);
      const std::string at = std::to_string(cycle) + ".";
      const auto observe = [&](const std::string& name, const auto& value) {
        const auto check = [&](const std::string& key, const auto& got) { run.values("out" + at + key, to_host(got)); };
        using V = std::remove_cvref_t<decltype(value)>;
        if constexpr (std::is_same_v<V, template_embedding<B>>) {
          check("template_embedder.template_pair_embedding", value.pair);
          check("template_embedder.template_single_embedding", value.single);
        } else if constexpr (std::is_same_v<V, tensor<B, 3>>) {
          check(name + ".z", value);
        } else {
          check(name + ".m", value.m);
          check(name + ".z", value.z);
          if constexpr (requires { value.s; }) check(name + ".s", value.s);
        }
      };
      const auto got = model.pass(in, templates, before, observe);
      run.values("out" + at + "structure_module.final_frames", to_host(got.structure.last().frames.to_tensor_7()));
      run.values("out" + at + "structure_module.final_positions_atom14", to_host(got.structure.last().positions));
      if (cycle + 1 == cycles) {
        check_last(run, got, in.msa_feat.extent(0));
        train(run, model, in, templates, before);
      }
      before = model.recycle(got, in);
    }
    // Known from the residue types and atoms, or of inputs that were made from them.
    for (const char* key : {"in.alt_torsion_angles_sin_cos", "in.torsion_angles_sin_cos", "in.torsion_angles_mask",
                            "in.seq_length", "in.backbone_rigid_mask", "in.backbone_rigid_tensor",
                            "in.between_segment_residues", "in.residx_atom14_to_atom37", "in.residx_atom37_to_atom14",
                            "in.rigidgroups_group_exists", "in.rigidgroups_group_is_ambiguous"})
      run.ignore(key);
    if (!templates) run.ignore_all("in.template_");
  }

 private:
  /// The loss's terms and the gradient with respect to every parameter.
  template <class Run, class B>
  static void train(Run& run, const small_alphafold<B>& model, const fold_inputs<B>& in,
                    const std::optional<template_input<B>>& templates, const recycled_state<B>& before) {
    const auto options = read_loss(run.template option<nlohmann::json>("loss"));
    const auto truth = read_targets(run, run.template option<index_t>("cycles") - 1);
    const auto f = [&](const auto& self) {
      using A = typename std::remove_cvref_t<decltype(self)>::backend_type;
      const A& a = self.input_embedder.linear_tf_m.weight.backend();
      std::optional<template_input<A>> known;
      if (templates) known = constants(a, *templates);
      const auto pass = self.pass(constants(a, in), known, constants(a, before));
      const auto loss = loss::total(pass.structure, pass.heads, truth, options);
      for (const auto& [name, value] : loss.report())
        run.values("loss." + name, host_tensor<double>({}, std::vector<double>{value}));
      return loss.loss;
    };
    const auto renamed = loss::renamed_sidechains(model.pass(in, templates, before).structure.last().positions, truth,
                                                  options.renaming_eps);
    run.output("renamed.alt_naming_is_better", renamed.alt_is_better);
    run.output("renamed.renamed_atom14_gt_exists", renamed.positions_exist);
    run.output("renamed.renamed_atom14_gt_positions", renamed.positions);
    const auto [value, pullback] = vjp(
        run.backend(), [&](const auto& self) { return std::tuple(f(self)); }, model);
    const auto gradients = pullback(std::tuple(full<0>(run.backend(), {}, scalar_of<B>(1))));
    tree::for_each_named(std::get<0>(gradients),
                         [&](const std::string& path, const auto& leaf) { run.gradient("param." + path, path, leaf); });
  }
};

constexpr unsigned on_cpu = (FATHOM_GOLDEN_BACKENDS) & (FATHOM_GOLDEN_CPU_DOUBLE | FATHOM_GOLDEN_CPU_FLOAT);
const golden::covers_on<on_cpu> models("08_model", model_case{});

}  // namespace

// The build compiles this file for each backend: the test stands in one of them.
#if (FATHOM_GOLDEN_BACKENDS) & FATHOM_GOLDEN_CPU_DOUBLE
TEST_CASE("golden: a model without a template embedder refuses templates") {
  using B = cpu<double>;
  const B b;
  const auto model =
      initialise(small_alphafold<B>(b, {.evoformer_blocks = 1, .extra_msa_blocks = 1, .templates = false}));
  fold_inputs<B> in;
  in.aatype = from_host<1>(b, host_tensor<std::int64_t>({2}, {0, 1}));
  in.residue_index = from_host<1>(b, host_tensor<std::int64_t>({2}, {0, 1}));
  in.target_feat = zeros<2>(b, {2, 22});
  in.seq_mask = full<1>(b, {2}, 1.0);
  in.msa_feat = zeros<3>(b, {1, 2, 49});
  in.msa_mask = full<2>(b, {1, 2}, 1.0);
  CHECK_THROWS_WITH(model.pass(in, template_input<B>{}, model.nothing_recycled(b, 2)),
                    "alphafold: this model was made without templates (sizes.templates); pass none");
}
#endif
