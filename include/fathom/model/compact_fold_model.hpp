// SPDX-License-Identifier: Apache-2.0
// A fold model without extra-MSA stack and templates, made for one sequence or a few and for training on a CPU.
#pragma once

#include <type_traits>
#include <utility>

#include <fathom/embed/input_embedder.hpp>
#include <fathom/embed/recycling_embedder.hpp>
#include <fathom/heads/aux_heads.hpp>
#include <fathom/model/compact_dims.hpp>
#include <fathom/model/fold_model.hpp>
#include <fathom/model/trunk_solver.hpp>

namespace fathom {

/// What one pass of a compact_fold_model leaves.
template <backend B>
struct compact_pass {
  msa_pair<B> start, trunk;
  tensor<B, 2> single;
  predicted_structure<B> structure;
};

/// Which trunk a model has: one field over the depth, or its control, a stack of blocks.
struct continuous_depth {
  static constexpr const char* name = "continuous";
  template <backend B, evoformer_dims D>
  using trunk = continuous_evoformer<B, D>;
};
struct discrete_depth {
  static constexpr const char* name = "discrete";
  template <backend B, evoformer_dims D>
  using trunk = evoformer_stack<B, D>;
};

/// Embedders, trunk, structure module, heads. Member names are those of fold_model.
template <backend B, evoformer_dims D, class Depth = continuous_depth>
struct compact_fold_model {
  using backend_type = B;
  using dims_type = D;
  using depth_type = Depth;
  using trunk_type = typename Depth::template trunk<B, D>;
  static constexpr bool continuous = std::is_same_v<Depth, continuous_depth>;

  fathom::input_embedder<B, D> input_embedder;
  fathom::recycling_embedder<B, D> recycling_embedder;
  trunk_type evoformer;
  fathom::structure_module<B, D> structure_module;
  fathom::aux_heads<B, D, 64> aux_heads;

  compact_fold_model() = default;
  /// `blocks`: of the discrete trunk.
  explicit compact_fold_model(const B& b, index_t blocks = 6)
      : input_embedder(b), recycling_embedder(b), evoformer(make_trunk(b, blocks)), structure_module(b), aux_heads(b) {
    structure_module.options.unknown = unknown_residue::backbone;
    structure_module.options.blocks = 4;
  }

  void visit(auto&& v) {
    v("input_embedder", input_embedder);
    v("recycling_embedder", recycling_embedder);
    v("evoformer", evoformer);
    v("structure_module", structure_module);
    v("aux_heads", aux_heads);
  }
  template <class B2>
  using rebind = compact_fold_model<B2, D, Depth>;

  recycled_state<B> nothing_recycled(const B& b, index_t n) const {
    return {zeros<2>(b, {n, D::c_m}), zeros<3>(b, {n, n, D::c_z}), zeros<2>(b, {n, 3})};
  }

  /// The trunk's initial state: embedder and recycling.
  msa_pair<B> embed(const fold_inputs<B>& in, const recycled_state<B>& before) const {
    auto y = input_embedder(in.target_feat, in.residue_index, in.msa_feat);
    const index_t s = y.m.extent(0);
    auto recycled = recycling_embedder(before.m, before.z, before.x);
    const auto first = slice(y.m, 0, 0, 1) + unsqueeze(recycled.m, 0);
    y.m = s == 1 ? first : concatenate(std::vector{first, slice(y.m, 0, 1, s)}, 0);
    y.z = std::move(y.z) + recycled.z;
    return y;
  }

  /// One pass; `dropout` acts in the trunk.
  compact_pass<B> pass(const fold_inputs<B>& in, const recycled_state<B>& before, const trunk_solver& solver,
                       const dropout_key& dropout = {}) const {
    const masks<B> mask{in.msa_mask, unsqueeze(in.seq_mask, 1) * unsqueeze(in.seq_mask, 0)};
    return finish_pass(in, embed(in, before),
                       [&](const msa_pair<B>& y0) { return run_trunk(evoformer, y0, mask, solver, dropout); });
  }

  aux_logits<B> heads(const compact_pass<B>& pass) const {
    return aux_heads(pass.trunk.m, pass.trunk.z, pass.single, pass.structure.single());
  }

  /// Atoms of a pass [i, 37, 3], Angstrom.
  tensor<B, 3> positions(const compact_pass<B>& pass, const fold_inputs<B>& in) const {
    return atom14_to_atom37(pass.structure.last().positions, in.aatype, structure_module.options.unknown);
  }

  /// What a pass leaves for the next one, without gradient.
  recycled_state<B> recycle(const compact_pass<B>& pass, const fold_inputs<B>& in) const {
    return {detach(contiguous(select(pass.trunk.m, 0, 0))), detach(pass.trunk.z),
            detach(pseudo_beta(positions(pass, in), in.aatype))};
  }

  template <class Run>
  compact_pass<B> finish_pass(const fold_inputs<B>& in, msa_pair<B> start, const Run& run) const {
    compact_pass<B> out;
    out.start = std::move(start);
    out.trunk = run(out.start);
    out.single = trunk_single(evoformer, out.trunk);
    out.structure = structure_module(out.single, out.trunk.z, in.aatype, in.seq_mask);
    return out;
  }

 private:
  static trunk_type make_trunk(const B& b, index_t blocks) {
    if constexpr (continuous) {
      static_cast<void>(blocks);
      return trunk_type(b);
    } else {
      return trunk_type(b, blocks);
    }
  }
};

}  // namespace fathom
