// SPDX-License-Identifier: Apache-2.0
// Layer normalisation, forward and backward: one warp for each row, every row read once.
#pragma once

#include <fathom/cuda/kernels/row.cuh>

namespace fathom::cuda::kernels {

/// y = (x - mean) rstd weight + bias over rows of `length` values. Rows of x and dy lie anywhere, their values
/// together.
template <class T>
struct layer_norm_args {
  device::lattice<2> rows;  ///< starts of the rows of x and of dy
  int length = 0;
  const T *x = nullptr, *dy = nullptr, *weight = nullptr, *bias = nullptr;
  T eps = 0;
  T* y = nullptr;                      ///< [rows, length]; in the backward pass the cotangent of x
  T *mean = nullptr, *rstd = nullptr;  ///< [rows]
  bool aligned = false;  ///< four values of every row can be read at once, and length is a multiple of four
};

template <class T, int Quads>
struct layer_norm_forward {
  static constexpr int threads = 256, warps = threads / 32;
  static constexpr std::size_t shared_bytes = 0;
  layer_norm_args<T> a;

  index_t blocks() const { return (a.rows.size + warps - 1) / warps; }

  FATHOM_DEVICE void operator()() const {
    const index_t row = block_number() * warps + warp_number();
    if (row >= a.rows.size) return;
    index_t at[2];
    a.rows.locate(row, at);
    warp_row<T, Quads> x, weight, bias;
    x.load(a.x + at[0], a.length, a.aligned);
    weight.load(a.weight, a.length, a.aligned);
    bias.load(a.bias, a.length, a.aligned);
    T sum = 0, squares = 0;
    x.each(a.length, [&](int n, int e) { sum += x.v[n][e]; });
    const T mean = sum_over_lanes(sum) / static_cast<T>(a.length);
    x.each(a.length, [&](int n, int e) { squares += (x.v[n][e] - mean) * (x.v[n][e] - mean); });
    const T rstd = T(1) / sqrt_of(sum_over_lanes(squares) / static_cast<T>(a.length) + a.eps);
    x.each(a.length, [&](int n, int e) { x.v[n][e] = (x.v[n][e] - mean) * rstd * weight.v[n][e] + bias.v[n][e]; });
    x.store(a.y + row * a.length, a.length, a.aligned);
    if (lane_number() == 0) {
      a.mean[row] = mean;
      a.rstd[row] = rstd;
    }
  }
};

/// The same for values that do not lie together (channel-major x): a block turns 32 rows round in shared memory.
template <class T>
struct layer_norm_columns {
  static constexpr int threads = 256, warps = threads / 32, most = 256, rows = 32;
  static constexpr std::size_t shared_bytes = shared_size<T>(most * (rows + 1));
  layer_norm_args<T> a;
  index_t step = 1;  ///< from one value of a row to the next

  index_t blocks() const { return (a.rows.size + rows - 1) / rows; }

  FATHOM_DEVICE void operator()() const {
    shared_memory memory;
    const auto tile = memory.take<T>(most * (rows + 1));
    const index_t first = block_number() * rows, mine = first + lane_number();
    if (mine < a.rows.size) {
      index_t at[2];
      a.rows.locate(mine, at);
      for (int c = warp_number(); c < a.length; c += warps)
        tile[c * (rows + 1) + lane_number()] = a.x[at[0] + c * step];
    }
    __syncthreads();
    for (int r = warp_number(); r < rows; r += warps) {
      const index_t row = first + r;
      if (row >= a.rows.size) break;
      T sum = 0, squares = 0;
      for (int c = lane_number(); c < a.length; c += 32) sum += tile[c * (rows + 1) + r];
      const T mean = sum_over_lanes(sum) / static_cast<T>(a.length);
      for (int c = lane_number(); c < a.length; c += 32) {
        const T off = tile[c * (rows + 1) + r] - mean;
        squares += off * off;
      }
      const T rstd = T(1) / sqrt_of(sum_over_lanes(squares) / static_cast<T>(a.length) + a.eps);
      for (int c = lane_number(); c < a.length; c += 32)
        a.y[row * a.length + c] = (tile[c * (rows + 1) + r] - mean) * rstd * a.weight[c] + a.bias[c];
      if (lane_number() == 0) {
        a.mean[row] = mean;
        a.rstd[row] = rstd;
      }
    }
  }
};

/// dx, and for each block the sums over its rows of dy (x - mean) rstd and of dy: partial [blocks, 2, length]. A
/// block's warps take its rows in turn and add up what they have in their order.
template <class T, int Quads>
struct layer_norm_backward {
  static constexpr int threads = 256, warps = threads / 32;
  static constexpr std::size_t shared_bytes = shared_size<T>(warps * Quads * 128);
  layer_norm_args<T> a;
  T* partial = nullptr;

