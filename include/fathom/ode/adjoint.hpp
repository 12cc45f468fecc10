// SPDX-License-Identifier: Apache-2.0
// Exact gradients of a solve: the adjoint of the discrete steps, from states stored at binomially chosen places.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/ode/adjoint_step.hpp>
#include <fathom/ode/binomial.hpp>
#include <fathom/ode/solve.hpp>

namespace fathom::ode {

/// Adjoint policy: exact gradients of the discrete solve. States are stored at as many steps as fit into `bytes` (or
/// exactly `slots`, the initial state counted); what lies between is computed again. Memory: slots + stages + 3 states
/// and one evaluation's derivative. Cost in field evaluations per step and stage: forward 1, then at most 1 + 3, plus
/// the repeated steps (binomial_advances).
struct checkpointed {
  std::size_t bytes = std::size_t(1) << 31;
  std::int64_t slots = 0;  ///< 0: as many as `bytes` holds
  bool times = false;      ///< also the gradient with respect to t0 and t1
};

/// Gradients of <a, y1> + sum_n <a_n, values_n>.
template <class Y, class Gradient>
struct solve_gradient {
  Y y0;
  Gradient parameters;
  double t0 = 0, t1 = 0;
  statistics stats{};
};

namespace detail {

/// Stored states by step number, at most `capacity` of them.
template <class Y>
class checkpoint_store {
 public:
  checkpoint_store(std::int64_t capacity, std::vector<std::int64_t> planned)
      : capacity_(capacity), planned_(std::move(planned)), online_(planned_.empty()) {}

  /// Offered the state before every step in order. With the number of steps known, keeps the planned ones; otherwise
  /// every spacing-th, the spacing doubled whenever the store is full.
  void offer(std::int64_t step, const Y& y) {
    if (!online_) {
      if (next_ < planned_.size() && planned_[next_] == step) {
        states_.emplace(step, state_traits<Y>::clone(y));
        ++next_;
      }
      return;
    }
    if (step % spacing_ != 0) return;
    if (static_cast<std::int64_t>(states_.size()) == capacity_) {
      while (static_cast<std::int64_t>(states_.size()) == capacity_ && spacing_ < (std::int64_t(1) << 60)) {
        spacing_ *= 2;
        for (auto it = states_.begin(); it != states_.end();)
          it = it->first % spacing_ != 0 ? states_.erase(it) : std::next(it);
        if (states_.size() == 1) break;
      }
      if (step % spacing_ != 0 || static_cast<std::int64_t>(states_.size()) == capacity_) return;
    }
    states_.emplace(step, state_traits<Y>::clone(y));
  }
  const std::map<std::int64_t, Y>& states() const { return states_; }
  void drop_from(std::int64_t step) { states_.erase(states_.lower_bound(step), states_.end()); }
  std::int64_t capacity() const { return capacity_; }

 private:
  std::int64_t capacity_;
  std::vector<std::int64_t> planned_;
  bool online_;
  std::map<std::int64_t, Y> states_;
  std::int64_t spacing_ = 1;
  std::size_t next_ = 0;
};

template <class Field, class Y, class Solver>
class discrete_adjoint {
 public:
  using gradient_type = typename Field::gradient_type;

  discrete_adjoint(const Field& field, const Y& y0, std::int64_t slots, std::int64_t known_steps, bool times)
      : field_(field),
        store_(slots, known_steps > 0 ? binomial_positions(known_steps, slots) : std::vector<std::int64_t>{}),
        last_(y0),
        times_(times) {}

  /// Called by the forward solve before its step number `step` is booked.
  void offer(std::int64_t step, const Y& y) {
    store_.offer(step, y);
    last_ = state_traits<Y>::clone(y);
  }

  /// What the forward solve leaves: its steps, and the numbers of steps after which values were saved.
  void finish(std::vector<step_record> steps, std::vector<std::int64_t> saved_after) {
    steps_ = std::move(steps);
    saved_after_ = std::move(saved_after);
  }

  /// With `consume` every stored state is given back as soon as it has served; there is no second pass then.
  solve_gradient<Y, gradient_type> operator()(const Y& a, const std::vector<Y>& saved, bool consume) {
    if (spent_) throw error("ode: this pullback has given its stored states back; solve again, or do not consume it");
    spent_ = consume;
    pass p(*this, a, saved, consume);
    return p.run();
  }

 private:
  using traits = state_traits<Y>;
  using work_type = typename Solver::template workspace<Y>;

  /// One backward pass.
  struct pass {
    discrete_adjoint& of;
    bool consume;
    evaluator<Field, Y> f;
    Y a;
    const std::vector<Y>& saved;
    work_type work;
    step_vjp_work<typename Solver::tableau_type, Y> scratch;
    solve_gradient<Y, gradient_type> result;
    std::size_t next_saved;

