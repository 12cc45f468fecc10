// SPDX-License-Identifier: Apache-2.0
// AlphaFold2's monomer network with its discrete trunk, templates and all heads (AF2 Suppl. Alg. 2). What it computes of
// one pass is recordable: a loss of the last pass trains every parameter.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include <fathom/embed/extra_msa_embedder.hpp>
#include <fathom/embed/input_embedder.hpp>
#include <fathom/embed/recycling_embedder.hpp>
#include <fathom/embed/template_embedder.hpp>
#include <fathom/evoformer/evoformer_stack.hpp>
#include <fathom/evoformer/extra_msa_stack.hpp>
#include <fathom/geometry/atoms.hpp>
#include <fathom/heads/aux_heads.hpp>
#include <fathom/model/inputs.hpp>
#include <fathom/model/recycled_state.hpp>
#include <fathom/structure/structure_module.hpp>

namespace fathom {

/// Numbers of blocks, and which optional parts exist. AlphaFold2's models 3 to 5 have no templates; the pTM models have
/// the tm head.
struct alphafold_sizes {
  index_t evoformer_blocks = 48, extra_msa_blocks = 4, template_blocks = 2;
  bool templates = true, tm = false;
};

/// What one pass finds. s clusters, t templates, i residues.
template <backend B>
struct alphafold_pass {
  using backend_type = B;
  evoformer_output<B> trunk;         ///< m [s + t, i, c_m], z [i, j, c_z], s [i, c_s]
  predicted_structure<B> structure;
  tensor<B, 3> positions;            ///< atom37 [i, 37, 3], Angstrom
  aux_logits<B> heads;

  void visit(auto&& v) {
    v("trunk", trunk);
    v("structure", structure);
    v("positions", positions);
    v("heads", heads);
  }
  template <class B2>
  using rebind = alphafold_pass<B2>;
};

/// Member names are OpenFold's.
template <backend B, evoformer_dims D, index_t PlddtHidden = 128>
struct alphafold {
  using backend_type = B;
  using dims_type = D;
  static constexpr double structure_dropout = 0.1;

  fathom::input_embedder<B, D> input_embedder;
  fathom::recycling_embedder<B, D> recycling_embedder;
  std::optional<fathom::template_embedder<B, D>> template_embedder;
  fathom::extra_msa_embedder<B, D> extra_msa_embedder;
  fathom::extra_msa_stack<B, D> extra_msa_stack;
  evoformer_stack<B, D> evoformer;
  fathom::structure_module<B, D> structure_module;
  fathom::aux_heads<B, D, PlddtHidden> aux_heads;

  alphafold() = default;
  explicit alphafold(const B& b, const alphafold_sizes& sizes = {})
      : input_embedder(b),
        recycling_embedder(b),
        extra_msa_embedder(b),
        extra_msa_stack(b, sizes.extra_msa_blocks),
        evoformer(b, sizes.evoformer_blocks),
        structure_module(b),
        aux_heads(b, sizes.tm) {
    if (sizes.templates) template_embedder.emplace(b, sizes.template_blocks);
  }

  void visit(auto&& v) {
    v("input_embedder", input_embedder);
    v("recycling_embedder", recycling_embedder);
    v("template_embedder", template_embedder);
    v("extra_msa_embedder", extra_msa_embedder);
    v("extra_msa_stack", extra_msa_stack);
    v("evoformer", evoformer);
    v("structure_module", structure_module);
    v("aux_heads", aux_heads);
  }
  template <class B2>
  using rebind = alphafold<B2, D, PlddtHidden>;

  /// One pass. `templates` may be absent; a model without a template embedder refuses them. `observe(name, value)` sees
  /// what the parts give, under their names: input_embedder, recycling_embedder, template_embedder, extra_msa_stack,
  /// evoformer. Dropout acts, at each layer's own rate, where the key's rate is above 0.
  template <class Observe>
  alphafold_pass<B> pass(const fold_inputs<B>& in, const std::optional<template_input<B>>& templates,
                         const recycled_state<B>& before, Observe&& observe, const dropout_key& key = {}) const {
    const auto pair_mask = unsqueeze(in.seq_mask, 1) * unsqueeze(in.seq_mask, 0);
    const index_t clusters = in.msa_feat.extent(0);
    auto x = input_embedder(in.target_feat, in.residue_index, in.msa_feat);
    observe("input_embedder", x);
    {
      auto recycled = recycling_embedder(before.m, before.z, before.x);
      observe("recycling_embedder", recycled);
      x.m = add_to_first_row(x.m, recycled.m);
      x.z = std::move(x.z) + recycled.z;
    }
    auto msa_mask = in.msa_mask;
    if (templates) {
      if (!template_embedder)
        throw error("alphafold: this model was made without templates (sizes.templates); pass none");
      auto found = (*template_embedder)(*templates, x.z, pair_mask, key.split(0));
      observe("template_embedder", found);
      x.z = std::move(x.z) + found.pair;
      x.m = concatenate(std::vector{x.m, found.single}, 0);
      msa_mask = concatenate(std::vector{msa_mask, found.single_mask}, 0);
    }
    const auto extra = extra_msa_embedder(
        extra_msa_feature(in.extra_msa, in.extra_has_deletion, in.extra_deletion_value));
    x.z = extra_msa_stack({extra, std::move(x.z)}, masks<B>{in.extra_msa_mask, pair_mask}, key.split(1));
    observe("extra_msa_stack", x.z);

    alphafold_pass<B> out;
    out.trunk = evoformer(std::move(x), masks<B>{msa_mask, pair_mask}, key.split(2));
    observe("evoformer", out.trunk);
    auto folding = structure_module;  // shares the tensors
    folding.options.dropout = key.split(3).with_rate(structure_dropout);
    out.structure = folding(out.trunk.s, out.trunk.z, in.aatype, in.seq_mask);
    out.positions = atom14_to_atom37(out.structure.last().positions, in.aatype, structure_module.options.unknown);
    out.heads = aux_heads(templates ? slice(out.trunk.m, 0, 0, clusters) : out.trunk.m, out.trunk.z, out.trunk.s,
                          out.structure.single());
    return out;
  }
  alphafold_pass<B> pass(const fold_inputs<B>& in, const std::optional<template_input<B>>& templates,
                         const recycled_state<B>& before, const dropout_key& key = {}) const {
    return pass(in, templates, before, [](const char*, const auto&) {}, key);
  }

  /// What the first pass finds: zeros (the recycling embedder's layer norms and biases act on them all the same).
  recycled_state<B> nothing_recycled(const B& b, index_t n) const {
    return {zeros<2>(b, {n, D::c_m}), zeros<3>(b, {n, n, D::c_z}), zeros<2>(b, {n, 3})};
  }
  /// What a pass leaves for the next one. No gradient passes.
  recycled_state<B> recycle(const alphafold_pass<B>& pass, const fold_inputs<B>& in) const {
    return {detach(contiguous(select(pass.trunk.m, 0, 0))), detach(pass.trunk.z),
            detach(pseudo_beta(pass.positions, in.aatype))};
  }
};

}  // namespace fathom
