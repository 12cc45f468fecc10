// SPDX-License-Identifier: Apache-2.0
// Numbers with a derivative along one direction, for fields over plain numbers that are written for any scalar type.
#pragma once

#include <cmath>

#include <fathom/core/config.hpp>

namespace fathom::ode {

/// value + slope e, e^2 = 0. Constants convert; comparisons look at values alone.
template <class T>
struct dual {
  T value{}, slope{};

  constexpr dual() = default;
  constexpr dual(T v) : value(v) {}  // NOLINT(google-explicit-constructor): a constant is a number like any other
  constexpr dual(T v, T s) : value(v), slope(s) {}

  friend constexpr dual operator+(const dual& a) { return a; }
  friend constexpr dual operator-(const dual& a) { return {-a.value, -a.slope}; }
  friend constexpr dual operator+(const dual& a, const dual& b) { return {a.value + b.value, a.slope + b.slope}; }
  friend constexpr dual operator-(const dual& a, const dual& b) { return {a.value - b.value, a.slope - b.slope}; }
  friend constexpr dual operator*(const dual& a, const dual& b) {
    return {a.value * b.value, a.slope * b.value + a.value * b.slope};
  }
  friend constexpr dual operator/(const dual& a, const dual& b) {
    const T ratio = a.value / b.value;
    return {ratio, (a.slope - ratio * b.slope) / b.value};
  }
  constexpr dual& operator+=(const dual& b) { return *this = *this + b; }
  constexpr dual& operator-=(const dual& b) { return *this = *this - b; }
  constexpr dual& operator*=(const dual& b) { return *this = *this * b; }
  constexpr dual& operator/=(const dual& b) { return *this = *this / b; }

  friend constexpr bool operator==(const dual& a, const dual& b) { return a.value == b.value; }
  friend constexpr bool operator<(const dual& a, const dual& b) { return a.value < b.value; }
  friend constexpr bool operator>(const dual& a, const dual& b) { return a.value > b.value; }
  friend constexpr bool operator<=(const dual& a, const dual& b) { return a.value <= b.value; }
  friend constexpr bool operator>=(const dual& a, const dual& b) { return a.value >= b.value; }

  friend dual sin(const dual& x) { return {std::sin(x.value), std::cos(x.value) * x.slope}; }
  friend dual cos(const dual& x) { return {std::cos(x.value), -std::sin(x.value) * x.slope}; }
  friend dual tan(const dual& x) {
    const T y = std::tan(x.value);
    return {y, (1 + y * y) * x.slope};
  }
  friend dual tanh(const dual& x) {
    const T y = std::tanh(x.value);
    return {y, (1 - y * y) * x.slope};
  }
  friend dual atan(const dual& x) { return {std::atan(x.value), x.slope / (1 + x.value * x.value)}; }
  friend dual exp(const dual& x) {
    const T y = std::exp(x.value);
    return {y, y * x.slope};
  }
  friend dual log(const dual& x) { return {std::log(x.value), x.slope / x.value}; }
  friend dual sqrt(const dual& x) {
    const T y = std::sqrt(x.value);
    return {y, x.slope / (2 * y)};
  }
  friend dual abs(const dual& x) { return x.value < 0 ? -x : x; }
  friend dual pow(const dual& x, T p) {
    return {std::pow(x.value, p), p == 0 ? T(0) : p * std::pow(x.value, p - 1) * x.slope};
  }
  friend dual pow(const dual& x, const dual& p) {
    const T y = std::pow(x.value, p.value);
    const T by_base = p.value == 0 ? T(0) : p.value * std::pow(x.value, p.value - 1) * x.slope;
    return {y, by_base + (p.slope == 0 ? T(0) : y * std::log(x.value) * p.slope)};
  }
};

}  // namespace fathom::ode
