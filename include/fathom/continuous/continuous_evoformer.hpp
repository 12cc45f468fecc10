// SPDX-License-Identifier: Apache-2.0
// The trunk with continuous depth: the Evoformer's field integrated over t in [0, depth], then the single
// representation.
#pragma once

#include <fathom/continuous/evoformer_field.hpp>
#include <fathom/ode/ode.hpp>

namespace fathom {

/// The length of the depth axis. The field at t is one block's update, so `depth` discrete blocks of one weight are
/// what Euler steps of length 1 would do.
struct continuous_evoformer_options {
  double depth = 1;
};

/// Stands where evoformer_stack stands in a discrete model.
template <backend B, evoformer_dims D>
struct continuous_evoformer {
  using backend_type = B;
  evoformer_field<B, D> field;
  fathom::linear<B, D::c_m, D::c_s> linear;
  continuous_evoformer_options options;

  continuous_evoformer() = default;
  explicit continuous_evoformer(const B& b) : field(b), linear(b) {}

  void visit(auto&& v) {
    v("field", field);
    v("linear", linear);
  }
  template <class B2>
  using rebind = continuous_evoformer<B2, D>;

  /// The length of the depth axis, and weights that vary along it: see evoformer_field::set_knots.
  void set_depth(double depth, index_t knots = 1, int degree = 0) {
    options.depth = depth;
    field.set_knots(knots, degree, depth);
  }

  /// m and z at t = depth. `integrate(field, y0, interval)` solves and returns the final state, so that solver, step
  /// control and observers stay the caller's:
  ///
  ///     trunk.integrate(y0, mask, [](const auto& f, const auto& y, ode::interval span) {
  ///       return ode::solve(f, y, span, ode::heun{}, ode::fixed_steps{4}).y1;
  ///     });
  template <class Integrate>
  msa_pair<B> integrate(const msa_pair<B>& y0, const masks<B>& mask, Integrate&& integrate) const {
    const auto with_masks = ode::with_context(field, mask);
    return integrate(with_masks, y0, ode::interval{0, options.depth});
  }
  /// s [i, c_s] = linear(m[0])
  tensor<B, 2> single(const msa_pair<B>& y) const { return linear(select(y.m, 0, 0)); }
};

}  // namespace fathom
