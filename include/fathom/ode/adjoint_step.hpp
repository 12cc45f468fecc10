// SPDX-License-Identifier: Apache-2.0
// The exact derivative of one explicit Runge-Kutta step (the symplectic partner of the method, Matsubara et al. 2021;
// Sanz-Serna 2016), from one evaluation's residuals at a time or from those of all stages.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include <fathom/autodiff/chunked.hpp>
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

/// Which stages' residuals are held while a step is differentiated, and which chunks of layers keep theirs.
class held_stages {
 public:
  /// Counts from the bytes in use now.
  held_stages(step_memory memory, std::size_t bytes)
      : memory_(memory),
        limit_(bytes > static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max() / 2)
                   ? std::numeric_limits<std::int64_t>::max()
                   : memory_counter::in_use() + static_cast<std::int64_t>(bytes)) {}

  /// Whether to record a stage now, for later, with all its chunks: where that leaves room for differentiating another
  /// one like that, and for `beside` bytes of states.
  bool wanted(std::size_t beside) {
    if (memory_ != step_memory::automatic) return memory_ == step_memory::step;
    if (!plan_.known()) return false;
    plan_.choose_all();
    return memory_counter::in_use() + plan_.everything() + plan_.most() + static_cast<std::int64_t>(beside) <= limit_;
  }
  /// What a stage is recorded under that is held; one that is differentiated at once keeps what fits.
  activation_plan* whole() { return memory_ == step_memory::automatic ? &plan_ : nullptr; }
  activation_plan* fitting() {
    if (memory_ != step_memory::automatic) return nullptr;
    if (plan_.known()) plan_.choose(limit_ - memory_counter::in_use());
    return &plan_;
  }

 private:
  step_memory memory_;
  std::int64_t limit_;
  activation_plan plan_{};
};

/// One step's derivative: forward() makes its stages again from the state before it, backward() differentiates them.
template <class Solver, class Field, class Y>
class step_adjoint {
 public:
  using tableau = typename Solver::tableau_type;
  using traits = state_traits<Y>;
  static constexpr std::size_t stages = tableau::stages;
  static constexpr bool can_hold = recording_field<Field, Y>;
  /// Slopes may be given back early: the field makes new ones.
  static constexpr bool can_drop = !flat_state<Y> && !filling_field<Field, Y>;

  step_adjoint(const Y& like, held_stages memory)
      : work(like), g_(repeat<stages>(like)), stage_(like), seed_(like), sum_(like), memory_(memory) {
    // Handles of `like` would keep its storage.
    if constexpr (can_drop) {
      work.k = repeat<stages>(Y{});
      g_ = work.k;
      work.stage = work.end_slope = stage_ = seed_ = sum_ = Y{};
    }
  }

  /// With `all`, every stage's slope is there afterwards; without, those that no later one needs may be left out.
  void forward(evaluator<Field, Y>& f, const step_record& step, const Y& y, bool all) {
    static_for<0, stages>([&](auto index) {
      constexpr std::size_t row = decltype(index)::value;
      if constexpr (used[row]) {
        const Y& at = stage_state<row>(step, y);
        if constexpr (can_hold) {
          // Beside it: slopes of later stages, and a stage, a seed, a sum and a cotangent.
          if (memory_.wanted((stages - row + 4) * traits::bytes(y))) return record<row>(f, step, at);
        }
        // A stage that no later one needs is evaluated by its own product.
        if (all || stage_column<tableau, row>::entries.count > 0) f(time_of(row, step), at, work.k[row]);
      }
    });
  }

  /// Where y1 = y + increment(y): the products of `a` with the increment's derivatives; see take_sum. The parameters'
  /// share goes into `gradient`. with_times needs forward(..., all).
  step_cotangent backward(evaluator<Field, Y>& f, const step_record& step, const Y& y, const Y& a,
                          typename Field::gradient_type& gradient, bool with_times, statistics& stats) {
    const double h = step.dt;
    step_cotangent times;
    sum_ = a;
    static_for<0, stages>([&](auto index) {
      constexpr std::size_t row = stages - 1 - decltype(index)::value;
      if constexpr (used[row]) {
        seed<row>(nonzero_columns<stage_column<tableau, row>>{}, h, a);
        static_for<row, stages>([&](auto later) { drop_cotangent<decltype(later)::value, row>(); });
        if (with_times) times.h += tableau::b[row] * traits::dot(a, work.k[row]);
        auto cotangent = product<row>(f, step, y, gradient, with_times);
        ++stats.vjp_evaluations;
        g_[row] = std::move(cotangent.y);
        times.t += cotangent.t;
        times.h += tableau::c[row] * cotangent.t;
        if (with_times)
          for (std::size_t j = 0; j != row; ++j)
            if (tableau::a[row][j] != 0) times.h += tableau::a[row][j] * traits::dot(g_[row], work.k[j]);
        if constexpr (can_drop) seed_ = sum_;  // of the right extents again
        traits::combine(seed_, sum_, std::array<double, 1>{1}, std::array<const Y*, 1>{&g_[row]});
        std::swap(sum_, seed_);
        if constexpr (can_drop && first_input<row>() == row) g_[row] = Y{};  // enters no seed
      }
    });
    return times;
  }

