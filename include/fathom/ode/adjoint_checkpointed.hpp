// SPDX-License-Identifier: Apache-2.0
// The exact adjoint of the discrete steps, from states stored at binomially chosen places.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/ode/adjoint_forward.hpp>
#include <fathom/ode/adjoint_history.hpp>
#include <fathom/ode/adjoint_implicit.hpp>
#include <fathom/ode/adjoint_policy.hpp>
#include <fathom/ode/adjoint_step.hpp>
#include <fathom/ode/binomial.hpp>
#include <fathom/ode/checkpoint_store.hpp>
#include <fathom/ode/tape.hpp>

namespace fathom::ode::detail {

/// Methods with a Butcher tableau of explicit stages, none of which enters another step's result.
template <class Solver>
concept explicit_method = requires {
  typename Solver::tableau_type;
}
&&(Solver::fsal || !Solver::hands_over);

template <class Field, class Y, class Solver>
class discrete_adjoint {
 public:
  using gradient_type = typename Field::gradient_type;
  /// The state before a step, and what else the step depends on.
  using start = typename carried<Solver, Y>::type;

  discrete_adjoint(const Field& field, const Y& y0, const Solver& solver, const checkpointed& policy,
                   std::int64_t known_steps)
      : field_(field),
        solver_(solver),
        policy_(policy),
        store_(slots(policy, y0),
               known_steps > 0 ? binomial_positions(known_steps, slots(policy, y0)) : std::vector<std::int64_t>{},
               policy.where),
        last_(y0),
        memory_(policy.memory, policy.bytes) {}

  /// Called by the forward solve with the state before its step number `step`.
  void offer(std::int64_t step, const Y& y) {
    if constexpr (!method_with_history<Solver>) {
      if (step > 0) store_.offer(step - 1, last_);
      last_ = y;
    }
  }
  /// The same by the method itself, in the order of the steps.
  void offer(const start& from) requires method_with_history<Solver> {
    if (offered_ > 0) store_.offer(offered_ - 1, last_);
    ++offered_;
    last_ = from;
  }
  /// The state before the last step.
  void set_last(const Y& y) { last_ = start(y); }

  /// What the forward solve leaves.
  void finish(solve_record<Y> record) { record_ = std::move(record); }

  /// With `consume` every stored state is given back as soon as it has served; there is no second pass then.
  solve_gradient<Y, gradient_type> operator()(const Y& a, const std::vector<Y>& saved, double of_time, bool consume) {
    if (spent_) throw error("ode: this pullback has given its stored states back; solve again, or do not consume it");
    record_.check(saved.size());
    spent_ = consume;
    pass p(*this, record_.seed(a, of_time), saved, consume);
    auto result = p.run();
    if (policy_.times && !record_.event) result.t1 += of_time;
    return result;
  }

 private:
  using traits = state_traits<Y>;
  static constexpr bool runge_kutta = explicit_method<Solver>;

  static std::int64_t slots(const checkpointed& policy, const Y& y0) {
    std::size_t size = std::max<std::size_t>(traits::bytes(y0), 1);
    if constexpr (method_with_history<Solver>) size *= Solver::depth;  // the latest slope is made anew
    return policy.slots > 0 ? policy.slots
                            : std::max<std::int64_t>(1, static_cast<std::int64_t>(policy.bytes / 2 / size));
  }
  template <class Method>
  struct derivative_of {
    using type = taped_step_adjoint<Method, Field, Y>;
  };
  template <explicit_method Method>
  struct derivative_of<Method> {
    using type = step_adjoint<Method, Field, Y>;
  };
  template <implicit_method Method>
  struct derivative_of<Method> {
    using type = implicit_step_adjoint<Method, Field, Y>;
  };
  using derivative_type = typename derivative_of<Solver>::type;

