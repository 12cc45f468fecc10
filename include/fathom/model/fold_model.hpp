// SPDX-License-Identifier: Apache-2.0
// AlphaFold2 with continuous depth, end to end: features in, structure out (AF2 Suppl. Alg. 2, without templates).
#pragma once

#include <cmath>
#include <functional>
#include <utility>

#include <fathom/continuous/continuous_evoformer.hpp>
#include <fathom/embed/extra_msa_embedder.hpp>
#include <fathom/embed/input_embedder.hpp>
#include <fathom/embed/recycling_embedder.hpp>
#include <fathom/evoformer/extra_msa_stack.hpp>
#include <fathom/geometry/atoms.hpp>
#include <fathom/heads/plddt.hpp>
#include <fathom/model/depth_log.hpp>
#include <fathom/model/fold_progress.hpp>
#include <fathom/model/inputs.hpp>
#include <fathom/model/prediction.hpp>
#include <fathom/model/recycled_state.hpp>
#include <fathom/model/solver_choice.hpp>
#include <fathom/structure/structure_module.hpp>

namespace fathom {

/// How to fold. Solver and control are values: {.solver = ode::dopri5{}, .control = ode::pid{.rtol = 1e-3}}.
struct fold_options {
  index_t recycles = 1;                                     ///< passes after the first one
  solver_choice solver = ode::rk4{};
  control_choice control = ode::fixed_steps{2};
  bool measure_drift = false;                               ///< fixed steps: compare the last pass with twice the steps
  std::function<void(const fold_progress&)> progress{};     ///< called at every evaluation; may throw to stop
};

/// The pass's outcome: trunk before and after, structure, confidence.
template <backend B>
struct fold_pass {
  msa_pair<B> start, trunk;
  tensor<B, 2> single;
  predicted_structure<B> structure;
  tensor<B, 3> positions;     ///< atom37 [i, 37, 3], Angstrom
  tensor<B, 2> plddt_logits;  ///< [i, 50]
};

namespace detail {

/// OpenFold's `aux_heads`, as far as folding needs them.
template <backend B, evoformer_dims D>
struct fold_heads {
  using backend_type = B;
  plddt_head<B, D::c_s> plddt;

  fold_heads() = default;
  explicit fold_heads(const B& b) : plddt(b) {}
  void visit(auto&& v) { v("plddt", plddt); }
  template <class B2>
  using rebind = fold_heads<B2, D>;
};

/// sqrt(mean((a - b)^2)) over all elements.
template <plain_backend B, int R>
double rms_difference(const tensor<B, R>& a, const tensor<B, R>& b) {
  return std::sqrt(static_cast<double>(item(mean(square(a - b)))));
}

/// The field of a solve, telling an observer of every evaluation.
template <class Field, class Observer>
struct observed_field {
  const Field& field;
  const Observer& observer;
  template <class Time, class Y>
  auto operator()(const Time& t, const Y& y) const {
    observer(static_cast<double>(item(t)));
    return field(t, y);
  }
};

}  // namespace detail

/// Member names are OpenFold's; `evoformer` is continuous.
template <backend B, evoformer_dims D>
struct fold_model {
  using backend_type = B;
  using dims_type = D;

  fathom::input_embedder<B, D> input_embedder;
  fathom::recycling_embedder<B, D> recycling_embedder;
  fathom::extra_msa_embedder<B, D> extra_msa_embedder;
  fathom::extra_msa_stack<B, D> extra_msa_stack;
  continuous_evoformer<B, D> evoformer;
  fathom::structure_module<B, D> structure_module;
  detail::fold_heads<B, D> aux_heads;

  fold_model() = default;
  explicit fold_model(const B& b)
      : input_embedder(b),
        recycling_embedder(b),
        extra_msa_embedder(b),
        extra_msa_stack(b),
        evoformer(b),
        structure_module(b),
        aux_heads(b) {
    // A residue of unknown type keeps its backbone atoms.
    structure_module.options.unknown = unknown_residue::backbone;
  }

  void visit(auto&& v) {
    v("input_embedder", input_embedder);
    v("recycling_embedder", recycling_embedder);
    v("extra_msa_embedder", extra_msa_embedder);
    v("extra_msa_stack", extra_msa_stack);
    v("evoformer", evoformer);
    v("structure_module", structure_module);
    v("aux_heads", aux_heads);
  }
  template <class B2>
  using rebind = fold_model<B2, D>;

  /// What the first pass finds: zeros (the recycling embedder's layer norms and biases act on them all the same).
  recycled_state<B> nothing_recycled(const B& b, index_t n) const {
    return {zeros<2>(b, {n, D::c_m}), zeros<3>(b, {n, n, D::c_z}), zeros<2>(b, {n, 3})};
  }

  /// The trunk's initial state: embedders, recycling, extra-MSA stack.
  msa_pair<B> embed(const fold_inputs<B>& in, const recycled_state<B>& before) const {
    auto y = input_embedder(in.target_feat, in.residue_index, in.msa_feat);
    {
      auto recycled = recycling_embedder(before.m, before.z, before.x);
      y.m = add_to_first_row(y.m, recycled.m);
      y.z = std::move(y.z) + recycled.z;
    }
    const auto pair_mask = pair_mask_of(in.seq_mask);
    const auto extra = extra_msa_embedder(
        extra_msa_feature(in.extra_msa, in.extra_has_deletion, in.extra_deletion_value));
    y.z = extra_msa_stack({extra, std::move(y.z)}, masks<B>{in.extra_msa_mask, pair_mask});
    return y;
  }

