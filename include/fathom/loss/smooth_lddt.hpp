// SPDX-License-Identifier: Apache-2.0
// lDDT with its thresholds made smooth, so that positions get a gradient from it (AlphaFold 3 Suppl. Alg. 27).
#pragma once

#include <cmath>
#include <tuple>
#include <utility>
#include <vector>

#include <fathom/autodiff/autodiff.hpp>
#include <fathom/loss/atom_pairs.hpp>

namespace fathom {

namespace functor {
/// What a pair keeps: a quarter of sigmoid(t - error) for each threshold t of 0.5, 1, 2, 4 Angstrom, where the true
/// distance is below the cutoff. A point and itself are no pair.
struct smooth_lddt_rule {
  double cutoff, eps;
  template <class T>
  FATHOM_HD T counts(T ma, T mb, T true_square) const {
    const bool neighbours = (true_square > T(0)) & (true_square < T(cutoff * cutoff));
    return neighbours ? ma * mb : T(0);
  }
  template <class T>
  FATHOM_HD static T square(T xa, T ya, T za, T xb, T yb, T zb) {
    return (xa - xb) * (xa - xb) + (ya - yb) * (ya - yb) + (za - zb) * (za - zb);
  }
  template <class T>
  FATHOM_HD static T sigmoid(T x) {
    return T(1) / (T(1) + std::exp(-x));
  }
  template <class T>
  FATHOM_HD static T kept(T error) {
    return T(0.25) * (sigmoid(T(0.5) - error) + sigmoid(T(1) - error) + sigmoid(T(2) - error) + sigmoid(T(4) - error));
  }
  template <class T>
  FATHOM_HD static T kept_slope(T error) {
    const T a = sigmoid(T(0.5) - error), b = sigmoid(T(1) - error), c = sigmoid(T(2) - error),
            d = sigmoid(T(4) - error);
    return T(-0.25) * (a * (T(1) - a) + b * (T(1) - b) + c * (T(1) - c) + d * (T(1) - d));
  }
};
struct smooth_lddt_count : smooth_lddt_rule {
  template <class T>
  FATHOM_HD T operator()(T xa, T ya, T za, T ma, T xb, T yb, T zb, T mb) const {
    return counts(ma, mb, square(xa, ya, za, xb, yb, zb));
  }
};
struct smooth_lddt_kept : smooth_lddt_rule {
  template <class T>
  FATHOM_HD T operator()(T xa, T ya, T za, T ua, T va, T wa, T ma, T xb, T yb, T zb, T ub, T vb, T wb, T mb) const {
    const T truth = square(ua, va, wa, ub, vb, wb);
    const T error = std::abs(std::sqrt(T(eps) + square(xa, ya, za, xb, yb, zb)) - std::sqrt(T(eps) + truth));
    return counts(ma, mb, truth) * kept(error);
  }
};
/// Part of the derivative by one coordinate of the first point: the pair is seen from both of its points.
struct smooth_lddt_pullback : smooth_lddt_rule {
  int coordinate;
  template <class T>
  FATHOM_HD T operator()(T xa, T ya, T za, T ua, T va, T wa, T ma, T da, T xb, T yb, T zb, T ub, T vb, T wb, T mb,
                         T db) const {
    const T truth = square(ua, va, wa, ub, vb, wb);
    const T distance = std::sqrt(T(eps) + square(xa, ya, za, xb, yb, zb));
    const T off = distance - std::sqrt(T(eps) + truth);
    const T difference = coordinate == 0 ? xa - xb : coordinate == 1 ? ya - yb : za - zb;
    const T direction = off > T(0) ? difference / distance : -difference / distance;
    return counts(ma, mb, truth) * kept_slope(std::abs(off)) * direction * (da + db);
  }
};
}  // namespace functor

/// points [a, 3], targets (true x, y, z, mask) [a, 4] -> what every point keeps, summed over its neighbours [a]
struct smooth_lddt_op {
  static constexpr const char* name = "smooth_lddt";

  template <class B>
  static auto forward(const tensor<B, 2>& points, const tensor<B, 2>& targets, const functor::smooth_lddt_rule& rule) {
    fathom::detail::expect_extents<2>(name, "points", points, {points.extent(0), 3});
    fathom::detail::expect_extents<2>(name, "targets", targets, {points.extent(0), 4});
    const auto planes = loss::detail::planes(concatenated(std::vector{points, targets}));
    return op_result{
        loss::detail::reduce_pairs(functor::smooth_lddt_kept{rule}, planes, planes, std::make_index_sequence<7>{}),
        std::tuple(points, targets, rule)};
  }
  template <class B>
  static auto vjp(const std::tuple<tensor<B, 2>, tensor<B, 2>, functor::smooth_lddt_rule>& residuals,
                  const tensor<B, 1>& dy) {
    const auto& [points, targets, rule] = residuals;
    const auto planes = loss::detail::planes(concatenated(std::vector{points, targets, column(dy)}));
    std::vector<tensor<B, 2>> d;
    for (int k = 0; k < 3; ++k)
      d.push_back(column(loss::detail::reduce_pairs(functor::smooth_lddt_pullback{rule, k}, planes, planes,
                                                    std::make_index_sequence<8>{})));
    return std::tuple(concatenated(d), none{}, none{});
  }
  /// Neighbours of every point: [a].
  template <class B>
  static tensor<B, 1> neighbours(const tensor<B, 2>& targets, const functor::smooth_lddt_rule& rule) {
    const auto planes = loss::detail::planes(targets);
    return loss::detail::reduce_pairs(functor::smooth_lddt_count{rule}, planes, planes, std::make_index_sequence<4>{});
  }

 private:
  template <class B>
  static tensor<B, 2> concatenated(const std::vector<tensor<B, 2>>& parts) {
    return kernel<concatenate_op, B>::forward(parts, 1).value;
  }
  template <class B>
  static tensor<B, 2> column(const tensor<B, 1>& x) {
    return detail::reshaped<2>(x, extents<2>{x.extent(0), 1});
  }
};

namespace loss {

struct smooth_lddt_options {
  double cutoff = 15, eps = 1e-10;  ///< Angstrom; eps keeps the square root of a distance differentiable
};

/// 1 - smooth lDDT over the pairs of present points whose true distance is below the cutoff: 0.2 at the truth, 1 for
/// points that have nothing to do with it, or without a pair. predicted and truth [n, 3], mask [n]. Memory is O(n).
/// Blind to mirror images: it goes beside FAPE.
template <backend B>
tensor<B, 0> smooth_lddt(const tensor<B, 2>& predicted, const tensor<B, 2>& truth, const tensor<B, 1>& mask,
                         const smooth_lddt_options& options = {}) {
  const index_t n = mask.extent(0);
  fathom::detail::expect_extents<2>("smooth_lddt", "predicted", predicted, {n, 3});
  fathom::detail::expect_extents<2>("smooth_lddt", "truth", truth, {n, 3});
  const functor::smooth_lddt_rule rule{options.cutoff, options.eps};
  const auto targets = concatenate(std::vector{primal(truth), unsqueeze(primal(mask), 1)}, 1);
  const auto handle = predicted.backend();
  const auto kept = sum(apply<smooth_lddt_op>(predicted, constant(handle, targets), rule));
  const auto count = constant(handle, sum(smooth_lddt_op::neighbours(targets, rule)));
  return affine(kept / (count + options.eps), -1, 1);
}

}  // namespace loss
}  // namespace fathom
