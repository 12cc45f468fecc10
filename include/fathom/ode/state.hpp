// SPDX-License-Identifier: Apache-2.0
// What the solvers ask of a state, in one customisation point, and the states that need no backend:
// double, float, std::array and std::vector.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>

// The operands of a combination never overlap its result.
#if defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__)
#define FATHOM_ODE_IVDEP _Pragma("GCC ivdep")
#else
#define FATHOM_ODE_IVDEP
#endif

// Inner loops of small states live in registers only when everything in them is inlined, lambdas too. Instrumented
// programs are not about speed, and would take minutes to compile like that.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FATHOM_ODE_INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define FATHOM_ODE_INSTRUMENTED 1
#endif
#endif
#if (defined(__GNUC__) || defined(__clang__)) && !defined(FATHOM_ODE_INSTRUMENTED)
#define FATHOM_ODE_INLINE inline __attribute__((always_inline))
#define FATHOM_ODE_INLINE_LAMBDA __attribute__((always_inline))
#else
#define FATHOM_ODE_INLINE inline
#define FATHOM_ODE_INLINE_LAMBDA
#endif

namespace fathom::ode {

/// Tolerances of one leaf: an error e is judged as e / (atol + rtol max(|y0|, |y1|)).
struct tolerances {
  double rtol = 1e-3;
  double atol = 1e-6;
};

/// The scaled error of the worst leaf, squared, and which leaf that was (an index into state_traits<Y>::leaves).
struct leaf_error {
  double square = 0;
  int leaf = 0;

  double value() const { return std::sqrt(square); }
};

/// Everything a solver does to a state. Specialise it for a state of your own, or give the state a `visit`
/// (fathom/ode/tree_state.hpp). Required members:
///
///     using time_type;                                        what field(t, y) receives as t
///     static time_type time(double t, const Y& like);
///     static double epsilon(const Y&);                        unit of rounding of the state's scalar
///     static void combine(Y& out, const Y& y, c, k);          out = y + sum_i c[i] *k[i], one pass over memory
///     static void scaled_sum(Y& out, c, k);                   out = sum_i c[i] *k[i]
///     static leaf_error error_norm(y0, y1, c, k, tol, weights);
///     static bool finite(const Y&);
///     static double dot(const Y&, const Y&);
///     static Y clone(const Y&);                               shares no memory with its argument
///     static std::size_t bytes(const Y&);
///     static std::vector<std::string> leaves(const Y&);
///
/// with `c` a std::array<double, M> and `k` a std::array<const Y*, M>, M any number. `out` never aliases an input.
/// error_norm is the maximum over leaves of sum w r^2 / sum w, r = (sum_i c[i] *k[i]) / (atol + rtol max(|y0|,
/// |y1|)), w the optional weights (a mask), 1 without.
template <class Y>
struct state_traits;

template <class Y>
concept ode_state = requires {
  typename state_traits<Y>::time_type;
};

namespace detail {

template <class Y>
struct flat_layout;

template <class T>
  requires std::is_floating_point_v<T>
struct flat_layout<T> {
  using scalar = T;
  static constexpr std::size_t extent = 1;
  static constexpr std::size_t size(const T&) { return 1; }
  static T* data(T& y) { return &y; }
  static const T* data(const T& y) { return &y; }
  static void fit(T&, const T&) {}
};

template <class T, std::size_t N>
  requires std::is_floating_point_v<T>
struct flat_layout<std::array<T, N>> {
  using scalar = T;
  static constexpr std::size_t extent = N;
  static constexpr std::size_t size(const std::array<T, N>&) { return N; }
  static T* data(std::array<T, N>& y) { return y.data(); }
  static const T* data(const std::array<T, N>& y) { return y.data(); }
  static void fit(std::array<T, N>&, const std::array<T, N>&) {}
};

template <class T, class A>
  requires std::is_floating_point_v<T>
struct flat_layout<std::vector<T, A>> {
  using scalar = T;
  static constexpr std::size_t extent = 0;
  static std::size_t size(const std::vector<T, A>& y) { return y.size(); }
  static T* data(std::vector<T, A>& y) { return y.data(); }
  static const T* data(const std::vector<T, A>& y) { return y.data(); }
  static void fit(std::vector<T, A>& out, const std::vector<T, A>& like) {
    if (out.size() != like.size()) out.resize(like.size());
  }
};

template <class Y>
concept flat_state = requires(const Y& y) {
  typename flat_layout<Y>::scalar;
};

}  // namespace detail

/// Scalars, arrays and vectors of floating point numbers: one leaf, no allocation once `out` has its size.
template <detail::flat_state Y>
struct state_traits<Y> {
 private:
  using layout = detail::flat_layout<Y>;
  using scalar = typename layout::scalar;

