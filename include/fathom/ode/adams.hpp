// SPDX-License-Identifier: Apache-2.0
// Multistep methods with equal steps: Adams-Bashforth, and Adams-Bashforth-Moulton with its corrector.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <type_traits>
#include <utility>

#include <fathom/core/config.hpp>
#include <fathom/ode/adams_coefficients.hpp>
#include <fathom/ode/dense.hpp>
#include <fathom/ode/explicit_rk.hpp>
#include <fathom/ode/options.hpp>
#include <fathom/ode/state.hpp>

namespace fathom::ode {

/// How the history is begun: Heun's method suffices to order 2, the classical method above.
template <int N>
using default_start = std::conditional_t<(N <= 2), heun2, rk4>;

namespace detail {

/// One evaluation per step (two with the corrector), whatever the order. The first N - 1 steps are made by `Start`; so
/// is a step of another length (a shortened last one), and what follows a jump.
template <int N, bool Corrected, class Start>
struct adams_method {
  static_assert(N >= 1 && N <= 12, "fathom: Adams methods have orders 1 to 12 here");
  using start_type = Start;
  static constexpr int order = N;
  static constexpr int error_order = 0;
  static constexpr bool fsal = false;
  static constexpr bool hands_over = false;
  static constexpr std::size_t depth = static_cast<std::size_t>(N);

  template <class Y>
  struct workspace {
    std::array<Y, depth> slopes;  ///< slopes[(newest + j) % depth] is f_(n-j)
    std::size_t newest = 0;
    std::size_t known = 0;
    double h = 0;
    Y predicted, slope;
    bool end_ready = false;  ///< `slope` is the field at the new point
    typename Start::template workspace<Y> start;

    explicit workspace(const Y& y) : slopes(repeat<depth>(y)), predicted(y), slope(y), start(y) {}
    const Y& past(std::size_t j) const { return slopes[(newest + j) % depth]; }
  };
  template <class Y>
  static workspace<Y> make_workspace(const Y& y) {
    return workspace<Y>(y);
  }

  template <class Eval, class Y>
  static bool step(Eval& f, double t, double h, double t1, const Y& y, Y& y1, workspace<Y>& w) {
    if (w.known > 0 && std::abs(h - w.h) > 1e-9 * std::abs(h)) {
      if (!w.end_ready) f(t, y, w.slope);
      restart(w);
      w.end_ready = true;
    }
    w.h = h;
    w.newest = (w.newest + depth - 1) % depth;
    Y& first = w.slopes[w.newest];
    if (w.end_ready)
      std::swap(first, w.slope);
    else
      f(t, y, first);
    w.end_ready = false;
    if (w.known < depth) ++w.known;
    if (w.known < depth) {
      copy(w.start.k[0], first);
      w.start.first_ready = true;
      Start::step(f, t, h, t1, y, y1, w.start);
      w.start.first_ready = false;
      return true;
    }
    Y& predicted = Corrected ? w.predicted : y1;
    add(std::make_index_sequence<depth>{}, adams_weights<depth>(false), 0, predicted, y, h, w);
    if constexpr (Corrected) {
      f(t1, predicted, w.slope);
      correct(y, y1, h, w);
    }
    return true;
  }

  template <class Y>
  static void accept(workspace<Y>&) {}
  template <class Y>
  static void reject(workspace<Y>&) {}
  template <class Y>
  static void restart(workspace<Y>& w) {
    w.known = 0;
    w.end_ready = false;
  }

  /// To order 3 cubic Hermite, above the polynomial that the method itself integrates: order N without an evaluation.
  /// In the first steps what the start has.
  template <class Eval, class Y>
  static void interpolate(Eval& f, double t, double h, double t1, const Y& y, const Y& y1, workspace<Y>& w,
                          dense_cache<Y>& cache, double theta, interpolation kind, Y& out) {
    if (theta == 0 || theta == 1) {
      out = theta == 0 ? y : y1;
      return;
    }
    if (kind == interpolation::linear || N == 1) {
      state_traits<Y>::combine(out, y, std::array<double, 2>{theta, -theta}, std::array<const Y*, 2>{&y1, &y});
      return;
    }
    if constexpr (N > 3) {
      if (w.known == depth)
        return integrate(std::make_index_sequence<depth>{},
                         adams_interpolation_weights<depth>(theta, Corrected ? 1 : 0), out, y, h, w);
      if (kind == interpolation::full) return Start::interpolate(f, t, h, t1, y, y1, w.start, cache, theta, kind, out);
    }
    if (!w.end_ready) f(t1, y1, w.slope);
    w.end_ready = true;
    const auto p = cubic_hermite(theta);
    state_traits<Y>::combine(out, y, std::array<double, 4>{p[0] - 1, p[1], h * p[2], h * p[3]},
                             std::array<const Y*, 4>{&y, &y1, &w.past(0), &w.slope});
  }

 private:
  template <class Y>
  static void copy(Y& to, const Y& from) {
    state_traits<Y>::scaled_sum(to, std::array<double, 1>{1}, std::array<const Y*, 1>{&from});
  }
  template <std::size_t... J, class Y>
  static void add(std::index_sequence<J...>, const std::array<double, sizeof...(J)>& weights, std::size_t skip, Y& out,
                  const Y& y, double h, const workspace<Y>& w) {
    state_traits<Y>::combine(out, y, std::array<double, sizeof...(J)>{h * weights[J]...},
                             std::array<const Y*, sizeof...(J)>{&w.past(J + skip)...});
  }
  /// out = y + h sum_j w_j f_j, the first slope of a corrected method being that at the predicted point.
  template <std::size_t... J, class Y>
  static void integrate(std::index_sequence<J...>, const std::array<double, sizeof...(J)>& weights, Y& out, const Y& y,
                        double h, const workspace<Y>& w) {
    const auto slope = [&](std::size_t j) { return !Corrected ? &w.past(j) : j == 0 ? &w.slope : &w.past(j - 1); };
    state_traits<Y>::combine(out, y, std::array<double, sizeof...(J)>{h * weights[J]...},
                             std::array<const Y*, sizeof...(J)>{slope(J)...});
  }
  /// y1 = y + h (w_0 f(t1, predicted) + w_1 f_n + ... ), order N.
  template <class Y>
  static void correct(const Y& y, Y& y1, double h, const workspace<Y>& w) {
    constexpr auto weights = adams_weights<depth>(true);
    std::array<double, depth> c;
    std::array<const Y*, depth> k;
    for (std::size_t j = 0; j < depth; ++j) {
      c[j] = h * weights[j];
      k[j] = j == 0 ? &w.slope : &w.past(j - 1);
    }
    state_traits<Y>::combine(y1, y, c, k);
  }
};

}  // namespace detail

/// Explicit Adams method of order N: y1 = y + h sum_j b_j f_(n-j).
template <int N, class Start = default_start<N>>
struct adams_bashforth : detail::adams_method<N, false, Start> {
  static constexpr const char* name = "adams_bashforth";
};
/// Predict with Adams-Bashforth, evaluate, correct once with Adams-Moulton, evaluate (PECE); order N.
template <int N, class Start = default_start<N>>
struct adams_bashforth_moulton : detail::adams_method<N, true, Start> {
  static constexpr const char* name = "adams_bashforth_moulton";
};

}  // namespace fathom::ode
