// SPDX-License-Identifier: Apache-2.0
// The exact derivative of one implicit Runge-Kutta step: the transposed stage equations by GMRES, with the field's
// vector-Jacobian products alone (Hairer and Wanner II, IV.8; discrete adjoints: Sandu 2006).
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <optional>
#include <utility>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/ode/adjoint_policy.hpp>
#include <fathom/ode/field.hpp>
#include <fathom/ode/krylov.hpp>
#include <fathom/ode/linearize.hpp>
#include <fathom/ode/solution.hpp>
#include <fathom/ode/state.hpp>

namespace fathom::ode::detail {

template <class Solver>
concept implicit_method = requires(const Solver& s) {
  typename Solver::implicit_tableau;
  s.newton;
};

/// A method whose steps begin with nothing from the step before, so that one made again has the same bits.
template <class Solver>
struct started_afresh : Solver {
  static constexpr bool hands_over = false;
  explicit started_afresh(const Solver& solver) : Solver(solver) {}
  template <class Work>
  static void accept(Work& w) {
    Solver::accept(w);
    Solver::restart(w);
  }
};

/// One step's derivative. With k_i = f(Y_i), Y_i = y + h sum_j a_ij k_j, y1 = y + h sum_i b_i k_i and the cotangent a
/// of y1, those of the slopes solve kappa_i - h sum_j a_ji J_j^T kappa_j = h b_i a; the cotangent of y is a + sum_i
/// J_i^T kappa_i.
template <class Solver, class Field, class Y>
class implicit_step_adjoint {
 public:
  using gradient_type = typename Field::gradient_type;
  using tableau = typename Solver::implicit_tableau;
  using traits = state_traits<Y>;
  static constexpr std::size_t stages = tableau::stages;
  using block = std::array<Y, stages>;

  implicit_step_adjoint(const Solver& solver, bool times, step_memory memory)
      : solver_(solver), times_(times), hold_(memory != step_memory::stage) {}

  /// `a`: of the step's end, then of its start. The parameters' share goes into `gradient`.
  step_cotangent operator()(const Field& field, const step_record& step, const Y& y, Y& a, gradient_type& gradient,
                            statistics& stats) {
    const double h = step.dt;
    evaluator<Field, Y> f{&field};
    auto w = solver_.make_workspace(y);
    Y scratch = y;
    if (!solver_.step(f, step.t, h, step.stage_end, y, scratch, w))
      throw numerical_error(fathom::detail::concat(Solver::name, ": the stage equations of the step at t = ", step.t,
                                                   " were solved forward, but not again for the gradient"));
    if (hold_) {
      for (std::size_t row = 0; row < stages; ++row)
        held_[row].emplace(linearize(f, time_of(row, step), w.at[row], w.slopes[row]));
    }
    const auto pull = [&](std::size_t row, const Y& cotangent, gradient_type& into, bool last) {
      ++stats.vjp_evaluations;
      if (hold_) return (*held_[row])(cotangent, into, last);
      return field.vjp(traits::time(time_of(row, step), y), w.at[row], cotangent, into);
    };
    // (J_i^T v_i), then v_i - h sum_j a_ji J_j^T v_j; parameters' shares on the way are no part of the gradient.
    gradient_type discarded = field.zero_gradient();
    block g = repeat<stages>(y);
    const auto apply = [&](const block& v, block& out) {
      for (std::size_t row = 0; row < stages; ++row) g[row] = pull(row, v[row], discarded, false).y;
      for (std::size_t row = 0; row < stages; ++row) weigh(out[row], v[row], row, -h, g);
    };
    block right = repeat<stages>(a), kappa = right, rest = right, correction = right;
    for (std::size_t row = 0; row < stages; ++row)
      traits::scaled_sum(right[row], std::array<double, 1>{h * tableau::b[row]}, std::array<const Y*, 1>{&a});
    solve(apply, right, kappa, rest, correction, scratch, step);

    step_cotangent moved;
    Y sum = a;
    for (std::size_t row = 0; row < stages; ++row) {
      auto c = pull(row, kappa[row], gradient, true);
      held_[row].reset();
      if (times_) {
        moved.t += c.t;
        moved.h += tableau::c[row] * c.t + tableau::b[row] * traits::dot(a, w.k[row]);
        for (std::size_t j = 0; j < stages; ++j)
          if (tableau::a[row][j] != 0) moved.h += tableau::a[row][j] * traits::dot(c.y, w.k[j]);
      }
      traits::combine(scratch, sum, std::array<double, 1>{1}, std::array<const Y*, 1>{&c.y});
      std::swap(sum, scratch);
    }
    a = std::move(sum);
    stats.recompute_evaluations += f.count;
    return moved;
  }

 private:
  using on = state_block<Y, stages>;

  static double time_of(std::size_t row, const step_record& step) {
    return tableau::c[row] == 1.0 ? step.stage_end : step.t + tableau::c[row] * step.dt;
  }
  /// out = v + factor sum_j a_j,column g_j
  static void weigh(Y& out, const Y& v, std::size_t column, double factor, const block& g) {
    std::array<double, stages> c;
    std::array<const Y*, stages> k;
    for (std::size_t j = 0; j < stages; ++j) {
      c[j] = factor * tableau::a[j][column];
      k[j] = &g[j];
    }
    traits::combine(out, v, c, k);
  }

  /// kappa, to 64 units of rounding of the right side, by restarts.
  template <class Apply>
  void solve(const Apply& apply, const block& right, block& kappa, block& rest, block& correction, Y& scratch,
             const step_record& step) {
    const double size = on::norm(right), target = 64 * traits::epsilon(right[0]) * size;
    on::scale_to(kappa, 0, right);
    if (size == 0) return;
    on::scale_to(rest, 1, right);
    double left = size, before = 0;
    for (int n = 0; n < 30 && left > target; ++n) {
      krylov_(apply, rest, left, correction, static_cast<std::size_t>(solver_.newton.krylov), target / left, scratch);
      on::add(kappa, 1, correction, scratch);
      apply(kappa, rest);
      for (std::size_t row = 0; row < stages; ++row) {
        traits::scaled_sum(scratch, std::array<double, 2>{1, -1}, std::array<const Y*, 2>{&right[row], &rest[row]});
        std::swap(rest[row], scratch);
      }
      before = std::exchange(left, on::norm(rest));
      if (!(left < 0.5 * before)) break;  // what rounding leaves
    }
    if (!(left <= 1e5 * target))
      throw numerical_error(fathom::detail::concat(
          Solver::name, ": the transposed stage equations of the step at t = ", step.t, " were not solved: ",
          left / size, " of the right side is left; take shorter steps or more newton.krylov directions"));
  }

  Solver solver_;
  bool times_, hold_;
  std::array<std::optional<pullback_of<Field, Y>>, stages> held_{};
  gmres<Y, stages> krylov_{};
};

}  // namespace fathom::ode::detail
