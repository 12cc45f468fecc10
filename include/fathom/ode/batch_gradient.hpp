// SPDX-License-Identifier: Apache-2.0
// Gradients of a batch whose samples have step controls of their own: one adjoint for each, one sum for the parameters
// that they share.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/ode/adjoint.hpp>
#include <fathom/ode/autodiff_field.hpp>
#include <fathom/ode/batch.hpp>
#include <fathom/ode/tree_state.hpp>

namespace fathom::ode {

/// Gradients of sum_n (<a_n, y1_n> + ...), sample by sample but for the parameters.
template <class Y, class Gradient>
struct batch_gradient {
  std::vector<Y> y0{};
  Gradient parameters;             ///< the samples' added in their order
  std::vector<double> t0{}, t1{};  ///< with policy.times
  std::vector<statistics> stats{};
  std::vector<double> reconstruction_error{};  ///< backsolve and reversible
};

namespace detail {

/// The field of sample n with its derivative: field.sample(n) where there is one, else the field itself.
template <class Field>
decltype(auto) field_of_sample(const Field& field, std::size_t n) {
  if constexpr (requires { field.sample(n); })
    return field.sample(n);
  else
    return (field);
}
template <class Field>
using sample_field_of = std::remove_cvref_t<decltype(field_of_sample(std::declval<const Field&>(), 0))>;

/// to += from
template <class Gradient>
void add_gradient(Gradient& to, const Gradient& from) {
  if constexpr (tree::branch<Gradient>) {
    add_tree(to, from);
  } else if constexpr (ode_state<Gradient>) {
    Gradient sum = to;
    state_traits<Gradient>::combine(sum, to, std::array<double, 1>{1}, std::array<const Gradient*, 1>{&from});
    to = std::move(sum);
  } else {
    static_assert(
        requires { to += from; },
        "fathom: the samples' gradients of the parameters are added; give gradient_type an operator+=");
    to += from;
  }
}

}  // namespace detail

/// Turns cotangents of every sample's end (and of its saved values, and of the time of a terminal event) into
/// gradients.
template <class Pullback, class Y, class Gradient>
class batch_pullback {
 public:
  batch_pullback(std::vector<Pullback> samples, Gradient zero) : samples_(std::move(samples)), zero_(std::move(zero)) {}

  /// May be called again.
  batch_gradient<Y, Gradient> operator()(const std::vector<Y>& a, const std::vector<std::vector<Y>>& saved = {},
                                         const std::vector<double>& times = {}) const {
    return collect(a, saved, times, [](const auto& one, const auto&... of) { return one(of...); });
  }
  /// The last call: what a sample stored is given back as soon as it has served.
  batch_gradient<Y, Gradient> consume(const std::vector<Y>& a, const std::vector<std::vector<Y>>& saved = {},
                                      const std::vector<double>& times = {}) const {
    return collect(a, saved, times, [](const auto& one, const auto&... of) { return one.consume(of...); });
  }

 private:
  template <class Call>
  batch_gradient<Y, Gradient> collect(const std::vector<Y>& a, const std::vector<std::vector<Y>>& saved,
                                      const std::vector<double>& times, const Call& call) const {
    const auto check = [&](std::size_t count, const char* what, bool optional) {
      if (count != samples_.size() && !(optional && count == 0))
        throw shape_error(fathom::detail::concat("ode::solve_batch_with_gradient: the batch has ", samples_.size(),
                                                 " samples, got ", count, " cotangents of ", what));
    };
    check(a.size(), "their ends", false);
    check(saved.size(), "their saved values", true);
    check(times.size(), "their end times", true);
    batch_gradient<Y, Gradient> result{{}, zero_};
    const std::vector<Y> nothing;
    for (std::size_t n = 0; n < samples_.size(); ++n) {
      auto g = call(samples_[n], a[n], saved.empty() ? nothing : saved[n], times.empty() ? 0.0 : times[n]);
      if (n == 0)
        result.parameters = std::move(g.parameters);
      else
        detail::add_gradient(result.parameters, g.parameters);
      result.y0.push_back(std::move(g.y0));
      result.t0.push_back(g.t0);
      result.t1.push_back(g.t1);
      result.stats.push_back(g.stats);
      result.reconstruction_error.push_back(g.reconstruction_error);
    }
    return result;
  }