  /// One backward pass.
  struct pass {
    discrete_adjoint& of;
    bool consume;
    evaluator<Field, Y> f;
    Y a;
    const std::vector<Y>& saved;
    std::optional<derivative_type> derivative{};  // made when the first one is needed
    Y scratch;
    std::optional<decltype(std::declval<Solver>().make_workspace(std::declval<const Y&>()))> work{};
    solve_gradient<Y, gradient_type> result;
    time_account times;
    std::size_t next_saved;

    pass(discrete_adjoint& adjoint, Y seed, const std::vector<Y>& saved_seeds, bool give_back)
        : of(adjoint),
          consume(give_back),
          f{&adjoint.field_},
          a(std::move(seed)),
          saved(saved_seeds),
          scratch(a),
          result{a, adjoint.field_.zero_gradient()},
          times(adjoint.record_.times()),
          next_saved(saved_seeds.size()) {}

    solve_gradient<Y, gradient_type> run() {
      const auto n = static_cast<std::int64_t>(of.record_.steps.size());
      result.y0 = Y{};
      add_saved(n);
      std::int64_t end = n;
      if (n > 0) {
        // The state before the last step is still there from the forward solve.
        if (consume) of.store_.drop_from(n - 1);
        reverse_step(n - 1, of.last_);
        end = n - 1;
        if (consume) of.last_ = start{};
      }
      for (const auto& [at, slots] : segments(end)) {
        if (consume) of.store_.drop_from(at + 1);
        reverse_range(at, end, load(of.store_.states().at(at)), slots);
        end = at;
      }
      if (consume) of.store_.drop_from(0);
      result.y0 = std::move(a);
      result.t0 = times.t0;
      result.t1 = times.t1;
      return std::move(result);
    }

    start load(const stored_state<start>& kept) const { return kept.load(a); }

    /// The stored steps before `end`, last first, each with the number of states that may be stored from there on, its
    /// own among them: those not taken by earlier ones.
    std::vector<std::pair<std::int64_t, std::int64_t>> segments(std::int64_t end) const {
      std::vector<std::pair<std::int64_t, std::int64_t>> list;
      std::int64_t earlier = 0;
      for (const auto& [at, state] : of.store_.states()) {
        if (at >= end) break;
        list.emplace_back(at, std::max<std::int64_t>(of.store_.capacity() - earlier, 1));
        ++earlier;
      }
      std::reverse(list.begin(), list.end());
      return list;
    }

    /// Steps [from, to), `y` the state before the first, with `slots` stored states, that one among them.
    void reverse_range(std::int64_t from, std::int64_t to, const start& y, std::int64_t slots) {
      while (to - from > 1 && slots > 1) {
        const std::int64_t middle = from + binomial_split(to - from, slots);
        if (of.policy_.where == storage::host) {
          const auto kept = of.store_.store(advanced(y, from, middle));
          reverse_range(middle, to, load(kept), slots - 1);
        } else {
          reverse_range(middle, to, advanced(y, from, middle), slots - 1);
        }
        to = middle;
      }
      for (std::int64_t step = to - 1; step >= from; --step) {
        if (step == from)
          reverse_step(step, y);
        else
          reverse_step(step, advanced(y, from, step));
      }
    }

    /// The state before step `to`, made again from that before step `from`.
    start advanced(const start& first, std::int64_t from, std::int64_t to) {
      const Y& y = state_of(first);
      Y now = y, next = y;
      const auto before = f.count;
      const auto& steps = of.record_.steps;
      auto& solver = of.solver_;
      work.emplace(solver.make_workspace(y));
      if constexpr (method_with_history<Solver>) first.restore(*work);
      for (std::int64_t n = from; n < to; ++n) {
        const auto& step = steps[static_cast<std::size_t>(n)];
        // What a step hands over was made before a jump.
        if (n > from && steps[static_cast<std::size_t>(n - 1)].stage_end != step.t) solver.restart(*work);
        solver.step(f, step.t, step.dt, step.stage_end, now, next, *work);
        solver.accept(*work);
        std::swap(now, next);
      }
      result.stats.recompute_evaluations += f.count - before;
      result.stats.accepted += static_cast<long>(to - from);
      if constexpr (method_with_history<Solver>) {
        if (steps[static_cast<std::size_t>(to - 1)].stage_end != steps[static_cast<std::size_t>(to)].t)
          solver.restart(*work);
        const start reached(now, *work);
        work.reset();
        return reached;
      } else {
        work.reset();
        return now;
      }
    }
    static const Y& state_of(const start& from) {
      if constexpr (method_with_history<Solver>)
        return from.y;
      else
        return from;
    }

