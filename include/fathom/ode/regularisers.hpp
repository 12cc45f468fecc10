// SPDX-License-Identifier: Apache-2.0
// What keeps a learned field easy to integrate: penalties integrated along the solution or summed over its steps, and a
// random end time. All of them differentiable like the solution itself.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/core/philox.hpp>
#include <fathom/ode/explicit_rk.hpp>
#include <fathom/ode/solve.hpp>
#include <fathom/ode/tree_state.hpp>
#include <fathom/op/random.hpp>
#include <fathom/op/reduction.hpp>

namespace fathom::ode {

/// A state and a quantity integrated beside it.
template <detail::tree_state Y>
struct with_quadrature {
  using backend_type = tree::backend_of_t<Y>;
  Y state;
  tensor<backend_type, 0> quantity;

  void visit(auto&& v) {
    v("state", state);
    v("quantity", quantity);
  }
  template <class B2>
  using rebind = with_quadrature<tree::rebind_t<Y, B2>>;
};

/// The start of a solve with a quadrature.
template <detail::tree_state Y>
with_quadrature<Y> from_zero(const Y& y0) {
  return {y0, full<0>(state_traits<Y>::backend(y0), {}, typename state_traits<Y>::scalar_type(0))};
}

/// Weights of the penalties that are integrated over t.
struct penalty_weights {
  /// sum over leaves of the mean of f^2: the kinetic energy (Finlay et al. 2020), 0 for a field that stands still.
  double kinetic = 0;
  /// sum over leaves of the mean of (J e)^2 with one fixed e ~ N(0, 1): on average |J|_F^2 over the size of a leaf
  /// (Hutchinson's estimate). J e is exact for a field that offers directional(t, y, v, context...), as
  /// ode::by_dual_numbers(field) does; else a central difference, which first derivatives suffice to differentiate.
  double jacobian = 0;
  std::uint64_t seed = 0;  ///< of e
  double difference = 0;   ///< step of the difference; 0: the cube root of the scalar's rounding unit
  /// sum over leaves of the mean of e^2/step, e the embedded error estimate of one step of length `step` from (t, y) by
  /// the field's Pair. For steps of that length the integral is the sum of e^2 over them, up to O(step) (Pal et al.
  /// 2021; with the default pair, Heun's method and Euler's, e is step^2/2 y'' to leading order, the second total
  /// derivative that Kelly et al. 2020 keep small).
  double local_error = 0;
  double step = 0;  ///< about what the solver will take; wanted where local_error is not 0
};

namespace detail {

/// sum over leaves of the mean square
template <class Y>
auto mean_squares(const Y& y) {
  using B = tree::backend_of_t<Y>;
  std::vector<tensor<B, 0>> terms;
  tree::for_each(y, [&](const auto& leaf) { terms.push_back(mean_square(leaf)); });
  return linear_combination(terms, std::vector<double>(terms.size(), 1.0));
}

/// A tree like y of independent standard normal numbers, constants.
template <class Y>
Y normal_like(const Y& y, std::uint64_t seed) {
  std::uint64_t number = 0;
  return tree::map(
      [&](const auto& leaf) {
        using leaf_t = std::remove_cvref_t<decltype(leaf)>;
        const auto& plain = primal(leaf);
        return constant(leaf.backend(),
                        random_normal<leaf_t::rank>(plain.backend(), plain.shape(), philox_split(seed, number++)));
      },
      y);
}

}  // namespace detail

/// A field of modules with penalties as a quadrature of its own; trained, saved and differentiated like the field.
///
///     const ode::penalised_field field{model, {.kinetic = 0.01}};
///     auto s = ode::solve(field, ode::from_zero(y0), {0, 1}, ode::rk4{}, ode::fixed_steps{8});
///     loss(s.y1.state) + s.y1.quantity
///
/// Context (masks) is passed on. With adaptive control the quadrature is one more leaf of the error norm. `Pair` is an
/// explicit Runge-Kutta pair; the local error costs the evaluations of its step but the first.
template <class Field, class Pair = adaptive_heun>
struct penalised_field {
  static_assert(
      requires { typename Pair::tableau_type; } && Pair::error_order > 0,
      "fathom: the local error is that of an explicit Runge-Kutta pair: adaptive_heun, fehlberg2, bosh3, tsit5, "
      "dopri5, dopri8");
  using backend_type = tree::backend_of_t<Field>;
  Field field;
  penalty_weights options{};
  [[no_unique_address]] Pair pair{};

  void visit(auto&& v) { v("field", field); }
  template <class B2>
  using rebind = penalised_field<tree::rebind_t<Field, B2>, Pair>;

  template <class Y, class... Context>
  with_quadrature<Y> operator()(const ode_time<backend_type>& t, const with_quadrature<Y>& y,
                                const Context&... context) const {
    using traits = state_traits<Y>;
    auto rate = field(t, y.state, context...);
    auto quantity = full<0>(t.backend(), {}, typename traits::scalar_type(0));
    if (options.kinetic != 0) quantity = quantity + detail::mean_squares(rate) * options.kinetic;
    if (options.jacobian != 0) {
      const Y e = detail::normal_like(y.state, options.seed);
      quantity = quantity + detail::mean_squares(product(t, y.state, e, context...)) * options.jacobian;
    }
    if (options.local_error != 0)
      quantity = quantity +
                 detail::mean_squares(local_error(t, y.state, rate, context...)) * (options.local_error / options.step);
    return {std::move(rate), std::move(quantity)};
  }

