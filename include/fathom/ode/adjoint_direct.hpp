// SPDX-License-Identifier: Apache-2.0
// Gradients by recording every evaluation of a solve: exact, for any method whose steps are linear combinations of
// slopes.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/ode/adjoint_forward.hpp>
#include <fathom/ode/adjoint_policy.hpp>
#include <fathom/ode/tape.hpp>

namespace fathom::ode {

namespace detail {

template <class Y, class Gradient>
options<taped<Y, Gradient>> taped_options(const options<Y>& from) {
  using state = taped<Y, Gradient>;
  options<state> to;
  to.save_at = from.save_at;
  if (from.observer)
    to.observer = [watch = from.observer](const step_view<state>& v) {
      return watch(step_view<Y>{v.t0, v.t1, v.y0.value, v.y1.value, v.stats});
    };
  for (const auto& e : from.events)
    to.events.push_back(
        {[value = e.value](double t, const state& y) { return value(t, y.value); }, e.direction, e.terminal, {}});
  to.jump_times = from.jump_times;
  to.step_times = from.step_times;
  to.interpolation = from.interpolation;
  if (from.norm.weights) to.norm.weights = state{*from.norm.weights};
  for (const auto& extra : from.norm.extra)
    to.norm.extra.push_back({extra.name, [value = extra.value](const state& e, const state& a, const state& b) {
                               return value(e.value, a.value, b.value);
                             }});
  if (from.norm.custom)
    to.norm.custom = [norm = from.norm.custom](const state& e, const state& a, const state& b, const tolerances& tol) {
      return norm(e.value, a.value, b.value, tol);
    };
  to.max_evaluations = from.max_evaluations;
  to.max_seconds = from.max_seconds;
  to.on_failure = from.on_failure;
  to.check_finite = from.check_finite;
  to.check_floor = from.check_floor;
  to.field_epsilon = from.field_epsilon;
  return to;
}

template <class Y, class Gradient>
solution<Y> plain_solution(const solution<taped<Y, Gradient>>& from) {
  solution<Y> to{from.y1.value, from.t1, from.times};
  for (const auto& y : from.values) to.values.push_back(y.value);
  for (const auto& e : from.events) to.events.push_back({e.which, e.t, e.y.value});
  to.steps = from.steps;
  to.stats = from.stats;
  to.status = from.status;
  to.message = from.message;
  to.failed_step = from.failed_step;
  to.leaf = from.leaf;
  return to;
}

/// What the pullback of a recorded solve holds.
template <class Field, class Y>
struct recorded_steps {
  using gradient_type = typename Field::gradient_type;
  Field field;
  Y y0;
  bool times;
  tape<Y, gradient_type> on;
  std::int64_t end = 0;
  std::vector<std::int64_t> saved{};
  solve_record<Y> record{};
  bool spent = false;

  recorded_steps(const Field& f, const Y& y, bool with_times) : field(f), y0(y), times(with_times), on(with_times) {}

  solve_gradient<Y, gradient_type> operator()(const Y& a, const std::vector<Y>& cotangents, double of_time,
                                              bool consume) {
    if (spent) throw error("ode: this pullback has given its residuals back; solve again, or do not consume it");
    record.check(cotangents.size());
    spent = consume;
    solve_gradient<Y, gradient_type> result{y0, field.zero_gradient()};
    const Y seed = record.seed(a, of_time);
    std::vector<std::pair<std::int64_t, const Y*>> seeds{{end, &seed}};
    for (std::size_t n = 0; n < cotangents.size(); ++n) seeds.emplace_back(saved[n], &cotangents[n]);
    std::vector<step_cotangent> steps(record.steps.size());
    result.y0 = on.backward(std::move(seeds), y0, result.parameters, steps, consume, result.stats);
    if (times) {
      auto account = record.times();
      for (std::size_t n = 0; n < steps.size(); ++n) account.add(static_cast<std::int64_t>(n), steps[n]);
      result.t0 = account.t0;
      result.t1 = account.t1 + (record.event ? 0 : of_time);
    }
    return result;
  }
};

template <class Field, class Y, class Solver, class Control>
auto solve_recorded(const Field& field, const Y& y0, interval span, const Solver& solver, const Control& control,
                    const direct& policy, const options<Y>& option) {
  using gradient_type = typename Field::gradient_type;
  using state = taped<Y, gradient_type>;
  using tape_type = tape<Y, gradient_type>;
  check_event_slopes(option);
  auto adjoint = std::make_shared<recorded_steps<Field, Y>>(field, y0, policy.times);
  tape_type* const on = &adjoint->on;
  const taped_field<Field, Y> recorded{&adjoint->field, on};
  const taped_solver<Solver, tape_type> marked(solver, on);
  const auto land = [&](solution<state>& result, solve_record<state>& record, const state& before,
                        const options<state>&) {
    const auto& from = record.steps.back();
    evaluator<Field, Y> f{&adjoint->field};
    auto motion = event_motion<Y>{{0, y0}, y0, 0};
    Y y1 = state_traits<Y>::clone(before.value);
    const auto step = [&](double h, Y& out) {
      auto work = solver.make_workspace(before.value);
      Solver(solver).step(f, from.t, h, from.t + h, before.value, out, work);
    };
    const double length = land_on_event(option.events[result.events.back().which], from.t, from.dt, y1, motion, step,
                                        [&](double t, const Y& y, Y& out) { f(t, y, out); });
    auto work = solver.make_workspace(before);
    evaluator<taped_field<Field, Y>, state> taped_f{&recorded};
    marked.step(taped_f, from.t, length, from.t + length, before, result.y1, work);
    book_landing(result, record.steps, length);
    adjoint->record.event = std::move(motion);
  };
  auto [result, record] = forward_with_record(
      recorded, state{y0, 0, on}, span, marked, control, taped_options<Y, gradient_type>(option), true,
      [&](std::int64_t, const step_view<state>&) { on->accepted(); }, land);
  adjoint->end = result.y1.place;
  for (const auto& y : result.values) adjoint->saved.push_back(y.place);
  auto& kept = adjoint->record;
  kept.steps = std::move(record.steps);
  kept.saved_after.resize(result.values.size());
  kept.planned = record.planned;
  kept.proportional = record.proportional;
  return std::pair(plain_solution(result), std::move(adjoint));
}

}  // namespace detail

}  // namespace fathom::ode
