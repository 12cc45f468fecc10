// SPDX-License-Identifier: Apache-2.0
// A solve's linear combinations and field evaluations, recorded: the state that a method works on carries a place on
// the tape, whatever the method.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/ode/adjoint_policy.hpp>
#include <fathom/ode/linearize.hpp>
#include <fathom/ode/state.hpp>

namespace fathom::ode::detail {

/// What happened, in order. Place 0 is the initial state.
template <class Y, class Gradient>
class tape {
 public:
  using pullback = std::function<field_cotangent<Y>(const Y&, Gradient&, bool)>;
  struct term {
    std::int64_t place;
    double factor;
  };

  explicit tape(bool times) : times_(times) { nodes_.emplace_back(); }

  /// What follows belongs to a trial step from t over h, `accepted` steps being done.
  void begin(double t, double h) { t_ = t, h_ = h; }
  void accepted() { ++step_; }

  std::int64_t linear(std::vector<term> terms, bool slope, const Y& value) {
    node n;
    n.terms = std::move(terms);
    n.inverse_h = h_ != 0 ? 1 / h_ : 0;
    return push(std::move(n), slope, value);
  }
  std::int64_t evaluation(std::int64_t at, double t, pullback held, const Y& value) {
    node n;
    n.terms = {{at, 1}};
    n.held = std::move(held);
    n.fraction = h_ != 0 ? (t - t_) / h_ : 0;
    return push(std::move(n), true, value);
  }
  /// A slope that was made before: its cotangent is left in take_inputs().
  std::int64_t input(const Y& value) {
    const auto place = push(node{}, true, value);
    inputs_.push_back(place);
    return place;
  }
  /// Cotangents of the inputs, in their order, after backward(); none where nothing arrived.
  std::vector<std::optional<Y>> take_inputs() { return std::move(of_inputs_); }
  bool is_slope(std::int64_t place) const { return place >= 0 && nodes_[static_cast<std::size_t>(place)].slope; }

  /// Cotangents of places to that of the initial state, to the parameters' gradient and to the times of the steps. With
  /// `consume`, residuals are given back on the way.
  Y backward(std::vector<std::pair<std::int64_t, const Y*>> seeds, const Y& like, Gradient& gradient,
             std::vector<step_cotangent>& steps, bool consume, statistics& stats) {
    std::vector<std::optional<Y>> cotangents(nodes_.size());
    for (const auto& [place, a] : seeds)
      if (place >= 0) add(cotangents[static_cast<std::size_t>(place)], 1, *a);
    std::size_t next_input = inputs_.size();
    of_inputs_.assign(inputs_.size(), std::nullopt);
    for (std::size_t n = nodes_.size(); n-- > 1;) {
      node& at = nodes_[n];
      if (next_input > 0 && inputs_[next_input - 1] == static_cast<std::int64_t>(n)) {
        of_inputs_[--next_input] = std::move(cotangents[n]);
        continue;
      }
      if (cotangents[n]) {
        const Y a = std::move(*cotangents[n]);
        cotangents[n].reset();
        if (at.held) {
          auto c = at.held(a, gradient, consume);
          ++stats.vjp_evaluations;
          if (at.terms[0].place >= 0) add(cotangents[static_cast<std::size_t>(at.terms[0].place)], 1, c.y);
          const step_cotangent moved{c.t, at.fraction * c.t};
          book(steps, at.step, moved);
        } else {
          for (const term& one : at.terms) {
            if (one.place < 0) continue;
            add(cotangents[static_cast<std::size_t>(one.place)], one.factor, a);
            const node& from = nodes_[static_cast<std::size_t>(one.place)];
            if (!times_ || !from.slope || at.slope) continue;
            const step_cotangent moved{0, one.factor * at.inverse_h * state_traits<Y>::dot(a, *from.value)};
            book(steps, at.step, moved);
          }
        }
      }
      if (consume) at = node{};
    }
    if (cotangents[0]) return std::move(*cotangents[0]);
    Y zero = state_traits<Y>::clone(like);
    state_traits<Y>::scaled_sum(zero, std::array<double, 1>{0}, std::array<const Y*, 1>{&like});
    return zero;
  }

 private:
  struct node {
    std::vector<term> terms{};
    pullback held{};
    std::size_t step = 0;
    double fraction = 0;   // of the step, where the field was evaluated
    double inverse_h = 0;  // factors of slopes are proportional to h
    bool slope = false;
    std::optional<Y> value{};  // of a slope, for the derivative with respect to h
  };

  std::int64_t push(node n, bool slope, const Y& value) {
    n.step = step_;
    n.slope = slope;
    if (times_ && slope) n.value = value;
    nodes_.push_back(std::move(n));
    return static_cast<std::int64_t>(nodes_.size()) - 1;
  }
  static void add(std::optional<Y>& to, double factor, const Y& a) {
    Y sum = a;
    if (to)
      state_traits<Y>::combine(sum, *to, std::array<double, 1>{factor}, std::array<const Y*, 1>{&a});
    else if (factor != 1)
      state_traits<Y>::scaled_sum(sum, std::array<double, 1>{factor}, std::array<const Y*, 1>{&a});
    to = std::move(sum);
  }
  static void book(std::vector<step_cotangent>& steps, std::size_t step, step_cotangent c) {
    if (step >= steps.size()) return;
    steps[step].t += c.t;
    steps[step].h += c.h;
  }

