// SPDX-License-Identifier: Apache-2.0
// The methods, grids and step control of torchdiffeq 0.2.5, to compare with it and to move models over unchanged.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/ode/adams_coefficients.hpp>
#include <fathom/ode/explicit_rk.hpp>
#include <fathom/ode/solve.hpp>

namespace fathom::ode {

namespace tableau {
// There the interpolant is the quartic through y0, y1, both slopes and a midpoint, for every adaptive method, and the
// last stage always serves as the slope at the end, whether or not it was taken at the new point.
struct torchdiffeq_dopri8 : dopri8 {
  static constexpr bool quartic_only = true;
};
struct torchdiffeq_tsit5 : tsit5_embedded {
  static constexpr bool reuse_last = true;
};
struct torchdiffeq_bosh3 : bosh3 {
  static constexpr bool has_mid = true;
};
struct torchdiffeq_fehlberg2 : fehlberg2 {
  static constexpr bool has_mid = true;
  static constexpr bool reuse_last = true;
};
struct torchdiffeq_adaptive_heun : adaptive_heun {
  static constexpr bool has_mid = true;
  static constexpr bool reuse_last = true;
};
}  // namespace tableau

namespace detail {

/// torchdiffeq's explicit_adams and implicit_adams: the 3/8 rule until three slopes are known, then as many as there
/// are up to Max - 1; the step's length is taken to be that of the history. Implicit: up to four fixed-point
/// iterations; a step that does not converge drops the oldest slope.
template <int Max, bool Implicit>
struct torchdiffeq_adams {
  static constexpr const char* name = Implicit ? "implicit_adams" : "explicit_adams";
  static constexpr int order = 4;
  static constexpr int error_order = 0;
  static constexpr bool fsal = false;
  static constexpr bool hands_over = false;
  static constexpr std::size_t depth = static_cast<std::size_t>(Max) - 1;
  static_assert(Max >= 4 && Max <= 12, "fathom: max_order is 4 to 12");
  double rtol = 1e-7, atol = 1e-9;

  template <class Y>
  struct workspace {
    std::vector<Y> past;  ///< newest first
    Y slope, change, before;
    typename rk4_38::template workspace<Y> start;
    explicit workspace(const Y& y) : slope(y), change(y), before(y), start(y) {}
  };
  template <class Y>
  static workspace<Y> make_workspace(const Y& y) {
    return workspace<Y>(y);
  }

  template <class Eval, class Y>
  bool step(Eval& f, double t, double h, double t1, const Y& y, Y& y1, workspace<Y>& w) const {
    f(t, y, w.slope);
    w.past.insert(w.past.begin(), state_traits<Y>::clone(w.slope));
    if (w.past.size() > depth) w.past.pop_back();
    if (w.past.size() < 3) {
      w.start.k[0] = state_traits<Y>::clone(w.slope);
      w.start.first_ready = true;
      rk4_38::step(f, t, h, t1, y, y1, w.start);
      return true;
    }
    dispatch(w.past.size(), [&](auto count) {
      constexpr std::size_t k = decltype(count)::value;
      std::array<const Y*, k> past;
      for (std::size_t j = 0; j < k; ++j) past[j] = &w.past[j];
      state_traits<Y>::scaled_sum(w.change, scaled(h, adams_weights<k>(false)), past);
      if constexpr (Implicit) iterate<k>(f, h, t1, y, y1, past, w);
    });
    using one = std::array<const Y*, 1>;
    state_traits<Y>::combine(y1, y, std::array<double, 1>{1}, one{&w.change});
    return true;
  }
  template <class Y>
  static void accept(workspace<Y>&) {}
  template <class Y>
  static void reject(workspace<Y>&) {}
  template <class Y>
  static void restart(workspace<Y>& w) {
    w.past.clear();
  }
  template <class Eval, class Y>
  static void interpolate(Eval&, double, double, double, const Y& y, const Y& y1, workspace<Y>&, dense_cache<Y>&,
                          double theta, interpolation, Y& out) {
    if (theta == 0 || theta == 1)
      out = theta == 0 ? y : y1;
    else
      state_traits<Y>::combine(out, y, std::array<double, 2>{theta, -theta}, std::array<const Y*, 2>{&y1, &y});
  }

