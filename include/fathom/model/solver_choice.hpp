// SPDX-License-Identifier: Apache-2.0
// Solver and step control picked at run time, by value or by name.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <variant>

#include <fathom/ode/ode.hpp>

namespace fathom {

/// Any of the explicit methods that a fold may be told to use.
using solver_choice = std::variant<ode::euler, ode::midpoint, ode::heun, ode::ralston, ode::heun3, ode::rk4,
                                   ode::rk4_38, ode::bosh3, ode::tsit5, ode::dopri5, ode::dopri8>;
/// Fixed steps, or adaptive ones for the methods that estimate their error.
using control_choice = std::variant<ode::fixed_steps, ode::pid>;

namespace detail {
inline constexpr const char* solver_names[] = {"euler",  "midpoint", "heun",  "ralston", "heun3", "rk4",
                                               "rk4_38", "bosh3",    "tsit5", "dopri5",  "dopri8"};
static_assert(std::size(solver_names) == std::variant_size_v<solver_choice>);
}  // namespace detail

/// "euler, midpoint, ..."
inline std::string known_solvers() {
  std::string list;
  for (const char* name : detail::solver_names) list += (list.empty() ? "" : ", ") + std::string(name);
  return list;
}

/// The solver of that name; throws error listing the names there are.
inline solver_choice solver_named(const std::string& name) {
  solver_choice found;
  bool known = false;
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    ((name == detail::solver_names[I] ? void((found.emplace<I>(), known = true)) : void()), ...);
  }
  (std::make_index_sequence<std::variant_size_v<solver_choice>>{});
  if (!known) throw error("solver '" + name + "' is not known; there are " + known_solvers());
  return found;
}
inline std::string name_of(const solver_choice& solver) { return detail::solver_names[solver.index()]; }

/// True where the method estimates its error, as adaptive steps need.
inline bool is_adaptive(const solver_choice& solver) {
  return std::visit([](const auto& s) { return std::remove_cvref_t<decltype(s)>::error_order > 0; }, solver);
}

/// A field behind one call, so that what is compiled for a state serves every field of it.
template <class Y>
using any_field = std::function<void(const typename ode::state_traits<Y>::time_type&, const Y&, Y&)>;

/// Every method and control for a state, in one place: a program with several models over the same state compiles them
/// once when it says FATHOM_EXTERN(fathom::chosen_solver<Y>) and in one file
/// FATHOM_INSTANTIATE(fathom::chosen_solver<Y>).
template <class Y>
struct chosen_solver {
  static ode::solution<Y> solve(const any_field<Y>& field, const Y& y0, ode::interval span, const solver_choice& solver,
                                const control_choice& control, const ode::options<Y>& options);
};

template <class Y>
ode::solution<Y> chosen_solver<Y>::solve(const any_field<Y>& field, const Y& y0, ode::interval span,
                                         const solver_choice& solver, const control_choice& control,
                                         const ode::options<Y>& options) {
  return std::visit(
      [&](const auto& s, const auto& c) -> ode::solution<Y> {
        using solver_t = std::remove_cvref_t<decltype(s)>;
        if constexpr (ode::fixed_control<std::remove_cvref_t<decltype(c)>> || solver_t::error_order > 0)
          return ode::solve(field, y0, span, s, c, options);
        else
          throw error(
              "solver '" + name_of(solver) +
              "' does not estimate its error: give it a number of steps, or take bosh3, tsit5, dopri5 or dopri8 "
              "for adaptive steps");
      },
      solver, control);
}

/// ode::solve with the chosen solver and control; throws error where the two do not go together.
template <class Field, class Y>
ode::solution<Y> solve(const Field& field, const Y& y0, ode::interval span, const solver_choice& solver,
                       const control_choice& control, const ode::options<Y>& options = {}) {
  const any_field<Y> call = [&field](const auto& t, const Y& y, Y& dydt) {
    if constexpr (ode::filling_field<Field, Y>)
      field(t, y, dydt);
    else
      dydt = field(t, y);
  };
  return chosen_solver<Y>::solve(call, y0, span, solver, control, options);
}

namespace detail {
template <class Solver, class Field, class Y>
ode::solution<Y> solve_parts(const Field& field, const Y& y0, ode::interval span, const control_choice& control,
                             const ode::options<Y>& options) {
  if (const auto* steps = std::get_if<ode::fixed_steps>(&control))
    return ode::solve(field, y0, span, Solver{}, *steps, options);
  throw error(concat("solver '", Solver::name, "' does not estimate its error: give it a number of steps"));
}
}  // namespace detail

/// ode::solve with a solver by name: one of known_solvers(), or "lie_trotter" and "strang" for fields that are sums of
/// parts (as_split_field, spline fields); throws error where name, field and control do not go together.
template <class Field, class Y>
ode::solution<Y> solve(const Field& field, const Y& y0, ode::interval span, const std::string& solver,
                       const control_choice& control, const ode::options<Y>& options = {}) {
  const bool lie_trotter = solver == ode::lie_trotter::name;
  if (!lie_trotter && solver != ode::strang::name)
    return solve(field, y0, span, solver_named(solver), control, options);
  if constexpr (ode::split_field<Field, Y>) {
    if (lie_trotter) return detail::solve_parts<ode::lie_trotter>(field, y0, span, control, options);
    return detail::solve_parts<ode::strang>(field, y0, span, control, options);
  } else {
    throw error("solver '" + solver + "' needs a field that is a sum of parts, with parts() and part(n, t, y)");
  }
}

}  // namespace fathom
