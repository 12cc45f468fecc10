// SPDX-License-Identifier: Apache-2.0
// The contraction of triangle multiplication (AF2 Suppl. Alg. 11, 12): one matrix product per channel, in groups of
// channels whose matrices are packed side by side, so that the scratch stays bounded.
#pragma once

#include <algorithm>
#include <fathom/backend/cpu/blas.hpp>
#include <fathom/backend/cpu/thread_pool.hpp>
#include <fathom/backend/cpu/transpose.hpp>
#include <fathom/core/config.hpp>

namespace fathom::cpu_kernels {

/// A [row, column, channel] array by its strides.
template <class T>
struct channel_view {
  T* data = nullptr;
  index_t row = 0, column = 0, channel = 1;
};

/// x[i, j, c] = sum_k a[i, k, c] b[j, k, c]. Views may be of any order; channels innermost or outermost are fast.
template <class T>
struct triangle_args {
  index_t rows = 0, columns = 0, depth = 0, channels = 0;  ///< extents of i, j, k, c
  channel_view<const T> a;                                 ///< row i, column k
  channel_view<const T> b;                                 ///< row j, column k
  channel_view<T> x;                                       ///< row i, column j
};

namespace detail {

inline constexpr index_t triangle_rows = 32;  // rows of x computed at a time

// to[channel][row, column] = from[row, column, channel] for one row and a group of channels.
template <class T>
void pack_channels(const channel_view<const T>& from, index_t row, index_t columns, index_t first, index_t channels,
                   T* to, index_t channel_stride) {
  const T* const line = from.data + row * from.row + first * from.channel;
  if (from.channel == 1) {
    transpose(columns, channels, T(1), line, from.column, to, channel_stride);
    return;
  }
  for (index_t c = 0; c < channels; ++c) {
    const T* const in = line + c * from.channel;
    T* const out = to + c * channel_stride;
    if (from.column == 1)
      std::copy_n(in, columns, out);
    else
      for (index_t j = 0; j < columns; ++j) out[j] = in[j * from.column];
  }
}

// The inverse: to[row, column, channel] = from[channel][row, column].
template <class T>
void unpack_channels(const T* from, index_t channel_stride, index_t row, index_t columns, index_t first,
                     index_t channels, const channel_view<T>& to) {
  T* const line = to.data + row * to.row + first * to.channel;
  if (to.channel == 1) {
    transpose(channels, columns, T(1), from, channel_stride, line, to.column);
    return;
  }
  for (index_t c = 0; c < channels; ++c) {
    const T* const in = from + c * channel_stride;
    T* const out = line + c * to.channel;
    if (to.column == 1)
      std::copy_n(in, columns, out);
    else
      for (index_t j = 0; j < columns; ++j) out[j * to.column] = in[j];
  }
}

// c[m, n] = a[m, k] b[k, n] in pieces that BLAS computes without packing, where there are such.
template <class T>
void narrow_product(index_t m, index_t n, index_t k, const T* a, index_t lda, const T* b, index_t ldb, T* c,
                    index_t ldc) {
  const index_t fitting = (index_t(1) << 19) / std::max<index_t>(1, m * k) / 16 * 16;
  const index_t width = fitting >= 32 ? fitting : n;
  for (index_t j = 0; j < n; j += width)
    gemm_serial(false, false, m, std::min(width, n - j), k, T(1), a, lda, b + j, ldb, T(0), c + j, ldc);
}

// A channel's matrix starts one cache line further than its size: equal strides of a power of two would share sets.
inline index_t apart(index_t elements) { return (elements + 15) / 16 * 16 + 16; }

// How channels are cut: `group` of them at a time in one task. Small matrices: a task packs and multiplies its group by
// itself. Large ones: all workers pack a group, then multiply it. Functions of the extents alone.
struct triangle_cut {
  bool alone;
  index_t group;
};
inline triangle_cut cut_triangle(index_t elements_per_channel) {
  if (elements_per_channel <= index_t(1) << 15) return {true, 8};
  if (elements_per_channel < index_t(1) << 17) return {true, 16};
  return {false, 16};
}

template <class T>
struct triangle_work {
  const triangle_args<T>& t;
  index_t a_stride = apart(t.rows * t.depth), b_stride = apart(t.columns * t.depth);