  /// sum_m c[m] k[m][i], written out without a loop over m so that coefficients and pointers stay in registers.
  template <std::size_t M, class Sequence = std::make_index_sequence<M>>
  struct operands;
  template <std::size_t M, std::size_t... Term>
  struct operands<M, std::index_sequence<Term...>> {
    std::array<scalar, M> c;
    std::array<const scalar*, M> k;

    FATHOM_ODE_INLINE operands(const std::array<double, M>& coefficients, const std::array<const Y*, M>& states)
        : c{static_cast<scalar>(coefficients[Term])...}, k{layout::data(*states[Term])...} {}
    FATHOM_ODE_INLINE scalar at(std::size_t i) const {
      if constexpr (M == 0)
        return scalar(0);
      else
        return (... + (c[Term] * k[Term][i]));
    }
    /// Terms in order, so that the one that was computed last is waited for last.
    FATHOM_ODE_INLINE scalar added_to(scalar y, std::size_t i) const { return (y + ... + (c[Term] * k[Term][i])); }
  };

  /// f(i) for every element; clang keeps small arrays in registers when there is no loop, g++ when there is one.
#if defined(__clang__)
  static constexpr bool unroll = true;
#else
  static constexpr bool unroll = false;
#endif
  template <class F>
  FATHOM_ODE_INLINE static void for_elements(std::size_t n, F&& f) {
    if constexpr (unroll && layout::extent >= 1 && layout::extent <= 8) {
      unrolled(std::make_index_sequence<layout::extent>{}, f);
    } else {
      FATHOM_ODE_IVDEP
      for (std::size_t i = 0; i < n; ++i) f(i);
    }
  }
  template <std::size_t... Element, class F>
  FATHOM_ODE_INLINE static void unrolled(std::index_sequence<Element...>, F& f) {
    (f(Element), ...);
  }

  // Sums run in lanes, element i in lane i % 8, that are joined in a fixed order: one long chain of additions would
  // take longer than a whole step, and zeros behind the end (padding) leave every bit as it is.
  static constexpr std::size_t lanes = 8;
  template <std::size_t First, std::size_t Stride, class T>
  FATHOM_ODE_INLINE static T joined(const T (&lane)[lanes]) {
    constexpr std::size_t count = layout::extent == 0 || layout::extent > lanes ? lanes : layout::extent;
    if constexpr (Stride >= lanes)
      return lane[First];
    else if constexpr (First + Stride < count)
      return joined<First, 2 * Stride>(lane) + joined<First + Stride, 2 * Stride>(lane);
    else
      return joined<First, 2 * Stride>(lane);
  }
  /// f(0) + ... + f(n - 1)
  template <class F>
  FATHOM_ODE_INLINE static auto sum_of(std::size_t n, F&& f) {
    using T = decltype(f(std::size_t(0)));
    T lane[lanes] = {};
    if constexpr (layout::extent >= 1 && layout::extent <= lanes) {
      for_elements(n, [&](std::size_t i) FATHOM_ODE_INLINE_LAMBDA { lane[i] = f(i); });
    } else {
      std::size_t i = 0;
      for (; i + lanes <= n; i += lanes)
        for (std::size_t l = 0; l < lanes; ++l) lane[l] += f(i + l);
      for (std::size_t l = 0; i + l < n; ++l) lane[l] += f(i + l);
    }
    return joined<0, 1>(lane);
  }

  template <std::size_t M>
  static void check_sizes(const Y& y, const std::array<const Y*, M>& k) {
    if constexpr (layout::extent == 0)
      for (const Y* other : k)
        if (other->size() != y.size())
          throw shape_error(fathom::detail::concat("ode: the state has ", y.size(), " elements, the field returned ",
                                                   other->size(), "; field(t, y) must return as many as y has"));
  }

