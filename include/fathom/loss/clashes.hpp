// SPDX-License-Identifier: Apache-2.0
// Atoms of different residues that overlap (AF2 Suppl. 1.9.11, eq. 46).
#pragma once

#include <cmath>
#include <tuple>
#include <utility>
#include <vector>

#include <fathom/autodiff/autodiff.hpp>
#include <fathom/geometry/residue_lookup.hpp>
#include <fathom/loss/atom_pairs.hpp>
#include <fathom/loss/peptide_bonds.hpp>

namespace fathom {

namespace functor {
/// What may clash: atoms of different residues, present (a radius above 0), no disulfide (column 5 of both, whatever
/// the residues, as in the reference) and not bonded to each other (C of a residue, N of the next). Without branches,
/// so that pairs go through vector registers.
struct clash_rule {
  double tolerance;
  double eps = 1e-10;
  template <class T>
  FATHOM_HD static T counts(T residue_a, T column_a, T radius_a, T residue_b, T column_b, T radius_b) {
    const T step = residue_b - residue_a;
    const bool apart = (step != T(0)) & (radius_a > T(0)) & (radius_b > T(0));
    const bool bridge = (column_a == T(5)) & (column_b == T(5));
    const bool bond = ((column_a == T(2)) & (column_b == T(0)) & (step == T(1))) |
                      ((column_a == T(0)) & (column_b == T(2)) & (step == T(-1)));
    return (apart & !bridge & !bond) ? T(1) : T(0);
  }
  template <class T>
  FATHOM_HD T distance(T xa, T ya, T za, T xb, T yb, T zb) const {
    return std::sqrt(T(eps) + (xa - xb) * (xa - xb) + (ya - yb) * (ya - yb) + (za - zb) * (za - zb));
  }
};
struct clash_overlap : clash_rule {
  template <class T>
  FATHOM_HD T operator()(T xa, T ya, T za, T ra, T ca, T va, T xb, T yb, T zb, T rb, T cb, T vb) const {
    const T overlap = va + vb - T(tolerance) - distance(xa, ya, za, xb, yb, zb);
    return overlap <= T(0) ? T(0) : overlap * counts(ra, ca, va, rb, cb, vb);  // a NaN stays one
  }
};
struct clash_count : clash_rule {
  template <class T>
  FATHOM_HD T operator()(T xa, T ya, T za, T ra, T ca, T va, T xb, T yb, T zb, T rb, T cb, T vb) const {
    const T overlap = va + vb - T(tolerance) - distance(xa, ya, za, xb, yb, zb);
    return overlap > T(0) ? counts(ra, ca, va, rb, cb, vb) : T(0);
  }
};
struct clash_pair : clash_rule {
  template <class T>
  FATHOM_HD T operator()(T, T, T, T ra, T ca, T va, T, T, T, T rb, T cb, T vb) const {
    return counts(ra, ca, va, rb, cb, vb);
  }
};
/// Part of the derivative by one coordinate of the first atom: the pair is seen from both of its atoms.
struct clash_pullback : clash_rule {
  int coordinate;
  template <class T>
  FATHOM_HD T operator()(T xa, T ya, T za, T ra, T ca, T va, T da, T xb, T yb, T zb, T rb, T cb, T vb, T db) const {
    const T d = distance(xa, ya, za, xb, yb, zb);
    const T difference = coordinate == 0 ? xa - xb : coordinate == 1 ? ya - yb : za - zb;
    const T slope = -(da + db) * difference / d * counts(ra, ca, va, rb, cb, vb);
    return va + vb - T(tolerance) - d > T(0) ? slope : T(0);
  }
};
}  // namespace functor

/// points [a, 3], traits (residue, column, radius) [a, 3] -> sum of the overlaps of every atom [a]
struct clash_op {
  static constexpr const char* name = "clashes";
  template <class B>
  static auto forward(const tensor<B, 2>& points, const tensor<B, 2>& traits, double tolerance) {
    fathom::detail::expect_extents<2>(name, "traits", traits, points.shape());
    return op_result{reduced(functor::clash_overlap{{tolerance}}, points, traits),
                     std::tuple(points, traits, tolerance)};
  }
  template <class B>
  static auto vjp(const std::tuple<tensor<B, 2>, tensor<B, 2>, double>& residuals, const tensor<B, 1>& dy) {
    const auto& points = std::get<0>(residuals);
    const auto planes = loss::detail::planes(concatenated(std::vector{points, std::get<1>(residuals), unsqueezed(dy)}));
    std::vector<tensor<B, 2>> d;
    for (int k = 0; k < 3; ++k)
      d.push_back(unsqueezed(loss::detail::reduce_pairs(functor::clash_pullback{{std::get<2>(residuals)}, k}, planes,
                                                        planes, std::make_index_sequence<7>{})));
    return std::tuple(concatenated(d), none{}, none{});
  }
  /// Sums f over the second atom: [a].
  template <class F, class B>
  static tensor<B, 1> reduced(const F& f, const tensor<B, 2>& points, const tensor<B, 2>& traits) {
    const auto planes = loss::detail::planes(concatenated(std::vector{points, traits}));
    return loss::detail::reduce_pairs(f, planes, planes, std::make_index_sequence<6>{});
  }

