// SPDX-License-Identifier: Apache-2.0
// The continuous adjoint: state, cotangent and parameter gradient integrated backwards as one ODE. Approximate: it
// needs no stored states, but reconstructs the solution backwards, which a contracting field makes impossible.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/ode/adjoint.hpp>
#include <fathom/ode/solve.hpp>

namespace fathom::ode {

/// Adjoint policy of the continuous adjoint.
struct backsolve {
  bool seminorm = false;   ///< leave the parameters' gradient out of the error norm (Kidger et al. 2021): fewer steps
  bool times = false;      ///< also gradients with respect to the times
  bool overshoot = false;  ///< let the last step of every interval pass its end and interpolate, as torchdiffeq does
};

/// What is integrated backwards.
template <class Y, class Gradient>
struct backsolve_state {
  double t;    ///< gradient with respect to time, so far
  Y y, a;      ///< state and cotangent
  Gradient g;  ///< gradient of the parameters, so far
};

template <class Y, class Gradient>
struct state_traits<backsolve_state<Y, Gradient>> {
 private:
  using S = backsolve_state<Y, Gradient>;
  using of_y = state_traits<Y>;
  using of_g = state_traits<Gradient>;
  template <auto Member, std::size_t M>
  static auto members(const std::array<const S*, M>& k) {
    using part = std::remove_cvref_t<decltype(std::declval<S>().*Member)>;
    std::array<const part*, M> parts;
    for (std::size_t m = 0; m < M; ++m) parts[m] = &(k[m]->*Member);
    return parts;
  }

