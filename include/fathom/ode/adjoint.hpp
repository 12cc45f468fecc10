// SPDX-License-Identifier: Apache-2.0
// Gradients of a solve: one call, and one argument that says how they are found.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/ode/adjoint_checkpointed.hpp>
#include <fathom/ode/adjoint_direct.hpp>
#include <fathom/ode/adjoint_policy.hpp>
#include <fathom/ode/adjoint_reversible.hpp>
#include <fathom/ode/backsolve.hpp>
#include <fathom/ode/splitting.hpp>

namespace fathom::ode {

/// Turns cotangents of the end and of the saved values into gradients; see solve_with_gradient.
template <class Adjoint, class Y>
class solve_pullback {
 public:
  explicit solve_pullback(std::shared_ptr<Adjoint> adjoint) : adjoint_(std::move(adjoint)) {}
  /// May be called again. `time` is the cotangent of the solution's t1, for solves that end on an event.
  auto operator()(const Y& a, const std::vector<Y>& saved = {}, double time = 0) const {
    return (*adjoint_)(a, saved, time, false);
  }
  /// The last call: what is stored is given back on the way.
  auto consume(const Y& a, const std::vector<Y>& saved = {}, double time = 0) const {
    return (*adjoint_)(a, saved, time, true);
  }

 private:
  std::shared_ptr<Adjoint> adjoint_;
};

namespace detail {

template <class Solver>
inline constexpr bool splits = std::is_base_of_v<splitting_method<Solver>, Solver>;
template <class Solver>
inline constexpr bool undoes_steps = requires {
  Solver::reversible;
};

/// Says at compile time which policies a method has.
template <class Solver, class Policy>
constexpr void check_policy() {
  constexpr bool with_checkpoints = std::is_same_v<Policy, checkpointed>;
  constexpr bool with_record = std::is_same_v<Policy, direct>;
  constexpr bool undone = std::is_same_v<Policy, reversible>;
  static_assert(
      with_checkpoints || with_record || undone || std::is_same_v<Policy, backsolve>,
      "fathom: the gradient policy is one of ode::checkpointed, ode::direct, ode::backsolve, ode::reversible");
  static_assert(!undone || undoes_steps<Solver>,
                "fathom: ode::reversible needs a reversible method: ode::reversible_heun or ode::coupled<ode::rk4>");
  static_assert(!with_checkpoints || explicit_method<Solver> || splits<Solver> || implicit_method<Solver> ||
                    method_with_history<Solver>,
                "fathom: this method keeps something between steps that ode::checkpointed does not know; reversible "
                "methods have ode::reversible, ode::direct and ode::backsolve, others ode::direct and ode::backsolve");
}

}  // namespace detail

/// Solves, and keeps what the gradient needs. Returns the solution and its pullback:
///
///     auto [s, pullback] = ode::solve_with_gradient(field, y0, {0, 1}, ode::rk4{}, ode::fixed_steps{64},
///                                                   ode::checkpointed{.slots = 8});
///     auto g = pullback(a);              // gradients of <a, s.y1>: g.y0, g.parameters, g.t0, g.t1, g.stats
///
/// `policy` is one of ode::checkpointed (exact, memory under a budget), ode::direct (exact, everything recorded),
/// ode::reversible (exact up to rounding, no stored states; for reversible methods) and ode::backsolve (approximate).
/// Step sizes of an adaptive solve are taken as given: their own derivative is not part of the gradient. Steps end on
/// options.save_at, and pullback(a, {a_0, a_1, ...}) takes cotangents for those values. Where a terminal event ended
/// the solve, its time and state move with everything they depend on; pullback(a, {}, b) adds b times the gradient of
/// t1.
template <class Field, class Y, class Solver, class Control, class Policy = checkpointed>
  requires(fixed_control<Control> || adaptive_control<Control>)
auto solve_with_gradient(const Field& field, const Y& y0, interval span, const Solver& solver, const Control& control,
                         const Policy& policy = {}, const options<Y>& option = {}) {
  static_assert(
      differentiable_field<Field, Y> || (detail::splits<Solver> && recording_split_field<Field, Y>),
      "fathom: this field has no derivative; give it gradient_type, zero_gradient() and vjp(t, y, a, gradient), "
      "or wrap it with ode::differentiable(field)");
  detail::check_policy<Solver, Policy>();
  auto [result, adjoint] = detail::solve_recorded(field, y0, span, solver, control, policy, option);
  using adjoint_type = typename decltype(adjoint)::element_type;
  return std::pair(std::move(result), solve_pullback<adjoint_type, Y>(std::move(adjoint)));
}

}  // namespace fathom::ode