  /// One pass. `integrate` is that of continuous_evoformer::integrate; `stage(name)` hears what begins.
  template <class Integrate, class Stage>
  fold_pass<B> pass(const fold_inputs<B>& in, const recycled_state<B>& before, Integrate&& integrate,
                    Stage&& stage) const {
    fold_pass<B> out;
    stage("extra MSA");
    out.start = embed(in, before);
    stage("trunk");
    out.trunk = evoformer.integrate(out.start, masks<B>{in.msa_mask, pair_mask_of(in.seq_mask)}, integrate);
    stage("structure");
    out.single = evoformer.single(out.trunk);
    out.structure = structure_module(out.single, out.trunk.z, in.aatype, in.seq_mask);
    out.positions =
        atom14_to_atom37(out.structure.last().positions, in.aatype, structure_module.options.unknown);
    out.plddt_logits = aux_heads.plddt(out.structure.single());
    return out;
  }

  /// What a pass leaves for the next one.
  recycled_state<B> recycle(const fold_pass<B>& pass, const fold_inputs<B>& in) const {
    return {detach(contiguous(select(pass.trunk.m, 0, 0))), detach(pass.trunk.z),
            detach(pseudo_beta(pass.positions, in.aatype))};
  }

  /// Folds `query` with `options.recycles` passes after the first, each with an alignment sample of its own.
  /// Throws numerical_error (ode::solver_error with time, step and leaf) when something is not finite.
  prediction fold(const features& query, const fold_options& options = {}) const
    requires plain_backend<B>
  {
    const B& b = aux_heads.plddt.linear_1.weight.backend();
    const index_t n = query.aatype.size();
    fold_progress progress{.residues = n, .cycles = options.recycles + 1};
    prediction result;
    recycled_state<B> before = nothing_recycled(b, n);
    for (index_t cycle = 0; cycle <= options.recycles; ++cycle) {
      progress.cycle = cycle;
      const auto in = upload(b, query, query.draw(cycle));
      const auto report = [&](const char* stage, double within) {
        progress.stage = stage;
        progress.fraction = (static_cast<double>(cycle) + within) / static_cast<double>(progress.cycles);
        if (options.progress) options.progress(progress);
      };
      const auto stage = [&](const char* name) {
        progress.t = 0;
        report(name, name[0] == 'e' ? 0.0 : name[0] == 't' ? trunk_start : structure_start);
      };
      const auto integrate = [&](const auto& field, const msa_pair<B>& y0, ode::interval span) {
        const auto observer = [&](double t) {
          ++progress.evaluations;
          progress.t = t;
          report("trunk", trunk_start + (structure_start - trunk_start) * (t - span.t0) / (span.t1 - span.t0));
        };
        using field_t = std::remove_cvref_t<decltype(field)>;
        const detail::observed_field<field_t, decltype(observer)> observed{field, observer};
        auto& log = result.solution.steps;
        auto solved = logged_solve(observed, y0, span, options.solver, options.control, cycle, log);
        detail::add_statistics(result.solution.stats, solved.stats);
        if (const auto* fixed = std::get_if<ode::fixed_steps>(&options.control);
            fixed != nullptr && options.measure_drift && cycle == options.recycles)
          measure_drift(observed, y0, span, options.solver, *fixed, cycle, log);
        result.solution.status = solved.status;
        return std::move(solved.y1);
      };
      const auto out = pass(in, before, integrate, stage);
      if (cycle == options.recycles) finish(result, query, out, in);
      before = recycle(out, in);
    }
    return result;
  }

 private:
  /// Shares of a pass's time, for the progress bar only.
  static constexpr double trunk_start = 0.3, structure_start = 0.93;

  static tensor<B, 2> pair_mask_of(const tensor<B, 1>& seq_mask) {
    return unsqueeze(seq_mask, 1) * unsqueeze(seq_mask, 0);
  }

  void finish(prediction& result, const features& query, const fold_pass<B>& out, const fold_inputs<B>& in) const {
    result.displacement.m = detail::rms_difference(out.trunk.m, out.start.m);
    result.displacement.z = detail::rms_difference(out.trunk.z, out.start.z);
    const auto& origin = out.structure.last().frames.translation;
    result.displacement.frames = detail::rms_difference(origin, zeros_like(origin));
    const auto plddt = to_host(expected_plddt(out.plddt_logits));
    result.plddt.assign(plddt.data.begin(), plddt.data.end());
    const auto atoms = to_host(out.positions);
    host_tensor<double> positions(atoms.shape, std::vector<double>(atoms.data.begin(), atoms.data.end()));
    const auto bad = std::find_if(positions.data.begin(), positions.data.end(), [](double x) { return !std::isfinite(x); });
    if (bad != positions.data.end())
      throw numerical_error(detail::concat("fold: the position of an atom of residue ",
                                           (bad - positions.data.begin()) / (atom37_count * 3) + 1,
                                           " is not finite; check the weights, or use more solver steps"));
    const auto exists = to_host(residue_lookup<2>(
        residue_tables(structure_module.options.unknown).restype_atom37_mask, in.aatype));
    result.structure = io::make_protein(query.sequence(), std::move(positions),
                                        host_tensor<double>(exists.shape, std::vector<double>(exists.data.begin(),
                                                                                              exists.data.end())),
                                        result.plddt);
  }
};

}  // namespace fathom
