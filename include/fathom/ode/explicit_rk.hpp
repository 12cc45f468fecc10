// SPDX-License-Identifier: Apache-2.0
// Explicit Runge-Kutta methods over any state: one class for every tableau.
#pragma once

#include <array>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/ode/dense.hpp>
#include <fathom/ode/field.hpp>
#include <fathom/ode/options.hpp>
#include <fathom/ode/state.hpp>
#include <fathom/ode/tableau.hpp>
#include <fathom/ode/tableau_dopri8.hpp>
#include <fathom/ode/tableaus.hpp>

namespace fathom::ode {

/// Y_i = y + h sum_{j<i} a_ij k_j, k_i = f(t + c_i h, Y_i), y1 = y + h sum_i b_i k_i.
template <explicit_tableau Tableau>
struct explicit_rk {
  using tableau_type = Tableau;
  static constexpr std::size_t stages = Tableau::stages;
  static constexpr int order = Tableau::order;
  static constexpr int error_order = Tableau::error_order;
  static constexpr bool fsal = Tableau::fsal;
  static constexpr bool adaptive = error_order > 0;
  static constexpr const char* name = Tableau::name;
  /// The last stage serves as the next step's first one: exactly (fsal), or because the tableau says so.
  static constexpr bool hands_over = [] {
    if constexpr (requires { Tableau::reuse_last; }) return bool(Tableau::reuse_last);
    return bool(Tableau::fsal);
  }();

  /// Scratch of a solve. `first_ready`: k[0] already holds the slope at the start of the coming step.
  template <class Y>
  struct workspace {
    std::array<Y, stages> k;
    Y stage;
    Y end_slope;
    bool first_ready = false;
    bool end_ready = false;

    explicit workspace(const Y& y) : k(detail::repeat<stages>(y)), stage(y), end_slope(y) {}
  };

  template <class Y>
  static workspace<Y> make_workspace(const Y& y) {
    return workspace<Y>(y);
  }

  /// One step from (t, y) over h to y1, which must not be y. `t1` is the time given to stages at c = 1: t + h, or just
  /// before it where the field jumps there. Always succeeds (implicit methods may not).
  template <class Eval, class Y>
  FATHOM_ODE_INLINE static bool step(Eval& f, double t, double h, double t1, const Y& y, Y& y1, workspace<Y>& w) {
    prepare(f, t, y, w);
    step_from_slope(f, t, h, t1, y, y1, w);
    return true;
  }

  /// The first stage, unless the last step left it.
  template <class Eval, class Y>
  FATHOM_ODE_INLINE static void prepare(Eval& f, double t, const Y& y, workspace<Y>& w) {
    if (!w.first_ready) f(t, y, w.k[0]);
    w.first_ready = true;
  }

  /// The other stages and the sum.
  template <class Eval, class Y>
  FATHOM_ODE_INLINE static void step_from_slope(Eval& f, double t, double h, double t1, const Y& y, Y& y1,
                                                workspace<Y>& w) {
    w.end_ready = false;
    detail::static_for<1, stages>([&](auto index) FATHOM_ODE_INLINE_LAMBDA {
      constexpr std::size_t row = decltype(index)::value;
      Y& target = fsal && row == stages - 1 ? y1 : w.stage;
      add_row<row>(target, y, h, w.k);
      f(Tableau::c[row] == 1.0 ? t1 : t + Tableau::c[row] * h, target, w.k[row]);
    });
    if constexpr (!fsal) add_weights(y1, y, h, w.k);
  }

  /// Norm of the embedded error estimate h sum_i e_i k_i of the step just made.
  template <class Y, class Norm>
  FATHOM_ODE_INLINE static leaf_error error_norm(double h, const Y& y, const Y& y1, const workspace<Y>& w,
                                                 const Norm& norm) {
    return weighted<detail::error_row<Tableau>>(
        h, w.k, [&](const auto& c, const auto& k) FATHOM_ODE_INLINE_LAMBDA { return norm(y, y1, c, k); });
  }

