// SPDX-License-Identifier: Apache-2.0
// Calling the right-hand side: counts evaluations and serves fields that return or fill in their result.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include <fathom/core/config.hpp>
#include <fathom/ode/state.hpp>

namespace fathom::ode {

/// field(t, y) -> Y.
template <class F, class Y>
concept returning_field = requires(const F& f, const typename state_traits<Y>::time_type& t, const Y& y) {
  { f(t, y) } -> std::convertible_to<Y>;
};

/// field(t, y, dydt) that fills in dydt, which already has the state's size.
template <class F, class Y>
concept filling_field = requires(const F& f, const typename state_traits<Y>::time_type& t, const Y& y, Y& out) {
  { f(t, y, out) } -> std::same_as<void>;
};

/// A sum of parts, f = g_0 + ... + g_(n-1), for splitting methods: field.parts() and field.part(i, t, y) = g_i(t, y).
/// Where field.advance(i, t, h, y) = y + h g_i(t, y) exists it is used, so that a residual layer keeps its own
/// rounding.
template <class F, class Y>
concept split_field = requires(const F& f, const typename state_traits<Y>::time_type& t, const Y& y, std::size_t n) {
  { f.parts() } -> std::convertible_to<std::size_t>;
  { f.part(n, t, y) } -> std::convertible_to<Y>;
};

template <class F, class Y>
concept vector_field = ode_state<Y> &&(returning_field<F, Y> || filling_field<F, Y> || split_field<F, Y>);

namespace detail {

/// The field as the steppers call it: f(t, y, out), with the number of calls.
template <class Field, class Y>
struct evaluator {
  static_assert(ode_state<Y>,
                "fathom: this state cannot be integrated; use double, std::array, std::vector, a struct with `visit`, "
                "or specialise fathom::ode::state_traits");
  static_assert(
      vector_field<Field, Y>,
      "fathom: the field must be callable as field(t, y) returning the state's type, or field(t, y, dydt), or have "
      "parts() and part(i, t, y)");
  const Field* field;
  long count = 0;

  FATHOM_ODE_INLINE void operator()(double t, const Y& y, Y& out) {
    ++count;
    if constexpr (filling_field<Field, Y>) {
      (*field)(state_traits<Y>::time(t, y), y, out);
    } else if constexpr (!returning_field<Field, Y>) {
      const auto when = state_traits<Y>::time(t, y);
      Y sum = field->part(0, when, y);
      for (std::size_t n = 1; n < field->parts(); ++n) {
        const Y part = field->part(n, when, y);
        state_traits<Y>::combine(out, sum, std::array<double, 1>{1}, std::array<const Y*, 1>{&part});
        std::swap(out, sum);
      }
      out = std::move(sum);
    } else {
      out = (*field)(state_traits<Y>::time(t, y), y);
    }
  }
};

/// {copy of y, copy of y, ...}
template <std::size_t N, class Y, std::size_t... Index>
std::array<Y, N> repeat(const Y& y, std::index_sequence<Index...>) {
  return {((void)Index, y)...};
}
template <std::size_t N, class Y>
std::array<Y, N> repeat(const Y& y) {
  return repeat<N>(y, std::make_index_sequence<N>{});
}

}  // namespace detail

/// A field with further arguments held for it: masks and other things that belong to one solve, not to the state.
///
///     ode::solve(ode::with_context(field, mask), y0, {0, 1}, ode::heun{}, ode::fixed_steps{16});
///
/// Template arguments are `const T&` for what is referred to and `T` for what is held.
template <class Field, class... Context>
struct field_with_context {
  Field field;
  std::tuple<Context...> context;

  template <class Time, class Y>
  auto operator()(const Time& t, const Y& y) const {
    return std::apply([&](const auto&... c) { return field(t, y, c...); }, context);
  }
};

namespace detail {
/// What with_context keeps of an argument: a reference to an object that has a name, a temporary itself.
template <class T>
using kept = std::conditional_t<std::is_lvalue_reference_v<T>, const std::remove_reference_t<T>&, std::remove_cv_t<T>>;
}  // namespace detail

/// Objects with a name are held by reference and must outlive the solve; temporaries are moved in.
template <class Field, class... Context>
field_with_context<detail::kept<Field>, detail::kept<Context>...> with_context(Field&& field, Context&&... context) {
  return {std::forward<Field>(field), std::tuple<detail::kept<Context>...>(std::forward<Context>(context)...)};
}

}  // namespace fathom::ode
