// SPDX-License-Identifier: Apache-2.0
// Exponential moving average of parameters: what validation and releases use (AF2 Suppl. 1.11.7).
#pragma once

#include <fathom/train/adam.hpp>

namespace fathom::train {

struct ema_options {
  double decay = 0.999;
};

/// mean <- decay mean + (1 - decay) parameters. Starts with the first parameters it sees. A tree, so it saves and loads
/// like a model.
template <plain_backend B>
struct exponential_moving_average {
  using backend_type = B;
  tensor<B, 1> mean;
  ema_options options;

  exponential_moving_average() = default;
  explicit exponential_moving_average(const ema_options& how) : options(how) {}
  void visit(auto&& v) { v("mean", mean); }
  template <class B2>
  using rebind = exponential_moving_average<B2>;

  template <class X>
  void update(const X& parameters) {
    const auto p = flatten(parameters);
    if (mean.empty()) {
      mean = p;
      return;
    }
    ::fathom::detail::expect_extents<1>("exponential_moving_average", "the saved mean", mean, p.shape());
    if (!mean.is_unique()) mean = clone(mean);
    mean.backend().map(functor::running_mean{options.decay}, mean.mutable_view(),
                       strided_view<const scalar_of<B>>(mean.view()), p.view());
  }

  /// The averaged parameters as a tree like `x`; later updates leave it alone.
  template <class X>
  X parameters(const X& x) const {
    if (mean.empty()) throw error("exponential_moving_average: update it with parameters first");
    return unflatten(x, mean);
  }
};

}  // namespace fathom::train
