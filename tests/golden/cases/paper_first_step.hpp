// SPDX-License-Identifier: Apache-2.0
// A peculiarity of torchdiffeq's backpropagation: all step sizes of an adaptive solve are constants, except the first,
// whose choice is differentiated too. It moves every later grid point along. Here the term is added to a gradient that
// holds all step sizes.
#pragma once

#include <cmath>
#include <tuple>
#include <vector>

#include <fathom/autodiff/gradient.hpp>
#include <fathom/evoformer/state.hpp>
#include <fathom/ode/ode.hpp>
#include <fathom/op/reduction.hpp>

namespace fathom::golden {

namespace first_step_detail {

template <class X>
X absolute(const X& x) {
  return relu(x) + relu(-x);
}
/// The larger of the two root mean squares.
template <class A>
tensor<A, 0> norm(const tensor<A, 3>& m, const tensor<A, 3>& z) {
  const auto of_m = sqrt(mean_square(m)), of_z = sqrt(mean_square(z));
  return item(of_z) > item(of_m) ? of_z : of_m;
}

/// Hairer, Norsett and Wanner's rule for a method of order 5 from t = 0.
template <class Field, class A>
tensor<A, 0> first_step(const Field& field, const msa_pair<A>& y, double rtol, double atol) {
  const auto rate = [&](double t, const msa_pair<A>& at) {
    return field(full<0>(at.m.backend(), {}, static_cast<scalar_of<A>>(t)), at);
  };
  const msa_pair<A> scale{affine(absolute(y.m), rtol, atol), affine(absolute(y.z), rtol, atol)};
  const auto f0 = rate(0, y);
  const auto d0 = norm<A>(y.m / scale.m, y.z / scale.z), d1 = norm<A>(f0.m / scale.m, f0.z / scale.z);
  const auto h0 = d0 / d1 * 0.01;
  const auto f1 = rate(static_cast<double>(item(h0)), {y.m + f0.m * h0, y.z + f0.z * h0});
  const auto d2 = norm<A>((f1.m - f0.m) / scale.m, (f1.z - f0.z) / scale.z) / h0;
  const auto h1 = exp(log((item(d2) > item(d1) ? d2 : d1) * 100.0) * -0.2);
  return item(h0) * 100 < item(h1) ? h0 * 100.0 : h1;
}

}  // namespace first_step_detail

/// Gradients of (field, m, z) through the choice of the first step h alone: d<ct, y(1)>/dh by differences of fourth order
/// along the solve's own grid, times dh/d(field, m, z). The peer's field cuts the gradient at its argument t, so the times
/// of the stages stay where they were.
template <class Peer, class Field, class B>
std::tuple<Field, tensor<B, 3>, tensor<B, 3>> first_step_gradient(const Field& field, const msa_pair<B>& y0,
                                                                   const msa_pair<B>& ct, const ode::i& control) {
  ode::options<msa_pair<B>> options;
  options.record_steps = true;
  const auto solved = Peer::solve(field, y0, {0, 1}, typename Peer::dopri5{}, control, options);
  const auto& steps = solved.steps;
  const auto moved = [&](double shift) {
    std::vector<double> grid{0};
    for (const auto& step : steps) grid.push_back(step.t1 + shift);
    ode::options<msa_pair<B>> at_one;
    at_one.save_at = {1};
    const double h = steps.front().dt;
    const auto still = [&](const ode_time<B>& t, const msa_pair<B>& y) {
      const auto now = static_cast<double>(item(t));
      return field(full<0>(t.backend(), {}, static_cast<scalar_of<B>>(now < h + shift ? now * (h / (h + shift)) : now - shift)), y);
    };
    const auto y = ode::solve(still, y0, {0, grid.back()}, typename Peer::dopri5{}, ode::fixed_grid{grid}, at_one).values[0];
    return static_cast<double>(item(sum(y.m * ct.m))) + static_cast<double>(item(sum(y.z * ct.z)));
  };
  const auto choice = [&](const auto& f, const auto& m, const auto& z) {
    using A = typename std::remove_cvref_t<decltype(m)>::backend_type;
    return std::tuple(first_step_detail::first_step(f, msa_pair<A>{m, z}, control.rtol, control.atol));
  };
  const auto& b = y0.m.backend();
  auto [h, pullback] = vjp(b, choice, field, y0.m, y0.z);
  const double chosen = static_cast<double>(item(std::get<0>(h)));
  // Where the first trial was rejected, the step that came of it is a constant like the others.
  if (steps.front().dt < 0.95 * chosen) return pullback(std::tuple(full<0>(b, {}, scalar_of<B>(0))));
  if (std::abs(chosen - steps.front().dt) > 1e-9 * chosen)
    throw error(detail::concat("first_step_gradient: the rule gives ", chosen, ", the solve took ", steps.front().dt));
  const double e = 1e-4 * steps.front().dt;
  const double slope = (8 * (moved(e) - moved(-e)) - (moved(2 * e) - moved(-2 * e))) / (12 * e);
  return pullback(std::tuple(full<0>(b, {}, static_cast<scalar_of<B>>(slope))));
}

}  // namespace fathom::golden
