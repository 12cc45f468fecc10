// SPDX-License-Identifier: Apache-2.0
// The contraction of triangle multiplication (AF2 Suppl. Alg. 11, 12): one matrix product per channel, in groups of
// channels whose matrices are packed side by side, so that the scratch stays bounded.
#pragma once

#include <algorithm>
#include <fathom/backend/cpu/blas.hpp>
#include <fathom/backend/cpu/thread_pool.hpp>
#include <fathom/backend/cpu/transpose.hpp>
#include <fathom/core/config.hpp>
#include <utility>

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

// Rows of x computed at a time: OpenBLAS' small products run at full speed in multiples of 48 or 16, not of 32.
inline constexpr index_t triangle_rows = 48;

// to[c * to_stride + i] = from[i * from_stride + c] for 16 values c of `count` positions i that lie far apart: whole
// cache lines on both sides, and those of the next line, at `next`, already on their way.
template <class T>
struct pack_sixteen {
  template <int Bytes>
  static FATHOM_INLINE void run(index_t count, const T* from, index_t from_stride, index_t next, T* to,
                                index_t to_stride) {
    constexpr index_t L = pack_size<T, 16>;
    index_t i = 0;
    for (; i + 16 <= count; i += 16) {
      const T* const in = from + i * from_stride;
      for (index_t row = 0; row < 16; ++row) __builtin_prefetch(in + next + row * from_stride, 0, 2);
      if constexpr (Bytes == 64 && sizeof(T) == 4) {
        transpose_sixteen<T>(in, from_stride, to + i, to_stride);
      } else {
        for (index_t c = 0; c < 16; c += L)
          for (index_t row = 0; row < 16; row += L)
            transpose_rows<T>::square(in + row * from_stride + c, from_stride, T(1), to + c * to_stride + i + row,
                                      to_stride);
      }
    }
    for (; i < count; ++i)
      for (index_t c = 0; c < 16; ++c) to[c * to_stride + i] = from[i * from_stride + c];
  }
};

// to[channel][row, column] = from[row, column, channel] for one row and a group of channels.
template <class T>
void pack_channels(const channel_view<const T>& from, index_t row, index_t columns, index_t first, index_t channels,
                   T* to, index_t channel_stride) {
  const T* const line = from.data + row * from.row + first * from.channel;
  if (from.channel == 1) {
    if (channels == 16)
      run_multiversion<pack_sixteen<T>>(columns, line, from.column, from.row, to, channel_stride);
    else
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
  const index_t fitting = 1000000 / std::max<index_t>(1, m * k) / 16 * 16;
  const index_t width = fitting >= 32 ? fitting : n;
  for (index_t j = 0; j < n; j += width)
    gemm_serial(false, false, m, std::min(width, n - j), k, T(1), a, lda, b + j, ldb, T(0), c + j, ldc);
}

// A channel's matrix starts one cache line further than its size: equal strides of a power of two would share sets.
inline index_t apart(index_t elements) { return (elements + 15) / 16 * 16 + 16; }

// Channels go in groups of 16, a cache line of float32. Small matrices: a task packs and multiplies its group by
// itself. Large ones: all workers pack a group, then multiply it. A function of the extents alone.
inline constexpr index_t triangle_group = 16;
inline bool triangle_alone(index_t elements_per_channel) { return elements_per_channel < index_t(1) << 15; }

// One operand as matrices [lines, positions] of a group of channels, packed along whichever of its axes has the smaller
// stride: positions that lie far apart cost a page each. Turned afterwards where that was the wrong one.
template <class T>
struct packed_operand {
  channel_view<const T> from;  // row: lines wanted, column: positions wanted
  index_t lines, positions;
  bool turned;

  packed_operand(const channel_view<const T>& view, index_t rows, index_t columns)
      : from(view), lines(rows), positions(columns), turned(steps_better_along_rows(view)) {
    if (!turned) return;
    std::swap(from.row, from.column);
    std::swap(lines, positions);
  }
  static bool steps_better_along_rows(const channel_view<const T>& view) {
    return view.channel == 1 ? view.row < view.column : view.row == 1;
  }
  index_t stride() const { return apart(lines * positions); }
  void pack_line(index_t line, index_t first, index_t count, T* to) const {
    pack_channels(from, line, positions, first, count, to + line * positions, stride());
  }
  // `space`: a matrix.
  void turn(T* matrix, T* space) const {
    transpose(lines, positions, T(1), static_cast<const T*>(matrix), positions, space, lines);
    std::copy_n(space, lines * positions, matrix);
  }
};

template <class T>
struct triangle_work {
  const triangle_args<T>& t;
  packed_operand<T> a{t.a, t.rows, t.depth};                                              // [c][i, k]
  packed_operand<T> b{{t.b.data, t.b.column, t.b.row, t.b.channel}, t.depth, t.columns};  // [c][k, j]

  index_t lines() const { return a.lines + b.lines; }
  void pack_line(index_t line, index_t from, index_t count, T* to_a, T* to_b) const {
    if (line < a.lines)
      a.pack_line(line, from, count, to_a);
    else
      b.pack_line(line - a.lines, from, count, to_b);
  }
  bool turns() const { return a.turned || b.turned; }
  void turn(thread_pool& pool, int worker, index_t channel, T* packed_a, T* packed_b) const {
    const auto space = pool.scratch<T>(worker, std::max(a.turned ? a.stride() : 0, b.turned ? b.stride() : 0));
    if (a.turned) a.turn(packed_a + channel * a.stride(), space.data());
    if (b.turned) b.turn(packed_b + channel * b.stride(), space.data());
  }
  index_t blocks() const { return (t.rows + triangle_rows - 1) / triangle_rows; }
  void multiply_block(thread_pool& pool, int worker, index_t block, index_t from, index_t count, const T* packed_a,
                      const T* packed_b) const {
    const index_t i = block * triangle_rows, rows = std::min(triangle_rows, t.rows - i);
    const index_t x_stride = apart(rows * t.columns);
    const auto x = pool.scratch<T>(worker, count * x_stride);
    for (index_t c = 0; c < count; ++c)
      narrow_product<T>(rows, t.columns, t.depth, packed_a + c * a.stride() + i * t.depth, t.depth,
                        packed_b + c * b.stride(), t.columns, x.data() + c * x_stride, t.columns);
    for (index_t row = 0; row < rows; ++row)
      unpack_channels<T>(x.data() + row * t.columns, x_stride, i + row, t.columns, from, count, t.x);
  }
};

}  // namespace detail