 private:
  template <class B>
  static tensor<B, 2> concatenated(const std::vector<tensor<B, 2>>& parts) {
    return kernel<concatenate_op, B>::forward(parts, 1).value;
  }
  template <class B>
  static tensor<B, 2> unsqueezed(const tensor<B, 1>& x) {
    return detail::reshaped<2>(x, extents<2>{x.extent(0), 1});
  }
};

namespace loss {

/// Per-atom values hold both atoms of a clash.
template <backend B>
struct clash_violations {
  tensor<B, 0> mean_loss;          ///< per pair that may clash
  tensor<B, 2> per_atom_loss_sum;  ///< [n, 14]
  tensor<B, 2> per_atom_clash_mask, per_atom_num_clash;
};

/// positions [n, 14, 3], exists [n, 14], radii [n, 14] in Angstrom, residue_index [n]. Overlaps beyond the tolerance
/// are the loss; memory is O(n).
template <backend B>
clash_violations<B> clashes_between_residues(const tensor<B, 3>& positions, const tensor<B, 2>& exists,
                                             const tensor<B, 2>& radii, const tensor<B, 1, index_t>& residue_index,
                                             const violation_options& options = {}) {
  const index_t n = positions.extent(0), atoms = n * atom14_count;
  fathom::detail::expect_extents<3>("clashes_between_residues", "positions", positions, {n, atom14_count, 3});
  const auto handle = positions.backend();
  const auto& b = primal(positions).backend();
  // (residue number, column, radius) of every atom; absent atoms have no radius.
  host_tensor<double> column({1, atom14_count});
  for (index_t k = 0; k < atom14_count; ++k) column(0, k) = static_cast<double>(k);
  const extents<2> all{n, atom14_count};
  const auto traits =
      reshape<2>(stack(std::vector{broadcast_to<2>(unsqueeze(to_real(primal(residue_index)), 1), all),
                                   broadcast_to<2>(from_host<2>(b, column), all), primal(radii) * primal(exists)},
                       2),
                 {atoms, 3});
  const auto points = reshape<2>(positions, {atoms, 3});
  const double tolerance = options.clash_overlap_tolerance;
  const auto loss = apply<clash_op>(points, constant(handle, traits), tolerance);
  const auto number = clash_op::reduced(functor::clash_count{{tolerance}}, primal(points), traits);
  const auto pairs = clash_op::reduced(functor::clash_pair{{tolerance}}, primal(points), traits);

  clash_violations<B> result;
  result.per_atom_loss_sum = reshape<2>(loss, all);
  result.per_atom_num_clash = constant(handle, reshape<2>(number, all));
  result.per_atom_clash_mask = greater_than(result.per_atom_num_clash, 0.5);
  // Every pair was seen from both of its atoms.
  result.mean_loss = 0.5 * sum(loss) / (constant(handle, 0.5 * sum(pairs)) + options.eps);
  return result;
}

}  // namespace loss
}  // namespace fathom
