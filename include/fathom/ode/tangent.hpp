// SPDX-License-Identifier: Apache-2.0
// Forward mode: a state and its derivative along one direction, carried through a solve together.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/dual.hpp>
#include <fathom/ode/solve.hpp>
#include <fathom/ode/state.hpp>

namespace fathom::ode {

using fathom::dual;

/// A state and its derivative along a direction.
template <class Y>
struct tangent {
  Y value;
  Y direction;
};

/// Both parts take the same sums, so that a step's derivative is exact; the error norm sees the value alone, so that
/// the steps are those of a solve without the derivative, bitwise.
template <class Y>
struct state_traits<tangent<Y>> {
 private:
  using inner = state_traits<Y>;
  using state = tangent<Y>;
  template <std::size_t M>
  static std::array<const Y*, M> part(const std::array<const state*, M>& k, Y state::*which) {
    std::array<const Y*, M> one{};
    for (std::size_t m = 0; m < M; ++m) one[m] = &(k[m]->*which);
    return one;
  }

 public:
  using time_type = typename inner::time_type;
  using scalar_type = typename inner::scalar_type;

  static time_type time(double t, const state& y) { return inner::time(t, y.value); }
  static double epsilon(const state& y) { return inner::epsilon(y.value); }
  template <std::size_t M>
  static void combine(state& out, const state& y, const std::array<double, M>& c,
                      const std::array<const state*, M>& k) {
    inner::combine(out.value, y.value, c, part(k, &state::value));
    inner::combine(out.direction, y.direction, c, part(k, &state::direction));
  }
  template <std::size_t M>
  static void scaled_sum(state& out, const std::array<double, M>& c, const std::array<const state*, M>& k) {
    inner::scaled_sum(out.value, c, part(k, &state::value));
    inner::scaled_sum(out.direction, c, part(k, &state::direction));
  }
  template <std::size_t M>
  static leaf_error error_norm(const state& y0, const state& y1, const std::array<double, M>& c,
                               const std::array<const state*, M>& k, const tolerances& tol,
                               const state* weights = nullptr) {
    return inner::error_norm(y0.value, y1.value, c, part(k, &state::value), tol,
                             weights == nullptr ? nullptr : &weights->value);
  }
  static bool finite(const state& y) { return inner::finite(y.value) && inner::finite(y.direction); }
  static double dot(const state& a, const state& b) {
    return inner::dot(a.value, b.value) + inner::dot(a.direction, b.direction);
  }
  static state clone(const state& y) { return {inner::clone(y.value), inner::clone(y.direction)}; }
  static std::size_t bytes(const state& y) { return inner::bytes(y.value) + inner::bytes(y.direction); }
  static std::vector<std::string> leaves(const state& y) { return inner::leaves(y.value); }
};

/// A field that knows its derivative along a direction: jvp(t, y, v) = {f(t, y), (df/dy) v}, to which a direction of
/// its parameters may add (df/dp) dp.
template <class F, class Y>
concept tangent_field = requires(const F& f, const typename state_traits<Y>::time_type& t, const Y& y, const Y& v) {
  { f.jvp(t, y, v) } -> std::convertible_to<tangent<Y>>;
};

namespace detail {

template <class T>
dual<T> with_slope(const T& value, const T& slope) {
  return {value, slope};
}
template <class T, std::size_t N>
std::array<dual<T>, N> with_slope(const std::array<T, N>& value, const std::array<T, N>& slope) {
  std::array<dual<T>, N> both;
  for (std::size_t n = 0; n < N; ++n) both[n] = {value[n], slope[n]};
  return both;
}
template <class T>
std::vector<dual<T>> with_slope(const std::vector<T>& value, const std::vector<T>& slope) {
  std::vector<dual<T>> both(value.size());
  for (std::size_t n = 0; n < value.size(); ++n) both[n] = {value[n], slope[n]};
  return both;
}
template <class T>
tangent<T> taken_apart(const dual<T>& x) {
  return {x.value, x.slope};
}
template <class T, std::size_t N>
tangent<std::array<T, N>> taken_apart(const std::array<dual<T>, N>& x) {
  tangent<std::array<T, N>> parts;
  for (std::size_t n = 0; n < N; ++n) parts.value[n] = x[n].value, parts.direction[n] = x[n].slope;
  return parts;
}
template <class T>
tangent<std::vector<T>> taken_apart(const std::vector<dual<T>>& x) {
  tangent<std::vector<T>> parts{std::vector<T>(x.size()), std::vector<T>(x.size())};
  for (std::size_t n = 0; n < x.size(); ++n) parts.value[n] = x[n].value, parts.direction[n] = x[n].slope;
  return parts;
}

/// The field of a state and its derivative.
template <class Field, class Y>
struct pushed_forward {
  const Field& field;

