// SPDX-License-Identifier: Apache-2.0
// Gradients by undoing the steps of a reversible method: nothing is stored but the end.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/ode/adjoint_forward.hpp>
#include <fathom/ode/adjoint_policy.hpp>
#include <fathom/ode/adjoint_step.hpp>
#include <fathom/ode/linearize.hpp>
#include <fathom/ode/reversible_methods.hpp>

namespace fathom::ode::detail {

/// Undoes steps: the states y and z, their cotangents, and what else goes from step to step.
template <class Solver, class Field, class Y>
class reversal;

template <class Field, class Y>
class reversal<reversible_heun, Field, Y> {
 public:
  using traits = state_traits<Y>;
  using gradient_type = typename Field::gradient_type;
  Y y, a;

  reversal(const reversible_heun&, const Y& y1, const Y& z1, Y seed, held_stages)
      : y(y1), a(std::move(seed)), z_(z1), a_z_(zero(a)), a_k_(zero(a)), k_(y1) {}

  step_cotangent undo(evaluator<Field, Y>& f, const step_record& step, gradient_type& gradient, statistics& stats) {
    const double h = step.dt;
    step_cotangent times = at_time(f, step.stage_end, gradient, stats);
    times.t += moved_, times.h += moved_;
    Y k1 = std::move(k_);
    auto end = std::move(*held_);
    // z0 = 2 y1 - z1 - h k1, y0 = y1 - h/2 (k0 + k1).
    Y z0 = y, y0 = y;
    traits::combine(z0, y, std::array<double, 3>{1, -1, -h}, std::array<const Y*, 3>{&y, &z_, &k1});
    z_ = std::move(z0);
    k_ = y;
    evaluate(f, step.t, stats);
    traits::combine(y0, y, std::array<double, 2>{-0.5 * h, -0.5 * h}, std::array<const Y*, 2>{&k_, &k1});
    y = std::move(y0);

    Y seed = a, b = a;
    traits::combine(seed, a_k_, std::array<double, 1>{0.5 * h}, std::array<const Y*, 1>{&a});
    auto c = end(seed, gradient, true);
    ++stats.vjp_evaluations;
    times.t += c.t, times.h += c.t;
    traits::combine(b, a_z_, std::array<double, 1>{1}, std::array<const Y*, 1>{&c.y});
    times.h += traits::dot(b, k_) + 0.5 * (traits::dot(a, k_) + traits::dot(a, k1));
    traits::scaled_sum(a_z_, std::array<double, 1>{-1}, std::array<const Y*, 1>{&b});
    traits::scaled_sum(a_k_, std::array<double, 2>{h, 0.5 * h}, std::array<const Y*, 2>{&b, &a});
    traits::combine(seed, a, std::array<double, 1>{2}, std::array<const Y*, 1>{&b});
    a = std::move(seed);
    return times;
  }

  /// z = y at the start: their cotangents together, and the slope's.
  step_cotangent finish(gradient_type& gradient, statistics& stats) {
    const double t = held_ ? close(gradient, stats) : 0;
    add_z();
    return {t, 0};
  }

 private:
  static Y zero(const Y& like) {
    Y none = like;
    traits::scaled_sum(none, std::array<double, 1>{0}, std::array<const Y*, 1>{&like});
    return none;
  }
  void evaluate(evaluator<Field, Y>& f, double t, statistics& stats) {
    held_.emplace(linearize(f, t, z_, k_));
    time_ = t;
    ++stats.recompute_evaluations;
  }
  /// The slope at z and time t: the one that the step after this began with, unless the field jumps in between.
  step_cotangent at_time(evaluator<Field, Y>& f, double t, gradient_type& gradient, statistics& stats) {
    moved_ = 0;
    if (held_ && time_ == t) return {};
    if (held_) moved_ = close(gradient, stats);
    k_ = y;
    evaluate(f, t, stats);
    return {};
  }
  /// The slope's cotangent goes to z.
  double close(gradient_type& gradient, statistics& stats) {
    auto c = (*held_)(a_k_, gradient, true);
    ++stats.vjp_evaluations;
    held_.reset();
    Y sum = a_z_;
    traits::combine(sum, a_z_, std::array<double, 1>{1}, std::array<const Y*, 1>{&c.y});
    a_z_ = std::move(sum);
    a_k_ = zero(a_z_);
    return c.t;
  }
  void add_z() {
    Y sum = a;
    traits::combine(sum, a, std::array<double, 1>{1}, std::array<const Y*, 1>{&a_z_});
    a = std::move(sum);
  }