  /// error = h sum_i e_i k_i, the embedded estimate of the error of the step that made the slopes k.
  template <class Y>
  static void error_estimate(Y& error, double h, const std::array<Y, stages>& k) {
    weighted<detail::error_row<Tableau>>(
        h, k, [&](const auto& c, const auto& s) { state_traits<Y>::scaled_sum(error, c, s); });
  }

  /// Root of the sum of squares of the error weights: how rounding in the stages shows in the estimate.
  static double error_weight() {
    double sum = 0;
    if constexpr (adaptive)
      for (const double e : Tableau::e) sum += e * e;
    return std::sqrt(sum);
  }

  template <class Y>
  FATHOM_ODE_INLINE static void accept(workspace<Y>& w) {
    if constexpr (hands_over) {
      using std::swap;
      if constexpr (detail::flat_state<Y>) {
        if constexpr (detail::flat_layout<Y>::extent != 0)
          w.k[0] = w.k[stages - 1];
        else
          swap(w.k[0], w.k[stages - 1]);
      } else {
        swap(w.k[0], w.k[stages - 1]);
      }
      w.first_ready = true;
    } else {
      w.first_ready = w.end_ready;
      if (w.end_ready) std::swap(w.k[0], w.end_slope);
    }
    w.end_ready = false;
  }
  template <class Y>
  FATHOM_ODE_INLINE static void reject(workspace<Y>&) {}
  /// The field has a discontinuity here, or the state was changed from outside: nothing of the past may be used.
  template <class Y>
  static void restart(workspace<Y>& w) {
    w.first_ready = false;
  }

  /// The slope at the start of the coming step, when a step or a start left it.
  template <class Y>
  static Y& first_slope(workspace<Y>& w) {
    return w.k[0];
  }
  template <class Y>
  static void first_slope_is_ready(workspace<Y>& w) {
    w.first_ready = true;
  }

  /// out = y(t + theta h) of the step just made and not yet accept()ed; exactly y and y1 at the ends.
  template <class Eval, class Y>
  static void interpolate(Eval& f, double t, double h, double t1, const Y& y, const Y& y1, workspace<Y>& w,
                          dense_cache<Y>& cache, double theta, interpolation kind, Y& out) {
    if (theta == 0 || theta == 1) {
      out = theta == 0 ? y : y1;
      return;
    }
    if (kind == interpolation::linear) return linear(y, y1, theta, out);
    if constexpr (order > natural_order)
      if (kind == interpolation::full) {
        const Y& f1 = end_slope(f, t1, y1, w);
        return detail::raised_interpolant<natural_order, order>::evaluate(
            f, t, h, y, y1, w.k[0], f1, cache, w.stage, theta, out,
            [&](double x, Y& to) { natural(f, t1, h, y, y1, w, x, to); });
      }
    natural(f, t1, h, y, y1, w, theta, out);
  }

  /// Order of the interpolant that costs nothing but the slope at the end.
  static constexpr int natural_order = [] {
    if constexpr (
        requires { Tableau::interior(0.5); } && !requires { Tableau::quartic_only; })
      return 5;
    if (Tableau::has_mid) return 4;
    return order == 1 ? 1 : 3;
  }();

  /// target = y + h sum_j a_row,j k_j
  template <std::size_t Row, class Y>
  FATHOM_ODE_INLINE static void add_row(Y& target, const Y& y, double h, const std::array<Y, stages>& k) {
    weighted<detail::stage_row<Tableau, Row>>(h, k, [&](const auto& c, const auto& s) FATHOM_ODE_INLINE_LAMBDA {
      state_traits<Y>::combine(target, y, c, s);
    });
  }
  /// target = y + h sum_i b_i k_i
  template <class Y>
  FATHOM_ODE_INLINE static void add_weights(Y& target, const Y& y, double h, const std::array<Y, stages>& k) {
    weighted<detail::weight_row<Tableau>>(h, k, [&](const auto& c, const auto& s) FATHOM_ODE_INLINE_LAMBDA {
      state_traits<Y>::combine(target, y, c, s);
    });
  }