    pass(discrete_adjoint& adjoint, const Y& seed, const std::vector<Y>& saved_seeds, bool give_back)
        : of(adjoint),
          consume(give_back),
          f{&adjoint.field_},
          a(traits::clone(seed)),
          saved(saved_seeds),
          work(Solver::make_workspace(seed)),
          scratch(seed),
          result{seed, adjoint.field_.zero_gradient()},
          next_saved(saved_seeds.size()) {
      if (!saved.empty() && saved.size() != of.saved_after_.size())
        throw shape_error(fathom::detail::concat("ode: the solve saved ", of.saved_after_.size(), " values, got ",
                                                 saved.size(), " cotangents for them"));
    }

    solve_gradient<Y, gradient_type> run() {
      const auto n = static_cast<std::int64_t>(of.steps_.size());
      add_saved(n);
      std::int64_t end = n;
      if (n > 0) {
        // The state before the last step is still there from the forward solve.
        reverse_step(n - 1, of.last_);
        end = n - 1;
        if (consume) {
          of.last_ = Y{};
          of.store_.drop_from(end);
        }
      }
      if (end > 0 && from_scratch(end)) {
        if (consume) of.store_.drop_from(1);
        reverse_range(0, end, of.store_.states().begin()->second, of.store_.capacity());
        end = 0;
      }
      for (const auto& [at, slots] : segments(end)) {
        reverse_range(at, end, of.store_.states().at(at), slots);
        end = at;
        if (consume) of.store_.drop_from(at);
      }
      if (consume) of.store_.drop_from(0);
      result.y0 = std::move(a);
      return std::move(result);
    }

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

    /// Whether evenly spaced states, all that could be stored while the number of steps was unknown, are worth less
    /// than an optimal schedule from the initial one.
    bool from_scratch(std::int64_t end) const {
      std::int64_t stored = 0, stop = end;
      for (const auto& [at, slots] : segments(end)) {
        stored += binomial_advances(stop - at, slots);
        stop = at;
      }
      return binomial_advances(end, of.store_.capacity()) < stored;
    }

    /// Steps [from, to), `y` the state before the first, with `slots` stored states, that one among them.
    void reverse_range(std::int64_t from, std::int64_t to, const Y& y, std::int64_t slots) {
      while (to - from > 1 && slots > 1) {
        const std::int64_t middle = from + binomial_split(to - from, slots);
        const Y at = advanced(y, from, middle);
        reverse_range(middle, to, at, slots - 1);
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
    Y advanced(const Y& y, std::int64_t from, std::int64_t to) {
      Y now = traits::clone(y), next = traits::clone(y);
      const auto before = f.count;
      Solver::restart(work);
      for (std::int64_t n = from; n < to; ++n) {
        const auto& step = of.steps_[static_cast<std::size_t>(n)];
        if (n > from && step.t != of.steps_[static_cast<std::size_t>(n - 1)].t1) Solver::restart(work);
        Solver::step(f, step.t, step.dt, step.stage_end, now, next, work);
        Solver::accept(work);
        std::swap(now, next);
      }
      result.stats.recompute_evaluations += f.count - before;
      result.stats.accepted += static_cast<long>(to - from);
      return now;
    }

    void reverse_step(std::int64_t n, const Y& y) {
      const auto& step = of.steps_[static_cast<std::size_t>(n)];
      const auto total = static_cast<double>(of.steps_.size());
      const auto c = step_vjp<Solver>(f, step, y, a, work, scratch, result.parameters, of.times_, result.stats);
      if (of.times_) {
        if (of.proportional_) {
          // Every step is a fixed fraction of the interval: t_n = t0 + n h, h = (t1 - t0)/N.
          const double share = static_cast<double>(n) / total;
          result.t0 += c.t * (1 - share) - c.h / total;
          result.t1 += c.t * share + c.h / total;
        } else {
          // Inner grid points stand still; the first step begins at t0, the last one ends at t1.
          if (n == 0) result.t0 += c.t - c.h;
          if (n + 1 == static_cast<std::int64_t>(of.steps_.size())) result.t1 += c.h;
        }
      }
      add_saved(n);
    }

    /// Cotangents of values saved after `n` steps.
    void add_saved(std::int64_t n) {
      while (next_saved > 0 && of.saved_after_[next_saved - 1] == n) {
        --next_saved;
        traits::combine(scratch.seed, a, std::array<double, 1>{1}, std::array<const Y*, 1>{&saved[next_saved]});
        std::swap(a, scratch.seed);
      }
    }
  };

  Field field_;
  checkpoint_store<Y> store_;
  Y last_;
  bool times_;
  bool spent_ = false;
  std::vector<step_record> steps_{};
  std::vector<std::int64_t> saved_after_{};

 public:
  bool proportional_ = false;  ///< the grid moves with t0 and t1
};

}  // namespace detail

/// Turns cotangents of the end and of the saved values into gradients; see solve_with_gradient.
template <class Field, class Y, class Solver>
class solve_pullback {
 public:
  explicit solve_pullback(std::shared_ptr<detail::discrete_adjoint<Field, Y, Solver>> adjoint)
      : adjoint_(std::move(adjoint)) {}
  /// May be called again.
  auto operator()(const Y& a, const std::vector<Y>& saved = {}) const { return (*adjoint_)(a, saved, false); }
  /// The last call: stored states are given back on the way.
  auto consume(const Y& a, const std::vector<Y>& saved = {}) const { return (*adjoint_)(a, saved, true); }