/// See triangle_args. x may not overlap a or b. Scratch: the packed matrices of 16 channels, for each thread while rows
/// + columns times depth stays below 2^17, once beyond that.
template <class T>
void triangle_contract(thread_pool& pool, const triangle_args<T>& t) {
  if (t.rows <= 0 || t.columns <= 0 || t.channels <= 0) return;
  const detail::triangle_work<T> work{t};
  constexpr index_t group = detail::triangle_group;
  if (detail::triangle_alone((t.rows + t.columns) * t.depth)) {
    pool.parallel_for((t.channels + group - 1) / group, [&](index_t task, int worker) {
      const index_t from = task * group, count = std::min(group, t.channels - from);
      const auto a = pool.scratch<T>(worker, count * work.a.stride()),
                 b = pool.scratch<T>(worker, count * work.b.stride());
      for (index_t line = 0; line < work.lines(); ++line) work.pack_line(line, from, count, a.data(), b.data());
      for (index_t c = 0; work.turns() && c < count; ++c) work.turn(pool, worker, c, a.data(), b.data());
      for (index_t block = 0; block < work.blocks(); ++block)
        work.multiply_block(pool, worker, block, from, count, a.data(), b.data());
    });
    return;
  }
  const int self = pool.current_worker();
  const index_t x_stride = detail::apart(t.rows * t.columns);
  const auto a = pool.scratch<T>(self, group * work.a.stride()), b = pool.scratch<T>(self, group * work.b.stride()),
             x = pool.scratch<T>(self, group * x_stride);
  constexpr index_t band = 8;  // lines that one worker packs in a row: it has fetched the next one ahead
  for (index_t from = 0; from < t.channels; from += group) {
    const index_t count = std::min(group, t.channels - from);
    pool.parallel_for((work.lines() + band - 1) / band, [&](index_t task, int) {
      for (index_t line = task * band; line < std::min(work.lines(), (task + 1) * band); ++line)
        work.pack_line(line, from, count, a.data(), b.data());
    });
    // A channel's matrices stay in the second cache from turning to the last row of its product.
    pool.parallel_for(count, [&](index_t c, int worker) {
      work.turn(pool, worker, c, a.data(), b.data());
      gemm_serial(false, false, t.rows, t.columns, t.depth, T(1), static_cast<const T*>(a.data()) + c * work.a.stride(),
                  t.depth, static_cast<const T*>(b.data()) + c * work.b.stride(), t.columns, T(0),
                  x.data() + c * x_stride, t.columns);
    });
    pool.parallel_for((t.rows + band - 1) / band, [&](index_t task, int) {
      for (index_t row = task * band; row < std::min(t.rows, (task + 1) * band); ++row)
        detail::unpack_channels<T>(x.data() + row * t.columns, x_stride, row, t.columns, from, count, t.x);
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