  /// a + (d increment / dy)^T a, for the `a` that backward() was given.
  void take_sum(Y& to) { to = std::move(sum_); }

  typename Solver::template workspace<Y> work;

 private:
  static constexpr auto used = stages_in_use<tableau>();
  static double time_of(std::size_t n, const step_record& step) {
    return n == 0 ? step.t : tableau::c[n] == 1.0 ? step.stage_end : step.t + tableau::c[n] * step.dt;
  }

  template <std::size_t Row>
  void record(evaluator<Field, Y>& f, const step_record& step, const Y& at) {
    const activation_plan::recording under(memory_.whole());
    held_[Row].emplace(linearize(f, time_of(Row, step), at, work.k[Row]));
  }
  /// y, or y + h sum_j a_row,j k_j.
  template <std::size_t Row>
  const Y& stage_state(const step_record& step, const Y& y) {
    if constexpr (can_drop) stage_ = Row == 0 ? Y{} : y;
    if constexpr (Row == 0) {
      return y;
    } else {
      Solver::template add_row<Row>(stage_, y, step.dt, work.k);
      return stage_;
    }
  }
  /// A cotangent has served when the seed of the first stage that its stage depends on is made.
  template <std::size_t Stage, std::size_t Row>
  void drop_cotangent() {
    if constexpr (can_drop && Stage > Row && first_input<Stage>() == Row) g_[Stage] = Y{};
  }
  template <std::size_t Stage>
  static constexpr std::size_t first_input() {
    for (std::size_t j = 0; j != Stage; ++j)
      if (tableau::a[Stage][j] != 0 && used[j]) return j;
    return Stage;
  }

  template <std::size_t Row, std::size_t... Later>
  void seed(std::index_sequence<Later...>, double h, const Y& a) {
    if constexpr (can_drop) seed_ = a;
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
                             typename Field::gradient_type& gradient, bool with_times) {
    if constexpr (can_hold) {
      if (held_[Row]) {
        auto cotangent = (*held_[Row])(take_seed(), gradient, true);
        held_[Row].reset();
        drop_slopes<Row>(with_times);
        return cotangent;
      }
    }
    const Y& at = stage_state<Row>(step, y);
    drop_slopes<Row>(with_times);
    const auto t = traits::time(time_of(Row, step), at);
    activation_plan* const plan = memory_.fitting();
    const activation_plan::recording under(plan);
    if constexpr (can_hold) {
      auto pullback = [&] {
        Y value = can_drop ? Y{} : at;
        return f.field->linearize(t, at, value);
      }();
      if (plan != nullptr) plan->recorded();
      return pullback(take_seed(), gradient, true);
    } else {
      return f.field->vjp(t, at, seed_, gradient);
    }
  }
  /// The seed, whose storage goes back as soon as the field has used it.
  Y take_seed() {
    if constexpr (can_drop)
      return std::exchange(seed_, Y{});
    else
      return seed_;
  }
  /// Slopes that nobody needs once the stage state of `Row` is there.
  template <std::size_t Row>
  void drop_slopes(bool with_times) {
    if constexpr (can_drop) {
      work.k[Row] = Y{};
      if (!with_times)
        static_for<0, Row>([&](auto earlier) {
          constexpr std::size_t column = decltype(earlier)::value;
          if constexpr (first_user<column>() == Row) work.k[column] = Y{};
        });
    }
  }
  /// The first stage whose state the slope of stage `Column` enters: going backward, the last.
  template <std::size_t Column>
  static constexpr std::size_t first_user() {
    for (std::size_t j = Column + 1; j < stages; ++j)
      if (tableau::a[j][Column] != 0 && used[j]) return j;
    return Column;
  }

  std::array<Y, stages> g_;  // cotangents of the stage states
  Y stage_, seed_, sum_;
  held_stages memory_;
  std::array<std::optional<pullback_of<Field, Y>>, stages> held_{};
};

}  // namespace fathom::ode::detail
