// SPDX-License-Identifier: Apache-2.0
// Many initial value problems at once, each with a step size, a status and an end of its own.
#pragma once

#include <any>
#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/ode/explicit_rk.hpp>
#include <fathom/ode/field.hpp>
#include <fathom/ode/integration_adaptive.hpp>
#include <fathom/ode/options.hpp>
#include <fathom/ode/solution.hpp>
#include <fathom/ode/solve.hpp>

namespace fathom::ode {

/// One solution per sample, in their order.
template <class Y>
struct batch_solution {
  std::vector<solution<Y>> samples{};

  /// Numbers of the samples that did not get to their end.
  std::vector<std::size_t> failed() const {
    std::vector<std::size_t> numbers;
    for (std::size_t n = 0; n < samples.size(); ++n)
      if (!ode::succeeded(samples[n].status)) numbers.push_back(n);
    return numbers;
  }
  /// Evaluations, steps and seconds of all samples together; step sizes are theirs alone.
  statistics total() const {
    statistics sum;
    for (const auto& one : samples) {
      sum.evaluations += one.stats.evaluations;
      sum.accepted += one.stats.accepted;
      sum.rejected += one.stats.rejected;
      sum.newton_iterations += one.stats.newton_iterations;
      sum.seconds += one.stats.seconds;
    }
    return sum;
  }
};

/// Thrown for the first sample that failed, when all have been solved: `all` holds every result, that of the failed
/// samples being their last good state.
template <class Y>
struct batch_error : solver_error {
  std::size_t sample;
  std::shared_ptr<const batch_solution<Y>> all;

  batch_error(std::size_t number, std::shared_ptr<const batch_solution<Y>> solved)
      : solver_error(fathom::detail::concat("sample ", number, " of ", solved->samples.size(), ": ",
                                            solved->samples[number].message),
                     solved->samples[number].status, solved->samples[number].t1, solved->samples[number].failed_step,
                     solved->samples[number].leaf, std::any(solved->samples[number].y1)),
        sample(number),
        all(std::move(solved)) {}
};

/// Where a joint field is to be evaluated for one sample.
template <class Y>
struct batch_point {
  std::size_t sample;
  typename state_traits<Y>::time_type t;
  const Y* y;
};

/// field(sample, t, y) -> Y: the same equation with other constants (masks) for every sample. Its first argument must
/// be named std::size_t.
template <class F, class Y>
concept numbered_field = requires(const F& f, std::size_t sample, const typename state_traits<Y>::time_type& t,
                                  const Y& y) {
  { f(sample, t, y) } -> std::convertible_to<Y>;
};
/// field(points) -> slopes: all samples that are still on their way in one call, each at its own time.
template <class F, class Y>
concept joint_field = requires(const F& f, const std::vector<batch_point<Y>>& points) {
  { f(points) } -> std::convertible_to<std::vector<Y>>;
};

namespace detail {

/// A batch's field as one sample sees it.
template <class Field, class Y>
struct sample_field {
  const Field* field;
  std::size_t sample;

  Y operator()(const typename state_traits<Y>::time_type& t, const Y& y) const {
    if constexpr (joint_field<Field, Y>) {
      std::vector<Y> slopes = (*field)(std::vector<batch_point<Y>>{{sample, t, &y}});
      return std::move(slopes.at(0));
    } else {
      return (*field)(sample, t, y);
    }
  }
};

/// Trial steps of all samples stage by stage, so that a stage costs one call of the field.
template <class Field, class Y, class Solver, class Control>
class joint_solve {
 public:
  joint_solve(const Field& field, const std::vector<Y>& y0, const std::vector<interval>& spans, const Solver& solver,
              const Control& control, const std::vector<options<Y>>& option)
      : field_(field) {
    for (std::size_t n = 0; n < y0.size(); ++n)
      samples_.push_back(std::make_unique<sample>(field, n, y0[n], spans[n], solver, control, option[n]));
  }

  batch_solution<Y> operator()() {
    for (auto& one : samples_) one->loop.begin();
    for (;;) {
      running_.clear();
      for (auto& one : samples_)
        if (one->loop.propose(false)) running_.push_back(one.get());
      if (running_.empty()) break;
      take_step();
      for (sample* one : running_) one->loop.judge(one->loop.measure());
    }
    batch_solution<Y> all;
    for (auto& one : samples_) all.samples.push_back(std::move(*one->loop.result));
    return all;
  }

 private:
  using sample_field_type = sample_field<Field, Y>;
  using integration_type = integration<sample_field_type, Y, Solver>;

  struct sample {
    options<Y> option;
    sample_field_type field;
    integration_type run;
    typename integration_type::template adaptive_loop<Control> loop;

    sample(const Field& f, std::size_t number, const Y& y0, interval span, const Solver& solver, const Control& control,
           const options<Y>& o)
        : option(o), field{&f, number}, run(field, y0, span, solver, option), loop(run, control) {}
  };