 private:
  /// The error estimate of a step of length options.step from (t, y), where the field is `rate`.
  template <class Y, class... Context>
  Y local_error(const ode_time<backend_type>& t, const Y& y, const Y& rate, const Context&... context) const {
    if (!(options.step > 0))
      throw error(fathom::detail::concat(
          "ode::penalised_field: the local error needs the length of a step, got step = ", options.step,
          "; give about the length of the solver's"));
    auto work = Pair::make_workspace(y);
    work.k[0] = rate;
    Y end = y;
    const auto ahead = [&](double by, const Y& at, Y& slope) { slope = field(t + by, at, context...); };
    Pair::step_from_slope(ahead, 0, options.step, options.step, y, end, work);
    Y estimate = y;
    Pair::error_estimate(estimate, options.step, work.k);
    return estimate;
  }
  /// J e
  template <class Y, class... Context>
  Y product(const ode_time<backend_type>& t, const Y& y, const Y& e, const Context&... context) const {
    using traits = state_traits<Y>;
    if constexpr (requires { field.directional(t, y, e, context...); }) {
      return field.directional(t, y, e, context...);
    } else {
      const double h = options.difference > 0 ? options.difference : std::cbrt(traits::epsilon(y));
      const auto at = [&](double step) {
        Y moved = traits::clone(y);
        traits::combine(moved, y, std::array<double, 1>{step}, std::array<const Y*, 1>{&e});
        return field(t, moved, context...);
      };
      const Y ahead = at(h), behind = at(-h);
      Y slope = traits::clone(y);
      traits::scaled_sum(slope, std::array<double, 2>{0.5 / h, -0.5 / h}, std::array<const Y*, 2>{&ahead, &behind});
      return slope;
    }
  }
};
template <class Field>
penalised_field(Field) -> penalised_field<Field>;
template <class Field>
penalised_field(Field, penalty_weights) -> penalised_field<Field>;
template <class Field, class Pair>
penalised_field(Field, penalty_weights, Pair) -> penalised_field<Field, Pair>;

namespace detail {

/// A method that keeps the size of every accepted step's error estimate.
template <class Solver, class Scalar>
struct error_collector : Solver {
  std::shared_ptr<std::vector<Scalar>> sizes = std::make_shared<std::vector<Scalar>>();

  template <class Y>
  struct workspace : Solver::template workspace<Y> {
    std::shared_ptr<std::vector<Scalar>> sizes;
    Scalar pending;
    workspace(const Y& y, std::shared_ptr<std::vector<Scalar>> to)
        : Solver::template workspace<Y>(y), sizes(std::move(to)), pending() {}
  };
  template <class Y>
  workspace<Y> make_workspace(const Y& y) const {
    return {y, sizes};
  }
  template <class Eval, class Y>
  static bool step(Eval& f, double t, double h, double t1, const Y& y, Y& y1, workspace<Y>& w) {
    Solver::step(f, t, h, t1, y, y1, w);
    Y error = state_traits<Y>::clone(y);
    Solver::error_estimate(error, h, w.k);
    w.pending = mean_squares(error);
    return true;
  }
  template <class Y>
  static void accept(workspace<Y>& w) {
    w.sizes->push_back(std::move(w.pending));
    Solver::accept(w);
  }
};

}  // namespace detail

/// Solves, and sums the squared size of the embedded error estimates over the accepted steps: sum over leaves of the
/// mean of e^2 (Pal et al. 2021). On autodiff<B> the sum has a gradient like the solution; a field that learns to make
/// it small needs fewer steps. For explicit Runge-Kutta pairs, with fixed steps or adaptive control, and no evaluation
/// beside those of the solve; as a quadrature, for every adjoint policy: penalty_weights::local_error. Returns
/// {solution, sum}.
template <class Field, detail::tree_state Y, class Solver, class Control>
auto solve_with_local_error(const Field& field, const Y& y0, interval span, const Solver& solver,
                            const Control& control, const options<Y>& option = {}) {
  static_assert(
      requires { typename Solver::tableau_type; } && Solver::error_order > 0,
      "fathom: the local error is that of an explicit Runge-Kutta pair: adaptive_heun, fehlberg2, bosh3, tsit5, "
      "dopri5, dopri8");
  using scalar = tensor<tree::backend_of_t<Y>, 0>;
  const detail::error_collector<Solver, scalar> collector{solver};
  auto s = solve(field, y0, span, collector, control, option);
  auto sum = collector.sizes->empty()
                 ? full<0>(state_traits<Y>::backend(y0), {}, typename state_traits<Y>::scalar_type(0))
                 : linear_combination(*collector.sizes, std::vector<double>(collector.sizes->size(), 1.0));
  return std::pair(std::move(s), std::move(sum));
}

/// [t0, t1 + u], u uniform in [-width, width] and a function of the seed: training towards a random end keeps a field
/// from living off its last step (Ghosh et al. 2020, STEER). 0 <= width < |t1 - t0|.
inline interval random_end(interval span, double width, std::uint64_t seed) {
  if (!(width >= 0) || !(width < std::abs(span.t1 - span.t0)))
    throw error(fathom::detail::concat("ode::random_end: the width must be at least 0 and below the interval's length ",
                                       std::abs(span.t1 - span.t0), "; got ", width));
  span.t1 += width * (2 * philox_uniform(seed, 0) - 1);
  return span;
}

}  // namespace fathom::ode