 public:
  using time_type = double;
  using scalar_type = scalar;

  static time_type time(double t, const Y&) { return t; }
  static double epsilon(const Y&) { return static_cast<double>(std::numeric_limits<scalar>::epsilon()); }

  template <std::size_t M>
  FATHOM_ODE_INLINE static void combine(Y& out, const Y& y, const std::array<double, M>& c,
                                        const std::array<const Y*, M>& k) {
    check_sizes(y, k);
    layout::fit(out, y);
    const operands<M> sum(c, k);
    const scalar* const from = layout::data(y);
    scalar* const to = layout::data(out);
    for_elements(layout::size(y), [&](std::size_t i) FATHOM_ODE_INLINE_LAMBDA { to[i] = sum.added_to(from[i], i); });
  }

  template <std::size_t M>
  FATHOM_ODE_INLINE static void scaled_sum(Y& out, const std::array<double, M>& c, const std::array<const Y*, M>& k) {
    static_assert(M > 0, "fathom: scaled_sum needs at least one state");
    check_sizes(*k[0], k);
    layout::fit(out, *k[0]);
    const operands<M> sum(c, k);
    scalar* const to = layout::data(out);
    for_elements(layout::size(*k[0]), [&](std::size_t i) FATHOM_ODE_INLINE_LAMBDA { to[i] = sum.at(i); });
  }

  template <std::size_t M>
  FATHOM_ODE_INLINE static leaf_error error_norm(const Y& y0, const Y& y1, const std::array<double, M>& c,
                                                 const std::array<const Y*, M>& k, const tolerances& tol,
                                                 const Y* weights = nullptr) {
    check_sizes(y0, k);
    const operands<M> error(c, k);
    const scalar* const a = layout::data(y0);
    const scalar* const b = layout::data(y1);
    const auto atol = static_cast<scalar>(tol.atol);
    const auto rtol = static_cast<scalar>(tol.rtol);
    const std::size_t n = layout::size(y0);
    const auto square = [&](std::size_t i) FATHOM_ODE_INLINE_LAMBDA {
      const auto r = static_cast<double>(error.at(i) / (atol + rtol * larger(a[i], b[i])));
      return r * r;
    };
    if (weights == nullptr) return {n == 0 ? 0.0 : sum_of(n, square) * (1.0 / static_cast<double>(n)), 0};
    // What stands where the weight is 0 does not matter, finite or not.
    const scalar* const w = layout::data(*weights);
    const double count = sum_of(n, [&](std::size_t i) FATHOM_ODE_INLINE_LAMBDA { return static_cast<double>(w[i]); });
    if (count == 0) return {0.0, 0};
    const double sum = sum_of(n, [&](std::size_t i) FATHOM_ODE_INLINE_LAMBDA {
      return w[i] == scalar(0) ? 0.0 : static_cast<double>(w[i]) * square(i);
    });
    return {sum * (1.0 / count), 0};
  }

  FATHOM_ODE_INLINE static bool finite(const Y& y) {
    // x * 0 is 0 for every finite x and not a number otherwise; a sum of those needs no branch per element.
    const scalar* const from = layout::data(y);
    if (layout::extent == 0 && layout::size(y) < lanes) {
      scalar sum = 0;
      for (std::size_t i = 0; i < layout::size(y); ++i) sum += from[i] * scalar(0);
      return sum == scalar(0);
    }
    return sum_of(layout::size(y), [&](std::size_t i) FATHOM_ODE_INLINE_LAMBDA { return from[i] * scalar(0); }) ==
           scalar(0);
  }

  static double dot(const Y& a, const Y& b) {
    const std::size_t n = layout::size(a);
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i)
      sum += static_cast<double>(layout::data(a)[i]) * static_cast<double>(layout::data(b)[i]);
    return sum;
  }
  static Y clone(const Y& y) { return y; }
  static std::size_t bytes(const Y& y) { return layout::size(y) * sizeof(scalar); }
  static std::vector<std::string> leaves(const Y&) { return {"y"}; }

 private:
  static FATHOM_ODE_INLINE scalar larger(scalar a, scalar b) {
    a = std::abs(a);
    b = std::abs(b);
    return a < b ? b : a;
  }
};

}  // namespace fathom::ode
