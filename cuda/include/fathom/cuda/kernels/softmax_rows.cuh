// SPDX-License-Identifier: Apache-2.0
// Softmax over rows and its cotangent, one warp for each row.
#pragma once

#include <fathom/cuda/kernels/row.cuh>

namespace fathom::cuda::kernels {

/// out = softmax(x), rows of x anywhere in memory, their values together; out [rows, length].
template <class T, int Quads>
struct softmax_forward {
  static constexpr int threads = 256, warps = threads / 32;
  static constexpr std::size_t shared_bytes = 0;
  device::lattice<2> rows;
  int length;
  const T* x;
  T* out;
  bool aligned;

  index_t blocks() const { return (rows.size + warps - 1) / warps; }

  FATHOM_DEVICE void operator()() const {
    const index_t row = block_number() * warps + warp_number();
    if (row >= rows.size) return;
    index_t at[2];
    rows.locate(row, at);
    warp_row<T, Quads> y;
    y.load(x + at[0], length, aligned);
    T top = -infinity<T>(), sum = 0;
    y.each(length, [&](int n, int e) { top = larger(top, y.v[n][e]); });
    top = maximum_over_lanes(top);
    y.each(length, [&](int n, int e) {
      y.v[n][e] = exp2_of((y.v[n][e] - top) * static_cast<T>(log2_e));
      sum += y.v[n][e];
    });
    sum = sum_over_lanes(sum);
    y.each(length, [&](int n, int e) { y.v[n][e] /= sum; });
    y.store(out + row * length, length, aligned);
  }
};

/// out = y (dy - sum y dy)
template <class T, int Quads>
struct softmax_backward {
  static constexpr int threads = 256, warps = threads / 32;
  static constexpr std::size_t shared_bytes = 0;
  device::lattice<2> rows;  ///< of y and dy
  int length;
  const T *y, *dy;
  T* out;
  bool aligned;

  index_t blocks() const { return (rows.size + warps - 1) / warps; }

  FATHOM_DEVICE void operator()() const {
    const index_t row = block_number() * warps + warp_number();
    if (row >= rows.size) return;
    index_t at[2];
    rows.locate(row, at);
    warp_row<T, Quads> p, slope;
    p.load(y + at[0], length, aligned);
    slope.load(dy + at[1], length, aligned);
    T dot = 0;
    p.each(length, [&](int n, int e) { dot += p.v[n][e] * slope.v[n][e]; });
    dot = sum_over_lanes(dot);
    p.each(length, [&](int n, int e) { p.v[n][e] *= slope.v[n][e] - dot; });
    p.store(out + row * length, length, aligned);
  }
};

}  // namespace fathom::cuda::kernels
