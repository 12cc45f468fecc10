// SPDX-License-Identifier: Apache-2.0
// One initial value problem turned through many solvers and tolerances: how much accuracy costs how much.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <fathom/backend/cpu.hpp>
#include <fathom/evoformer/state.hpp>
#include <fathom/ode/options.hpp>

using dial_backend = fathom::cpu<float>;
using dial_state = fathom::msa_pair<dial_backend>;
/// Any field, its context bound; one type, so that every solver is compiled once.
using dial_field = std::function<dial_state(const fathom::ode_time<dial_backend>&, const dial_state&)>;

/// What is solved.
struct dial_problem {
  std::string title;
  dial_field field;
  dial_state y0;
  fathom::ode::interval span;
};

/// A value for every leaf: m, z and m's first row, the only one that the structure module reads.
struct leaf_values {
  double m = 0, z = 0, first_row = 0;
  double largest() const;
};

/// One solver at one setting.
struct dial_point {
  std::string solver, setting;
  long evaluations = 0, accepted = 0, rejected = 0;
  double seconds = 0;
  std::int64_t bytes = 0;  ///< peak of the solve beyond the problem itself
  leaf_values error;       ///< |y - reference| / |reference - y0|
  std::string failure;     ///< why there is no result; empty for a good one
};

/// The solution everything is measured against.
struct dial_reference {
  dial_state y;
  long steps = 0;
  leaf_values uncertainty;  ///< distance to that with half the steps: errors below it mean nothing
};

dial_reference solve_reference(const dial_problem& problem, long steps);

/// All solvers and settings; `tell` hears of every point as it comes.
std::vector<dial_point> turn_dial(const dial_problem& problem, const dial_reference& reference,
                                  const std::function<void(const dial_point&)>& tell);

/// |Y_h - Y_(h/8)| / |Y_(h/8) - Y_0| for `steps` steps of a method named as in fathom::solver_named: near 0 the model
/// is an ODE, near 1 its weights are made for this one discretisation.
leaf_values swap_score(const dial_problem& problem, const std::string& solver, long steps);
