// SPDX-License-Identifier: Apache-2.0
// Implicit Runge-Kutta methods over any state: Newton's method with matrix-free GMRES, no Jacobian is ever formed.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <type_traits>
#include <utility>

#include <fathom/core/config.hpp>
#include <fathom/ode/dense.hpp>
#include <fathom/ode/field.hpp>
#include <fathom/ode/krylov.hpp>
#include <fathom/ode/linearize.hpp>
#include <fathom/ode/options.hpp>
#include <fathom/ode/state.hpp>
#include <fathom/ode/tableaus_implicit.hpp>

namespace fathom::ode {

/// How the stage equations are solved: until |residual| <= tolerance (1 + |slopes|) in the Euclidean norm.
struct newton_options {
  double tolerance = 1e-10;  ///< never less than 16 units of the state's rounding: 2e-6 in float32
  int iterations = 30;
  int krylov = 40;  ///< directions of one linear solve
  double krylov_tolerance = 1e-4;
};

/// k_i = f(t + c_i h, y + h sum_j a_ij k_j) for all stages at once, y1 = y + h sum_i b_i k_i.
template <class Tableau>
struct implicit_rk {
  using implicit_tableau = Tableau;
  static constexpr std::size_t implicit_stages = Tableau::stages;
  static constexpr int order = Tableau::order;
  static constexpr int error_order = Tableau::error_order;
  static constexpr bool fsal = Tableau::fsal;
  static constexpr bool hands_over = fsal;
  static constexpr const char* name = Tableau::name;

  newton_options newton{};

  template <class Y>
  using block = std::array<Y, implicit_stages>;

  template <class Y>
  struct workspace {
    block<Y> k, slopes, residual, correction;
    block<Y> at;  ///< stage states
    Y first, shifted, moved, end_slope;
    detail::gmres<Y, implicit_stages> krylov{};
    bool first_ready = false, end_ready = false;
    long newton_iterations = 0;

    explicit workspace(const Y& y)
        : k(detail::repeat<implicit_stages>(y)),
          slopes(k),
          residual(k),
          correction(k),
          at(k),
          first(y),
          shifted(y),
          moved(y),
          end_slope(y) {}
  };
  template <class Y>
  static workspace<Y> make_workspace(const Y& y) {
    return workspace<Y>(y);
  }

  template <class Eval, class Y>
  bool step(Eval& f, double t, double h, double t1, const Y& y, Y& y1, workspace<Y>& w) const {
    using traits = state_traits<Y>;
    if (!w.first_ready) f(t, y, w.first);
    w.first_ready = true;
    w.end_ready = false;
    for (auto& k : w.k) traits::scaled_sum(k, std::array<double, 1>{1}, std::array<const Y*, 1>{&w.first});
    const double tolerance = std::max(newton.tolerance, 16 * traits::epsilon(y));
    bool solved = false;
    for (int n = 0; n <= newton.iterations && !solved; ++n) {
      for (std::size_t row = 0; row < implicit_stages; ++row) {
        weigh(w.at[row], y, h, Tableau::a[row], w.k);
        f(time_of(row, t, h, t1), w.at[row], w.slopes[row]);
        traits::scaled_sum(w.residual[row], std::array<double, 2>{1, -1},
                           std::array<const Y*, 2>{&w.slopes[row], &w.k[row]});
      }
      const double left = norm(w.residual);
      if (!std::isfinite(left)) return false;
      if (left <= tolerance * (1 + norm(w.k))) {
        solved = true;
      } else if (n < newton.iterations) {
        ++w.newton_iterations;
        solve_linear(f, t, h, t1, left, w);
        for (std::size_t row = 0; row < implicit_stages; ++row) {
          traits::combine(w.moved, w.k[row], std::array<double, 1>{1}, std::array<const Y*, 1>{&w.correction[row]});
          std::swap(w.k[row], w.moved);
        }
      }
    }
    if (!solved) return false;
    weigh(y1, y, h, Tableau::b, w.k);
    return true;
  }

  template <class Y, class Norm>
  static leaf_error error_norm(double h, const Y& y, const Y& y1, const workspace<Y>& w, const Norm& measure) {
    return with_all(Tableau::e, h, w.k, [&](const auto& c, const auto& k) { return measure(y, y1, c, k); });
  }
  static double error_weight() {
    double sum = 0;
    if constexpr (error_order > 0)
      for (const double e : Tableau::e) sum += e * e;
    return std::sqrt(sum);
  }
  template <class Y>
  static Y& first_slope(workspace<Y>& w) {
    return w.first;
  }
  template <class Y>
  static void first_slope_is_ready(workspace<Y>& w) {
    w.first_ready = true;
  }
  template <class Y>
  static void accept(workspace<Y>& w) {
    if constexpr (fsal) {
      std::swap(w.first, w.k[implicit_stages - 1]);
      w.first_ready = true;
    } else {
      w.first_ready = w.end_ready;
      if (w.end_ready) std::swap(w.first, w.end_slope);
    }
    w.end_ready = false;
  }
  template <class Y>
  static void reject(workspace<Y>&) {}
  template <class Y>
  static void restart(workspace<Y>& w) {
    w.first_ready = false;
  }