  bool times_;
  std::vector<node> nodes_{};
  std::vector<std::int64_t> inputs_{};
  std::vector<std::optional<Y>> of_inputs_{};
  std::size_t step_ = 0;
  double t_ = 0, h_ = 0;
};

/// A state with its place; -1: no gradient flows into it.
template <class Y, class Gradient>
struct taped {
  Y value;
  std::int64_t place = -1;
  tape<Y, Gradient>* on = nullptr;
};

/// The field on recorded states.
template <class Field, class Y>
struct taped_field {
  using gradient_type = typename Field::gradient_type;
  using state = taped<Y, gradient_type>;
  const Field* field;
  tape<Y, gradient_type>* on;

  void operator()(double t, const state& y, state& out) const requires differentiable_field<Field, Y> {
    evaluator<Field, Y> f{field};
    note(t, y, out, linearize(f, t, y.value, out.value));
  }
  std::size_t parts() const requires recording_split_field<Field, Y> { return field->parts(); }
  state part(std::size_t n, double t, const state& y) const requires recording_split_field<Field, Y> {
    state out{y.value};
    note(t, y, out, field->linearize_part(n, state_traits<Y>::time(t, y.value), y.value, out.value));
    return out;
  }

 private:
  template <class Pullback>
  void note(double t, const state& y, state& out, Pullback held) const {
    const auto shared = std::make_shared<Pullback>(std::move(held));
    out.on = on;
    out.place = on->evaluation(
        y.place, t, [shared](const Y& a, gradient_type& gradient, bool last) { return (*shared)(a, gradient, last); },
        out.value);
  }
};

/// Tells the tape where every trial step begins.
template <class Solver, class Tape>
struct taped_solver : Solver {
  Tape* on;
  taped_solver(const Solver& solver, Tape* tape) : Solver(solver), on(tape) {}

  template <class Eval, class State, class Work>
  bool step(Eval& f, double t, double h, double t1, const State& y, State& y1, Work& w) const {
    on->begin(t, h);
    return this->Solver::step(f, t, h, t1, y, y1, w);
  }
};

}  // namespace fathom::ode::detail

namespace fathom::ode {

template <class Y, class Gradient>
struct state_traits<detail::taped<Y, Gradient>> {
 private:
  using S = detail::taped<Y, Gradient>;
  using inner = state_traits<Y>;
  template <std::size_t M>
  static std::array<const Y*, M> values(const std::array<const S*, M>& k) {
    std::array<const Y*, M> v;
    for (std::size_t m = 0; m < M; ++m) v[m] = &k[m]->value;
    return v;
  }
  template <std::size_t M>
  static void note(S& out, const S* y, const std::array<double, M>& c, const std::array<const S*, M>& k) {
    std::vector<typename detail::tape<Y, Gradient>::term> terms;
    auto* on = y != nullptr ? y->on : nullptr;
    bool slope = y == nullptr || (y->on != nullptr && y->on->is_slope(y->place));
    if (y != nullptr && y->place >= 0) terms.push_back({y->place, 1});
    for (std::size_t m = 0; m < M; ++m) {
      if (k[m]->on != nullptr) on = k[m]->on;
      if (k[m]->place >= 0) terms.push_back({k[m]->place, c[m]});
      if (y == nullptr) slope = slope && k[m]->on != nullptr && k[m]->on->is_slope(k[m]->place);
    }
    out.on = on;
    out.place = terms.empty() || on == nullptr ? -1 : on->linear(std::move(terms), slope, out.value);
  }

 public:
  using time_type = double;
  static double time(double t, const S&) { return t; }
  static double epsilon(const S& s) { return inner::epsilon(s.value); }
  template <std::size_t M>
  static void combine(S& out, const S& y, const std::array<double, M>& c, const std::array<const S*, M>& k) {
    inner::combine(out.value, y.value, c, values(k));
    note(out, &y, c, k);
  }
  template <std::size_t M>
  static void scaled_sum(S& out, const std::array<double, M>& c, const std::array<const S*, M>& k) {
    inner::scaled_sum(out.value, c, values(k));
    note<M>(out, nullptr, c, k);
  }
  template <std::size_t M>
  static leaf_error error_norm(const S& y0, const S& y1, const std::array<double, M>& c,
                               const std::array<const S*, M>& k, const tolerances& tol, const S* weights = nullptr) {
    return inner::error_norm(y0.value, y1.value, c, values(k), tol, weights == nullptr ? nullptr : &weights->value);
  }
  static bool finite(const S& s) { return inner::finite(s.value); }
  static double dot(const S& a, const S& b) { return inner::dot(a.value, b.value); }
  static S clone(const S& s) { return {inner::clone(s.value), s.place, s.on}; }
  static std::size_t bytes(const S& s) { return inner::bytes(s.value); }
  static std::vector<std::string> leaves(const S& s) { return inner::leaves(s.value); }
};

}  // namespace fathom::ode
