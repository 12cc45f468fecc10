// SPDX-License-Identifier: Apache-2.0
// Adam and AdamW over any tree of parameters (Kingma and Ba 2015; Loshchilov and Hutter 2019).
#pragma once

#include <cmath>

#include <fathom/train/flat.hpp>

namespace fathom {

namespace functor {
/// decay m + (1 - decay) g
struct running_mean {
  double decay;
  template <class T>
  FATHOM_HD T operator()(T m, T g) const {
    return T(decay) * m + T(1 - decay) * g;
  }
};
/// decay v + (1 - decay) g^2
struct running_square {
  double decay;
  template <class T>
  FATHOM_HD T operator()(T v, T g) const {
    return T(decay) * v + T(1 - decay) * g * g;
  }
};
/// shrink p - rate (m / c1) / (sqrt(v / c2) + eps); rate, c1 and c2 belong to one step.
struct adam_update {
  double shrink, rate, correction1, correction2, eps;
  template <class T>
  FATHOM_HD T operator()(T p, T m, T v) const {
    return T(shrink) * p - T(rate / correction1) * m / (std::sqrt(v / T(correction2)) + T(eps));
  }
};
}  // namespace functor

namespace train {

/// eps as OpenFold; AF2 is said to use 1e-6. weight_decay is AdamW's: p shrinks by rate * weight_decay beside the step.
struct adam_options {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-5, weight_decay = 0;
};

/// State of the optimiser: moments of all parameters as vectors, and steps done. It is a tree, so it saves and loads
/// like a model. Every step is three passes over all parameters, however many tensors they are.
template <plain_backend B>
struct adam {
  using backend_type = B;
  tensor<B, 1> m, v;
  index_t step = 0;
  adam_options options;

  adam() = default;
  explicit adam(const adam_options& how) : options(how) {}

  void visit(auto&& visitor) {
    visitor("m", m);
    visitor("v", v);
    visitor("step", step);
  }
  template <class B2>
  using rebind = adam<B2>;

  /// parameters - the update by `gradient`, a tree of the same kind, at learning rate `rate`. The old tree keeps its
  /// values.
  template <class X>
  X update(const X& parameters, const X& gradient, double rate) {
    const auto g = flatten(gradient);
    const auto& b = g.backend();
    const auto p = flatten(parameters);
    ::fathom::detail::expect_extents<1>("adam", "the gradient", g, p.shape());
    if (m.empty()) {
      m = zeros_like(g);
      v = zeros_like(g);
    }
    ::fathom::detail::expect_extents<1>("adam", "the saved moments", m, p.shape());
    ++step;
    // Storage that somebody else reads (a checkpoint being written) stays as it is.
    if (!m.is_unique()) m = clone(m);
    if (!v.is_unique()) v = clone(v);
    using view = strided_view<const scalar_of<B>>;
    b.map(functor::running_mean{options.beta1}, m.mutable_view(), view(m.view()), g.view());
    b.map(functor::running_square{options.beta2}, v.mutable_view(), view(v.view()), g.view());
    const double n = static_cast<double>(step);
    tensor<B, 1> next(b, p.shape());
    b.map(functor::adam_update{1 - rate * options.weight_decay, rate, 1 - std::pow(options.beta1, n),
                               1 - std::pow(options.beta2, n), options.eps},
          next.mutable_view(), p.view(), m.view(), v.view());
    return unflatten(parameters, next);
  }
};

}  // namespace train
}  // namespace fathom