 private:
  template <std::size_t N>
  static std::array<double, N> scaled(double h, std::array<double, N> c) {
    for (double& one : c) one *= h;
    return c;
  }
  template <std::size_t Count = 3, class Use>
  static void dispatch(std::size_t count, Use&& use) {
    if (count == Count) {
      use(std::integral_constant<std::size_t, Count>{});
    } else {
      if constexpr (Count < depth) dispatch<Count + 1>(count, use);
    }
  }
  template <std::size_t K, class Eval, class Y>
  void iterate(Eval& f, double h, double t1, const Y& y, Y& y1, const std::array<const Y*, K>& past,
               workspace<Y>& w) const {
    constexpr auto weights = adams_weights<K + 1>(true);
    using one = std::array<const Y*, 1>;
    for (int n = 0; n < 4; ++n) {
      std::swap(w.before, w.change);
      state_traits<Y>::combine(y1, y, std::array<double, 1>{1}, one{&w.before});
      f(t1, y1, w.slope);
      std::array<double, K + 1> c;
      std::array<const Y*, K + 1> k;
      for (std::size_t j = 0; j <= K; ++j) {
        c[j] = h * weights[j];
        k[j] = j == 0 ? &w.slope : past[j - 1];
      }
      state_traits<Y>::scaled_sum(w.change, c, k);
      if (converged(w.before, w.change)) return;
    }
    w.past.pop_back();
  }
  /// Largest |a - b| / (atol + rtol max(|a|, |b|)) below 1: the norm there is the maximum, over flat states.
  template <class Y>
  bool converged(const Y& a, const Y& b) const {
    static_assert(flat_state<Y>, "fathom: implicit_adams of torchdiffeq is here for scalar, array and vector states");
    using layout = flat_layout<Y>;
    double worst = 0;
    for (std::size_t n = 0; n < layout::size(a); ++n) {
      const double x = static_cast<double>(layout::data(a)[n]), z = static_cast<double>(layout::data(b)[n]);
      worst = std::max(worst, std::abs(x - z) / (atol + rtol * std::max(std::abs(x), std::abs(z))));
    }
    return worst < 1;
  }
};

}  // namespace detail

/// torchdiffeq's names for its methods, and its ways with grids and output times.
///
///     using peer = ode::torchdiffeq_semantics;
///     auto s = peer::solve(field, y0, {0, 0.5, 1}, peer::dopri5{}, peer::control(1e-7, 1e-9));
///     auto s = peer::solve_fixed(field, y0, {0, 0.5, 1}, peer::rk4{}, 0.05);
///
/// The result holds one value per time, the first being y0.
struct torchdiffeq_semantics {
  using euler = ode::euler;
  using midpoint = ode::midpoint;
  using heun2 = ode::heun2;
  using heun3 = ode::heun3;
  using rk4 = ode::rk4_38;
  using dopri5 = explicit_rk<tableau::dopri5_shampine>;
  using dopri8 = explicit_rk<tableau::torchdiffeq_dopri8>;
  using bosh3 = explicit_rk<tableau::torchdiffeq_bosh3>;
  using fehlberg2 = explicit_rk<tableau::torchdiffeq_fehlberg2>;
  using adaptive_heun = explicit_rk<tableau::torchdiffeq_adaptive_heun>;
  using tsit5 = explicit_rk<tableau::torchdiffeq_tsit5>;
  template <int MaxOrder = 12>
  using explicit_adams = detail::torchdiffeq_adams<MaxOrder, false>;
  template <int MaxOrder = 12>
  using implicit_adams = detail::torchdiffeq_adams<MaxOrder, true>;

  /// Integral control whose accepted steps never shrink.
  static i control(double rtol, double atol, adaptive_limits limits = {}) {
    limits.keep_accepted = true;
    return {rtol, atol, limits};
  }

  /// The last step is not shortened; values at all times are interpolated.
  template <class Field, class Y, class Solver>
  static solution<Y> solve(const Field& field, const Y& y0, const std::vector<double>& times, const Solver& solver,
                           const i& control, options<Y> option = {}) {
    option.save_at = times;
    option.overshoot = true;
    return ode::solve(field, y0, {times.front(), times.back()}, solver, control, option);
  }

  /// The grid t0 + k h, k < ceil((t1 - t0)/h + 1), its last point moved to t1; the output times themselves when h = 0.
  static std::vector<double> grid(const std::vector<double>& times, double h) {
    if (h == 0) return times;
    const double t0 = times.front(), t1 = times.back(), direction = t1 < t0 ? -1 : 1;
    const auto count = static_cast<std::size_t>(std::ceil(std::abs(t1 - t0) / h + 1));
    std::vector<double> points(std::max<std::size_t>(count, 2));
    for (std::size_t k = 0; k < points.size(); ++k) points[k] = t0 + direction * static_cast<double>(k) * h;
    points.back() = t1;
    return points;
  }

  /// Fixed steps; output times between grid points are interpolated linearly unless told otherwise.
  template <class Field, class Y, class Solver>
  static solution<Y> solve_fixed(const Field& field, const Y& y0, const std::vector<double>& times,
                                 const Solver& solver, double h = 0, interpolation kind = interpolation::linear,
                                 options<Y> option = {}) {
    option.save_at = times;
    option.interpolation = kind;
    return ode::solve(field, y0, {times.front(), times.back()}, solver, fixed_grid{grid(times, h)}, option);
  }
};

}  // namespace fathom::ode
