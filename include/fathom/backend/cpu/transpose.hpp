// SPDX-License-Identifier: Apache-2.0
// Transposes of strided matrices through squares of 16-byte registers (measured faster than wider ones).
#pragma once

#include <fathom/backend/cpu/pack.hpp>
#include <fathom/core/config.hpp>

namespace fathom::cpu_kernels {

namespace detail {

/// rows[i][j] becomes rows[j][i].
FATHOM_INLINE void transpose_square(pack<float, 16>* rows) {
  using P = pack<float, 16>;
  const P a = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5);
  const P b = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7);
  const P c = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5);
  const P d = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7);
  rows[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
  rows[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
  rows[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
  rows[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}
FATHOM_INLINE void transpose_square(pack<double, 16>* rows) {
  using P = pack<double, 16>;
  const P upper = __builtin_shufflevector(rows[0], rows[1], 0, 2);
  rows[1] = __builtin_shufflevector(rows[0], rows[1], 1, 3);
  rows[0] = upper;
}

// Bands of a few rows, so that result rows are written by half a cache line or a whole one, and as many source lines
// stay in the first cache; whole lines where all result rows fall into one set of it.
template <class T>
struct transpose_rows {
  static constexpr index_t L = pack_size<T, 16>;

  static FATHOM_INLINE void square(const T* from, index_t from_stride, T factor, T* to, index_t to_stride) {
    pack<T, 16> values[L];
    for (index_t i = 0; i < L; ++i) load(values[i], from + i * from_stride);
    transpose_square(values);
    for (index_t i = 0; i < L; ++i) {
      values[i] *= factor;
      store(values[i], to + i * to_stride);
    }
  }
  template <int>
  static FATHOM_INLINE void run(index_t rows, index_t columns, T factor, const T* from, index_t from_stride, T* to,
                                index_t to_stride) {
    const index_t band = to_stride * static_cast<index_t>(sizeof(T)) % 4096 == 0 ? 16 : 8;
    const index_t whole_rows = rows / L * L, whole_columns = columns / L * L;
    for (index_t first = 0; first < whole_rows; first += band) {
      const index_t last = first + band < whole_rows ? first + band : whole_rows;
      for (index_t c = 0; c < whole_columns; c += L)
        for (index_t row = first; row < last; row += L)
          square(from + row * from_stride + c, from_stride, factor, to + c * to_stride + row, to_stride);
      for (index_t c = whole_columns; c < columns; ++c)
        for (index_t row = first; row < last; ++row) to[c * to_stride + row] = factor * from[row * from_stride + c];
    }
    for (index_t row = whole_rows; row < rows; ++row)
      for (index_t c = 0; c < columns; ++c) to[c * to_stride + row] = factor * from[row * from_stride + c];
  }
};

}  // namespace detail

/// to[c, row] = factor * from[row, c] for rows and columns with unit inner strides, on the calling thread.
template <class T>
void transpose(index_t rows, index_t columns, T factor, const T* from, index_t from_stride, T* to, index_t to_stride) {
  run_multiversion<detail::transpose_rows<T>>(rows, columns, factor, from, from_stride, to, to_stride);
}

}  // namespace fathom::cpu_kernels
