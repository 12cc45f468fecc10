// SPDX-License-Identifier: Apache-2.0
// The exact derivative of one explicit Runge-Kutta step (the symplectic partner of the method, Matsubara et al. 2021;
// Sanz-Serna 2016), from one evaluation's residuals at a time or from those of all stages.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include <fathom/core/config.hpp>
#include <fathom/core/memory.hpp>
#include <fathom/ode/adjoint_policy.hpp>
#include <fathom/ode/explicit_rk.hpp>
#include <fathom/ode/field.hpp>
#include <fathom/ode/linearize.hpp>
#include <fathom/ode/solution.hpp>
#include <fathom/ode/state.hpp>

namespace fathom::ode::detail {

/// Which stages the step's result depends on: the last one of an FSAL method is not among them.
template <class T>
constexpr std::array<bool, T::stages> stages_in_use() {
  std::array<bool, T::stages> used{};
  for (std::size_t n = T::stages; n-- > 0;) {
    used[n] = T::b[n] != 0;
    for (std::size_t j = n + 1; j < T::stages; ++j) used[n] = used[n] || (used[j] && T::a[j][n] != 0);
  }
  return used;
}

/// Later stages that stage `Row` enters, as a row of coefficients.
template <class T, std::size_t Column>
struct stage_column {
  static constexpr auto used = stages_in_use<T>();
  static constexpr std::array<double, T::stages> values = [] {
    std::array<double, T::stages> column{};
    for (std::size_t j = Column + 1; j < T::stages; ++j) column[j] = used[j] ? T::a[j][Column] : 0;
    return column;
  }();
  static constexpr auto entries = nonzero_entries(values);
};

template <class T>
struct used_stages {
  static constexpr std::array<double, T::stages> values = [] {
    std::array<double, T::stages> ones{};
    for (std::size_t n = 0; n < T::stages; ++n) ones[n] = stages_in_use<T>()[n] ? 1 : 0;
    return ones;
  }();
  static constexpr auto entries = nonzero_entries(values);
};

/// Whether whole steps or single stages are held while they are differentiated.
struct step_memory_choice {
  step_memory memory = step_memory::automatic;
  std::size_t bytes = ~std::size_t(0);  ///< that one step's residuals may take
};

/// Bytes in use, without what the backend keeps for reuse.
template <class Y>
std::int64_t bytes_in_use(const Y& y) {
  if constexpr (requires { state_traits<Y>::backend(y).release_memory(); })
    state_traits<Y>::backend(y).release_memory();
  return memory_counter::current();
}

/// One step's derivative: forward() makes its stages again from the state before it, backward() differentiates them.
template <class Solver, class Field, class Y>
class step_adjoint {
 public:
  using tableau = typename Solver::tableau_type;
  using traits = state_traits<Y>;
  static constexpr std::size_t stages = tableau::stages;
  static constexpr bool can_hold = recording_field<Field, Y>;

  step_adjoint(const Y& like, step_memory_choice choice)
      : work(like), g_(repeat<stages>(like)), stage_(like), seed_(like), choice_(choice) {
    if (!can_hold) choice_.memory = step_memory::stage;
  }

  /// With `all`, every stage's slope is there afterwards; without, those that no later one needs may be left out.
  void forward(evaluator<Field, Y>& f, const step_record& step, const Y& y, bool all) {
    static_for<0, stages>([&](auto index) {
      constexpr std::size_t row = decltype(index)::value;
      if constexpr (used[row]) {
        const bool hold = choice_.memory != step_memory::stage;
        // A stage that no later one needs is evaluated by its own product.
        if (!all && !hold && stage_column<tableau, row>::entries.count == 0) return;
        if constexpr (row > 0) Solver::template add_row<row>(stage_, y, step.dt, work.k);
        const Y& at = row == 0 ? y : stage_;
        if constexpr (can_hold) {
          if (hold) {
            const bool measure = choice_.memory == step_memory::automatic;
            const std::int64_t before = measure ? bytes_in_use(y) : 0;
            held_[row] = linearize(f, time_of(row, step), at, work.k[row]);
            if (measure) decide(bytes_in_use(y) - before, row);
            return;
          }
        }
        f(time_of(row, step), at, work.k[row]);
      }
    });
  }

