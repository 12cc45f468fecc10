// SPDX-License-Identifier: Apache-2.0
// Methods whose steps can be undone: reversible Heun (Kidger et al. 2021), and any explicit method coupled with its own
// reverse (McCallum and Foster 2024). Both carry a second state z along, z = y at the start.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <utility>

#include <fathom/core/config.hpp>
#include <fathom/ode/dense.hpp>
#include <fathom/ode/explicit_rk.hpp>
#include <fathom/ode/options.hpp>
#include <fathom/ode/state.hpp>

namespace fathom::ode {

namespace detail {

/// Linear, or the cubic with slopes k0 and k1 at the ends.
template <class Y>
void hermite_inside(const Y& y, const Y& y1, const Y& k0, const Y& k1, double h, double theta, interpolation kind,
                    Y& out) {
  if (theta == 0 || theta == 1) {
    out = theta == 0 ? y : y1;
  } else if (kind == interpolation::linear) {
    state_traits<Y>::combine(out, y, std::array<double, 2>{theta, -theta}, std::array<const Y*, 2>{&y1, &y});
  } else {
    const auto p = cubic_hermite(theta);
    state_traits<Y>::combine(out, y, std::array<double, 4>{p[0] - 1, p[1], h * p[2], h * p[3]},
                             std::array<const Y*, 4>{&y, &y1, &k0, &k1});
  }
}

}  // namespace detail

/// z1 = 2 y0 - z0 + h f(t0, z0), y1 = y0 + h/2 (f(t0, z0) + f(t1, z1)). Order 2, one evaluation per step. Stable for
/// the linear test equation on [-i, i] only: not for fields that contract.
struct reversible_heun {
  static constexpr const char* name = "reversible_heun";
  static constexpr int order = 2;
  static constexpr int error_order = 2;
  static constexpr bool fsal = false;
  static constexpr bool hands_over = true;
  static constexpr bool reversible = true;

  template <class Y>
  struct workspace {
    Y z, k, next_z, next_k;
    bool started = false;  ///< z is the second state; it is y before the first step
    bool ready = false;    ///< k is the slope at z
    explicit workspace(const Y& y) : z(y), k(y), next_z(y), next_k(y) {}
  };
  template <class Y>
  static workspace<Y> make_workspace(const Y& y) {
    return workspace<Y>(y);
  }

  template <class Eval, class Y>
  static bool step(Eval& f, double t, double h, double t1, const Y& y, Y& y1, workspace<Y>& w) {
    using traits = state_traits<Y>;
    if (!w.started) w.z = y;
    w.started = true;
    if (!w.ready) f(t, w.z, w.k);
    w.ready = true;
    traits::combine(w.next_z, y, std::array<double, 3>{1, -1, h}, std::array<const Y*, 3>{&y, &w.z, &w.k});
    f(t1, w.next_z, w.next_k);
    traits::combine(y1, y, std::array<double, 2>{0.5 * h, 0.5 * h}, std::array<const Y*, 2>{&w.k, &w.next_k});
    return true;
  }

  /// The difference to one Euler step.
  template <class Y, class Norm>
  static leaf_error error_norm(double h, const Y& y, const Y& y1, const workspace<Y>& w, const Norm& norm) {
    return norm(y, y1, std::array<double, 2>{0.5 * h, -0.5 * h}, std::array<const Y*, 2>{&w.next_k, &w.k});
  }
  static double error_weight() { return std::sqrt(0.5); }

  template <class Y>
  static void accept(workspace<Y>& w) {
    std::swap(w.z, w.next_z);
    std::swap(w.k, w.next_k);
  }
  template <class Y>
  static void reject(workspace<Y>&) {}
  /// z stays: without it the past could not be found again.
  template <class Y>
  static void restart(workspace<Y>& w) {
    w.ready = false;
  }
  template <class Y>
  static Y& first_slope(workspace<Y>& w) {
    return w.k;
  }
  template <class Y>
  static void first_slope_is_ready(workspace<Y>& w) {
    w.ready = true;
  }

  template <class Eval, class Y>
  static void interpolate(Eval&, double, double h, double, const Y& y, const Y& y1, workspace<Y>& w, dense_cache<Y>&,
                          double theta, interpolation kind, Y& out) {
    detail::hermite_inside(y, y1, w.k, w.next_k, h, theta, kind, out);
  }
};

/// y1 = lambda y0 + (1 - lambda) z0 + P_h(t0, z0), z1 = z0 - P_-h(t1, y1), where P_h(t, y) is the increment of a step
/// of the method over h. The method's own order at twice its evaluations. Stable on the negative real axis up to |h mu|
/// = -ln lambda; undoing N steps amplifies rounding by lambda^-N.
template <class Method>
  requires requires { typename Method::tableau_type; }
struct coupled {
  double lambda = 0.999;

  static constexpr const char* name = Method::name;
  static constexpr int order = Method::order;
  static constexpr int error_order = Method::error_order;
  static constexpr bool fsal = false;
  static constexpr bool hands_over = false;
  static constexpr bool reversible = true;
  using method = Method;

  template <class Y>
  struct workspace {
    Y z, next_z, mixed, scratch;
    typename Method::template workspace<Y> ahead, back;
    bool started = false;
    explicit workspace(const Y& y) : z(y), next_z(y), mixed(y), scratch(y), ahead(y), back(y) {}
  };
  template <class Y>
  static workspace<Y> make_workspace(const Y& y) {
    return workspace<Y>(y);
  }

  template <class Eval, class Y>
  bool step(Eval& f, double t, double h, double t1, const Y& y, Y& y1, workspace<Y>& w) const {
    if (!w.started) w.z = y;
    w.started = true;
    Method::step(f, t, h, t1, w.z, w.scratch, w.ahead);
    state_traits<Y>::scaled_sum(w.mixed, std::array<double, 2>{lambda, 1 - lambda}, std::array<const Y*, 2>{&y, &w.z});
    Method::add_weights(y1, w.mixed, h, w.ahead.k);
    w.back.first_ready = false;
    Method::step(f, t1, -h, t, y1, w.scratch, w.back);
    Method::add_weights(w.next_z, w.z, h, w.back.k);
    return true;
  }

  template <class Y, class Norm>
  static leaf_error error_norm(double h, const Y& y, const Y& y1, const workspace<Y>& w, const Norm& norm) {
    return Method::error_norm(h, y, y1, w.ahead, norm);
  }
  static double error_weight() { return Method::error_weight(); }

  template <class Y>
  static void accept(workspace<Y>& w) {
    std::swap(w.z, w.next_z);
    w.ahead.first_ready = false;
  }
  template <class Y>
  static void reject(workspace<Y>&) {}
  template <class Y>
  static void restart(workspace<Y>& w) {
    w.ahead.first_ready = false;
  }
  template <class Y>
  static Y& first_slope(workspace<Y>& w) {
    return w.ahead.k[0];
  }
  template <class Y>
  static void first_slope_is_ready(workspace<Y>& w) {
    w.ahead.first_ready = true;
  }

  template <class Eval, class Y>
  static void interpolate(Eval&, double, double h, double, const Y& y, const Y& y1, workspace<Y>& w, dense_cache<Y>&,
                          double theta, interpolation kind, Y& out) {
    detail::hermite_inside(y, y1, w.ahead.k[0], w.back.k[0], h, theta, order == 1 ? interpolation::linear : kind, out);
  }
};

}  // namespace fathom::ode
