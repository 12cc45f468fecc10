// SPDX-License-Identifier: Apache-2.0
// Splitting methods for a field that is a sum of parts: Lie-Trotter (order 1) and Strang (order 2).
#pragma once

#include <array>
#include <cstddef>
#include <utility>

#include <fathom/core/config.hpp>
#include <fathom/ode/dense.hpp>
#include <fathom/ode/explicit_rk.hpp>
#include <fathom/ode/field.hpp>
#include <fathom/ode/options.hpp>
#include <fathom/ode/state.hpp>

namespace fathom::ode {

namespace detail {

/// What both methods share: no memory between steps, no error estimate, cubic interpolation.
template <class Method>
struct splitting_method {
  static constexpr int error_order = 0;
  static constexpr bool fsal = false;
  static constexpr bool hands_over = false;

  template <class Y>
  struct workspace {
    Y a, b, c;
    bool slopes_ready = false;
    explicit workspace(const Y& y) : a(y), b(y), c(y) {}
  };
  template <class Y>
  static workspace<Y> make_workspace(const Y& y) {
    return workspace<Y>(y);
  }
  template <class Y>
  static void accept(workspace<Y>&) {}
  template <class Y>
  static void reject(workspace<Y>&) {}
  template <class Y>
  static void restart(workspace<Y>&) {}

  /// Linear for order 1, else cubic Hermite with the whole field at both ends (two evaluations).
  template <class Eval, class Y>
  static void interpolate(Eval& f, double t, double h, double t1, const Y& y, const Y& y1, workspace<Y>& w,
                          dense_cache<Y>&, double theta, interpolation kind, Y& out) {
    if (theta == 0 || theta == 1) {
      out = theta == 0 ? y : y1;
    } else if (Method::order == 1 || kind == interpolation::linear) {
      state_traits<Y>::combine(out, y, std::array<double, 2>{theta, -theta}, std::array<const Y*, 2>{&y1, &y});
    } else {
      if (!w.slopes_ready) {
        f(t, y, w.a);
        f(t1, y1, w.b);
        w.slopes_ready = true;
      }
      const auto p = cubic_hermite(theta);
      state_traits<Y>::combine(out, y, std::array<double, 4>{p[0] - 1, p[1], h * p[2], h * p[3]},
                               std::array<const Y*, 4>{&y, &y1, &w.a, &w.b});
    }
  }
};

/// The parts of a field; one that is not split is its own only part.
template <class Eval, class Y>
std::size_t part_count(const Eval& f) {
  if constexpr (requires { f.field->parts(); })
    return f.field->parts();
  else
    return 1;
}
template <class Eval, class Y>
void part_slope(Eval& f, std::size_t n, double t, const Y& y, Y& out) {
  if constexpr (requires { f.field->parts(); })
    out = f.field->part(n, state_traits<Y>::time(t, y), y);
  else
    f(t, y, out);
}
/// y <- y + h g_n(t, y), through the field's own `advance` where it has one.
template <class Eval, class Y>
void part_euler(Eval& f, std::size_t n, double t, double h, Y& y, Y& slope, Y& scratch) {
  if constexpr (requires { f.field->advance(n, state_traits<Y>::time(t, y), h, y); }) {
    y = f.field->advance(n, state_traits<Y>::time(t, y), h, std::as_const(y));
  } else {
    part_slope(f, n, t, y, slope);
    state_traits<Y>::combine(scratch, y, std::array<double, 1>{h}, std::array<const Y*, 1>{&slope});
    std::swap(y, scratch);
  }
}
/// y <- the flow of g_n over h by Heun's method, the time held at t.
template <class Eval, class Y, class Work>
void part_heun(Eval& f, std::size_t n, double t, double h, Y& y, Work& w) {
  part_slope(f, n, t, y, w.a);
  state_traits<Y>::combine(w.c, y, std::array<double, 1>{h}, std::array<const Y*, 1>{&w.a});
  part_slope(f, n, t, w.c, w.b);
  state_traits<Y>::combine(w.c, y, std::array<double, 2>{0.5 * h, 0.5 * h}, std::array<const Y*, 2>{&w.a, &w.b});
  std::swap(y, w.c);
}

}  // namespace detail

/// y <- y + h g_i(t, y) for i = 0, 1, ..., n - 1 in turn, the time held at the start of the step. With h = 1 and one
/// part per residual layer this is the discrete network itself.
struct lie_trotter : detail::splitting_method<lie_trotter> {
  static constexpr const char* name = "lie_trotter";
  static constexpr int order = 1;

  template <class Eval, class Y>
  static bool step(Eval& f, double t, double h, double, const Y& y, Y& y1, workspace<Y>& w) {
    y1 = y;
    const std::size_t parts = detail::part_count<Eval, Y>(f);
    for (std::size_t n = 0; n < parts; ++n) detail::part_euler(f, n, t, h, y1, w.a, w.b);
    if constexpr (requires { f.field->parts(); }) ++f.count;
    w.slopes_ready = false;
    return true;
  }
};

/// Half a step through the parts in order, half a step in reverse order, each by Heun's method at the middle time.
/// Costs four sweeps over the parts.
struct strang : detail::splitting_method<strang> {
  static constexpr const char* name = "strang";
  static constexpr int order = 2;

  template <class Eval, class Y>
  static bool step(Eval& f, double t, double h, double, const Y& y, Y& y1, workspace<Y>& w) {
    y1 = y;
    const double middle = t + 0.5 * h;
    const std::size_t parts = detail::part_count<Eval, Y>(f);
    for (std::size_t n = 0; n < parts; ++n) detail::part_heun(f, n, middle, 0.5 * h, y1, w);
    for (std::size_t n = parts; n-- > 0;) detail::part_heun(f, n, middle, 0.5 * h, y1, w);
    if constexpr (requires { f.field->parts(); }) f.count += 4;
    w.slopes_ready = false;
    return true;
  }
};

}  // namespace fathom::ode