  /// Where y1 = y + increment(y): the products of `a` with the increment's derivatives, the parameters' share into
  /// `gradient`. with_times needs forward(..., all).
  step_cotangent backward(evaluator<Field, Y>& f, const step_record& step, const Y& y, const Y& a,
                          typename Field::gradient_type& gradient, bool with_times, statistics& stats) {
    const double h = step.dt;
    step_cotangent times;
    static_for<0, stages>([&](auto index) {
      constexpr std::size_t row = stages - 1 - decltype(index)::value;
      if constexpr (used[row]) {
        seed<row>(nonzero_columns<stage_column<tableau, row>>{}, h, a);
        auto cotangent = product<row>(f, step, y, gradient);
        ++stats.vjp_evaluations;
        g_[row] = std::move(cotangent.y);
        times.t += cotangent.t;
        times.h += tableau::c[row] * cotangent.t;
        if (with_times) {
          times.h += tableau::b[row] * traits::dot(a, work.k[row]);
          for (std::size_t j = 0; j < row; ++j)
            if (tableau::a[row][j] != 0) times.h += tableau::a[row][j] * traits::dot(g_[row], work.k[j]);
        }
      }
    });
    return times;
  }

  /// a += (d increment / dy)^T of what backward() was given.
  void add_to(Y& a) { add_stages(nonzero_columns<used_stages<tableau>>{}, a); }

  typename Solver::template workspace<Y> work;

 private:
  static constexpr auto used = stages_in_use<tableau>();
  static double time_of(std::size_t n, const step_record& step) {
    return n == 0 ? step.t : tableau::c[n] == 1.0 ? step.stage_end : step.t + tableau::c[n] * step.dt;
  }

  /// Once, at the first stage of the first step.
  void decide(std::int64_t residuals, std::size_t row) {
    const bool fits = residuals <= 0 || static_cast<std::size_t>(residuals) <= choice_.bytes / stages;
    choice_.memory = fits ? step_memory::step : step_memory::stage;
    if (!fits) held_[row].reset();
  }

  template <std::size_t Row, std::size_t... Later>
  void seed(std::index_sequence<Later...>, double h, const Y& a) {
    if constexpr (tableau::b[Row] != 0)
      traits::scaled_sum(seed_,
                         std::array<double, 1 + sizeof...(Later)>{h * tableau::b[Row], (h * tableau::a[Later][Row])...},
                         std::array<const Y*, 1 + sizeof...(Later)>{&a, &g_[Later]...});
    else
      traits::scaled_sum(seed_, std::array<double, sizeof...(Later)>{(h * tableau::a[Later][Row])...},
                         std::array<const Y*, sizeof...(Later)>{&g_[Later]...});
  }
  template <std::size_t Row>
  field_cotangent<Y> product(evaluator<Field, Y>& f, const step_record& step, const Y& y,
                             typename Field::gradient_type& gradient) {
    if constexpr (can_hold) {
      if (held_[Row]) {
        auto cotangent = (*held_[Row])(seed_, gradient, true);
        held_[Row].reset();
        return cotangent;
      }
    }
    if constexpr (Row > 0) Solver::template add_row<Row>(stage_, y, step.dt, work.k);
    const Y& at = Row == 0 ? y : stage_;
    return f.field->vjp(traits::time(time_of(Row, step), at), at, seed_, gradient);
  }
  template <std::size_t... Stage>
  void add_stages(std::index_sequence<Stage...>, Y& a) {
    traits::combine(seed_, a, std::array<double, sizeof...(Stage)>{((void)Stage, 1.0)...},
                    std::array<const Y*, sizeof...(Stage)>{&g_[Stage]...});
    std::swap(a, seed_);
  }

  std::array<Y, stages> g_;  // cotangents of the stage states
  Y stage_, seed_;
  step_memory_choice choice_;
  std::array<std::optional<pullback_of<Field, Y>>, stages> held_{};
};

}  // namespace fathom::ode::detail
