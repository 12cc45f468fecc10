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

// to[c][i] = from[i][c], 16 x 16 values in registers of 64 bytes: pairs at distance 1, 2, 4 and 8 change places.
template <class T>
FATHOM_INLINE void transpose_sixteen(const T* from, index_t from_stride, T* to, index_t to_stride) {
  using P = pack<T, 64>;
  P r[16], s[16];
  for (index_t i = 0; i < 16; ++i) load(r[i], from + i * from_stride);
  for (int i = 0; i < 16; i += 2) {
    s[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30);
    s[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31);
  }
  for (int block = 0; block < 16; block += 4)
    for (int i = block; i < block + 2; ++i) {
      r[i] = __builtin_shufflevector(s[i], s[i + 2], 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
      r[i + 2] = __builtin_shufflevector(s[i], s[i + 2], 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    }
  for (int block = 0; block < 16; block += 8)
    for (int i = block; i < block + 4; ++i) {
      s[i] = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
      s[i + 4] = __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
    }
  for (int i = 0; i < 8; ++i) {
    r[i] = __builtin_shufflevector(s[i], s[i + 8], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
    r[i + 8] = __builtin_shufflevector(s[i], s[i + 8], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  }
  for (index_t i = 0; i < 16; ++i) store(r[i], to + i * to_stride);
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