  /// By extents alone; 512 blocks at most.
  FATHOM_HD static index_t rows_for(index_t rows) {
    const index_t wanted = (rows + 511) / 512;
    return wanted > 4 * warps ? wanted : 4 * warps;
  }
  index_t blocks() const { return (a.rows.size + rows_for(a.rows.size) - 1) / rows_for(a.rows.size); }

  FATHOM_DEVICE void operator()() const {
    shared_memory memory;
    const auto tile = memory.take<T>(warps * Quads * 128);
    const index_t length = rows_for(a.rows.size), first = block_number() * length;
    const index_t end = first + length < a.rows.size ? first + length : a.rows.size;
    warp_row<T, Quads> weight, d_weight, d_bias;
    weight.load(a.weight, a.length, a.aligned);
    FATHOM_UNROLL
    for (int n = 0; n < Quads; ++n) {
      FATHOM_UNROLL
      for (int e = 0; e < 4; ++e) d_weight.v[n][e] = d_bias.v[n][e] = T(0);
    }
    const T inverse = T(1) / static_cast<T>(a.length);
    for (index_t row = first + warp_number(); row < end; row += warps) {
      index_t at[2];
      a.rows.locate(row, at);
      const T mean = a.mean[row], rstd = a.rstd[row];
      warp_row<T, Quads> x, dy;
      x.load(a.x + at[0], a.length, a.aligned, mean);
      dy.load(a.dy + at[1], a.length, a.aligned);
      T sum = 0, projection = 0;
      x.each(a.length, [&](int n, int e) {
        x.v[n][e] = (x.v[n][e] - mean) * rstd;
        d_weight.v[n][e] += dy.v[n][e] * x.v[n][e];
        d_bias.v[n][e] += dy.v[n][e];
        dy.v[n][e] *= weight.v[n][e];
        sum += dy.v[n][e];
        projection += dy.v[n][e] * x.v[n][e];
      });
      sum = sum_over_lanes(sum) * inverse;
      projection = sum_over_lanes(projection) * inverse;
      x.each(a.length, [&](int n, int e) { x.v[n][e] = rstd * (dy.v[n][e] - sum - x.v[n][e] * projection); });
      x.store(a.y + row * a.length, a.length, a.aligned);
    }
    collect(tile, d_weight, partial + block_number() * 2 * a.length);
    __syncthreads();
    collect(tile, d_bias, partial + (block_number() * 2 + 1) * a.length);
  }

 private:
  FATHOM_DEVICE void collect(const shared_array<T>& tile, const warp_row<T, Quads>& mine, T* to) const {
    FATHOM_UNROLL
    for (int n = 0; n < Quads; ++n) {
      FATHOM_UNROLL
      for (int e = 0; e < 4; ++e) tile[warp_number() * Quads * 128 + mine.first(n) + e] = mine.v[n][e];
    }
    __syncthreads();
    for (int c = thread_number(); c < a.length; c += threads) {
      T sum = 0;
      for (int w = 0; w < warps; ++w) sum += tile[w * Quads * 128 + c];
      to[c] = sum;
    }
  }
};

/// to[c] = sum over p of from[p, c]: 32 columns a block, its warps take the rows in turn and add in their order.
template <class T>
struct sum_rows {
  static constexpr int threads = 1024, warps = threads / 32;
  static constexpr std::size_t shared_bytes = shared_size<T>(warps * 32);
  const T* from;
  T* to;
  index_t rows, columns;

  index_t blocks() const { return (columns + 31) / 32; }

  FATHOM_DEVICE void operator()() const {
    shared_memory memory;
    const auto tile = memory.take<T>(warps * 32);
    const index_t column = block_number() * 32 + lane_number();
    T sum = 0;
    if (column < columns)
      for (index_t row = warp_number(); row < rows; row += warps) sum += from[row * columns + column];
    tile[thread_number()] = sum;
    __syncthreads();
    if (warp_number() > 0 || column >= columns) return;
    sum = 0;
    for (int w = 0; w < warps; ++w) sum += tile[w * 32 + lane_number()];
    to[column] = sum;
  }
};

}  // namespace fathom::cuda::kernels
