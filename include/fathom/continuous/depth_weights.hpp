// SPDX-License-Identifier: Apache-2.0
// Weights as functions of depth: w(t) = sum_j N_j(t) c_j with B-splines N_j and K' coefficient modules c_j, fewer than the
// K blocks they replace (Queiruga et al. 2021). Only weights that vary smoothly with depth may be treated like this: those
// of independently trained blocks differ by symmetries (order of heads and hidden channels) and must be aligned first.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include <fathom/continuous/block_field.hpp>
#include <fathom/continuous/split_field.hpp>
#include <fathom/op/reduction.hpp>

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
        if (j > 0) terms.push_back(n[static_cast<std::size_t>(j - 1)] * ((t - knot(i)) * (1 / (knot(i + q) - knot(i)))));
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

/// A module like terms[0] whose leaves are combine(the leaves of all terms).
template <class Module, class Combine>
Module combined(const std::vector<const Module*>& terms, const Combine& combine) {
  std::vector<std::vector<const void*>> leaves(terms.size());
  for (std::size_t k = 0; k < terms.size(); ++k)
    tree::for_each(*terms[k], [&](const auto& leaf) { leaves[k].push_back(&leaf); });
  Module out = *terms[0];
  std::size_t n = 0;
  tree::for_each(out, [&](auto& leaf) {
    using leaf_t = std::remove_cvref_t<decltype(leaf)>;
    if constexpr (any_tensor<leaf_t>) {
      std::vector<leaf_t> values;
      for (const auto& one : leaves) values.push_back(*static_cast<const leaf_t*>(one[n]));
      leaf = combine(values);
    }
    ++n;
  });
  return out;
}

}  // namespace detail

struct spline_field_options {
  int degree = 3;
  double depth = 48;
};

/// dy/dt = sum of the nine sub-layer updates of the block with weights w(t), t in [0, depth]. The coefficients are what is
/// trained; one block of weights exists at a time. As a split field it has one part per sub-layer.
template <backend B, evoformer_dims D, bool Fused = false>
struct evoformer_spline_field {
  using backend_type = B;
  using dims_type = D;
  using block = evoformer_block<B, D, false, Fused>;

  std::vector<block> coefficients;
  spline_field_options options;

  evoformer_spline_field() = default;
  explicit evoformer_spline_field(const B& b, index_t count = 8)
      : coefficients(static_cast<std::size_t>(count), block(b)) {}

  void visit(auto&& v) { v("coefficients", coefficients); }
  template <class B2>
  using rebind = evoformer_spline_field<B2, D, Fused>;

  double depth() const { return options.depth; }
  spline_basis basis() const { return {coefficients.size(), options.degree, options.depth}; }

  /// The block with weights w(t); t outside [0, depth] is held at the end.
  block at(const ode_time<B>& t) const {
    const auto splines = basis();
    splines.check();
    const double now = static_cast<double>(item(t));
    const double inside = std::min(std::max(now, 0.0), options.depth);
    const std::size_t span = splines.span(inside);
    const auto& b = t.backend();
    const auto one = full<0>(b, {}, scalar_of<B>(1));
    const auto n = splines.template values<ode_time<B>>(
        inside == now ? t : full<0>(b, {}, static_cast<scalar_of<B>>(inside)), span, one);
    std::vector<const block*> terms;
    for (std::size_t j = 0; j < n.size(); ++j) terms.push_back(&coefficients[span - n.size() + 1 + j]);
    return detail::combined(terms, [&](const auto& leaves) {
      auto sum = leaves[0] * n[0];
      for (std::size_t j = 1; j < n.size(); ++j) sum = std::move(sum) + leaves[j] * n[j];
      return sum;
    });
  }

  msa_pair<B> operator()(const ode_time<B>& t, const msa_pair<B>& y, const masks<B>& mask, dropout_key key = {}) const {
    return detail::block_rate(at(t), y, mask, key);
  }
  std::size_t parts() const { return 9; }
  msa_pair<B> part(std::size_t n, const ode_time<B>& t, const msa_pair<B>& y, const masks<B>& mask,
                   dropout_key key = {}) const {
    const auto now = at(t);
    return detail::sublayer_rate(now, now.order()[n], y, mask, key);
  }
};

/// `count` coefficients whose splines come closest, in least squares over every weight, to the blocks of a stack at the
/// centres k + 1/2 of their intervals. With count = K (degree 0: the piecewise constant field) nothing is lost.
template <backend B, evoformer_dims D, bool Fused>
evoformer_spline_field<B, D, Fused> as_spline_field(const evoformer_stack<B, D, Fused>& stack, std::size_t count,
                                                    int degree = 3) {
  const spline_basis basis{count, degree, static_cast<double>(stack.blocks.size())};
  basis.check();
  const auto projection = detail::spline_projection(basis, stack.blocks.size());
  evoformer_spline_field<B, D, Fused> field;
  field.options = {degree, basis.depth};
  std::vector<const typename evoformer_stack<B, D, Fused>::block*> blocks;
  for (const auto& one : stack.blocks) blocks.push_back(&one);
  for (const auto& row : projection)
    field.coefficients.push_back(
        detail::combined(blocks, [&](const auto& leaves) { return linear_combination(leaves, row); }));
  return field;
}

/// sum_k |w_(k+1) - w_k|^2 over all weights of neighbouring modules (blocks of a stack, coefficients of a spline): added to
/// a training loss it makes weights smooth in depth, so that coarser steps become possible.
template <class Module>
auto smoothness_penalty(const std::vector<Module>& modules) {
  using B = tree::backend_of_t<Module>;
  if (modules.size() < 2) throw error("smoothness_penalty: needs at least two modules");
  std::vector<tensor<B, 0>> terms;
  for (std::size_t k = 0; k + 1 < modules.size(); ++k)
    tree::for_each_zipped(
        [&](const auto& now, const auto& next) {
          if constexpr (any_tensor<decltype(now)>) terms.push_back(sum(square(next - now)));
        },
        modules[k], modules[k + 1]);
  return linear_combination(terms, std::vector<double>(terms.size(), 1.0));
}

}  // namespace fathom
