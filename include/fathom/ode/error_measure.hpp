// SPDX-License-Identifier: Apache-2.0
// The error norm of a solve: the state's own, with masks, extra terms or a norm of the user's.
#pragma once

#include <array>
#include <limits>
#include <optional>
#include <string>

#include <fathom/core/config.hpp>
#include <fathom/ode/options.hpp>
#include <fathom/ode/state.hpp>

namespace fathom::ode::detail {

template <class Y>
class error_measure {
 public:
  error_measure(const norm_options<Y>& norm, const tolerances& tol)
      : norm_(norm),
        tol_(tol),
        weights_(norm.weights ? &*norm.weights : nullptr),
        plain_(norm.extra.empty() && !norm.custom) {}

  template <std::size_t M>
  FATHOM_ODE_INLINE leaf_error operator()(const Y& y0, const Y& y1, const std::array<double, M>& c,
                                          const std::array<const Y*, M>& k) const {
    if (plain_) return state_traits<Y>::error_norm(y0, y1, c, k, tol_, weights_);
    return with_extras(y0, y1, c, k);
  }

  std::string leaf_name(const Y& y, int leaf) const {
    const auto names = state_traits<Y>::leaves(y);
    const auto at = static_cast<std::size_t>(leaf);
    if (at < names.size()) return names[at];
    const std::size_t extra = at - names.size();
    return extra < norm_.extra.size() ? norm_.extra[extra].name : "";
  }
  const tolerances& tol() const { return tol_; }
  /// Neither extra terms nor a norm of the user's.
  bool plain() const { return plain_; }

 private:
  template <std::size_t M>
  leaf_error with_extras(const Y& y0, const Y& y1, const std::array<double, M>& c,
                         const std::array<const Y*, M>& k) const {
    Y error = state_traits<Y>::clone(y0);
    state_traits<Y>::scaled_sum(error, c, k);
    if (norm_.custom) return norm_.custom(error, y0, y1, tol_);
    leaf_error worst = state_traits<Y>::error_norm(y0, y1, c, k, tol_, weights_);
    const int leaves = static_cast<int>(state_traits<Y>::leaves(y0).size());
    for (std::size_t extra = 0; extra < norm_.extra.size(); ++extra) {
      const double value = norm_.extra[extra].value(error, y0, y1);
      // Written so that a value that is not a number wins.
      if (!(value * value <= worst.square)) worst = {value * value, leaves + static_cast<int>(extra)};
    }
    return worst;
  }

  const norm_options<Y>& norm_;
  tolerances tol_;
  const Y* weights_;
  bool plain_;
};

/// Hairer, Norsett, Wanner I, II.4: a first step from the sizes of y, f and the change of f over a small Euler step.
/// `order` is the order of the method whose error is controlled, exponent 1/order. Costs one evaluation.
/// Returns a magnitude; `direction` is +1 or -1.
template <class Eval, class Y>
double initial_step(Eval& f, double t0, double direction, const Y& y0, const Y& f0, int order,
                    const error_measure<Y>& norm) {
  using one = std::array<const Y*, 1>;
  const double d0 = norm(y0, y0, std::array<double, 1>{1}, one{&y0}).value();
  const double d1 = norm(y0, y0, std::array<double, 1>{1}, one{&f0}).value();
  const double h0 = d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1;
  Y trial = state_traits<Y>::clone(y0);
  Y slope = state_traits<Y>::clone(f0);
  state_traits<Y>::combine(trial, y0, std::array<double, 1>{direction * h0}, one{&f0});
  f(t0 + direction * h0, trial, slope);
  const double d2 = norm(y0, y0, std::array<double, 2>{1, -1}, std::array<const Y*, 2>{&slope, &f0}).value() / h0;
  const double largest = d1 > d2 ? d1 : d2;
  const double h1 = d1 <= 1e-15 && d2 <= 1e-15 ? std::max(1e-6, h0 * 1e-3) : std::pow(0.01 / largest, 1.0 / order);
  return std::min(100 * h0, h1);
}

}  // namespace fathom::ode::detail
