// SPDX-License-Identifier: Apache-2.0
// Weights as functions of depth: w(t) = sum_j N_j(t) c_j with B-splines N_j and coefficient modules c_j.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include <fathom/core/error.hpp>
#include <fathom/op/elementwise.hpp>
#include <fathom/tree/tree.hpp>

namespace fathom {

/// Clamped B-splines of one degree on [0, depth], their inner knots evenly spaced; `count` > degree of them.
struct spline_basis {
  std::size_t count = 4;
  int degree = 3;
  double depth = 1;

  /// Knot i of count + degree + 1.
  double knot(std::size_t i) const {
    const auto p = static_cast<std::size_t>(degree);
    if (i <= p) return 0;
    if (i >= count) return depth;
    return depth * static_cast<double>(i - p) / static_cast<double>(count - p);
  }
  /// The i with knot(i) <= t < knot(i + 1), the last one at the end.
  std::size_t span(double t) const {
    const auto p = static_cast<std::size_t>(degree);
    std::size_t i = p;
    while (i + 1 < count && t >= knot(i + 1)) ++i;
    return i;
  }
  /// N_(span - degree)(t), ..., N_span(t) by the Cox-de Boor recurrence; Time a number, or a tensor of rank 0, through
  /// which the gradient with respect to t passes. `one` is 1 as a Time.
  template <class Time>
  std::vector<Time> values(const Time& t, std::size_t span, const Time& one) const {
    std::vector<Time> n{one};
    for (int p = 1; p <= degree; ++p) {
      std::vector<Time> next;
      for (int j = 0; j <= p; ++j) {
        // N_i of degree p, i = span - p + j, from N_i and N_(i+1) of degree p - 1.
        const std::size_t i = span + static_cast<std::size_t>(j) - static_cast<std::size_t>(p);
        const auto q = static_cast<std::size_t>(p);
        std::vector<Time> terms;
        if (j > 0)
          terms.push_back(n[static_cast<std::size_t>(j - 1)] * ((t - knot(i)) * (1 / (knot(i + q) - knot(i)))));
        if (j < p)
          terms.push_back(n[static_cast<std::size_t>(j)] *
                          ((t - knot(i + q + 1)) * (-1 / (knot(i + q + 1) - knot(i + 1)))));
        next.push_back(terms.size() == 1 ? terms[0] : terms[0] + terms[1]);
      }
      n = std::move(next);
    }
    return n;
  }
  void check() const {
    if (degree < 0 || count <= static_cast<std::size_t>(degree) || !(depth > 0))
      throw error(detail::concat("spline_basis: ", count, " coefficients of degree ", degree, " on [0, ", depth,
                                 "]; needs degree >= 0, more coefficients than the degree, and depth > 0"));
  }
};

namespace detail {

/// P [count, blocks] with c = P w the least-squares coefficients of values w at t = 1/2, 3/2, ...
inline std::vector<std::vector<double>> spline_projection(const spline_basis& basis, std::size_t blocks) {
  const std::size_t n = basis.count;
  std::vector<std::vector<double>> a(blocks, std::vector<double>(n, 0.0));
  for (std::size_t k = 0; k < blocks; ++k) {
    const double t = static_cast<double>(k) + 0.5;
    const std::size_t span = basis.span(t);
    const auto values = basis.values(t, span, 1.0);
    for (std::size_t j = 0; j < values.size(); ++j) a[k][span - values.size() + 1 + j] = values[j];
  }
  // Cholesky factor of A^T A, then two triangular solves for every column of A^T.
  std::vector<std::vector<double>> l(n, std::vector<double>(n, 0.0));
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = 0;
      for (std::size_t k = 0; k < blocks; ++k) sum += a[k][i] * a[k][j];
      for (std::size_t q = 0; q < j; ++q) sum -= l[i][q] * l[j][q];
      if (i == j && !(sum > 1e-12))
        throw error(concat("spline_projection: ", blocks, " blocks do not determine ", n, " coefficients of degree ",
                           basis.degree, "; use fewer coefficients"));
      l[i][j] = i == j ? std::sqrt(sum) : sum / l[j][j];
    }
  std::vector<std::vector<double>> p(n, std::vector<double>(blocks));
  for (std::size_t k = 0; k < blocks; ++k) {
    std::vector<double> x(a[k]);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t q = 0; q < i; ++q) x[i] -= l[i][q] * x[q];
      x[i] /= l[i][i];
    }
    for (std::size_t i = n; i-- > 0;) {
      for (std::size_t q = i + 1; q < n; ++q) x[i] -= l[q][i] * x[q];
      x[i] /= l[i][i];
    }
    for (std::size_t i = 0; i < n; ++i) p[i][k] = x[i];
  }
  return p;
}

