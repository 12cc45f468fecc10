// SPDX-License-Identifier: Apache-2.0
// Atoms of different residues that overlap (AF2 Suppl. 1.9.11, eq. 46).
#pragma once

#include <fathom/autodiff/chunked.hpp>
#include <fathom/geometry/residue_lookup.hpp>
#include <fathom/loss/peptide_bonds.hpp>
#include <fathom/nn/chunk_rows.hpp>

namespace fathom {

namespace functor {
/// What may clash: atoms of different residues, present (a radius above 0), no disulfide (column 5 of both, whatever
/// the residues, as in the reference) and not bonded to each other (C of a residue, N of the next).
struct clash_rule {
  double tolerance;
  double eps = 1e-10;
  template <class T>
  FATHOM_HD bool counts(T residue_a, T column_a, T radius_a, T residue_b, T column_b, T radius_b) const {
    if (residue_a == residue_b || !(radius_a > T(0)) || !(radius_b > T(0))) return false;
    if (column_a == T(5) && column_b == T(5)) return false;
    if (column_a == T(2) && column_b == T(0) && residue_b == residue_a + T(1)) return false;
    return !(column_a == T(0) && column_b == T(2) && residue_a == residue_b + T(1));
  }
};
struct clash_pair : clash_rule {
  template <class T>
  FATHOM_HD T operator()(T ra, T ca, T va, T rb, T cb, T vb) const {
    return counts(ra, ca, va, rb, cb, vb) ? T(1) : T(0);
  }
};
struct clash_overlap : clash_rule {
  template <class T>
  FATHOM_HD T operator()(T squared, T ra, T ca, T va, T rb, T cb, T vb) const {
    const T overlap = va + vb - T(tolerance) - std::sqrt(T(eps) + squared);
    return overlap > T(0) && counts(ra, ca, va, rb, cb, vb) ? overlap : overlap == overlap ? T(0) : overlap;
  }
};
struct clash_count : clash_rule {
  template <class T>
  FATHOM_HD T operator()(T squared, T ra, T ca, T va, T rb, T cb, T vb) const {
    return std::sqrt(T(eps) + squared) < va + vb - T(tolerance) && counts(ra, ca, va, rb, cb, vb) ? T(1) : T(0);
  }
};
struct clash_pullback : clash_rule {
  template <class T>
  FATHOM_HD T operator()(T squared, T ra, T ca, T va, T rb, T cb, T vb, T dy) const {
    const T d = std::sqrt(T(eps) + squared);
    return va + vb - T(tolerance) - d > T(0) && counts(ra, ca, va, rb, cb, vb) ? -T(0.5) * dy / d : T(0);
  }
};
}  // namespace functor

/// squared distances [a, b] of atoms with traits (residue, column, radius) [a, 3] and [b, 3] -> sum of overlaps [a]
struct clash_op {
  static constexpr const char* name = "clashes";
  template <class B>
  static auto forward(const tensor<B, 2>& squared, const tensor<B, 2>& rows, const tensor<B, 2>& columns,
                      double tolerance) {
    return op_result{reduced(functor::clash_overlap{{tolerance}}, squared, rows, columns),
                     std::tuple(squared, rows, columns, tolerance)};
  }
  template <class B>
  static auto vjp(const std::tuple<tensor<B, 2>, tensor<B, 2>, tensor<B, 2>, double>& residuals,
                  const tensor<B, 1>& dy) {
    const auto& [squared, rows, columns, tolerance] = residuals;
    const auto& e = squared.shape();
    tensor<B, 2> d(squared.backend(), e);
    const auto wide = dy.reinterpret(extents<2>{e[0], 1}, extents<2>{dy.stride(0), 0});
    squared.backend().map(functor::clash_pullback{{tolerance}}, d.mutable_view(), squared.view(), trait(rows, 0, 0, e),
                          trait(rows, 1, 0, e), trait(rows, 2, 0, e), trait(columns, 0, 1, e), trait(columns, 1, 1, e),
                          trait(columns, 2, 1, e), fathom::detail::broadcast_to_view(wide.view(), e));
    return std::tuple(d, none{}, none{}, none{});
  }

