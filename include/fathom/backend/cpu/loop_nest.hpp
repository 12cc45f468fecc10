// SPDX-License-Identifier: Apache-2.0
// Strided views of one shape as the shortest nest of loops: axes of extent 1 dropped, neighbours merged.
#pragma once

#include <array>
#include <cstddef>
#include <fathom/tensor/strided_view.hpp>

namespace fathom::cpu_kernels {

/// Axes outermost first; stride[k][a] belongs to view k. `reduced` marks axes that a reduction sums away.
template <std::size_t Views>
struct loop_nest {
  int rank = 0;
  index_t extent[max_rank + 1] = {};
  bool reduced[max_rank + 1] = {};
  std::array<std::array<index_t, max_rank + 1>, Views> stride{};

  index_t size(int from, int to) const {
    index_t n = 1;
    for (int a = from; a < to; ++a) n *= extent[a];
    return n;
  }
  index_t size() const { return size(0, rank); }

  /// Offsets of all views at position `linear` of axes [0, axes).
  std::array<index_t, Views> offsets(index_t linear, int axes) const {
    std::array<index_t, Views> at{};
    for (int a = axes - 1; a >= 0; --a) {
      const index_t i = linear % extent[a];
      linear /= extent[a];
      for (std::size_t k = 0; k < Views; ++k) at[k] += i * stride[k][static_cast<std::size_t>(a)];
    }
    return at;
  }
};

/// The nest over the extents of the first view; `reduced` may be null.
template <std::size_t Views>
loop_nest<Views> make_nest(int rank, const index_t* extent, const std::array<const index_t*, Views>& strides,
                           const bool* reduced) {
  loop_nest<Views> nest;
  for (int a = 0; a < rank; ++a) {
    if (extent[a] == 1) continue;
    const bool sums = reduced != nullptr && reduced[a];
    bool merges = nest.rank > 0 && nest.reduced[nest.rank - 1] == sums;
    for (std::size_t k = 0; k < Views && merges; ++k)
      merges = nest.stride[k][static_cast<std::size_t>(nest.rank - 1)] == strides[k][a] * extent[a];
    if (!merges) {
      nest.extent[nest.rank] = 1;
      nest.reduced[nest.rank] = sums;
      ++nest.rank;
    }
    const auto last = static_cast<std::size_t>(nest.rank - 1);
    nest.extent[last] *= extent[a];
    for (std::size_t k = 0; k < Views; ++k) nest.stride[k][last] = strides[k][a];
  }
  return nest;
}

}  // namespace fathom::cpu_kernels
