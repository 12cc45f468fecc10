// SPDX-License-Identifier: Apache-2.0
// The continuous adjoint: state, cotangent and parameter gradient integrated backwards as one ODE. Approximate: it
// needs no stored states, but reconstructs the solution backwards, which a contracting field makes impossible.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/ode/adjoint_forward.hpp>
#include <fathom/ode/adjoint_policy.hpp>
#include <fathom/ode/linearize.hpp>
#include <fathom/ode/solve.hpp>

namespace fathom::ode {

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

namespace detail {

/// control_of(n) is the step control from times[n] back to times[n - 1].
template <class Field, class Y, class Solver, class ControlOf>
auto solve_intervals_backwards(const Field& field, const std::vector<double>& times, const std::vector<Y>& values,
                               const std::vector<Y>& cotangents, const Solver& solver, const ControlOf& control_of,
                               const backsolve& policy) {
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
    slope.t = policy.times || policy.time_in_norm ? cotangent.t : 0.0;
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
      ++result.stats.vjp_evaluations;
      result.times[n] = traits::dot(slope.y, cotangents[n]);
      s.t -= result.times[n];
    }
    auto interval_solution = solve(backwards, s, {times[n], times[n - 1]}, solver, control_of(n), option);
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

/// Steps back from `from` to `to` on the ends of the forward solve's steps.
inline fixed_grid grid_backwards(const std::vector<step_record>& steps, double from, double to) {
  fixed_grid grid{{from}};
  for (std::size_t n = steps.size(); n-- > 0;) {
    const double t = steps[n].t1;
    if ((to < t && t < from) || (from < t && t < to)) grid.times.push_back(t);
  }
  grid.times.push_back(to);
  return grid;
}

/// The continuous adjoint of a finished solve.
template <class Field, class Y, class Solver, class Control>
struct backwards_adjoint {
  using gradient_type = typename Field::gradient_type;
  Field field;
  Solver solver;
  Control control;
  backsolve policy;
  interval span;
  std::vector<double> times{};
  std::vector<Y> values{};
  std::vector<std::size_t> place{};  ///< of every saved value among the times
  solve_record<Y> record{};

  backwards_adjoint(const Field& f, const Solver& s, const Control& c, const backsolve& p, interval ends)
      : field(f), solver(s), control(c), policy(p), span(ends) {}

  std::size_t add(double t, const Y& y) {
    if (times.empty() || times.back() != t) {
      times.push_back(t);
      values.push_back(y);
    }
    return times.size() - 1;
  }

  solve_gradient<Y, gradient_type> operator()(const Y& a, const std::vector<Y>& saved, double of_time, bool) const {
    using traits = state_traits<Y>;
    record.check(saved.size());
    Y none = traits::clone(a);
    traits::scaled_sum(none, std::array<double, 1>{0}, std::array<const Y*, 1>{&a});
    std::vector<Y> cotangents(times.size(), none);
    const auto put = [&](std::size_t n, const Y& x) {
      Y sum = traits::clone(x);
      traits::combine(sum, cotangents[n], std::array<double, 1>{1}, std::array<const Y*, 1>{&x});
      cotangents[n] = std::move(sum);
    };
    put(times.size() - 1, record.seed(a, of_time));
    for (std::size_t n = 0; n < saved.size(); ++n) put(place[n], saved[n]);
    solve_gradient<Y, gradient_type> result{cotangents.front(), field.zero_gradient()};
    if (times.size() > 1) {
      auto g = solve_intervals_backwards(
          field, times, values, cotangents, solver,
          [&](std::size_t n) {
            if constexpr (adaptive_control<Control>)
              return control;
            else
              return grid_backwards(record.steps, times[n], times[n - 1]);
          },
          policy);
      result.y0 = std::move(g.y0);
      result.parameters = std::move(g.parameters);
      result.reconstruction_error = g.reconstruction_error;
      result.stats = g.stats;
      if (policy.times) {
        result.t0 = g.times.front();
        result.t1 = record.event ? 0 : g.times.back() + of_time;
        // Where the whole grid moves with the ends, so do the times inside.
        for (std::size_t n = 1; record.proportional && n + 1 < times.size(); ++n) {
          const double share = (times[n] - span.t0) / (span.t1 - span.t0);
          result.t0 += (1 - share) * g.times[n];
          result.t1 += share * g.times[n];
        }
      }
    }
    return result;
  }
};

template <class Field, class Y, class Solver, class Control>
auto solve_recorded(const Field& field, const Y& y0, interval span, const Solver& solver, const Control& control,
                    const backsolve& policy, const options<Y>& option) {
  check_event_slopes(option);
  auto adjoint = std::make_shared<backwards_adjoint<Field, Y, Solver, Control>>(field, solver, control, policy, span);
  const auto land = [&](solution<Y>& result, solve_record<Y>& record, const Y& before, const options<Y>& used) {
    const auto& from = record.steps.back();
    evaluator<Field, Y> f{&field};
    record.event.emplace(event_motion<Y>{{0, y0}, y0, 0});
    const auto step = [&](double h, Y& out) {
      auto work = solver.make_workspace(before);
      Solver(solver).step(f, from.t, h, from.t + h, before, out, work);
    };
    result.y1 = state_traits<Y>::clone(before);
    const double length = land_on_event(used.events[result.events.back().which], from.t, from.dt, result.y1,
                                        *record.event, step, [&](double t, const Y& y, Y& out) { f(t, y, out); });
    book_landing(result, record.steps, length);
  };
  auto [result, record] = forward_with_record(
      field, y0, span, solver, control, option, true, [](std::int64_t, const step_view<Y>&) {}, land);
  record.saved_after.resize(result.values.size());
  adjoint->add(span.t0, y0);
  for (std::size_t n = 0; n < result.values.size(); ++n)
    adjoint->place.push_back(adjoint->add(result.times[n], result.values[n]));
  if (result.t1 != span.t0) adjoint->add(result.t1, result.y1);
  adjoint->record = std::move(record);
  return std::pair(std::move(result), std::move(adjoint));
}

}  // namespace detail

/// `values` are a solve's at `times`, the first being y0 at t0 (ode::options::save_at); the same method, control and
/// tolerances serve backwards, interval by interval, the state set back to its stored value at every time.
///
///     auto g = ode::solve_backwards(field, times, s.values, cotangents, ode::dopri5{}, ode::i{.rtol = 1e-7, .atol =
///     1e-9});
template <class Field, class Y, class Solver, class Control>
auto solve_backwards(const Field& field, const std::vector<double>& times, const std::vector<Y>& values,
                     const std::vector<Y>& cotangents, const Solver& solver, const Control& control,
                     const backsolve& policy = {}) {
  return detail::solve_intervals_backwards(
      field, times, values, cotangents, solver, [&](std::size_t) { return control; }, policy);
}

}  // namespace fathom::ode
