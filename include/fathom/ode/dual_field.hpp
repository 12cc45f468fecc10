// SPDX-License-Identifier: Apache-2.0
// Exact directional derivatives of fields, by evaluating them over dual numbers: what Newton's method, penalties on the
// Jacobian and solve_tangent then use in place of differences.
#pragma once

#include <tuple>
#include <utility>

#include <fathom/autodiff/directional_derivative.hpp>
#include <fathom/core/config.hpp>
#include <fathom/ode/tangent.hpp>
#include <fathom/ode/tree_state.hpp>

namespace fathom::ode {

namespace detail {

struct call_field {
  template <class Field, class Time, class Y, class... Context>
  auto operator()(const Field& field, const Time& t, const Y& y, const Context&... context) const {
    return field(t, y, context...);
  }
};
/// (df/dy) v + (df/dp) dp with the direction dp of the field's parameters.
template <class Field, class Time, class Y, class... Context>
Y slope_along(const Field& field, const Field& direction, const Time& t, const Y& y, const Y& v,
              const Context&... context) {
  return directional_derivative(t.backend(), call_field{}, std::tuple(field, t, y, context...),
                                std::tuple(direction, no_direction(t), v, no_direction(context)...));
}

}  // namespace detail

/// A field of modules that offers directional(t, y, v) = (df/dy) v and jvp(t, y, v), exact and differentiable on
/// autodiff<B>; a tree like the field in it, and with its context (trees of tensors) passed on. The value is the
/// field's own, by the backend's own kernels; the derivative costs about four evaluations.
template <class Field>
struct dual_field {
  using backend_type = tree::backend_of_t<Field>;
  Field field;

  void visit(auto&& v) { v("field", field); }
  template <class B2>
  using rebind = dual_field<tree::rebind_t<Field, B2>>;

  template <class Y, class... Context>
  auto operator()(const ode_time<backend_type>& t, const Y& y, const Context&... context) const {
    return field(t, y, context...);
  }
  template <class Y, class... Context>
  Y directional(const ode_time<backend_type>& t, const Y& y, const Y& v, const Context&... context) const {
    return detail::slope_along(field, no_direction(field), t, y, v, context...);
  }
  template <class Y, class... Context>
  tangent<Y> jvp(const ode_time<backend_type>& t, const Y& y, const Y& v, const Context&... context) const {
    return {field(t, y, context...), directional(t, y, v, context...)};
  }
};

/// The same along a direction of the field's parameters, too: jvp(t, y, v) = {f, (df/dy) v + (df/dp) dp}.
template <class Field>
struct moved_dual_field {
  Field field, direction;

  template <class Time, class Y, class... Context>
  auto operator()(const Time& t, const Y& y, const Context&... context) const {
    return field(t, y, context...);
  }
  template <class Time, class Y, class... Context>
  tangent<Y> jvp(const Time& t, const Y& y, const Y& v, const Context&... context) const {
    return {field(t, y, context...), detail::slope_along(field, direction, t, y, v, context...)};
  }
};

/// A field over plain numbers, written for any scalar, that offers directional(t, y, v) and jvp(t, y, v).
template <class Field>
struct dual_number_field : Field {
  explicit dual_number_field(Field field) : Field(std::move(field)) {}

  template <class Y>
  tangent<Y> jvp(double t, const Y& y, const Y& v) const {
    return detail::taken_apart(static_cast<const Field&>(*this)(t, detail::with_slope(y, v)));
  }
  template <class Y>
  Y directional(double t, const Y& y, const Y& v) const {
    return jvp(t, y, v).direction;
  }
};

/// The field with exact directional derivatives:
///
///     ode::solve(ode::by_dual_numbers(field), y0, {0, 1}, ode::kvaerno3{}, ode::pid{});   // J v in Newton's method
///     ode::penalised_field{ode::by_dual_numbers(model), {.jacobian = 0.01}};              // J e in the penalty
///     ode::solve_tangent(ode::by_dual_numbers(model), y0, dy0, {0, 1}, ode::rk4{}, ode::fixed_steps{8});
template <class Field>
auto by_dual_numbers(Field field) {
  if constexpr (tree::branch<Field>)
    return dual_field<Field>{std::move(field)};
  else
    return dual_number_field<Field>(std::move(field));
}
/// For solve_tangent: the derivative along `direction` of the weights, too.
template <class Field>
moved_dual_field<Field> by_dual_numbers(Field field, Field direction) {
  return {std::move(field), std::move(direction)};
}

}  // namespace fathom::ode