  /// Linear for order 1, else cubic Hermite, which `full` raises to the method's order.
  template <class Eval, class Y>
  static void interpolate(Eval& f, double t, double h, double t1, const Y& y, const Y& y1, workspace<Y>& w,
                          dense_cache<Y>& cache, double theta, interpolation kind, Y& out) {
    if (theta == 0 || theta == 1) {
      out = theta == 0 ? y : y1;
      return;
    }
    if (order == 1 || kind == interpolation::linear) {
      state_traits<Y>::combine(out, y, std::array<double, 2>{theta, -theta}, std::array<const Y*, 2>{&y1, &y});
      return;
    }
    if (!w.end_ready) f(t1, y1, w.end_slope);
    w.end_ready = true;
    const auto cubic = [&](double x, Y& to) {
      const auto p = detail::cubic_hermite(x);
      state_traits<Y>::combine(to, y, std::array<double, 4>{p[0] - 1, p[1], h * p[2], h * p[3]},
                               std::array<const Y*, 4>{&y, &y1, &w.first, &w.end_slope});
    };
    if constexpr (order > 3)
      if (kind == interpolation::full)
        return detail::raised_interpolant<3, order>::evaluate(f, t, h, y, y1, w.first, w.end_slope, cache, w.moved,
                                                              theta, out, cubic);
    cubic(theta, out);
  }

 private:
  static double time_of(std::size_t row, double t, double h, double t1) {
    return Tableau::c[row] == 1.0 ? t1 : t + Tableau::c[row] * h;
  }
  template <class Y, class Use>
  static auto with_all(const std::array<double, implicit_stages>& row, double h, const block<Y>& k, Use&& use) {
    std::array<double, implicit_stages> c;
    std::array<const Y*, implicit_stages> s;
    for (std::size_t m = 0; m < implicit_stages; ++m) {
      c[m] = h * row[m];
      s[m] = &k[m];
    }
    return use(c, s);
  }
  template <class Y>
  static void weigh(Y& out, const Y& y, double h, const std::array<double, implicit_stages>& row, const block<Y>& k) {
    with_all(row, h, k, [&](const auto& c, const auto& s) { state_traits<Y>::combine(out, y, c, s); });
  }
  template <class Y>
  static double norm(const block<Y>& a) {
    return detail::state_block<Y, implicit_stages>::norm(a);
  }

  /// out_i = v_i - J_i h sum_j a_ij v_j, the product with J by the field's own derivative where it offers one
  /// (directional_field), else by a one-sided difference.
  template <class Eval, class Y>
  static void apply_jacobian(Eval& f, double t, double h, double t1, const block<Y>& v, block<Y>& out,
                             workspace<Y>& w) {
    using traits = state_traits<Y>;
    for (std::size_t row = 0; row < implicit_stages; ++row) {
      with_all(Tableau::a[row], h, v, [&](const auto& c, const auto& s) { traits::scaled_sum(w.moved, c, s); });
      const double size = std::sqrt(traits::dot(w.moved, w.moved));
      if (size == 0) {
        traits::scaled_sum(out[row], std::array<double, 1>{1}, std::array<const Y*, 1>{&v[row]});
        continue;
      }
      if constexpr (directional_field<std::remove_cvref_t<decltype(*f.field)>, Y>) {
        ++f.count;
        w.shifted = f.field->directional(traits::time(time_of(row, t, h, t1), w.at[row]), w.at[row], w.moved);
        traits::combine(out[row], v[row], std::array<double, 1>{-1}, std::array<const Y*, 1>{&w.shifted});
        continue;
      }
      const double e = std::sqrt(traits::epsilon(w.moved)) * (1 + std::sqrt(traits::dot(w.at[row], w.at[row]))) / size;
      traits::combine(w.shifted, w.at[row], std::array<double, 1>{e}, std::array<const Y*, 1>{&w.moved});
      f(time_of(row, t, h, t1), w.shifted, w.moved);
      traits::combine(out[row], v[row], std::array<double, 2>{-1 / e, 1 / e},
                      std::array<const Y*, 2>{&w.moved, &w.slopes[row]});
    }
  }

  /// The Newton correction; `size` is the norm of the residual.
  template <class Eval, class Y>
  void solve_linear(Eval& f, double t, double h, double t1, double size, workspace<Y>& w) const {
    const auto product = [&](const block<Y>& v, block<Y>& out) { apply_jacobian(f, t, h, t1, v, out, w); };
    w.krylov(product, w.residual, size, w.correction, static_cast<std::size_t>(newton.krylov), newton.krylov_tolerance,
             w.moved);
  }
};

using implicit_euler = implicit_rk<tableau::implicit_euler>;
using implicit_midpoint = implicit_rk<tableau::implicit_midpoint>;
using trapezoid = implicit_rk<tableau::trapezoid>;
using gauss_legendre4 = implicit_rk<tableau::gauss_legendre4>;
using gauss_legendre6 = implicit_rk<tableau::gauss_legendre6>;
using radau_iia3 = implicit_rk<tableau::radau_iia3>;
using radau_iia5 = implicit_rk<tableau::radau_iia5>;
using sdirk2 = implicit_rk<tableau::sdirk2>;
using tr_bdf2 = implicit_rk<tableau::tr_bdf2>;
using kvaerno3 = implicit_rk<tableau::kvaerno3>;

}  // namespace fathom::ode
