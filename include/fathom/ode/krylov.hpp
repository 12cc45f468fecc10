// SPDX-License-Identifier: Apache-2.0
// GMRES for linear equations between blocks of states, of which only products are known (Saad and Schultz 1986).
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/ode/state.hpp>

namespace fathom::ode::detail {

/// Sums over blocks of S states.
template <class Y, std::size_t S>
struct state_block {
  using type = std::array<Y, S>;
  using traits = state_traits<Y>;

  static double dot(const type& a, const type& b) {
    double sum = 0;
    for (std::size_t m = 0; m < S; ++m) sum += traits::dot(a[m], b[m]);
    return sum;
  }
  static double norm(const type& a) { return std::sqrt(dot(a, a)); }
  /// to += factor x
  static void add(type& to, double factor, const type& x, Y& scratch) {
    for (std::size_t m = 0; m < S; ++m) {
      traits::combine(scratch, to[m], std::array<double, 1>{factor}, std::array<const Y*, 1>{&x[m]});
      std::swap(to[m], scratch);
    }
  }
  static void scale_to(type& to, double factor, const type& x) {
    for (std::size_t m = 0; m < S; ++m)
      traits::scaled_sum(to[m], std::array<double, 1>{factor}, std::array<const Y*, 1>{&x[m]});
  }
};

/// Solves A x = right, x = 0 at first. Its directions stay for the next solve.
template <class Y, std::size_t S>
class gmres {
 public:
  using block = std::array<Y, S>;

  /// apply(v, out) sets out = A v; at most `most` directions, until |right - A x| <= tolerance |right|. `size` is
  /// |right|.
  template <class Apply>
  void operator()(const Apply& apply, const block& right_side, double size, block& x, std::size_t most,
                  double tolerance, Y& scratch) {
    using on = state_block<Y, S>;
    std::vector<std::vector<double>> upper;  // columns of the Hessenberg matrix, rotated to triangular form
    std::vector<double> cosine, sine, right{size};
    on::scale_to(direction(0, right_side), 1 / size, right_side);
    std::size_t used = 0;
    while (used < most) {
      block& next = direction(used + 1, right_side);
      apply(basis_[used], next);
      std::vector<double> column(used + 2);
      for (std::size_t n = 0; n <= used; ++n) {
        column[n] = on::dot(basis_[n], next);
        on::add(next, -column[n], basis_[n], scratch);
      }
      const double rest = on::norm(next);
      column[used + 1] = rest;
      for (std::size_t n = 0; n < used; ++n) {
        const double a = column[n], b = column[n + 1];
        column[n] = cosine[n] * a + sine[n] * b;
        column[n + 1] = -sine[n] * a + cosine[n] * b;
      }
      const double length = std::hypot(column[used], column[used + 1]);
      if (!(length > 0)) break;
      cosine.push_back(column[used] / length);
      sine.push_back(column[used + 1] / length);
      column[used] = length;
      right.push_back(-sine[used] * right[used]);
      right[used] *= cosine[used];
      upper.push_back(std::move(column));
      ++used;
      if (std::abs(right[used]) <= tolerance * size || rest <= 1e-14 * length) break;
      on::scale_to(next, 1 / rest, block(next));
    }
    std::vector<double> weight(used);
    for (std::size_t n = used; n-- > 0;) {
      double sum = right[n];
      for (std::size_t m = n + 1; m < used; ++m) sum -= upper[m][n] * weight[m];
      weight[n] = sum / upper[n][n];
    }
    on::scale_to(x, 0, right_side);
    for (std::size_t n = 0; n < used; ++n) on::add(x, weight[n], basis_[n], scratch);
  }

 private:
  // Handles at first; written to before they are read.
  block& direction(std::size_t n, const block& like) {
    while (basis_.size() <= n) basis_.push_back(like);
    return basis_[n];
  }
  std::vector<block> basis_{};
};

}  // namespace fathom::ode::detail
