// SPDX-License-Identifier: Apache-2.0
// Elementwise functions with their derivatives, as plain structs that run on host and device.
// Unary: value(x) and derivative(x, y) = dy/dx; binary: value(a, b), first(a, b) = d/da, second(a, b) = d/db.
#pragma once

#include <cmath>

#include <fathom/core/config.hpp>

namespace fathom::functor {

// Called by their bare names, so that other number types (dual) bring their own.
using std::cos, std::exp, std::log, std::log1p, std::sin, std::sqrt, std::tanh;

struct negate {
  static constexpr const char* name = "negate";
  template <class T>
  FATHOM_HD T value(T x) const {
    return -x;
  }
  template <class T>
  FATHOM_HD T derivative(T, T) const {
    return T(-1);
  }
};
struct exponential {
  static constexpr const char* name = "exp";
  template <class T>
  FATHOM_HD T value(T x) const {
    return exp(x);
  }
  template <class T>
  FATHOM_HD T derivative(T, T y) const {
    return y;
  }
};
struct logarithm {
  static constexpr const char* name = "log";
  template <class T>
  FATHOM_HD T value(T x) const {
    return log(x);
  }
  template <class T>
  FATHOM_HD T derivative(T x, T) const {
    return T(1) / x;
  }
};
struct square_root {
  static constexpr const char* name = "sqrt";
  template <class T>
  FATHOM_HD T value(T x) const {
    return sqrt(x);
  }
  template <class T>
  FATHOM_HD T derivative(T, T y) const {
    return T(0.5) / y;
  }
};
struct square {
  static constexpr const char* name = "square";
  template <class T>
  FATHOM_HD T value(T x) const {
    return x * x;
  }
  template <class T>
  FATHOM_HD T derivative(T x, T) const {
    return T(2) * x;
  }
};
struct reciprocal {
  static constexpr const char* name = "reciprocal";
  template <class T>
  FATHOM_HD T value(T x) const {
    return T(1) / x;
  }
  template <class T>
  FATHOM_HD T derivative(T, T y) const {
    return -y * y;
  }
};
struct sigmoid {
  static constexpr const char* name = "sigmoid";
  template <class T>
  FATHOM_HD T value(T x) const {
    return T(1) / (T(1) + exp(-x));
  }
  template <class T>
  FATHOM_HD T derivative(T, T y) const {
    return y * (T(1) - y);
  }
};
struct relu {
  static constexpr const char* name = "relu";
  template <class T>
  FATHOM_HD T value(T x) const {
    return x > T(0) ? x : (x <= T(0) ? T(0) : x);  // a NaN stays one
  }
  template <class T>
  FATHOM_HD T derivative(T x, T) const {
    return x > T(0) ? T(1) : T(0);
  }
};
struct hyperbolic_tangent {
  static constexpr const char* name = "tanh";
  template <class T>
  FATHOM_HD T value(T x) const {
    return tanh(x);
  }
  template <class T>
  FATHOM_HD T derivative(T, T y) const {
    return T(1) - y * y;
  }
};
/// log(1 + exp(x)) without overflow.
struct softplus {
  static constexpr const char* name = "softplus";
  template <class T>
  FATHOM_HD T value(T x) const {
    return (x > T(0) ? x : T(0)) + log1p(exp(x > T(0) ? -x : x));
  }
  template <class T>
  FATHOM_HD T derivative(T x, T) const {
    return T(1) / (T(1) + exp(-x));
  }
};
struct sine {
  static constexpr const char* name = "sin";
  template <class T>
  FATHOM_HD T value(T x) const {
    return sin(x);
  }
  template <class T>
  FATHOM_HD T derivative(T x, T) const {
    return cos(x);
  }
};
struct cosine {
  static constexpr const char* name = "cos";
  template <class T>
  FATHOM_HD T value(T x) const {
    return cos(x);
  }
  template <class T>
  FATHOM_HD T derivative(T x, T) const {
    return -sin(x);
  }
};
/// factor x + offset
struct affine {
  static constexpr const char* name = "affine";
  double factor = 1, offset = 0;
  template <class T>
  FATHOM_HD T value(T x) const {
    return T(factor) * x + T(offset);
  }
  template <class T>
  FATHOM_HD T derivative(T, T) const {
    return T(factor);
  }
};
/// max(x, floor); the derivative at the floor is 0.
struct at_least {
  static constexpr const char* name = "at_least";
  double floor = 0;
  template <class T>
  FATHOM_HD T value(T x) const {
    return x < T(floor) ? T(floor) : x;
  }
  template <class T>
  FATHOM_HD T derivative(T x, T) const {
    return x > T(floor) ? T(1) : T(0);
  }
};

struct add {
  static constexpr const char* name = "add";
  template <class T>
  FATHOM_HD T value(T a, T b) const {
    return a + b;
  }
  template <class T>
  FATHOM_HD T first(T, T) const {
    return T(1);
  }
  template <class T>
  FATHOM_HD T second(T, T) const {
    return T(1);
  }
};
struct subtract {
  static constexpr const char* name = "subtract";
  template <class T>
  FATHOM_HD T value(T a, T b) const {
    return a - b;
  }
  template <class T>
  FATHOM_HD T first(T, T) const {
    return T(1);
  }
  template <class T>
  FATHOM_HD T second(T, T) const {
    return T(-1);
  }
};
struct multiply {
  static constexpr const char* name = "multiply";
  template <class T>
  FATHOM_HD T value(T a, T b) const {
    return a * b;
  }
  template <class T>
  FATHOM_HD T first(T, T b) const {
    return b;
  }
  template <class T>
  FATHOM_HD T second(T a, T) const {
    return a;
  }
};
struct divide {
  static constexpr const char* name = "divide";
  template <class T>
  FATHOM_HD T value(T a, T b) const {
    return a / b;
  }
  template <class T>
  FATHOM_HD T first(T, T b) const {
    return T(1) / b;
  }
  template <class T>
  FATHOM_HD T second(T a, T b) const {
    return -a / (b * b);
  }
};
/// sigmoid(a) b: the gate of every gated layer.
struct gate {
  static constexpr const char* name = "gate";
  template <class T>
  FATHOM_HD T value(T a, T b) const {
    return b / (T(1) + exp(-a));
  }
  template <class T>
  FATHOM_HD T first(T a, T b) const {
    const T s = T(1) / (T(1) + exp(-a));
    return b * s * (T(1) - s);
  }
  template <class T>
  FATHOM_HD T second(T a, T) const {
    return T(1) / (T(1) + exp(-a));
  }
};
/// (a - b)^2, so that distances need no difference tensor.
struct squared_difference {
  static constexpr const char* name = "squared_difference";
  template <class T>
  FATHOM_HD T value(T a, T b) const {
    return (a - b) * (a - b);
  }
  template <class T>
  FATHOM_HD T first(T a, T b) const {
    return T(2) * (a - b);
  }
  template <class T>
  FATHOM_HD T second(T a, T b) const {
    return T(2) * (b - a);
  }
};

/// Sum of a reduction.
struct sum {
  template <class T>
  FATHOM_HD static T identity() {
    return T(0);
  }
  template <class T>
  FATHOM_HD T operator()(T a, T b) const {
    return a + b;
  }
};
/// Maximum of a reduction; a NaN wins.
struct maximum {
  template <class T>
  FATHOM_HD static T identity() {
    return T(-INFINITY);
  }
  template <class T>
  FATHOM_HD T operator()(T a, T b) const {
    return b > a || !(b == b) ? b : a;
  }
};

/// f.value as a call, for map.
template <class F>
struct value_of {
  F f;
  template <class... T>
  FATHOM_HD auto operator()(T... x) const {
    return f.value(x...);
  }
};
template <class F>
struct unary_pullback {
  F f;
  template <class T>
  FATHOM_HD T operator()(T x, T y, T dy) const {
    return dy * f.derivative(x, y);
  }
};
template <class F>
struct first_pullback {
  F f;
  template <class T>
  FATHOM_HD T operator()(T a, T b, T dy) const {
    return dy * f.first(a, b);
  }
};
template <class F>
struct second_pullback {
  F f;
  template <class T>
  FATHOM_HD T operator()(T a, T b, T dy) const {
    return dy * f.second(a, b);
  }
};
struct identity {
  template <class T>
  FATHOM_HD T operator()(T x) const {
    return x;
  }
};
struct product {
  template <class T>
  FATHOM_HD T operator()(T a, T b) const {
    return a * b;
  }
};

}  // namespace fathom::functor
