// SPDX-License-Identifier: Apache-2.0
// How many rows a row-wise layer works on at a time.
#pragma once

#include <algorithm>

#include <fathom/core/config.hpp>

namespace fathom {

/// Rows of `rows`, each needing `elements_per_row` elements of scratch, so that a chunk's scratch stays near 6 MB in
/// float32: small beside the state, large enough for full speed of the products. Depends on extents alone, never on the
/// number of threads. Chunks come out equally long.
inline index_t chunk_rows(index_t rows, index_t elements_per_row) {
  constexpr index_t budget = 3 << 19;
  const index_t most = std::max<index_t>(1, budget / std::max<index_t>(1, elements_per_row));
  const index_t chunks = std::max<index_t>(1, (rows + most - 1) / most);
  return std::max<index_t>(1, (rows + chunks - 1) / chunks);
}

}  // namespace fathom
