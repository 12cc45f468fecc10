// SPDX-License-Identifier: Apache-2.0
// Aligned errors of residue pairs as logits of bins, and what follows from them: predicted aligned error, pTM and ipTM
// (AF2 Suppl. 1.9.7).
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>

#include <fathom/nn/linear.hpp>
#include <fathom/op/comparison.hpp>
#include <fathom/op/extremum.hpp>
#include <fathom/op/reduction.hpp>
#include <fathom/op/softmax.hpp>

namespace fathom {

/// z [i, j, c_z] -> logits [i, j, bins] of the error of residue j seen from the frame of residue i; not symmetric.
template <backend B, index_t C, index_t Bins = 64>
struct tm_head {
  using backend_type = B;
  static constexpr index_t no_bins = Bins;
  fathom::linear<B, C, Bins> linear;

  tm_head() = default;
  explicit tm_head(const B& b) : linear(b, init::final) {}
  void visit(auto&& v) { v("linear", linear); }
  template <class B2>
  using rebind = tm_head<B2, C, Bins>;

  tensor<B, 3> operator()(const tensor<B, 3>& z) const { return linear(z); }
};

namespace detail {
/// Centre of error bin `bin`: inner boundaries are equally spaced over [0, max_bin], the last bin is open.
inline double error_bin_centre(index_t bin, index_t bins, double max_bin) {
  return (static_cast<double>(bin) + 0.5) * max_bin / static_cast<double>(bins - 2);
}
/// f(centre) for every bin: [1, 1, bins].
template <class B, class F>
tensor<B, 3> error_bin_table(const B& b, index_t bins, double max_bin, const F& f) {
  if (bins < 3) throw shape_error(concat("tm head: needs at least 3 bins, got ", bins));
  host_tensor<double> table({1, 1, bins});
  for (index_t bin = 0; bin < bins; ++bin) table(0, 0, bin) = f(error_bin_centre(bin, bins, max_bin));
  return from_host<3>(b, table);
}
}  // namespace detail

/// The largest error that predicted_aligned_error can give, in Angstrom: the centre of the last bin.
inline double max_predicted_aligned_error(index_t bins = 64, double max_bin = 31) {
  return detail::error_bin_centre(bins - 1, bins, max_bin);
}

/// Expected error in Angstrom of residue j when the prediction is laid over the truth at residue i: logits [i, j, bins]
/// -> [i, j].
template <backend B>
tensor<B, 2> predicted_aligned_error(const tensor<B, 3>& logits, double max_bin = 31) {
  const auto centre = detail::error_bin_table(logits.backend(), logits.extent(2), max_bin, [](double c) { return c; });
  return sum_product(softmax(logits), centre);
}

struct predicted_tm_options {
  double max_bin = 31;
  double eps = 1e-8;
};

namespace detail {
/// max over i with w_i > 0 of sum_j E_ij W_ij / (eps + sum_j W_ij), E_ij = sum_b p_ijb / (1 + (c_b / d0)^2).
template <class B>
tensor<B, 0> predicted_tm_score(const tensor<B, 3>& logits, const tensor<B, 1>& residue_weights,
                                const tensor<B, 2>& pair_weights, const predicted_tm_options& options) {
  // d0 of a chain (Zhang and Skolnick 2004), for no fewer than 19 residues.
  const double length = std::max(19.0, static_cast<double>(item(sum(primal(residue_weights)))));
  const double d0 = 1.24 * std::cbrt(length - 15) - 1.8;
  const auto score = error_bin_table(logits.backend(), logits.extent(2), options.max_bin,
                                     [=](double c) { return 1 / (1 + (c / d0) * (c / d0)); });
  const auto expected = sum_product(softmax(logits), score);
  const auto of_frame = sum_product(expected, pair_weights) / (sum(pair_weights, 1) + options.eps);
  const auto counts = greater_than(residue_weights, 0);
  return max(of_frame * counts + (counts - 1.0), 0);
}
}  // namespace detail

/// Predicted TM-score in 0..1 of logits [i, j, bins]. weights [i]: residues that count, all of them by default.
template <backend B>
tensor<B, 0> predicted_tm(const tensor<B, 3>& logits, const std::optional<tensor<B, 1>>& weights = std::nullopt,
                          const predicted_tm_options& options = {}) {
  const auto w = weights ? *weights : full<1>(logits.backend(), {logits.extent(0)}, scalar_of<B>(1));
  return detail::predicted_tm_score(logits, w, unsqueeze(w, 1) * unsqueeze(w, 0), options);
}

/// Interface predicted TM-score: only pairs of different chains count; asym_id [i] numbers the chains.
template <backend B>
tensor<B, 0> predicted_interface_tm(const tensor<B, 3>& logits, const tensor<B, 1, index_t>& asym_id,
                                    const std::optional<tensor<B, 1>>& weights = std::nullopt,
                                    const predicted_tm_options& options = {}) {
  const auto w = weights ? *weights : full<1>(logits.backend(), {logits.extent(0)}, scalar_of<B>(1));
  const auto chain = to_real(asym_id);
  const auto apart = greater_than(square(unsqueeze(chain, 1) - unsqueeze(chain, 0)), 0.5);
  return detail::predicted_tm_score(logits, w, unsqueeze(w, 1) * unsqueeze(w, 0) * apart, options);
}

}  // namespace fathom
