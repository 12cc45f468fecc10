// SPDX-License-Identifier: Apache-2.0
// Features in, structure out, with a compact_fold_model: what fold_model::fold is for the large one.
#pragma once

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <fathom/model/compact_fold_model.hpp>
#include <fathom/model/depth_log.hpp>

namespace fathom {

namespace detail {

/// Atoms, confidences and displacement of the last pass. Throws numerical_error where an atom is not finite.
template <plain_backend B, class D, class Depth>
void finish_compact(prediction& result, const compact_fold_model<B, D, Depth>& model, const features& query,
                    const compact_pass<B>& out, const fold_inputs<B>& in) {
  result.displacement.m = rms_difference(out.trunk.m, out.start.m);
  result.displacement.z = rms_difference(out.trunk.z, out.start.z);
  const auto& origin = out.structure.last().frames.translation;
  result.displacement.frames = rms_difference(origin, zeros_like(origin));
  const auto plddt = to_host(expected_plddt(model.aux_heads.plddt(out.structure.single())));
  result.plddt.assign(plddt.data.begin(), plddt.data.end());
  const auto atoms = to_host(model.positions(out, in));
  host_tensor<double> positions(atoms.shape, std::vector<double>(atoms.data.begin(), atoms.data.end()));
  const auto bad =
      std::find_if(positions.data.begin(), positions.data.end(), [](double x) { return !std::isfinite(x); });
  if (bad != positions.data.end())
    throw numerical_error(concat("fold: the position of an atom of residue ",
                                 (bad - positions.data.begin()) / (atom37_count * 3) + 1,
                                 " is not finite; check the weights, or use more solver steps"));
  const auto exists =
      to_host(residue_lookup<2>(residue_tables(model.structure_module.options.unknown).restype_atom37_mask, in.aatype));
  result.structure = io::make_protein(
      query.sequence(), std::move(positions),
      host_tensor<double>(exists.shape, std::vector<double>(exists.data.begin(), exists.data.end())), result.plddt);
  if (!model.aux_heads.tm) return;
  const auto logits = (*model.aux_heads.tm)(out.trunk.z);
  const auto pae = to_host(predicted_aligned_error(logits));
  result.errors =
      predicted_errors{host_tensor<double>(pae.shape, std::vector<double>(pae.data.begin(), pae.data.end())),
                       max_predicted_aligned_error(logits.extent(2)), static_cast<double>(item(predicted_tm(logits)))};
}

}  // namespace detail

/// Folds `query` with `options.recycles` passes after the first. A discrete trunk takes no solver: its blocks count as
/// the evaluations. Throws numerical_error (ode::solver_error with time, step and leaf) when something is not finite.
template <plain_backend B, class D, class Depth>
prediction fold(const compact_fold_model<B, D, Depth>& model, const features& query, const fold_options& options = {}) {
  using model_type = compact_fold_model<B, D, Depth>;
  const B& b = model.evoformer.linear.weight.backend();
  const index_t n = query.length();
  fold_progress progress{};
  progress.residues = n;
  progress.cycles = options.recycles + 1;
  prediction result;
  auto& stats = result.solution.stats;
  auto before = model.nothing_recycled(b, n);
  for (index_t cycle = 0;; ++cycle) {
    progress.cycle = cycle;
    const auto report = [&](const char* stage, double within) {
      progress.stage = stage;
      progress.fraction = (static_cast<double>(cycle) + within) / static_cast<double>(progress.cycles);
      if (options.progress) options.progress(progress);
    };
    progress.t = 0;
    report("embedding", 0);
    const auto in = upload(b, query, query.draw(cycle));
    const masks<B> mask{in.msa_mask, unsqueeze(in.seq_mask, 1) * unsqueeze(in.seq_mask, 0)};
    const auto run = [&](const msa_pair<B>& y0) -> msa_pair<B> {
      report("trunk", 0.05);
      if constexpr (model_type::continuous) {
        const auto field = ode::with_context(model.evoformer.field, mask);
        const ode::interval span{0, model.evoformer.options.depth};
        const auto observer = [&](double t) {
          ++progress.evaluations;
          progress.t = t;
          report("trunk", 0.05 + 0.75 * t / span.t1);
        };
        const detail::observed_field<std::remove_cvref_t<decltype(field)>, decltype(observer)> observed{field,
                                                                                                        observer};
        auto& log = result.solution.steps;
        auto solved = logged_solve(observed, y0, span, options.solver, options.control, cycle, log);
        detail::add_statistics(stats, solved.stats);
        result.solution.status = solved.status;
        if (const auto* fixed = std::get_if<ode::fixed_steps>(&options.control);
            fixed != nullptr && options.measure_drift && cycle == options.recycles)
          measure_drift(observed, y0, span, options.solver, *fixed, cycle, log);
        return std::move(solved.y1);
      } else {
        stats.evaluations += static_cast<long>(model.evoformer.blocks.size());
        return run_trunk(model.evoformer, y0, mask, trunk_solver{});
      }
    };
    const auto out = model.finish_pass(in, model.embed(in, before), [&](const msa_pair<B>& y0) {
      auto y1 = run(y0);
      report("structure", 0.8);
      return y1;
    });
    if (cycle == options.recycles) {
      detail::finish_compact(result, model, query, out, in);
      return result;
    }
    before = model.recycle(out, in);
  }
}

}  // namespace fathom
