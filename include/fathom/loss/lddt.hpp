// SPDX-License-Identifier: Apache-2.0
// lDDT-CA on any backend as a training target, and the loss of its prediction (AF2 Suppl. 1.9.6, Alg. 29).
#pragma once

#include <cmath>

#include <fathom/geometry/atom_names.hpp>
#include <fathom/loss/bins.hpp>
#include <fathom/loss/masked_mean.hpp>
#include <fathom/op/cross_entropy.hpp>

namespace fathom {

namespace functor {
/// 1 for a pair of present atoms whose true distance is below the cutoff.
struct lddt_neighbour {
  double cutoff, eps;
  template <class T>
  FATHOM_HD T operator()(T truth, T first, T second) const {
    return std::sqrt(T(eps) + truth) < T(cutoff) ? first * second : T(0);
  }
};
/// Which part of the thresholds 0.5, 1, 2, 4 Angstrom the pair keeps. Takes squared distances.
struct lddt_kept {
  double cutoff, eps;
  template <class T>
  FATHOM_HD T operator()(T truth, T predicted, T first, T second) const {
    const T distance = std::sqrt(T(eps) + truth);
    const T off = std::abs(distance - std::sqrt(T(eps) + predicted));
    const T kept = T(off < T(0.5)) + T(off < T(1)) + T(off < T(2)) + T(off < T(4));
    return distance < T(cutoff) ? T(0.25) * kept * first * second : T(0);
  }
};
}  // namespace functor

namespace loss {

struct lddt_options {
  double cutoff = 15, eps = 1e-10;
};

/// Scores in 0..1, without gradient.
template <plain_backend B>
struct lddt_scores {
  tensor<B, 1> residue;  ///< [n]; 1 where a residue has no neighbour
  tensor<B, 0> total;    ///< over all pairs
};

/// One point per residue: predicted and truth [n, 3], mask [n].
template <plain_backend B>
lddt_scores<B> lddt(const tensor<B, 2>& predicted, const tensor<B, 2>& truth, const tensor<B, 1>& mask,
                    const lddt_options& options = {}) {
  const index_t n = mask.extent(0);
  fathom::detail::expect_extents<2>("lddt", "predicted", predicted, {n, 3});
  fathom::detail::expect_extents<2>("lddt", "truth", truth, {n, 3});
  const auto squared = [&](const tensor<B, 2>& x) { return sum_squared_difference(unsqueeze(x, 1), unsqueeze(x, 0)); };
  const auto d_true = squared(truth), d_predicted = squared(predicted);
  const extents<2> pairs{n, n}, rows{n, 1};
  const auto first = unsqueeze(mask, 1), second = unsqueeze(mask, 0);
  const auto first_view = fathom::detail::broadcast_to_view(first.view(), pairs);
  const auto second_view = fathom::detail::broadcast_to_view(second.view(), pairs);
  const auto& b = mask.backend();
  const auto count = fathom::detail::reduce_to<B, 2>(b, rows, functor::lddt_neighbour{options.cutoff, options.eps},
                                                     d_true.view(), first_view, second_view);
  const auto kept = fathom::detail::reduce_to<B, 2>(b, rows, functor::lddt_kept{options.cutoff, options.eps},
                                                    d_true.view(), d_predicted.view(), first_view, second_view);
  // A residue is a kept neighbour of its own; take it away again.
  const auto self = square(first);
  const auto others = count - self, good = kept - self;
  return {squeeze((good + options.eps) / (others + options.eps), 1),
          (sum(good) + options.eps) / (sum(others) + options.eps)};
}
/// The same of recorded tensors: targets carry no gradient.
template <decorated_backend B>
auto lddt(const tensor<B, 2>& predicted, const tensor<B, 2>& truth, const tensor<B, 1>& mask,
          const lddt_options& options = {}) {
  return lddt(primal(predicted), primal(truth), primal(mask), options);
}

/// CA atoms [n, 3] of atom37 positions [n, 37, 3].
template <class B>
tensor<B, 2> ca_positions(const tensor<B, 3>& atom37) {
  return select(atom37, 1, atom37_index("CA"));
}
template <class B>
tensor<B, 1> ca_mask(const tensor<B, 2>& atom37_mask) {
  return select(atom37_mask, 1, atom37_index("CA"));
}

struct plddt_options {
  lddt_options lddt;
  resolution_range resolution;
};

/// Cross entropy of predicted lDDT-CA: logits [n, bins], atom37 positions predicted and true [n, 37, 3], mask [n, 37].
/// The score is a constant: no gradient reaches the positions. 0 outside the range of resolutions.
template <backend B>
tensor<B, 0> plddt(const tensor<B, 2>& logits, const tensor<B, 3>& predicted, const tensor<B, 3>& truth,
                   const tensor<B, 2>& mask, double resolution, const plddt_options& options = {}) {
  const auto ca = ca_mask(mask);
  const auto score = lddt(ca_positions(predicted), ca_positions(truth), ca, options.lddt);
  const auto label = constant(logits.backend(), unit_interval_bin(score.residue, logits.extent(1)));
  const auto loss = masked_mean(cross_entropy(logits, label), ca, options.lddt.eps);
  return options.resolution.contains(resolution) ? loss : loss * 0.0;
}

}  // namespace loss
}  // namespace fathom