 private:
  /// use({h row[j], ...}, {&k[j], ...}) over the columns j that are not zero
  template <class Row, class Y, class Use>
  FATHOM_ODE_INLINE static auto weighted(double h, const std::array<Y, stages>& k, Use&& use) {
    return weighted_columns<Row>(detail::nonzero_columns<Row>{}, h, k, use);
  }
  template <class Row, std::size_t... Column, class Y, class Use>
  FATHOM_ODE_INLINE static auto weighted_columns(std::index_sequence<Column...>, double h,
                                                 const std::array<Y, stages>& k, Use& use) {
    return use(std::array<double, sizeof...(Column)>{h * Row::values[Column]...},
               std::array<const Y*, sizeof...(Column)>{&k[Column]...});
  }

  template <class Y>
  static void linear(const Y& y, const Y& y1, double theta, Y& out) {
    state_traits<Y>::combine(out, y, std::array<double, 2>{theta, -theta}, std::array<const Y*, 2>{&y1, &y});
  }

  template <class Eval, class Y>
  static const Y& end_slope(Eval& f, double t1, const Y& y1, workspace<Y>& w) {
    if constexpr (hands_over) {
      return w.k[stages - 1];
    } else {
      if (!w.end_ready) f(t1, y1, w.end_slope);
      w.end_ready = true;
      return w.end_slope;
    }
  }

  template <class Eval, class Y>
  static void natural(Eval& f, double t1, double h, const Y& y, const Y& y1, workspace<Y>& w, double theta, Y& out) {
    if constexpr (natural_order == 5) {
      const auto weights = Tableau::interior(theta);
      std::array<double, stages> c;
      std::array<const Y*, stages> k;
      for (std::size_t m = 0; m < stages; ++m) {
        c[m] = h * weights[m];
        k[m] = &w.k[m];
      }
      state_traits<Y>::combine(out, y, c, k);
    } else if constexpr (natural_order == 4) {
      const auto weights = quartic_weights(theta, h);
      std::array<const Y*, stages + 3> k;
      for (std::size_t m = 0; m < stages; ++m) k[m] = &w.k[m];
      k[stages] = &end_slope(f, t1, y1, w);
      k[stages + 1] = &y;
      k[stages + 2] = &y1;
      state_traits<Y>::combine(out, y, weights, k);
    } else if constexpr (natural_order == 3) {
      const auto p = detail::cubic_hermite(theta);
      state_traits<Y>::combine(out, y, std::array<double, 4>{p[0] - 1, p[1], h * p[2], h * p[3]},
                               std::array<const Y*, 4>{&y, &y1, &w.k[0], &end_slope(f, t1, y1, w)});
    } else {
      linear(y, y1, theta, out);
    }
  }

  static std::array<double, stages + 3> quartic_weights(double theta, double h) {
    const auto p = detail::quartic_hermite(theta);
    std::array<double, stages + 3> weights;
    for (std::size_t m = 0; m < stages; ++m) weights[m] = h * p[2] * Tableau::mid[m];
    weights[0] += h * p[3];
    weights[stages] = h * p[4];
    weights[stages + 1] = p[0] + p[2] - 1;
    weights[stages + 2] = p[1];
    return weights;
  }
};

using euler = explicit_rk<tableau::euler>;
using midpoint = explicit_rk<tableau::midpoint>;
using heun2 = explicit_rk<tableau::heun2>;
using heun = heun2;
using ralston = explicit_rk<tableau::ralston>;
using heun3 = explicit_rk<tableau::heun3>;
using ssp3 = explicit_rk<tableau::ssp3>;
using rk4 = explicit_rk<tableau::rk4>;
using rk4_38 = explicit_rk<tableau::rk4_38>;
using adaptive_heun = explicit_rk<tableau::adaptive_heun>;
using fehlberg2 = explicit_rk<tableau::fehlberg2>;
using bosh3 = explicit_rk<tableau::bosh3>;
using tsit5 = explicit_rk<tableau::tsit5>;
using dopri5 = explicit_rk<tableau::dopri5>;
using dopri8 = explicit_rk<tableau::dopri8>;

}  // namespace fathom::ode
