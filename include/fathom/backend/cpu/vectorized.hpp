// SPDX-License-Identifier: Apache-2.0
// Elementwise functors with an exponential, rewritten over the branch-free exp so that their loops vectorise.
#pragma once

#include <fathom/backend/cpu/vector_math.hpp>
#include <fathom/op/functors.hpp>

namespace fathom::cpu_kernels {

struct fast_exp {
  template <class T>
  FATHOM_INLINE T operator()(T x) const {
    return vector_exp(x);
  }
};
struct fast_exp_difference {
  template <class T>
  FATHOM_INLINE T operator()(T x, T top) const {
    return vector_exp(x - top);
  }
};
struct fast_sigmoid {
  template <class T>
  FATHOM_INLINE T operator()(T x) const {
    return vector_sigmoid(x);
  }
};
struct fast_gate {
  template <class T>
  FATHOM_INLINE T operator()(T a, T b) const {
    return b * vector_sigmoid(a);
  }
};
struct fast_gate_first {
  template <class T>
  FATHOM_INLINE T operator()(T a, T b, T dy) const {
    const T s = vector_sigmoid(a);
    return dy * (b * s * (T(1) - s));
  }
};
struct fast_gate_second {
  template <class T>
  FATHOM_INLINE T operator()(T a, T, T dy) const {
    return dy * vector_sigmoid(a);
  }
};

/// The functor that a loop of the CPU backend runs in place of F: itself, unless listed here.
template <class F>
struct vectorized {
  static const F& of(const F& f) { return f; }
};
template <>
struct vectorized<functor::value_of<functor::exponential>> {
  static fast_exp of(const functor::value_of<functor::exponential>&) { return {}; }
};
template <>
struct vectorized<functor::value_of<functor::sigmoid>> {
  static fast_sigmoid of(const functor::value_of<functor::sigmoid>&) { return {}; }
};
template <>
struct vectorized<functor::value_of<functor::gate>> {
  static fast_gate of(const functor::value_of<functor::gate>&) { return {}; }
};
template <>
struct vectorized<functor::first_pullback<functor::gate>> {
  static fast_gate_first of(const functor::first_pullback<functor::gate>&) { return {}; }
};
template <>
struct vectorized<functor::second_pullback<functor::gate>> {
  static fast_gate_second of(const functor::second_pullback<functor::gate>&) { return {}; }
};

}  // namespace fathom::cpu_kernels
