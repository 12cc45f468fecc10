// SPDX-License-Identifier: Apache-2.0
// Numbers with a derivative along one direction: forward mode for whatever is written for any scalar type, fields over
// plain numbers and the kernels of a backend alike.
#pragma once

#include <cmath>
#include <type_traits>

#include <fathom/core/config.hpp>

namespace fathom {

/// value + slope e, e^2 = 0. Constants convert; comparisons look at values alone, so that of a kink's two derivatives
/// the one of the branch taken counts. Like a plain number it holds nothing certain before it is set.
template <class T>
struct dual {
  T value, slope;

  constexpr dual() = default;
  template <class U>
  requires std::is_arithmetic_v<U> FATHOM_HD constexpr dual(
      U v)  // NOLINT(google-explicit-constructor): constants are numbers like any other
      : value(static_cast<T>(v)), slope(0) {}
  FATHOM_HD constexpr dual(T v, T s) : value(v), slope(s) {}

  template <class U>
  requires std::is_arithmetic_v<U> FATHOM_HD explicit constexpr operator U() const { return static_cast<U>(value); }

  FATHOM_HD friend constexpr dual operator+(const dual& a) { return a; }
  FATHOM_HD friend constexpr dual operator-(const dual& a) { return {-a.value, -a.slope}; }
  FATHOM_HD friend constexpr dual operator+(const dual& a, const dual& b) {
    return {a.value + b.value, a.slope + b.slope};
  }
  FATHOM_HD friend constexpr dual operator-(const dual& a, const dual& b) {
    return {a.value - b.value, a.slope - b.slope};
  }
  FATHOM_HD friend constexpr dual operator*(const dual& a, const dual& b) {
    return {a.value * b.value, a.slope * b.value + a.value * b.slope};
  }
  FATHOM_HD friend constexpr dual operator/(const dual& a, const dual& b) {
    const T ratio = a.value / b.value;
    return {ratio, (a.slope - ratio * b.slope) / b.value};
  }
  FATHOM_HD constexpr dual& operator+=(const dual& b) { return *this = *this + b; }
  FATHOM_HD constexpr dual& operator-=(const dual& b) { return *this = *this - b; }
  FATHOM_HD constexpr dual& operator*=(const dual& b) { return *this = *this * b; }
  FATHOM_HD constexpr dual& operator/=(const dual& b) { return *this = *this / b; }

  FATHOM_HD friend constexpr bool operator==(const dual& a, const dual& b) { return a.value == b.value; }
  FATHOM_HD friend constexpr bool operator<(const dual& a, const dual& b) { return a.value < b.value; }
  FATHOM_HD friend constexpr bool operator>(const dual& a, const dual& b) { return a.value > b.value; }
  FATHOM_HD friend constexpr bool operator<=(const dual& a, const dual& b) { return a.value <= b.value; }
  FATHOM_HD friend constexpr bool operator>=(const dual& a, const dual& b) { return a.value >= b.value; }

  FATHOM_HD friend dual sin(const dual& x) { return {std::sin(x.value), std::cos(x.value) * x.slope}; }
  FATHOM_HD friend dual cos(const dual& x) { return {std::cos(x.value), -std::sin(x.value) * x.slope}; }
  FATHOM_HD friend dual tan(const dual& x) {
    const T y = std::tan(x.value);
    return {y, (1 + y * y) * x.slope};
  }
  FATHOM_HD friend dual tanh(const dual& x) {
    const T y = std::tanh(x.value);
    return {y, (1 - y * y) * x.slope};
  }
  FATHOM_HD friend dual atan(const dual& x) { return {std::atan(x.value), x.slope / (1 + x.value * x.value)}; }
  FATHOM_HD friend dual exp(const dual& x) {
    const T y = std::exp(x.value);
    return {y, y * x.slope};
  }
  FATHOM_HD friend dual log(const dual& x) { return {std::log(x.value), x.slope / x.value}; }
  FATHOM_HD friend dual log1p(const dual& x) { return {std::log1p(x.value), x.slope / (1 + x.value)}; }
  FATHOM_HD friend dual sqrt(const dual& x) {
    const T y = std::sqrt(x.value);
    return {y, x.slope / (2 * y)};
  }
  FATHOM_HD friend dual abs(const dual& x) { return x.value < 0 ? -x : x; }
  FATHOM_HD friend dual pow(const dual& x, T p) {
    return {std::pow(x.value, p), p == 0 ? T(0) : p * std::pow(x.value, p - 1) * x.slope};
  }
  FATHOM_HD friend dual pow(const dual& x, const dual& p) {
    const T y = std::pow(x.value, p.value);
    const T by_base = p.value == 0 ? T(0) : p.value * std::pow(x.value, p.value - 1) * x.slope;
    return {y, by_base + (p.slope == 0 ? T(0) : y * std::log(x.value) * p.slope)};
  }
};

/// What a tensor's real elements may be: floating point numbers, and dual numbers over them.
template <class T>
inline constexpr bool is_real_number = std::is_floating_point_v<T>;
template <class T>
inline constexpr bool is_real_number<dual<T>> = std::is_floating_point_v<T>;

}  // namespace fathom