    void reverse_step(std::int64_t n, const start& y) {
      const auto& step = of.record_.steps[static_cast<std::size_t>(n)];
      const bool with_times = of.policy_.times;
      step_cotangent c;
      if constexpr (runge_kutta) {
        if (!derivative) derivative.emplace(y, of.memory_);
        const auto before = f.count;
        derivative->forward(f, step, y, with_times);
        result.stats.recompute_evaluations += f.count - before;
        c = derivative->backward(f, step, y, a, result.parameters, with_times, result.stats);
        derivative->take_sum(a);
      } else {
        if (!derivative) {
          if constexpr (implicit_method<Solver>)
            derivative.emplace(of.solver_, with_times, of.policy_.memory);
          else
            derivative.emplace(of.solver_, with_times);
        }
        c = (*derivative)(of.field_, step, y, a, result.parameters, result.stats);
      }
      if (with_times) times.add(n, c);
      add_saved(n);
    }

    /// Cotangents of values saved after `n` steps.
    void add_saved(std::int64_t n) {
      while (next_saved > 0 && of.record_.saved_after[next_saved - 1] == n) {
        --next_saved;
        traits::combine(scratch, a, std::array<double, 1>{1}, std::array<const Y*, 1>{&saved[next_saved]});
        std::swap(a, scratch);
      }
    }
  };

  Field field_;
  Solver solver_;
  checkpointed policy_;
  checkpoint_store<start> store_;
  start last_;
  std::int64_t offered_ = 0;
  held_stages memory_;
  solve_record<Y> record_{};
  bool spent_ = false;
};

template <class Field, class Y, class Solver, class Control>
auto solve_with_states(const Field& field, const Y& y0, interval span, const Solver& solver, const Control& control,
                       const checkpointed& policy, const options<Y>& option) {
  check_event_slopes(option);
  auto adjoint = std::make_shared<discrete_adjoint<Field, Y, Solver>>(field, y0, solver, policy, known_steps(control));
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
    adjoint->set_last(before);
  };
  const auto method = [&] {
    if constexpr (method_with_history<Solver>)
      return showing_solver<Solver, discrete_adjoint<Field, Y, Solver>>(solver, adjoint.get());
    else
      return solver;
  }();
  auto [result, record] = forward_with_record(
      field, y0, span, method, control, option, false,
      [&](std::int64_t n, const step_view<Y>& view) { adjoint->offer(n, view.y0); }, land);
  adjoint->finish(std::move(record));
  return std::pair(std::move(result), std::move(adjoint));
}

template <class Field, class Y, class Solver, class Control>
auto solve_recorded(const Field& field, const Y& y0, interval span, const Solver& solver, const Control& control,
                    const checkpointed& policy, const options<Y>& option) {
  if constexpr (implicit_method<Solver>)
    return solve_with_states(field, y0, span, started_afresh<Solver>(solver), control, policy, option);
  else
    return solve_with_states(field, y0, span, solver, control, policy, option);
}
/// Recording serves linear combinations of slopes; the stage equations of implicit methods are differentiated as
/// equations, from the states before all steps.
template <class Field, class Y, implicit_method Solver, class Control>
auto solve_recorded(const Field& field, const Y& y0, interval span, const Solver& solver, const Control& control,
                    const direct& policy, const options<Y>& option) {
  checkpointed all;
  all.slots = std::int64_t(1) << 40;
  all.times = policy.times;
  return solve_recorded(field, y0, span, solver, control, all, option);
}

}  // namespace fathom::ode::detail
