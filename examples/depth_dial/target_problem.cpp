// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include <fathom/features/featurize.hpp>
#include <fathom/io/alignment.hpp>
#include <fathom/io/parameters.hpp>
#include <fathom/model/fold_model.hpp>

#include "problems.hpp"

dial_problem target_problem(const problem_arguments& a) {
  using model_t = fathom::fold_model<dial_backend, fathom::small>;
  const dial_backend b(fathom::cpu_options{.threads = a.threads});
  auto model = a.model.empty() ? fathom::initialise(model_t(b), {.seed = a.seed, .final_scale = a.final_scale})
                               : fathom::load<model_t>(b, a.model);
  if (a.depth != 1) model.evoformer.options.depth = a.depth;
  const auto query = fathom::featurize(fathom::io::read_alignment(a.target),
                                       {.seed = a.seed, .clusters = a.clusters, .extra = a.extra});
  const auto in = fathom::upload(b, query, query.draw(0));
  const fathom::index_t n = query.aatype.size();
  const fathom::masks<dial_backend> mask{in.msa_mask, unsqueeze(in.seq_mask, 1) * unsqueeze(in.seq_mask, 0)};
  dial_problem problem;
  problem.title = fathom::detail::concat(a.target.substr(a.target.find_last_of('/') + 1), ", ", n, " residues, ",
                                         in.msa_mask.extent(0), " sequences, small model",
                                         a.model.empty() ? " with random weights" : "");
  problem.y0 = model.embed(in, model.nothing_recycled(b, n));
  problem.span = {0, model.evoformer.options.depth};
  problem.field = [field = model.evoformer.field, mask](const auto& t, const dial_state& y) {
    return field(t, y, mask);
  };
  return problem;
}
