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

}  // namespace fathom::golden