  // a as [c][i, k] and b as [c][k, j]: lines are the rows i, then the rows k.
  index_t lines() const { return t.rows + t.depth; }
  void pack_line(index_t line, index_t from, index_t count, T* a, T* b) const {
    if (line < t.rows) {
      pack_channels(t.a, line, t.depth, from, count, a + line * t.depth, a_stride);
    } else {
      const channel_view<const T> b_by_depth{t.b.data, t.b.column, t.b.row, t.b.channel};
      pack_channels(b_by_depth, line - t.rows, t.columns, from, count, b + (line - t.rows) * t.columns, b_stride);
    }
  }
  index_t blocks() const { return (t.rows + triangle_rows - 1) / triangle_rows; }
  void multiply_block(thread_pool& pool, int worker, index_t block, index_t from, index_t count, const T* a,
                      const T* b) const {
    const index_t i = block * triangle_rows, rows = std::min(triangle_rows, t.rows - i);
    const index_t x_stride = apart(rows * t.columns);
    const auto x = pool.scratch<T>(worker, count * x_stride);
    for (index_t c = 0; c < count; ++c)
      narrow_product<T>(rows, t.columns, t.depth, a + c * a_stride + i * t.depth, t.depth, b + c * b_stride, t.columns,
                        x.data() + c * x_stride, t.columns);
    for (index_t row = 0; row < rows; ++row)
      unpack_channels<T>(x.data() + row * t.columns, x_stride, i + row, t.columns, from, count, t.x);
  }
};

}  // namespace detail

/// See triangle_args. x may not overlap a or b. Scratch: the packed matrices of 8 or 16 channels, for each thread while
/// rows + columns times depth stays below 2^17, once beyond that.
template <class T>
void triangle_contract(thread_pool& pool, const triangle_args<T>& t) {
  if (t.rows <= 0 || t.columns <= 0 || t.channels <= 0) return;
  const detail::triangle_work<T> work{t};
  const detail::triangle_cut cut = detail::cut_triangle((t.rows + t.columns) * t.depth);
  if (cut.alone) {
    pool.parallel_for((t.channels + cut.group - 1) / cut.group, [&](index_t task, int worker) {
      const index_t from = task * cut.group, count = std::min(cut.group, t.channels - from);
      const auto a = pool.scratch<T>(worker, count * work.a_stride), b = pool.scratch<T>(worker, count * work.b_stride);
      for (index_t line = 0; line < work.lines(); ++line) work.pack_line(line, from, count, a.data(), b.data());
      for (index_t block = 0; block < work.blocks(); ++block)
        work.multiply_block(pool, worker, block, from, count, a.data(), b.data());
    });
    return;
  }
  const int self = pool.current_worker();
  const auto a = pool.scratch<T>(self, cut.group * work.a_stride), b = pool.scratch<T>(self, cut.group * work.b_stride);
  for (index_t from = 0; from < t.channels; from += cut.group) {
    const index_t count = std::min(cut.group, t.channels - from);
    pool.parallel_for(work.lines(), [&](index_t line, int) { work.pack_line(line, from, count, a.data(), b.data()); });
    pool.parallel_for(work.blocks(), [&](index_t block, int worker) {
      work.multiply_block(pool, worker, block, from, count, a.data(), b.data());
    });
  }
}

/// Outgoing: x[i, j, c] = sum_k a[i, k, c] b[j, k, c]; incoming: x[i, j, c] = sum_k a[k, i, c] b[k, j, c].
/// a, b and x are [n, n, channels], contiguous.
template <class T>
void triangle_forward(thread_pool& pool, bool incoming, index_t n, index_t channels, const T* a, const T* b, T* x) {
  const index_t wide = n * channels;
  const auto view = [&](const T* data) {
    return incoming ? channel_view<const T>{data, channels, wide, 1} : channel_view<const T>{data, wide, channels, 1};
  };
  triangle_contract(pool, triangle_args<T>{n, n, n, channels, view(a), view(b), {x, wide, channels, 1}});
}

/// Cotangents of triangle_forward: da and db are overwritten; null means not wanted.
template <class T>
void triangle_backward(thread_pool& pool, bool incoming, index_t n, index_t channels, const T* a, const T* b,
                       const T* dx, T* da, T* db) {
  const index_t wide = n * channels;
  const channel_view<const T> slope{dx, wide, channels, 1}, slope_transposed{dx, channels, wide, 1};
  // With outgoing strides a(i, k), b(j, k): da(i, k) = sum_j dx(i, j) b(j, k), db(j, k) = sum_i dx(i, j) a(i, k).
  const auto swapped = [&](const T* data) {
    return incoming ? channel_view<const T>{data, wide, channels, 1} : channel_view<const T>{data, channels, wide, 1};
  };
  const auto result = [&](T* data) {
    return incoming ? channel_view<T>{data, channels, wide, 1} : channel_view<T>{data, wide, channels, 1};
  };
  if (da != nullptr) triangle_contract(pool, triangle_args<T>{n, n, n, channels, slope, swapped(b), result(da)});
  if (db != nullptr)
    triangle_contract(pool, triangle_args<T>{n, n, n, channels, slope_transposed, swapped(a), result(db)});
}

}  // namespace fathom::cpu_kernels
