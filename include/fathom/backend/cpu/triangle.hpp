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

inline constexpr index_t triangle_group = 16;  // channels of one cache line of floats
inline constexpr index_t triangle_rows = 32;   // rows of one task

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

// Channels whose packed matrices exist at a time: a function of the extents alone.
inline index_t triangle_round(index_t elements_per_channel, index_t channels) {
  const index_t fitting = (index_t(1) << 20) / std::max<index_t>(1, elements_per_channel);
  return std::min(channels, std::max(triangle_group, fitting / triangle_group * triangle_group));
}

// A channel's matrix starts one cache line further than its size: equal strides of a power of two would share sets.
inline index_t apart(index_t elements) { return (elements + 15) / 16 * 16 + 16; }

}  // namespace detail

/// See triangle_args. x may not overlap a or b. Scratch: packed matrices of about 2^20 values, which
/// stay in the last cache, or of 16 channels where these are larger.
template <class T>
void triangle_contract(thread_pool& pool, const triangle_args<T>& t) {
  if (t.rows <= 0 || t.columns <= 0 || t.channels <= 0) return;
  const int self = pool.current_worker();
  const index_t round = detail::triangle_round((t.rows + t.columns) * t.depth, t.channels);
  const index_t a_stride = detail::apart(t.rows * t.depth), b_stride = detail::apart(t.columns * t.depth);
  const auto a_packed = pool.scratch<T>(self, round * a_stride), b_packed = pool.scratch<T>(self, round * b_stride);
  const channel_view<const T> b_by_depth{t.b.data, t.b.column, t.b.row, t.b.channel};
  const index_t blocks = (t.rows + detail::triangle_rows - 1) / detail::triangle_rows;

  for (index_t from = 0; from < t.channels; from += round) {
    const index_t width = std::min(round, t.channels - from);
    const index_t groups = (width + detail::triangle_group - 1) / detail::triangle_group;
    // a as [c][i, k], b as [c][k, j]: rows i, then rows k.
    pool.parallel_for(t.rows + t.depth, [&](index_t task, int) {
      for (index_t c = 0; c < width; c += detail::triangle_group) {
        const index_t count = std::min(detail::triangle_group, width - c);
        if (task < t.rows)
          detail::pack_channels(t.a, task, t.depth, from + c, count, a_packed.data() + c * a_stride + task * t.depth,
                                a_stride);
        else
          detail::pack_channels(b_by_depth, task - t.rows, t.columns, from + c, count,
                                b_packed.data() + c * b_stride + (task - t.rows) * t.columns, b_stride);
      }
    });
    pool.parallel_for(groups * blocks, [&](index_t task, int worker) {
      const index_t c = task / blocks * detail::triangle_group, i = task % blocks * detail::triangle_rows;
      const index_t count = std::min(detail::triangle_group, width - c),
                    rows = std::min(detail::triangle_rows, t.rows - i);
      const index_t x_stride = detail::apart(rows * t.columns);
      const auto x = pool.scratch<T>(worker, count * x_stride);
      for (index_t at = 0; at < count; ++at)
        detail::narrow_product<T>(rows, t.columns, t.depth, a_packed.data() + (c + at) * a_stride + i * t.depth,
                                  t.depth, b_packed.data() + (c + at) * b_stride, t.columns, x.data() + at * x_stride,
                                  t.columns);
      for (index_t row = 0; row < rows; ++row)
        detail::unpack_channels<T>(x.data() + row * t.columns, x_stride, i + row, t.columns, from + c, count, t.x);
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
