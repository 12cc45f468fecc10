// SPDX-License-Identifier: Apache-2.0
// What the masks of a golden case say about where float32 can agree: see run::exclude_fully_masked and exclude_from_scale.
#pragma once

#include <fathom/core/host_tensor.hpp>

namespace fathom::golden {

/// Like `mask`, with 1 wherever attention over `axis` sees a key at all: the mask has a 1 along that axis.
inline host_tensor<double> rows_with_data(const host_tensor<double>& mask, int axis) {
  const auto a = static_cast<std::size_t>(axis);
  std::size_t inner = 1;
  for (std::size_t k = a + 1; k < mask.shape.size(); ++k) inner *= static_cast<std::size_t>(mask.shape[k]);
  const auto n = static_cast<std::size_t>(mask.shape[a]);
  host_tensor<double> seen(mask.shape, 0.0);
  for (std::size_t i = 0; i < mask.data.size(); ++i) {
    const std::size_t start = i / (inner * n) * (inner * n) + i % inner;
    for (std::size_t k = 0; k < n; ++k)
      if (mask.data[start + k * inner] != 0) seen.data[i] = 1;
  }
  return seen;
}

/// [i, j] of an MSA mask [s, i]: 1 where a sequence has both residues, so that the outer product mean is no bias / eps.
inline host_tensor<double> pairs_with_data(const host_tensor<double>& msa_mask) {
  const index_t s = msa_mask.shape[0], n = msa_mask.shape[1];
  host_tensor<double> seen({n, n}, 0.0);
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < n; ++j)
      for (index_t k = 0; k < s; ++k)
        if (msa_mask(k, i) != 0 && msa_mask(k, j) != 0) seen(i, j) = 1;
  return seen;
}

/// Where blocks and stacks are decided by more than rounding: 1 at [s, i] and [i, j].
struct positions {
  host_tensor<double> m, z;
};

/// A residue that its MSA column, or its row or column of pairs, masks throughout is padding, and so is a sequence without
/// residues. Where such a residue is masked in some of the three only, its values reach the others through the pair bias,
/// and nothing is left.
inline positions trunk_positions(const host_tensor<double>& msa, const host_tensor<double>& pair) {
  const index_t s = msa.shape[0], n = msa.shape[1];
  const auto sequences = rows_with_data(msa, 1), columns = rows_with_data(msa, 0);
  const auto starting = rows_with_data(pair, 1), ending = rows_with_data(pair, 0);
  positions seen{host_tensor<double>({s, n}, 0.0), host_tensor<double>({n, n}, 0.0)};
  std::vector<bool> present(static_cast<std::size_t>(n));
  for (index_t i = 0; i < n; ++i) {
    const double in_all = columns(0, i) + starting(i, 0) + ending(0, i);
    if (in_all != 0 && in_all != 3) return seen;
    present[static_cast<std::size_t>(i)] = in_all == 3;
  }
  for (index_t i = 0; i < n; ++i) {
    if (!present[static_cast<std::size_t>(i)]) continue;
    for (index_t k = 0; k < s; ++k) seen.m(k, i) = sequences(k, 0);
    for (index_t j = 0; j < n; ++j) seen.z(i, j) = present[static_cast<std::size_t>(j)] ? 1 : 0;
  }
  return seen;
}

/// x[0]
inline host_tensor<double> first_row(const host_tensor<double>& x) {
  return {{x.shape[1]}, std::vector<double>(x.data.begin(), x.data.begin() + x.shape[1])};
}

}  // namespace fathom::golden