 public:
  using time_type = double;
  static double time(double t, const S&) { return t; }
  static double epsilon(const S& s) { return of_y::epsilon(s.y); }
  template <std::size_t M>
  static void combine(S& out, const S& y, const std::array<double, M>& c, const std::array<const S*, M>& k) {
    state_traits<double>::combine(out.t, y.t, c, members<&S::t>(k));
    of_y::combine(out.y, y.y, c, members<&S::y>(k));
    of_y::combine(out.a, y.a, c, members<&S::a>(k));
    of_g::combine(out.g, y.g, c, members<&S::g>(k));
  }
  template <std::size_t M>
  static void scaled_sum(S& out, const std::array<double, M>& c, const std::array<const S*, M>& k) {
    state_traits<double>::scaled_sum(out.t, c, members<&S::t>(k));
    of_y::scaled_sum(out.y, c, members<&S::y>(k));
    of_y::scaled_sum(out.a, c, members<&S::a>(k));
    of_g::scaled_sum(out.g, c, members<&S::g>(k));
  }
  template <std::size_t M>
  static leaf_error error_norm(const S& y0, const S& y1, const std::array<double, M>& c,
                               const std::array<const S*, M>& k, const tolerances& tol, const S* = nullptr) {
    leaf_error worst = state_traits<double>::error_norm(y0.t, y1.t, c, members<&S::t>(k), tol);
    const auto join = [&](leaf_error other, int leaf) {
      if (!(other.square <= worst.square)) worst = {other.square, leaf};
    };
    join(of_y::error_norm(y0.y, y1.y, c, members<&S::y>(k), tol), 1);
    join(of_y::error_norm(y0.a, y1.a, c, members<&S::a>(k), tol), 2);
    join(of_g::error_norm(y0.g, y1.g, c, members<&S::g>(k), tol), 3);
    return worst;
  }
  static bool finite(const S& s) {
    return std::isfinite(s.t) && of_y::finite(s.y) && of_y::finite(s.a) && of_g::finite(s.g);
  }
  static double dot(const S& a, const S& b) {
    return a.t * b.t + of_y::dot(a.y, b.y) + of_y::dot(a.a, b.a) + of_g::dot(a.g, b.g);
  }
  static S clone(const S& s) { return {s.t, of_y::clone(s.y), of_y::clone(s.a), of_g::clone(s.g)}; }
  static std::size_t bytes(const S& s) { return sizeof(double) + 2 * of_y::bytes(s.y) + of_g::bytes(s.g); }
  static std::vector<std::string> leaves(const S&) { return {"time", "state", "cotangent", "parameters"}; }
};

/// Gradients of sum_n <cotangents_n, values_n>, by the continuous adjoint.
template <class Y, class Gradient>
struct backsolve_gradient {
  Y y0;
  Gradient parameters;
  std::vector<double> times;        ///< with respect to every time; empty unless asked for
  double reconstruction_error = 0;  ///< largest |y reconstructed - y| / |y| at the times: the trust this deserves
  statistics stats{};
};

/// `values` are a solve's at `times`, the first being y0 at t0 (ode::options::save_at); the same method, control and
/// tolerances serve backwards, interval by interval, the state set back to its stored value at every time.
///
///     auto g = ode::solve_backwards(field, times, s.values, cotangents, ode::dopri5{}, ode::i{.rtol = 1e-7, .atol =
///     1e-9});
template <class Field, class Y, class Solver, class Control>
auto solve_backwards(const Field& field, const std::vector<double>& times, const std::vector<Y>& values,
                     const std::vector<Y>& cotangents, const Solver& solver, const Control& control,
                     const backsolve& policy = {}) {
  static_assert(
      differentiable_field<Field, Y>,
      "fathom: this field has no derivative; give it gradient_type, zero_gradient() and vjp(t, y, a, gradient), "
      "or wrap it with ode::differentiable(field)");
  using gradient_type = typename Field::gradient_type;
  using S = backsolve_state<Y, gradient_type>;
  using traits = state_traits<Y>;
  using one = std::array<const Y*, 1>;
  if (times.size() < 2 || times.size() != values.size() || times.size() != cotangents.size())
    throw shape_error(
        fathom::detail::concat("ode: solve_backwards needs as many values and cotangents as times, at least "
                               "two; got ",
                               values.size(), ", ", cotangents.size(), " and ", times.size()));
  const auto backwards = [&](double t, const S& s) {
    S slope{0, s.y, s.a, field.zero_gradient()};
    const auto when = traits::time(t, s.y);
    if constexpr (filling_field<Field, Y>)
      field(when, s.y, slope.y);
    else
      slope.y = field(when, s.y);
    Y negative = traits::clone(s.a);
    traits::scaled_sum(negative, std::array<double, 1>{-1}, one{&s.a});
    auto cotangent = field.vjp(when, s.y, negative, slope.g);
    slope.a = std::move(cotangent.y);
    slope.t = policy.times ? cotangent.t : 0.0;
    return slope;
  };

  options<S> option;
  option.overshoot = policy.overshoot;
  option.check_floor = false;
  if (policy.overshoot) option.interpolation = interpolation::natural;
  if (policy.seminorm)
    option.norm.custom = [](const S& error, const S& y0, const S& y1, const tolerances& tol) {
      const std::array<double, 1> c{1};
      leaf_error worst = state_traits<double>::error_norm(y0.t, y1.t, c, {&error.t}, tol);
      const auto y = traits::error_norm(y0.y, y1.y, c, one{&error.y}, tol);
      const auto a = traits::error_norm(y0.a, y1.a, c, one{&error.a}, tol);
      if (!(y.square <= worst.square)) worst = {y.square, 1};
      if (!(a.square <= worst.square)) worst = {a.square, 2};
      return worst;
    };

  backsolve_gradient<Y, gradient_type> result{values.front(), field.zero_gradient(), {}, 0, {}};
  if (policy.times) result.times.assign(times.size(), 0.0);
  S s{0, values.back(), traits::clone(cotangents.back()), field.zero_gradient()};
  for (std::size_t n = times.size() - 1; n > 0; --n) {
    if (policy.times) {
      S slope = backwards(times[n], s);
      result.times[n] = traits::dot(slope.y, cotangents[n]);
      s.t -= result.times[n];
    }
    auto interval_solution = solve(backwards, s, {times[n], times[n - 1]}, solver, control, option);
    result.stats.vjp_evaluations += interval_solution.stats.evaluations;
    result.stats.accepted += interval_solution.stats.accepted;
    result.stats.rejected += interval_solution.stats.rejected;
    S next = std::move(interval_solution.y1);
    Y difference = traits::clone(next.y);
    traits::combine(difference, next.y, std::array<double, 1>{-1}, one{&values[n - 1]});
    const double size = std::sqrt(traits::dot(values[n - 1], values[n - 1]));
    result.reconstruction_error =
        std::max(result.reconstruction_error, std::sqrt(traits::dot(difference, difference)) / (size > 0 ? size : 1.0));
    Y sum = traits::clone(next.a);
    traits::combine(sum, next.a, std::array<double, 1>{1}, one{&cotangents[n - 1]});
    s = S{next.t, values[n - 1], std::move(sum), std::move(next.g)};
  }
  if (policy.times) result.times[0] = s.t;
  result.y0 = std::move(s.a);
  result.parameters = std::move(s.g);
  return result;
}

}  // namespace fathom::ode
