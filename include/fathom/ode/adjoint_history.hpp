// SPDX-License-Identifier: Apache-2.0
// One step's derivative on a tape, for methods that are no Runge-Kutta methods; and for Adams methods, whose steps
// depend on slopes of earlier ones: what a stored state must then hold, and how cotangents of slopes go from step to
// step.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/ode/adjoint_policy.hpp>
#include <fathom/ode/checkpoint_store.hpp>
#include <fathom/ode/field.hpp>
#include <fathom/ode/solution.hpp>
#include <fathom/ode/state.hpp>
#include <fathom/ode/tape.hpp>

namespace fathom::ode::detail {

/// Methods whose steps use slopes of earlier steps: the Adams methods.
template <class Solver>
concept method_with_history = requires {
  typename Solver::start_type;
  Solver::depth;
};

/// A state, and the slopes of the steps before it that a method still uses, the latest first.
template <class Y, std::size_t N>
struct history {
  Y y;
  std::array<Y, N> slopes{};
  std::size_t known = 0;
  double h = 0;  ///< the steps' length

  history() = default;
  history(const Y& state) : y(state) {}  // NOLINT: a start has no past
  /// What a step from `state` finds in its workspace. A slope there that an interpolation left is made again.
  template <class Work>
  history(const Y& state, const Work& w) : y(state), known(w.known), h(w.h) {
    for (std::size_t j = 0; j < known; ++j) slopes[j] = w.past(j);
  }
  template <class Work>
  void restore(Work& w) const {
    w.known = known;
    w.h = h;
    w.newest = 0;
    for (std::size_t j = 0; j < known; ++j) w.slopes[j] = slopes[j];
  }
};

template <class Y, std::size_t N>
class stored_state<history<Y, N>> {
 public:
  stored_state(const history<Y, N>& from, storage where) : y_(from.y, where), known_(from.known), h_(from.h) {
    for (std::size_t j = 0; j < known_; ++j) slopes_.emplace_back(from.slopes[j], where);
  }
  history<Y, N> load(const Y& like) const {
    history<Y, N> to(y_.load(like));
    for (std::size_t j = 0; j < known_; ++j) to.slopes[j] = slopes_[j].load(like);
    to.known = known_;
    to.h = h_;
    return to;
  }

 private:
  stored_state<Y> y_;
  std::vector<stored_state<Y>> slopes_{};
  std::size_t known_;
  double h_;
};

/// What is stored before a step.
template <class Solver, class Y>
struct carried {
  using type = Y;
};
template <method_with_history Solver, class Y>
struct carried<Solver, Y> {
  using type = history<Y, Solver::depth>;
};

/// A method that shows what every step begins with.
template <class Solver, class Adjoint>
struct showing_solver : Solver {
  Adjoint* to;
  showing_solver(const Solver& solver, Adjoint* adjoint) : Solver(solver), to(adjoint) {}

  template <class Eval, class Y, class Work>
  bool step(Eval& f, double t, double h, double t1, const Y& y, Y& y1, Work& w) const {
    to->offer(history<Y, Solver::depth>(y, w));
    return this->Solver::step(f, t, h, t1, y, y1, w);
  }
};

/// One step's derivative on a tape.
template <class Solver, class Field, class Y>
class taped_step_adjoint {
 public:
  using gradient_type = typename Field::gradient_type;
  using state = taped<Y, gradient_type>;

  taped_step_adjoint(const Solver& solver, bool times) : solver_(solver), times_(times) {}

  step_cotangent operator()(const Field& field, const step_record& step, const typename carried<Solver, Y>::type& from,
                            Y& a, gradient_type& gradient, statistics& stats) {
    tape<Y, gradient_type> on(times_);
    const taped_field<Field, Y> recorded{&field, &on};
    evaluator<taped_field<Field, Y>, state> f{&recorded};
    std::vector<std::pair<std::int64_t, const Y*>> seeds;
    std::vector<step_cotangent> times(1);
    const auto run = [&](const Y& y, const auto& prepare, const auto& after) {
      const state start{y, 0, &on};
      state to = start;
      auto work = solver_.make_workspace(start);
      prepare(work);
      taped_solver<Solver, tape<Y, gradient_type>>(solver_, &on)
          .step(f, step.t, step.dt, step.stage_end, start, to, work);
      seeds.emplace_back(to.place, &a);
      after(work);
      stats.recompute_evaluations += f.count;
      a = on.backward(seeds, a, gradient, times, true, stats);
    };
    if constexpr (method_with_history<Solver>) {
      run(
          from.y,
          [&](auto& w) {
            w.known = from.known;
            w.h = from.h;
            for (std::size_t j = 0; j < from.known; ++j) w.slopes[j] = {from.slopes[j], on.input(from.slopes[j]), &on};
          },
          [&](const auto& w) {
            for (std::size_t j = 0; j < w.known; ++j)
              if (of_slopes_[j]) seeds.emplace_back(w.past(j).place, &*of_slopes_[j]);
          });
      auto inputs = on.take_inputs();
      for (std::size_t j = 0; j < of_slopes_.size(); ++j) {
        of_slopes_[j].reset();
        if (j < inputs.size()) of_slopes_[j] = std::move(inputs[j]);
      }
    } else {
      run(
          from, [](auto&) {}, [](const auto&) {});
    }
    return times[0];
  }

 private:
  static constexpr std::size_t depth = [] {
    if constexpr (method_with_history<Solver>) return Solver::depth;
    return std::size_t(0);
  }();

  Solver solver_;
  bool times_;
  std::array<std::optional<Y>, depth> of_slopes_{};  ///< cotangents of the slopes that the step after this one found
};

}  // namespace fathom::ode::detail