  tangent<Y> operator()(const typename state_traits<Y>::time_type& t, const tangent<Y>& y) const {
    if constexpr (tangent_field<Field, Y>)
      return field.jvp(t, y.value, y.direction);
    else
      return taken_apart(field(t, with_slope(y.value, y.direction)));
  }
};

/// The options of a solve for one that carries a derivative along.
template <class Y>
options<tangent<Y>> with_tangent(const options<Y>& plain) {
  options<tangent<Y>> o;
  o.save_at = plain.save_at;
  o.jump_times = plain.jump_times;
  o.step_times = plain.step_times;
  o.interpolation = plain.interpolation;
  o.max_evaluations = plain.max_evaluations;
  o.max_seconds = plain.max_seconds;
  o.on_failure = plain.on_failure;
  o.record_steps = plain.record_steps;
  o.overshoot = plain.overshoot;
  o.check_finite = plain.check_finite;
  o.check_floor = plain.check_floor;
  o.field_epsilon = plain.field_epsilon;
  if (plain.norm.weights) o.norm.weights = tangent<Y>{*plain.norm.weights, *plain.norm.weights};
  for (const auto& one : plain.norm.extra)
    o.norm.extra.push_back(
        {one.name, [value = one.value](const tangent<Y>& e, const tangent<Y>& a, const tangent<Y>& b) {
           return value(e.value, a.value, b.value);
         }});
  if (plain.norm.custom)
    o.norm.custom = [custom = plain.norm.custom](const tangent<Y>& e, const tangent<Y>& a, const tangent<Y>& b,
                                                 const tolerances& tol) {
      return custom(e.value, a.value, b.value, tol);
    };
  for (const auto& one : plain.events)
    o.events.push_back({[value = one.value](double t, const tangent<Y>& y) { return value(t, y.value); }, one.direction,
                        one.terminal});
  if (plain.observer)
    o.observer = [watch = plain.observer](const step_view<tangent<Y>>& view) {
      return watch(step_view<Y>{view.t0, view.t1, view.y0.value, view.y1.value, view.stats});
    };
  return o;
}

}  // namespace detail

/// Solves, and pushes a direction of the initial state forward: the derivative of y1 and of every saved value along dy0
/// (and along a direction of the parameters, where the field's own slopes hold one). Exact for the discrete map; step
/// sizes of an adaptive solve are taken as given, values at events are those at a fixed time. Costs one solve of twice
/// the state, whatever the number of steps, and stores nothing.
///
///     auto s = ode::solve_tangent(field, y0, dy0, {0, 1}, ode::dopri5{}, ode::pid{});
///     s.y1.value, s.y1.direction
///
/// The field is one over numbers that takes ode::dual in their place (a lambda with auto, a template), or one with
/// jvp(t, y, v), over tensors too: by_dual_numbers() in fathom/ode/dual_field.hpp gives an exact one to fields of
/// modules, by_differences() in fathom/ode/differenced_field.hpp one to any field.
template <class Field, class Y, class Solver, class Control>
solution<tangent<Y>> solve_tangent(const Field& field, const Y& y0, const Y& dy0, interval span, const Solver& solver,
                                   const Control& control, const options<Y>& option = {}) {
  return solve(detail::pushed_forward<Field, Y>{field}, tangent<Y>{y0, dy0}, span, solver, control,
               detail::with_tangent(option));
}

}  // namespace fathom::ode
