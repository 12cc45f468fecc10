// SPDX-License-Identifier: Apache-2.0
// Explicit Runge-Kutta methods as data: Butcher tableaus known at compile time, so that a zero costs nothing.
#pragma once

#include <array>
#include <cstddef>
#include <utility>

#include <fathom/core/config.hpp>
#include <fathom/ode/state.hpp>

namespace fathom::ode {

/// A square (or lower triangular) coefficient matrix.
template <std::size_t S>
using tableau_matrix = std::array<std::array<double, S>, S>;

/// What an explicit tableau says about itself:
///
///     static constexpr std::size_t stages;  static constexpr int order;
///     static constexpr int error_order;     order k with step factor E^(-1/k); 0: no error estimate
///     static constexpr bool fsal;           the last stage is the field at (t1, y1)
///     static constexpr std::array<double, stages> c, b;  static constexpr tableau_matrix<stages> a;
///     static constexpr std::array<double, stages> e;     b minus the embedded weights (adaptive methods)
///     static constexpr bool has_mid;  mid: weights of y(t0 + h/2) - y0, in units of h
///     static constexpr const char* name;
///
/// Y_i = y0 + h sum_j a_ij k_j, k_i = f(t0 + c_i h, Y_i), y1 = y0 + h sum_i b_i k_i.
template <class T>
concept explicit_tableau = requires {
  T::stages;
  T::order;
  T::error_order;
  T::fsal;
  T::c;
  T::a;
  T::b;
  T::name;
};

namespace detail {

/// The places of the nonzero entries of `row[0..length)`.
template <std::size_t S>
struct nonzero_list {
  std::array<std::size_t, S> at{};
  std::size_t count = 0;
};

template <std::size_t S>
constexpr nonzero_list<S> nonzero_entries(const std::array<double, S>& row, std::size_t length = S) {
  nonzero_list<S> list;
  for (std::size_t j = 0; j < length; ++j)
    if (row[j] != 0.0) list.at[list.count++] = j;
  return list;
}

/// Rows of a tableau as types, so that what is zero is known to the compiler without its looking for it.
template <class T, std::size_t Row>
struct stage_row {
  static constexpr auto values = T::a[Row];
  static constexpr auto entries = nonzero_entries(values, Row);
};
template <class T>
struct weight_row {
  static constexpr auto values = T::b;
  static constexpr auto entries = nonzero_entries(values);
};
template <class T>
struct error_row {
  static constexpr auto values = T::e;
  static constexpr auto entries = nonzero_entries(values);
};

template <class Row, std::size_t... Entry>
std::index_sequence<Row::entries.at[Entry]...> nonzero_columns_of(std::index_sequence<Entry...>);
template <class Row>
using nonzero_columns = decltype(nonzero_columns_of<Row>(std::make_index_sequence<Row::entries.count>{}));

/// Calls f(std::integral_constant<std::size_t, From>) ... To - 1.
template <std::size_t From, std::size_t To, class F>
FATHOM_ODE_INLINE constexpr void static_for(F&& f) {
  if constexpr (From < To) {
    f(std::integral_constant<std::size_t, From>{});
    static_for<From + 1, To>(f);
  }
}

/// Largest violation of sum_j a_ij = c_i; 0 for a tableau that is free of typing mistakes of that kind.
template <std::size_t S>
constexpr double row_sum_residual(const tableau_matrix<S>& a, const std::array<double, S>& c) {
  double worst = 0;
  for (std::size_t i = 0; i < S; ++i) {
    double sum = -c[i];
    for (std::size_t j = 0; j < S; ++j) sum += a[i][j];
    const double residual = sum < 0 ? -sum : sum;
    if (residual > worst) worst = residual;
  }
  return worst;
}

}  // namespace detail

}  // namespace fathom::ode
