// SPDX-License-Identifier: Apache-2.0
// The exact derivative of one explicit Runge-Kutta step, one stage at a time: never more than one evaluation of the
// field is differentiated at once (the symplectic partner of the method, Matsubara et al. 2021; Sanz-Serna 2016).
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <optional>
#include <utility>

#include <fathom/core/config.hpp>
#include <fathom/ode/explicit_rk.hpp>
#include <fathom/ode/field.hpp>
#include <fathom/ode/solution.hpp>
#include <fathom/ode/state.hpp>

namespace fathom::ode {

/// What a field's vector-Jacobian product hands back: (df/dy)^T a, and (df/dt) . a.
template <class Y>
struct field_cotangent {
  Y y;
  double t = 0;
};

/// A field with derivatives. `gradient_type` is the type of its parameters' gradient; vjp adds (df/dp)^T a to the last
/// argument. Fields made of modules get this from differentiable() in fathom/ode/autodiff_field.hpp.
template <class F, class Y>
concept differentiable_field = vector_field<F, Y> && requires(const F& f, const typename state_traits<Y>::time_type& t,
                                                              const Y& y, typename F::gradient_type& gradient) {
  { f.zero_gradient() } -> std::convertible_to<typename F::gradient_type>;
  { f.vjp(t, y, y, gradient) } -> std::convertible_to<field_cotangent<Y>>;
};

namespace detail {

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

struct step_cotangent {
  double t = 0;  ///< with respect to the time at the start, the length held
  double h = 0;  ///< with respect to the length
};

/// Scratch of step_vjp.
template <class T, class Y>
struct step_vjp_work {
  std::array<Y, T::stages> g;  ///< cotangents of the stage states
  Y stage, seed;
  explicit step_vjp_work(const Y& y) : g(repeat<T::stages>(y)), stage(y), seed(y) {}
};

/// Turns the cotangent `a` of y1 into that of y, and adds to the parameters' gradient. The stages are computed again
/// from y. `with_times` asks for the derivatives with respect to t and h (the last stage is then evaluated as well).
template <class Solver, class Eval, class Y, class Gradient>
step_cotangent step_vjp(Eval& f, const step_record& step, const Y& y, Y& a, typename Solver::template workspace<Y>& w,
                        step_vjp_work<typename Solver::tableau_type, Y>& s, Gradient& gradient, bool with_times,
                        statistics& stats) {
  using T = typename Solver::tableau_type;
  using traits = state_traits<Y>;
  constexpr std::size_t stages = T::stages;
  constexpr auto used = stages_in_use<T>();
  const double h = step.dt;
  const auto time_of = [&](std::size_t n) {
    return n == 0 ? step.t : T::c[n] == 1.0 ? step.stage_end : step.t + T::c[n] * h;
  };
  const auto before = f.count;
  static_for<0, stages>([&](auto index) {
    constexpr std::size_t row = decltype(index)::value;
    if constexpr (used[row]) {
      // A stage that no later one needs is evaluated by its own vjp.
      if (with_times || stage_column<T, row>::entries.count > 0) {
        if constexpr (row == 0) {
          f(time_of(0), y, w.k[0]);
        } else {
          Solver::template add_row<row>(s.stage, y, h, w.k);
          f(time_of(row), s.stage, w.k[row]);
        }
      }
    }
  });
  stats.recompute_evaluations += f.count - before;

  step_cotangent times;
  static_for<0, stages>([&](auto index) {
    constexpr std::size_t row = stages - 1 - decltype(index)::value;
    if constexpr (used[row]) {
      [&]<std::size_t... Later>(std::index_sequence<Later...>) {
        if constexpr (T::b[row] != 0)
          traits::scaled_sum(s.seed, std::array<double, 1 + sizeof...(Later)>{h * T::b[row], (h * T::a[Later][row])...},
                             std::array<const Y*, 1 + sizeof...(Later)>{&a, &s.g[Later]...});
        else
          traits::scaled_sum(s.seed, std::array<double, sizeof...(Later)>{(h * T::a[Later][row])...},
                             std::array<const Y*, sizeof...(Later)>{&s.g[Later]...});
      }
      (nonzero_columns<stage_column<T, row>>{});
      if constexpr (row > 0) Solver::template add_row<row>(s.stage, y, h, w.k);
      const Y& at = row == 0 ? y : s.stage;
      auto cotangent = f.field->vjp(traits::time(time_of(row), at), at, s.seed, gradient);
      ++stats.vjp_evaluations;
      s.g[row] = std::move(cotangent.y);
      times.t += cotangent.t;
      times.h += T::c[row] * cotangent.t;
      if (with_times) {
        times.h += T::b[row] * traits::dot(a, w.k[row]);
        for (std::size_t j = 0; j < row; ++j)
          if (T::a[row][j] != 0) times.h += T::a[row][j] * traits::dot(s.g[row], w.k[j]);
      }
    }
  });

  [&]<std::size_t... Stage>(std::index_sequence<Stage...>) {
    traits::combine(s.seed, a, std::array<double, sizeof...(Stage)>{((void)Stage, 1.0)...},
                    std::array<const Y*, sizeof...(Stage)>{&s.g[Stage]...});
  }
  (nonzero_columns<used_stages<T>>{});
  std::swap(a, s.seed);
  return times;
}

}  // namespace detail

}  // namespace fathom::ode