  Y z_, a_z_, a_k_, k_;
  std::optional<pullback_of<Field, Y>> held_{};
  double time_ = 0, moved_ = 0;
};

template <class Method, class Field, class Y>
class reversal<coupled<Method>, Field, Y> {
 public:
  using traits = state_traits<Y>;
  using gradient_type = typename Field::gradient_type;
  Y y, a;

  reversal(const coupled<Method>& solver, const Y& y1, const Y& z1, Y seed, held_stages memory)
      : y(y1), a(std::move(seed)), lambda_(solver.lambda), z_(z1), a_z_(a), scratch_(a), stages_(y1, memory) {
    traits::scaled_sum(a_z_, std::array<double, 1>{0}, std::array<const Y*, 1>{&a});
  }

  step_cotangent undo(evaluator<Field, Y>& f, const step_record& step, gradient_type& gradient, statistics& stats) {
    using one = std::array<const Y*, 1>;
    const double h = step.dt;
    const auto before = f.count;
    // z1 = z0 - P_-h(t1, y1)
    const step_record back{step.stage_end, -h, step.t, step.t};
    stages_.forward(f, back, y, true);
    Method::add_weights(scratch_, z_, -h, stages_.work.k);
    std::swap(z_, scratch_);
    Y minus = a_z_;
    traits::scaled_sum(minus, std::array<double, 1>{-1}, one{&a_z_});
    const auto c = stages_.backward(f, back, y, minus, gradient, true, stats);
    // a + J^T (-a_z) = (a + a_z) + (J^T (-a_z) - a_z)
    stages_.take_sum(minus);
    traits::combine(scratch_, a, std::array<double, 2>{1, 1}, std::array<const Y*, 2>{&minus, &a_z_});
    std::swap(a, scratch_);
    step_cotangent times{c.t, c.t - c.h};
    // y1 = lambda y0 + (1 - lambda) z0 + P_h(t0, z0)
    stages_.forward(f, step, z_, true);
    Method::add_weights(scratch_, y, -h, stages_.work.k);
    Y y0 = y;
    traits::scaled_sum(y0, std::array<double, 2>{1 / lambda_, 1 - 1 / lambda_},
                       std::array<const Y*, 2>{&scratch_, &z_});
    y = std::move(y0);
    const auto d = stages_.backward(f, step, z_, a, gradient, true, stats);
    stages_.take_sum(minus);
    times.t += d.t, times.h += d.h;
    traits::combine(scratch_, a_z_, std::array<double, 2>{1, -lambda_}, std::array<const Y*, 2>{&minus, &a});
    std::swap(a_z_, scratch_);
    traits::scaled_sum(scratch_, std::array<double, 1>{lambda_}, one{&a});
    std::swap(a, scratch_);
    stats.recompute_evaluations += f.count - before;
    return times;
  }

  step_cotangent finish(gradient_type&, statistics&) {
    traits::combine(scratch_, a, std::array<double, 1>{1}, std::array<const Y*, 1>{&a_z_});
    std::swap(a, scratch_);
    return {};
  }

 private:
  double lambda_;
  Y z_, a_z_, scratch_;
  step_adjoint<Method, Field, Y> stages_;
};

/// Shows the second state after every accepted step.
template <class Solver, class Y>
struct shown_solver : Solver {
  std::optional<typename Solver::template workspace<Y>>* shown;
  shown_solver(const Solver& solver, std::optional<typename Solver::template workspace<Y>>* to)
      : Solver(solver), shown(to) {}
  void accept(typename Solver::template workspace<Y>& w) const {
    Solver::accept(w);
    *shown = w;
  }
};

/// The largest factor by which undoing `steps` steps amplifies rounding, as far as it follows from the method alone.
template <class Solver>
double amplification(const Solver& solver, std::int64_t steps) {
  if constexpr (requires { solver.lambda; })
    return std::pow(solver.lambda, -static_cast<double>(steps));
  else
    return 1;
}

template <class Field, class Y, class Solver>
struct reversible_adjoint {
  using gradient_type = typename Field::gradient_type;
  using traits = state_traits<Y>;
  Field field;
  Solver solver;
  reversible policy;
  Y y0, y1, z1;
  solve_record<Y> record{};

  reversible_adjoint(const Field& f, const Solver& s, const reversible& p, const Y& y)
      : field(f), solver(s), policy(p), y0(y), y1(y), z1(y) {}

  double tolerance() const { return policy.tolerance > 0 ? policy.tolerance : std::sqrt(traits::epsilon(y0)); }

