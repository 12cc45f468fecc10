// SPDX-License-Identifier: Apache-2.0
// Adam and AdamW over any tree of parameters (Kingma and Ba 2015; Loshchilov and Hutter 2019).
#pragma once

#include <cmath>
#include <vector>

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

/// What one step does to a parameter.
struct adam_functors {
  functor::running_mean mean;
  functor::running_square square;
  functor::adam_update update;
};

/// A backend whose launches cost more than small tensors' work does the step on all tensors at once: it specialises
/// this with `at_once` = true and
///
///     static void step(const B&, p, g, next, tensor<B, 1>& m, tensor<B, 1>& v, const adam_functors&);
///
/// p, g and next are lists (std::vector) of the old parameters, their gradients and the new parameters, each a
/// contiguous vector; m and v hold the moments of all of them.
template <class B>
struct adam_kernel {
  static constexpr bool at_once = false;
};

/// State of the optimiser: moments of all parameters as vectors, and steps done. It is a tree, so it saves and loads
/// like a model. Every step is three passes over all parameters, however many tensors they are, or one launch where the
/// backend has adam_kernel.
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
    const auto g = vectors(gradient), p = vectors(parameters);
    const extents<1> all{parameter_count(parameters)};
    if (g.size() != p.size())
      throw shape_error(::fathom::detail::concat("adam: the gradient has ", g.size(), " tensors, expected ", p.size()));
    for (std::size_t i = 0; i < g.size(); ++i)
      ::fathom::detail::expect_extents<1>("adam", "the gradient", g[i], p[i].shape());
    const B b = p.front().backend();
    if (m.empty()) {
      m = full<1>(b, all, scalar_of<B>(0));
      v = full<1>(b, all, scalar_of<B>(0));
    }
    ::fathom::detail::expect_extents<1>("adam", "the saved moments", m, all);
    ++step;
    // Storage that somebody else reads (a checkpoint being written) stays as it is.
    if (!m.is_unique()) m = clone(m);
    if (!v.is_unique()) v = clone(v);
    const double n = static_cast<double>(step);
    const adam_functors f{{options.beta1},
                          {options.beta2},
                          {1 - rate * options.weight_decay, rate, 1 - std::pow(options.beta1, n),
                           1 - std::pow(options.beta2, n), options.eps}};
    if constexpr (adam_kernel<B>::at_once) {
      // Every tensor begins where whole cache lines do: products and norms read it in the widest loads.
      constexpr index_t align = 64;
      X next = unflatten(parameters, tensor<B, 1>(b, {parameter_count(parameters, align)}), align);
      adam_kernel<B>::step(b, p, g, parameter_vectors(next), m, v, f);
      return next;
    } else {
      using view = strided_view<const scalar_of<B>>;
      tensor<B, 1> next(b, all);
      b.map(f.mean, m.mutable_view(), view(m.view()), g.front().view());
      b.map(f.square, v.mutable_view(), view(v.view()), g.front().view());
      b.map(f.update, next.mutable_view(), p.front().view(), m.view(), v.view());
      return unflatten(parameters, next);
    }
  }

 private:
  /// All values in one vector, or where all tensors are done at once, one for each.
  template <class X>
  static std::vector<tensor<B, 1>> vectors(const X& x) {
    if constexpr (adam_kernel<B>::at_once)
      return parameter_vectors(x);
    else
      return {flatten(x)};
  }
};

}  // namespace train
}  // namespace fathom