  /// Sums f over the second axis: [a].
  template <class F, class B>
  static tensor<B, 1> reduced(const F& f, const tensor<B, 2>& squared, const tensor<B, 2>& rows,
                              const tensor<B, 2>& columns) {
    const auto& e = squared.shape();
    return fathom::detail::reshaped<1>(
        fathom::detail::reduce_to<B, 2>(squared.backend(), {e[0], 1}, f, squared.view(), trait(rows, 0, 0, e),
                                        trait(rows, 1, 0, e), trait(rows, 2, 0, e), trait(columns, 0, 1, e),
                                        trait(columns, 1, 1, e), trait(columns, 2, 1, e)),
        extents<1>{e[0]});
  }
  /// One trait of the atoms along `axis` of [a, b], repeated along the other.
  template <class B>
  static auto trait(const tensor<B, 2>& traits, index_t which, int axis, const extents<2>& e) {
    auto view = traits.view();
    view.data += which * traits.stride(1);
    for (int a = 0; a < 2; ++a) {
      view.extent[a] = e[static_cast<std::size_t>(a)];
      view.stride[a] = a == axis ? traits.stride(0) : 0;
    }
    return view;
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

namespace detail {
struct row_clashes {
  double tolerance;
  template <class Shared, class Points, class Traits>
  auto operator()(const Shared& shared, const Points& points, const Traits& traits) const {
    const auto& [all_points, all_traits] = shared;
    return apply<clash_op>(sum_squared_difference(unsqueeze(points, 1), unsqueeze(all_points, 0)), traits, all_traits,
                           tolerance);
  }
};
}  // namespace detail

/// positions [n, 14, 3], exists [n, 14], radii [n, 14] in Angstrom, residue_index [n]. Overlaps beyond the tolerance
/// are the loss; memory is O(n) in slices of pairs.
template <backend B>
clash_violations<B> clashes_between_residues(const tensor<B, 3>& positions, const tensor<B, 2>& exists,
                                             const tensor<B, 2>& radii, const tensor<B, 1, index_t>& residue_index,
                                             const violation_options& options = {}) {
  const index_t n = positions.extent(0), atoms = n * atom14_count;
  fathom::detail::expect_extents<3>("clashes_between_residues", "positions", positions, {n, atom14_count, 3});
  const auto& b = primal(positions).backend();
  // (residue number, column, radius) of every atom; absent atoms have no radius.
  host_tensor<double> column({1, atom14_count});
  for (index_t k = 0; k < atom14_count; ++k) column(0, k) = static_cast<double>(k);
  const extents<2> all{n, atom14_count};
  const auto traits = reshape<2>(
      stack(std::vector{contiguous(broadcast_to<2>(unsqueeze(to_real(primal(residue_index)), 1), all)),
                        contiguous(broadcast_to<2>(from_host<2>(b, column), all)), primal(radii) * primal(exists)},
            2),
      {atoms, 3});
  const auto points = reshape<2>(positions, {atoms, 3});
  const double tolerance = options.clash_overlap_tolerance;
  const index_t chunk = chunk_rows(atoms, 3 * atoms);
  const auto fixed = constant(positions.backend(), traits);
  const auto loss = chunked(detail::row_clashes{tolerance}, std::tuple(points, fixed), chunk, points, fixed);

  using plain = std::remove_cvref_t<decltype(traits)>;
  std::vector<tensor<typename plain::backend_type, 1>> counts, pairs;
  const auto still = primal(points);
  for (index_t from = 0; from < atoms; from += chunk) {
    const index_t to = std::min(atoms, from + chunk);
    const auto rows = slice(traits, 0, from, to);
    const auto squared = sum_squared_difference(unsqueeze(slice(still, 0, from, to), 1), unsqueeze(still, 0));
    counts.push_back(clash_op::reduced(functor::clash_count{{tolerance}}, squared, rows, traits));
    pairs.push_back(fathom::detail::reshaped<1>(
        fathom::detail::reduce_to<typename plain::backend_type, 2>(
            b, {to - from, 1}, functor::clash_pair{{tolerance}}, clash_op::trait(rows, 0, 0, squared.shape()),
            clash_op::trait(rows, 1, 0, squared.shape()), clash_op::trait(rows, 2, 0, squared.shape()),
            clash_op::trait(traits, 0, 1, squared.shape()), clash_op::trait(traits, 1, 1, squared.shape()),
            clash_op::trait(traits, 2, 1, squared.shape())),
        extents<1>{to - from}));
  }
  clash_violations<B> result;
  result.per_atom_loss_sum = reshape<2>(loss, all);
  const auto number = reshape<2>(concatenate(counts, 0), all);
  result.per_atom_num_clash = constant(positions.backend(), number);
  result.per_atom_clash_mask = constant(positions.backend(), greater_than(number, 0.5));
  // Every pair was seen from both of its atoms.
  const auto possible = constant(positions.backend(), 0.5 * sum(concatenate(pairs, 0)));
  result.mean_loss = 0.5 * sum(loss) / (possible + options.eps);
  return result;
}

}  // namespace loss
}  // namespace fathom