  void refuse_amplification(std::int64_t steps) const {
    const double predicted = amplification(solver, steps) * traits::epsilon(y0);
    if (predicted > tolerance())
      throw numerical_error(fathom::detail::concat(
          "ode: undoing ", steps, " steps of ", Solver::name, " would amplify rounding to ", predicted,
          ", the tolerance is ", tolerance(), "; raise lambda, take fewer steps, or use ode::checkpointed"));
  }

  solve_gradient<Y, gradient_type> operator()(const Y& a, const std::vector<Y>& saved, double of_time, bool) const {
    record.check(saved.size());
    solve_gradient<Y, gradient_type> result{y0, field.zero_gradient()};
    evaluator<Field, Y> f{&field};
    reversal<Solver, Field, Y> back(solver, y1, z1, record.seed(a, of_time), held_stages(policy.memory, policy.bytes));
    auto times = record.times();
    std::size_t next = saved.size();
    const auto add_saved = [&](std::int64_t n) {
      for (; next > 0 && record.saved_after[next - 1] == n; --next) {
        Y sum = back.a;
        traits::combine(sum, back.a, std::array<double, 1>{1}, std::array<const Y*, 1>{&saved[next - 1]});
        back.a = std::move(sum);
      }
    };
    const auto n = static_cast<std::int64_t>(record.steps.size());
    add_saved(n);
    for (std::int64_t step = n - 1; step >= 0; --step) {
      times.add(step, back.undo(f, record.steps[static_cast<std::size_t>(step)], result.parameters, result.stats));
      add_saved(step);
    }
    times.add(0, back.finish(result.parameters, result.stats));
    check(back.y, result.reconstruction_error);
    result.y0 = std::move(back.a);
    if (policy.times) {
      result.t0 = times.t0;
      result.t1 = times.t1 + (record.event ? 0 : of_time);
    }
    return result;
  }

 private:
  void check(const Y& found, double& error) const {
    Y difference = traits::clone(found);
    traits::combine(difference, found, std::array<double, 1>{-1}, std::array<const Y*, 1>{&y0});
    const double size = std::sqrt(traits::dot(y0, y0));
    error = std::sqrt(traits::dot(difference, difference)) / (size > 0 ? size : 1.0);
    if (!(error <= tolerance()))
      throw numerical_error(fathom::detail::concat(
          "ode: undoing ", record.steps.size(), " steps of ", Solver::name,
          " led back to an initial state that is off by ", error, " (relative), the tolerance is ", tolerance(),
          ": the field contracts too much for a reversible method; use ode::checkpointed"));
  }
};

template <class Field, class Y, class Solver, class Control>
auto solve_recorded(const Field& field, const Y& y0, interval span, const Solver& solver, const Control& control,
                    const reversible& policy, const options<Y>& option) {
  check_event_slopes(option);
  auto adjoint = std::make_shared<reversible_adjoint<Field, Y, Solver>>(field, solver, policy, y0);
  adjoint->refuse_amplification(known_steps(control));
  std::optional<typename Solver::template workspace<Y>> shown;
  const auto land = [&](solution<Y>& result, solve_record<Y>& record, const Y& before, const options<Y>& used) {
    const auto& from = record.steps.back();
    evaluator<Field, Y> f{&field};
    record.event.emplace(event_motion<Y>{{0, y0}, y0, 0});
    auto work = shown ? *shown : Solver::make_workspace(before);
    const auto begin = work;
    const auto step = [&](double h, Y& out) {
      work = begin;
      solver.step(f, from.t, h, from.t + h, before, out, work);
    };
    result.y1 = state_traits<Y>::clone(before);
    const double length = land_on_event(used.events[result.events.back().which], from.t, from.dt, result.y1,
                                        *record.event, step, [&](double t, const Y& y, Y& out) { f(t, y, out); });
    Solver::accept(work);
    shown = std::move(work);
    book_landing(result, record.steps, length);
  };
  auto [result, record] = forward_with_record(
      field, y0, span, shown_solver<Solver, Y>(solver, &shown), control, option, false,
      [](std::int64_t, const step_view<Y>&) {}, land);
  adjoint->refuse_amplification(static_cast<std::int64_t>(record.steps.size()));
  adjoint->y1 = result.y1;
  if (shown) adjoint->z1 = shown->z;
  adjoint->record = std::move(record);
  return std::pair(std::move(result), std::move(adjoint));
}

}  // namespace fathom::ode::detail
