// SPDX-License-Identifier: Apache-2.0
// Fields with derivatives, and one evaluation of such a field together with what its derivative needs.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include <fathom/core/config.hpp>
#include <fathom/ode/field.hpp>
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

/// A field that knows its derivative along a direction: directional(t, y, v) = (df/dy) v. by_dual_numbers() in
/// fathom/ode/dual_field.hpp gives one to fields that are written for any scalar or backend.
template <class F, class Y>
concept directional_field = requires(const F& f, const typename state_traits<Y>::time_type& t, const Y& y) {
  { f.directional(t, y, y) } -> std::convertible_to<Y>;
};

/// A field that keeps what an evaluation's derivative needs: linearize(t, y, value) fills in the value and returns
/// pullback(a, gradient, last), which does what vjp does without evaluating again; `last` says that it is not called
/// once more.
template <class F, class Y>
concept recording_field = differentiable_field<F, Y> &&
    requires(const F& f, const typename state_traits<Y>::time_type& t, const Y& y, Y& value,
             typename F::gradient_type& gradient) {
  { f.linearize(t, y, value)(y, gradient, true) } -> std::convertible_to<field_cotangent<Y>>;
};

/// The same of one part of a split field.
template <class F, class Y>
concept recording_split_field = split_field<F, Y> &&
    requires(const F& f, const typename state_traits<Y>::time_type& t, const Y& y, Y& value,
             typename F::gradient_type& gradient) {
  { f.zero_gradient() } -> std::convertible_to<typename F::gradient_type>;
  { f.linearize_part(std::size_t(0), t, y, value)(y, gradient, true) } -> std::convertible_to<field_cotangent<Y>>;
};

namespace detail {

/// For fields that keep nothing: evaluates again where it is asked to.
template <class Field, class Y>
struct replayed_evaluation {
  const Field* field;
  typename state_traits<Y>::time_type t;
  Y y;

  field_cotangent<Y> operator()(const Y& a, typename Field::gradient_type& gradient, bool) {
    return field->vjp(t, y, a, gradient);
  }
};

template <class Field, class Y>
struct pullback_type {
  using type = replayed_evaluation<Field, Y>;
};
template <class Field, class Y>
  requires recording_field<Field, Y>
struct pullback_type<Field, Y> {
  using type = std::remove_cvref_t<decltype(std::declval<const Field&>().linearize(
      std::declval<const typename state_traits<Y>::time_type&>(), std::declval<const Y&>(), std::declval<Y&>()))>;
};
template <class Field, class Y>
using pullback_of = typename pullback_type<Field, Y>::type;

/// value = f(t, y), and its pullback.
template <class Field, class Y>
pullback_of<Field, Y> linearize(evaluator<Field, Y>& f, double t, const Y& y, Y& value) {
  const auto when = state_traits<Y>::time(t, y);
  if constexpr (recording_field<Field, Y>) {
    ++f.count;
    return f.field->linearize(when, y, value);
  } else {
    f(t, y, value);
    return {f.field, when, y};
  }
}

}  // namespace detail

}  // namespace fathom::ode