 private:
  std::shared_ptr<detail::discrete_adjoint<Field, Y, Solver>> adjoint_;
};

/// Solves, and keeps what the gradient needs. Returns the solution and its pullback:
///
///     auto [s, pullback] = ode::solve_with_gradient(field, y0, {0, 1}, ode::rk4{}, ode::fixed_steps{64},
///                                                   ode::checkpointed{.slots = 8});
///     auto g = pullback(a);              // gradients of <a, s.y1>: g.y0, g.parameters, g.t0, g.t1, g.stats
///
/// Step sizes of an adaptive solve are taken as given (their own derivative is not part of the gradient). Steps end on
/// options.save_at, and pullback(a, {a_0, a_1, ...}) takes cotangents for those values. Every policy gives the same
/// gradient, bitwise. Events and interpolated values have no gradient here. For explicit Runge-Kutta methods.
template <class Field, class Y, class Solver, class Control>
  requires(fixed_control<Control> || adaptive_control<Control>)
auto solve_with_gradient(const Field& field, const Y& y0, interval span, const Solver& solver, const Control& control,
                         const checkpointed& policy = {}, options<Y> option = {}) {
  static_assert(
      differentiable_field<Field, Y>,
      "fathom: this field has no derivative; give it gradient_type, zero_gradient() and vjp(t, y, a, gradient), "
      "or wrap it with ode::differentiable(field)");
  static_assert(
      requires { typename Solver::tableau_type; } && (Solver::fsal || !Solver::hands_over),
      "fathom: solve_with_gradient is for explicit Runge-Kutta methods; record other methods on autodiff");
  if (!option.events.empty()) throw error("ode: solve_with_gradient does not take events");
  const auto save = option.save_at;
  option.save_at.clear();
  if constexpr (adaptive_control<Control>) {
    option.step_times.insert(option.step_times.end(), save.begin(), save.end());
    option.overshoot = false;
  }
  option.record_steps = true;

  const auto size = static_cast<std::int64_t>(std::max<std::size_t>(state_traits<Y>::bytes(y0), 1));
  const std::int64_t slots =
      policy.slots > 0 ? policy.slots : std::max<std::int64_t>(1, static_cast<std::int64_t>(policy.bytes) / size);
  std::int64_t known = 0;
  if constexpr (std::same_as<Control, fixed_steps>) known = control.n;
  if constexpr (std::same_as<Control, fixed_grid>) known = static_cast<std::int64_t>(control.times.size()) - 1;
  auto adjoint = std::make_shared<detail::discrete_adjoint<Field, Y, Solver>>(field, y0, slots, known, policy.times);
  adjoint->proportional_ = std::same_as<Control, fixed_steps>;

  std::vector<double> times;
  std::vector<Y> values;
  std::vector<std::int64_t> saved_after;
  std::int64_t step = 0;
  const auto keep = [&](double t, const Y& y) {
    while (times.size() < save.size() && save[times.size()] == t) {
      times.push_back(t);
      values.push_back(state_traits<Y>::clone(y));
      saved_after.push_back(step);
    }
  };
  keep(span.t0, y0);
  const auto watch = option.observer;
  option.observer = [&](const step_view<Y>& view) {
    adjoint->offer(step++, view.y0);
    keep(view.t1, view.y1);
    return watch ? watch(view) : true;
  };
  auto result = solve(field, y0, span, solver, control, option);
  if (times.size() < save.size() && result.status == status::success)
    throw error(fathom::detail::concat(Solver::name, ": save_at ", save[times.size()],
                                       " is no end of a step; with gradients the grid must contain it"));
  result.times = std::move(times);
  result.values = std::move(values);
  adjoint->finish(result.steps, std::move(saved_after));
  return std::pair(std::move(result), solve_pullback<Field, Y, Solver>(std::move(adjoint)));
}

}  // namespace fathom::ode
