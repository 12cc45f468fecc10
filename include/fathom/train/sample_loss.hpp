// SPDX-License-Identifier: Apache-2.0
// One sample through a model: recycling passes without gradient, a last one with it, all losses.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <fathom/autodiff/gradient.hpp>
#include <fathom/loss/total.hpp>
#include <fathom/model/compact_fold_model.hpp>
#include <fathom/train/flat.hpp>
#include <fathom/train/sample.hpp>

namespace fathom::train {

/// How a sample is run. Recycles are shared by a batch (AF2 Suppl. 1.11.2).
struct run_options {
  trunk_solver solver;
  index_t recycles = 0;
  double dropout = 0;  ///< any rate above 0 turns dropout on; the places have rates of their own
  loss::total_options loss;
};

/// What one sample says. Terms are unweighted.
template <plain_backend B>
struct sample_gradient {
  std::vector<std::pair<std::string, double>> terms;
  double loss = 0, lddt = 0;
  tensor<B, 1> gradient;  ///< flat, in the order of flatten(model)
};

/// Loss of a sample and its gradient.
template <plain_backend B, class D, class Depth>
sample_gradient<B> differentiate(const compact_fold_model<B, D, Depth>& model, const sample& s,
                                 const run_options& options) {
  const B& b = model.evoformer.linear.weight.backend();
  const auto truth = upload_targets(b, s);
  auto before = model.nothing_recycled(b, s.length());
  const dropout_key dropout{s.key, options.dropout};
  const auto inputs = [&](index_t pass) {
    const auto drawn = std::min(static_cast<std::size_t>(pass), s.passes.size() - 1);
    return upload(b, s.query, s.passes[drawn]);
  };
  for (index_t pass = 0; pass < options.recycles; ++pass) {
    const auto in = inputs(pass);
    before = model.recycle(model.pass(in, before, options.solver, dropout.split(static_cast<std::uint64_t>(pass))), in);
  }
  const auto in = inputs(static_cast<index_t>(s.passes.size()) - 1);
  sample_gradient<B> result;
  auto [value, gradient] = value_and_gradient(
      [&](const auto& recorded) {
        using decorated = autodiff<B>;
        const decorated d(b);
        const auto fixed = [&](const auto& x) {
          return tree::rebind(x, d, [&](const auto& from, auto& to) {
            if (!from.empty()) to = constant(d, from);
          });
        };
        const auto recorded_in = fixed(in);
        const recycled_state<decorated> recorded_before{constant(d, before.m), constant(d, before.z),
                                                        constant(d, before.x)};
        auto trained = recorded;
        trained.structure_module.options.dropout = dropout.with_rate(0.1).split(1000);
        const auto pass = trained.pass(recorded_in, recorded_before, options.solver,
                                       dropout.split(static_cast<std::uint64_t>(options.recycles)));
        const auto all = loss::total(pass.structure, trained.heads(pass), truth, options.loss, s.length());
        result.terms = all.report();
        const auto ca = select(primal(trained.positions(pass, recorded_in)), 1, atom37_index("CA"));
        result.lddt = static_cast<double>(item(
            loss::lddt(ca, select(truth.all_atom_positions, 1, atom37_index("CA")), loss::ca_mask(truth.all_atom_mask))
                .total));
        return all.loss;
      },
      model);
  result.loss = value;
  result.gradient = flatten(gradient);
  return result;
}

}  // namespace fathom::train