  void take_step() {
    std::vector<sample*> without_slope;
    for (sample* one : running_) {
      auto& work = one->run.at().work;
      work.end_ready = false;
      if (!work.first_ready) without_slope.push_back(one);
      work.first_ready = true;
    }
    evaluate(
        without_slope, [](sample& one) { return one.run.at().t; }, [](sample& one) { return &one.run.at().y; },
        [](sample& one) { return &one.run.at().work.k[0]; });
    using tableau = typename Solver::tableau_type;
    static_for<1, Solver::stages>([&](auto index) {
      constexpr std::size_t row = decltype(index)::value;
      constexpr bool at_end = Solver::fsal && row == Solver::stages - 1;
      for (sample* one : running_) {
        auto& at = one->run.at();
        Solver::template add_row<row>(at_end ? at.next : at.work.stage, at.y, one->loop.length(), at.work.k);
      }
      evaluate(
          running_,
          [](sample& one) {
            const double end = one.loop.stage_end();
            return tableau::c[row] == 1.0 ? end : one.run.at().t + tableau::c[row] * one.loop.length();
          },
          [](sample& one) { return at_end ? &one.run.at().next : &one.run.at().work.stage; },
          [](sample& one) { return &one.run.at().work.k[row]; });
    });
    if constexpr (!Solver::fsal)
      for (sample* one : running_) {
        auto& at = one->run.at();
        Solver::add_weights(at.next, at.y, one->loop.length(), at.work.k);
      }
  }

  template <class Time, class At, class Out>
  void evaluate(const std::vector<sample*>& which, const Time& time, const At& at, const Out& out) {
    if (which.empty()) return;
    std::vector<batch_point<Y>> points;
    points.reserve(which.size());
    for (sample* one : which) {
      const Y* y = at(*one);
      points.push_back({one->field.sample, state_traits<Y>::time(time(*one), *y), y});
    }
    std::vector<Y> slopes = field_(points);
    if (slopes.size() != which.size())
      throw shape_error(fathom::detail::concat("ode::solve_batch: the field was asked for ", which.size(),
                                               " slopes and returned ", slopes.size(),
                                               "; it must return one per point"));
    for (std::size_t n = 0; n < which.size(); ++n) {
      *out(*which[n]) = std::move(slopes[n]);
      ++which[n]->run.at().f.count;
    }
  }

  const Field& field_;
  std::vector<std::unique_ptr<sample>> samples_{};
  std::vector<sample*> running_{};
};

template <class T>
std::vector<T> one_for_each(std::vector<T> list, std::size_t samples, const char* what) {
  if (list.size() == 1 && samples != 1) list.assign(samples, list.front());
  if (list.size() != samples)
    throw error(fathom::detail::concat("ode::solve_batch: ", samples, " states and ", list.size(), ' ', what,
                                       "; give one for all or one for each"));
  return list;
}

}  // namespace detail

/// Solves y_n' = field(t, y_n), y_n(t0_n) = y0[n] for every sample n. Each has a step control, a status and statistics
/// of its own and stops when it is done: what the others do never matters, to the last bit, nor do failures among them.
///
///     auto all = ode::solve_batch(field, states, {0, 1}, ode::dopri5{}, ode::pid{.rtol = 1e-6});
///     all.samples[3].y1, all.samples[3].stats, all.failed()
///
/// The field is field(t, y), the same for all; field(sample, t, y); or, for a device that wants large pieces of work,
/// field(points) with all samples that are still on their way (joint_field, and stacked() in
/// fathom/ode/batch_axis.hpp), for explicit Runge-Kutta methods and adaptive control. `spans` and `options` may differ
/// between samples, too. A failure is thrown as batch_error when all samples are done, or returned if options say so.
template <class Field, class Y, class Solver, class Control>
batch_solution<Y> solve_batch(const Field& field, const std::vector<Y>& y0, const std::vector<interval>& spans,
                              const Solver& solver, const Control& control,
                              const std::vector<options<Y>>& option = std::vector<options<Y>>(1)) {
  const auto span = detail::one_for_each(spans, y0.size(), "intervals");
  auto each = detail::one_for_each(option, y0.size(), "options");
  bool raise = false;
  for (auto& one : each) {
    raise = raise || one.on_failure == on_failure::raise;
    one.on_failure = on_failure::return_status;
  }
  auto all = std::make_shared<batch_solution<Y>>();
  if constexpr (joint_field<Field, Y>) {
    static_assert(
        adaptive_control<Control> && Solver::error_order > 0 && requires { typename Solver::tableau_type; },
        "fathom: a joint field is for explicit Runge-Kutta pairs with adaptive control; with fixed steps all "
        "samples go alike: solve them as one state");
    *all = detail::joint_solve<Field, Y, Solver, Control>(field, y0, span, solver, control, each)();
  } else {
    for (std::size_t n = 0; n < y0.size(); ++n) {
      if constexpr (vector_field<Field, Y>)
        all->samples.push_back(solve(field, y0[n], span[n], solver, control, each[n]));
      else
        all->samples.push_back(
            solve(detail::sample_field<Field, Y>{&field, n}, y0[n], span[n], solver, control, each[n]));
    }
  }
  if (const auto failed = all->failed(); raise && !failed.empty()) throw batch_error<Y>(failed.front(), all);
  return std::move(*all);
}

/// The same interval, and the same options, for all samples.
template <class Field, class Y, class Solver, class Control>
batch_solution<Y> solve_batch(const Field& field, const std::vector<Y>& y0, interval span, const Solver& solver,
                              const Control& control, const options<Y>& option = {}) {
  return solve_batch(field, y0, std::vector<interval>{span}, solver, control, std::vector<options<Y>>{option});
}

}  // namespace fathom::ode
