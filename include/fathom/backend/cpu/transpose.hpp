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

template <class T>
struct transpose_rows {
  template <int>
  static FATHOM_INLINE void run(index_t rows, index_t columns, T factor, const T* from, index_t from_stride, T* to,
                                index_t to_stride) {
    constexpr index_t L = pack_size<T, 16>;
    index_t row = 0;
    for (; row + L <= rows; row += L) {
      index_t c = 0;
      for (; c + L <= columns; c += L) {
        pack<T, 16> values[L];
        for (index_t i = 0; i < L; ++i) load(values[i], from + (row + i) * from_stride + c);
        transpose_square(values);
        for (index_t i = 0; i < L; ++i) {
          values[i] *= factor;
          store(values[i], to + (c + i) * to_stride + row);
        }
      }
      for (; c < columns; ++c)
        for (index_t i = 0; i < L; ++i) to[c * to_stride + row + i] = factor * from[(row + i) * from_stride + c];
    }
    for (; row < rows; ++row)
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