template <class Combine>
struct combine_leaves {
  const std::vector<std::vector<const void*>>& terms;
  const Combine& combine;
  std::size_t n = 0;
  template <class Leaf>
  void operator()(Leaf& leaf) {
    if constexpr (any_tensor<Leaf>) {
      std::vector<Leaf> values;
      values.reserve(terms.size());
      for (const auto& one : terms) values.push_back(*static_cast<const Leaf*>(one[n]));
      leaf = combine(values);
    }
    ++n;
  }
};

/// A module like terms[0] whose leaves are combine(the leaves of all terms).
template <class Module, class Combine>
Module combined(const std::vector<const Module*>& terms, const Combine& combine) {
  std::vector<std::vector<const void*>> leaves;
  for (const Module* one : terms) leaves.push_back(tree::detail::addresses(*one));
  Module out = *terms[0];
  combine_leaves<Combine> each{leaves, combine};
  tree::for_each(out, each);
  return out;
}

/// Whether a derivative with respect to t may be asked for.
template <class Time>
bool time_is_watched(const Time& t) {
  if constexpr (plain_backend<typename Time::backend_type>)
    return false;
  else if constexpr (requires { t.node() != nullptr; })
    return t.node() != nullptr;
  else
    return true;
}

struct sum_with_numbers {
  const std::vector<double>& n;
  template <class Leaf>
  Leaf operator()(const std::vector<Leaf>& leaves) const {
    return linear_combination(leaves, n);
  }
};
template <class Time>
struct sum_with_times {
  const std::vector<Time>& n;
  template <class Leaf>
  Leaf operator()(const std::vector<Leaf>& leaves) const {
    Leaf sum = leaves[0] * n[0];
    for (std::size_t j = 1; j < n.size(); ++j) sum = std::move(sum) + leaves[j] * n[j];
    return sum;
  }
};

}  // namespace detail

/// The module w(t) = sum_j N_j(t) c_j; t outside [0, depth] is held at the end. Gradients reach the coefficients, and t
/// where it is part of a graph. Degree 0 gives a coefficient as it is. The host must know t: one small read from a
/// device.
template <class Module, class Time>
Module spline_weights(const spline_basis& basis, const Time& t, const std::vector<const Module*>& c) {
  basis.check();
  const double now = static_cast<double>(item(t));
  const double inside = std::min(std::max(now, 0.0), basis.depth);
  // A jump that rounding has put a hair behind t belongs before it.
  if (basis.degree == 0) return *c[basis.span(inside + 1e-6 * basis.depth)];
  const std::size_t span = basis.span(inside);
  const auto order = static_cast<std::size_t>(basis.degree);
  std::vector<const Module*> terms;
  for (std::size_t j = 0; j <= order; ++j) terms.push_back(c[span - order + j]);
  if (!detail::time_is_watched(t))
    return detail::combined(terms, detail::sum_with_numbers{basis.values(inside, span, 1.0)});
  using B = typename Time::backend_type;
  const auto& b = t.backend();
  const auto one = full<0>(b, {}, scalar_of<B>(1));
  const auto n = basis.values(inside == now ? t : full<0>(b, {}, static_cast<scalar_of<B>>(inside)), span, one);
  return detail::combined(terms, detail::sum_with_times<Time>{n});
}

}  // namespace fathom