  std::vector<Pullback> samples_;
  Gradient zero_;
};

/// solve_batch with what the gradient needs. Returns all solutions and one pullback:
///
///     const auto field = ode::differentiable_batch(model, masks);              // masks[n] belong to sample n
///     auto [all, pullback] = ode::solve_batch_with_gradient(field, states, {0, 1}, ode::dopri5{}, ode::pid{});
///     auto g = pullback({a_0, a_1, ...});                                      // g.y0[n], g.parameters
///
/// The field is one with derivatives (see solve_with_gradient), the same for all samples, or has field.sample(n), which
/// returns that of sample n: differentiable_batch makes one of modules. Samples are solved and differentiated one after
/// the other, each with its own steps, exactly as by solve_with_gradient; of a budget in bytes each has its share. The
/// gradient of a sample that failed and was returned is that of its last good state.
template <class Field, class Y, class Solver, class Control, class Policy = checkpointed>
auto solve_batch_with_gradient(const Field& field, const std::vector<Y>& y0, const std::vector<interval>& spans,
                               const Solver& solver, const Control& control, Policy policy = {},
                               const std::vector<options<Y>>& option = std::vector<options<Y>>(1)) {
  using sample_field = detail::sample_field_of<Field>;
  using gradient_type = typename sample_field::gradient_type;
  using pullback_type = std::remove_cvref_t<decltype(solve_with_gradient(std::declval<const sample_field&>(), y0[0],
                                                                         spans[0], solver, control, policy)
                                                         .second)>;
  if (y0.empty()) throw error("ode::solve_batch_with_gradient: there are no samples");
  const auto span = detail::one_for_each(spans, y0.size(), "intervals");
  auto each = detail::one_for_each(option, y0.size(), "options");
  if constexpr (requires { policy.bytes; }) policy.bytes /= y0.size();
  auto all = std::make_shared<batch_solution<Y>>();
  std::vector<pullback_type> pullbacks;
  bool raise = false;
  for (std::size_t n = 0; n < y0.size(); ++n) {
    raise = raise || each[n].on_failure == on_failure::raise;
    each[n].on_failure = on_failure::return_status;
    decltype(auto) own = detail::field_of_sample(field, n);
    auto [solved, pullback] = solve_with_gradient(own, y0[n], span[n], solver, control, policy, each[n]);
    all->samples.push_back(std::move(solved));
    pullbacks.push_back(std::move(pullback));
  }
  if (const auto failed = all->failed(); raise && !failed.empty()) throw batch_error<Y>(failed.front(), all);
  return std::pair(std::move(*all),
                   batch_pullback<pullback_type, Y, gradient_type>(
                       std::move(pullbacks), gradient_type(detail::field_of_sample(field, 0).zero_gradient())));
}

/// The same interval, and the same options, for all samples.
template <class Field, class Y, class Solver, class Control, class Policy = checkpointed>
auto solve_batch_with_gradient(const Field& field, const std::vector<Y>& y0, interval span, const Solver& solver,
                               const Control& control, const Policy& policy = {}, const options<Y>& option = {}) {
  return solve_batch_with_gradient(field, y0, std::vector<interval>{span}, solver, control, policy,
                                   std::vector<options<Y>>{option});
}

/// A field of modules with a context (masks) of each sample's own, for solve_batch and solve_batch_with_gradient.
template <class Field, class... Context>
class autodiff_batch_field {
 public:
  explicit autodiff_batch_field(Field field, std::vector<Context>... context)
      : field_(std::move(field)), context_(std::move(context)...) {}

  template <class Y>
  Y operator()(std::size_t sample, const ode_time<tree::backend_of_t<Field>>& t, const Y& y) const {
    return std::apply([&](const auto&... c) { return field_(t, y, c.at(sample)...); }, context_);
  }
  /// The field of one sample, with its derivative.
  autodiff_field<Field, Context...> sample(std::size_t n) const {
    return std::apply([&](const auto&... c) { return autodiff_field<Field, Context...>(field_, c.at(n)...); },
                      context_);
  }

 private:
  Field field_;
  std::tuple<std::vector<Context>...> context_;
};

/// context[n] is passed on as field(t, y, context[n]...) for sample n.
template <class Field, class... Context>
autodiff_batch_field<Field, Context...> differentiable_batch(const Field& field,
                                                             const std::vector<Context>&... context) {
  return autodiff_batch_field<Field, Context...>(field, context...);
}

}  // namespace fathom::ode
