// SPDX-License-Identifier: Apache-2.0
#include <fathom/continuous/paper_field.hpp>
#include <fathom/io/parameters.hpp>
#include <fathom/op/random.hpp>

#include "problems.hpp"

dial_problem paper_problem(const problem_arguments& a) {
  using field_t = fathom::evoformer_ode_func<dial_backend>;
  const dial_backend b(fathom::cpu_options{.threads = a.threads});
  const std::string weights =
      a.model.empty() ? FATHOM_SOURCE_DIR "/examples/models/paper_evoformer_ode.safetensors" : a.model;
  dial_problem problem;
  problem.title = fathom::detail::concat("the paper's trained field on a synthetic state, ", a.residues, " residues, ",
                                         a.sequences, " sequences");
  problem.field = fathom::load<field_t>(b, weights);
  const auto scale = static_cast<float>(a.state_scale);
  problem.y0 = {random_normal<3>(b, {a.sequences, a.residues, field_t::c_m}, 2 * a.seed + 1) * scale,
                random_normal<3>(b, {a.residues, a.residues, field_t::c_z}, 2 * a.seed + 2) * scale};
  problem.span = {0, 1};
  return problem;
}
