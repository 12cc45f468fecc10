// SPDX-License-Identifier: Apache-2.0
// Outer product summed over sequences and mapped to pair channels (AF2 Suppl. Alg. 10) in tiles of a few pairs: no
// [i, j, c d] array ever exists for all i.
#pragma once

#include <algorithm>
#include <cstring>
#include <fathom/backend/cpu/gemm.hpp>
#include <fathom/backend/cpu/layer_norm.hpp>
#include <fathom/backend/cpu/thread_pool.hpp>

namespace fathom::cpu_kernels {

/// z[i, j, :] = scale[i, j] (weight vec(sum_s a[s, i] (x) b[s, j]) + bias), the channel of b fastest in vec.
template <class T>
struct outer_product_args {
  index_t sequences = 0, rows = 0, columns = 0, c = 0, d = 0, c_z = 0;  ///< extents of s, i, j and the channels
  const T* a = nullptr;                                                 ///< [s, i, c], sequences a_sequence apart
  index_t a_sequence = 0;
  const T* b = nullptr;  ///< [s, j, d], sequences b_sequence apart
  index_t b_sequence = 0;
  const T* weight = nullptr;  ///< [c_z, c d]
  const T* bias = nullptr;    ///< [c_z] or null
  const T* scale = nullptr;   ///< [i, j] or null
  T* z = nullptr;             ///< [i, j, c_z]
};

/// Cotangents of outer_product_forward, each contiguous, overwritten; all but those that are null.
template <class T>
struct outer_product_gradients {
  T* da = nullptr;       ///< [s, i, c]
  T* db = nullptr;       ///< [s, j, d]
  T* dweight = nullptr;  ///< [c_z, c d]
  T* dbias = nullptr;    ///< [c_z]
  T* dscale = nullptr;   ///< [i, j]; needs the forward's z and a scale without zeros
};

namespace detail {

// vec[(i j), (c d)] = o[(i c), (j d)] for a tile of rows x columns pairs, or back: runs of d values.
template <class T>
void regroup_pairs(index_t rows, index_t columns, index_t c, index_t d, const T* o, T* vec) {
  for (index_t i = 0; i < rows; ++i)
    for (index_t channel = 0; channel < c; ++channel) {
      const T* const in = o + (i * c + channel) * columns * d;
      T* const out = vec + i * columns * c * d + channel * d;
      for (index_t j = 0; j < columns; ++j)
        std::memcpy(out + j * c * d, in + j * d, static_cast<std::size_t>(d) * sizeof(T));
    }
}
template <class T>
void regroup_channels(index_t rows, index_t columns, index_t c, index_t d, const T* vec, T* o) {
  for (index_t i = 0; i < rows; ++i)
    for (index_t channel = 0; channel < c; ++channel) {
      const T* const in = vec + i * columns * c * d + channel * d;
      T* const out = o + (i * c + channel) * columns * d;
      for (index_t j = 0; j < columns; ++j)
        std::memcpy(out + j * d, in + j * c * d, static_cast<std::size_t>(d) * sizeof(T));
    }
}

// out[row] = sum_j dz[row, j] z[row, j] / scale[row]
template <class T>
struct scale_slope {
  template <int Bytes>
  static FATHOM_INLINE void run(index_t rows, index_t columns, const T* dz, const T* z, const T* scale, T* out) {
    using P = pack<T, Bytes>;
    constexpr index_t L = pack_size<T, Bytes>;
    for (index_t row = 0; row < rows; ++row) {
      P sum = P{}, left, right;
      for (index_t j = 0; j < columns; j += L) {
        const index_t at = row * columns + j, rest = columns - j;
        if (rest >= L) {
          load(left, dz + at);
          load(right, z + at);
        } else {
          load_part(left, dz + at, rest, T(0));
          load_part(right, z + at, rest, T(0));
        }
        sum += left * right;
      }
      out[row] = sum_of<T>(sum) / scale[row];
    }
  }
};

// z = (z + bias) * scale, one scale per row.
template <class T>
struct shift_and_scale {
  template <int Bytes>
  static FATHOM_INLINE void run(index_t rows, index_t columns, const T* bias, const T* scale, T* z) {
    constexpr index_t L = pack_size<T, Bytes>;
    for (index_t row = 0; row < rows; ++row) {
      const T factor = scale == nullptr ? T(1) : scale[row];
      index_t j = 0;
      for (; j + L <= columns; j += L) {
        pack<T, Bytes> value, shift = pack<T, Bytes>{};
        load(value, z + row * columns + j);
        if (bias != nullptr) load(shift, bias + j);
        value = (value + shift) * factor;
        store(value, z + row * columns + j);
      }
      for (; j < columns; ++j)
        z[row * columns + j] = (z[row * columns + j] + (bias == nullptr ? T(0) : bias[j])) * factor;
    }
  }
};

}  // namespace detail

/// Forward of outer_product_args. Tiles of about 128 pairs: their outer products, 128 x c d values twice, are all the
/// scratch a thread needs.
template <class T>
void outer_product_forward(thread_pool& pool, const outer_product_args<T>& p) {
  if (p.rows <= 0 || p.columns <= 0 || p.c_z <= 0) return;
  const index_t tile_j = std::min(p.columns, std::max<index_t>(1, 1024 / std::max<index_t>(1, p.d)));
  const index_t tile_i = std::min(p.rows, std::max<index_t>(1, 128 / std::max<index_t>(1, p.c)));
  const index_t across = (p.columns + tile_j - 1) / tile_j, down = (p.rows + tile_i - 1) / tile_i;
  const index_t cd = p.c * p.d;
  pool.parallel_for(down * across, [&](index_t task, int worker) {
    const index_t i = task / across * tile_i, j = task % across * tile_j;
    const index_t rows = std::min(tile_i, p.rows - i), columns = std::min(tile_j, p.columns - j);
    const auto outer = pool.scratch<T>(worker, rows * columns * cd), vec = pool.scratch<T>(worker, rows * columns * cd),
               result = pool.scratch<T>(worker, rows * columns * p.c_z);
    gemm_serial(true, false, rows * p.c, columns * p.d, p.sequences, T(1), p.a + i * p.c, p.a_sequence, p.b + j * p.d,
                p.b_sequence, T(0), outer.data(), columns * p.d);
    detail::regroup_pairs<T>(rows, columns, p.c, p.d, outer.data(), vec.data());
    gemm_serial<T>(false, true, rows * columns, p.c_z, cd, T(1), vec.data(), cd, p.weight, cd, T(0), result.data(),
                   p.c_z);
    for (index_t row = 0; row < rows; ++row) {
      T* const line = result.data() + row * columns * p.c_z;
      const T* const scale = p.scale == nullptr ? nullptr : p.scale + (i + row) * p.columns + j;
      run_multiversion<detail::shift_and_scale<T>>(columns, p.c_z, p.bias, scale, line);
      std::memcpy(p.z + ((i + row) * p.columns + j) * p.c_z, line,
                  static_cast<std::size_t>(columns * p.c_z) * sizeof(T));
    }
  });
}

/// Cotangents for the cotangent dz [i, j, c_z] of z, in bands of rows i whose outer products hold about 2^21 values,
/// two at a time. z itself is read for dscale alone.
template <class T>
void outer_product_backward(thread_pool& pool, const outer_product_args<T>& p, const T* dz,
                            const outer_product_gradients<T>& g) {
  const index_t cd = p.c * p.d, wide = p.columns * p.d, a_size = p.rows * p.c;
  const int self = pool.current_worker();
  if (g.dweight != nullptr) std::fill_n(g.dweight, p.c_z * cd, T(0));
  if (g.dbias != nullptr) std::fill_n(g.dbias, p.c_z, T(0));
  if (g.da != nullptr) std::fill_n(g.da, p.sequences * a_size, T(0));
  if (g.db != nullptr) std::fill_n(g.db, p.sequences * wide, T(0));
  if (p.rows <= 0 || p.columns <= 0 || p.c_z <= 0) return;
  const index_t band =
      std::min(p.rows, std::max<index_t>(1, (index_t(1) << 21) / std::max<index_t>(1, p.columns * cd)));
  const auto first = pool.scratch<T>(self, band * p.columns * cd),
             second = pool.scratch<T>(self, band * p.columns * cd),
             slope = pool.scratch<T>(self, band * p.columns * p.c_z), row_sums = pool.scratch<T>(self, band * p.c_z),
             band_sum = pool.scratch<T>(self, p.c_z);
  for (index_t i = 0; i < p.rows; i += band) {
    const index_t rows = std::min(band, p.rows - i), pairs = rows * p.columns;
    // slope = dz * scale, and its sums for the bias.
    pool.parallel_for(rows, [&](index_t row, int) {
      T* const line = slope.data() + row * p.columns * p.c_z;
      std::memcpy(line, dz + (i + row) * p.columns * p.c_z, static_cast<std::size_t>(p.columns * p.c_z) * sizeof(T));
      run_multiversion<detail::shift_and_scale<T>>(p.columns, p.c_z, static_cast<const T*>(nullptr),
                                                   p.scale == nullptr ? p.scale : p.scale + (i + row) * p.columns,
                                                   line);
      run_multiversion<detail::sum_parts<T>>(static_cast<const T*>(line), p.columns, p.c_z, p.c_z,
                                             row_sums.data() + row * p.c_z);
      const index_t pair = (i + row) * p.columns;
      if (g.dscale != nullptr && p.scale != nullptr)
        run_multiversion<detail::scale_slope<T>>(p.columns, p.c_z, dz + pair * p.c_z,
                                                 static_cast<const T*>(p.z) + pair * p.c_z, p.scale + pair,
                                                 g.dscale + pair);
    });
    if (g.dbias != nullptr) {
      run_multiversion<detail::sum_parts<T>>(static_cast<const T*>(row_sums.data()), rows, p.c_z, p.c_z,
                                             band_sum.data());
      for (index_t at = 0; at < p.c_z; ++at) g.dbias[at] += band_sum[at];
    }
    if (g.dweight != nullptr) {
      gemm<T>(pool, true, false, rows * p.c, wide, p.sequences, T(1), p.a + i * p.c, p.a_sequence, p.b, p.b_sequence,
              T(0), first.data(), wide);
      pool.parallel_for(rows, [&](index_t row, int) {
        detail::regroup_pairs<T>(1, p.columns, p.c, p.d, first.data() + row * p.c * wide,
                                 second.data() + row * p.columns * cd);
      });
      gemm<T>(pool, true, false, p.c_z, cd, pairs, T(1), slope.data(), p.c_z, second.data(), cd, T(1), g.dweight, cd);
    }
    if (g.da == nullptr && g.db == nullptr) continue;
    gemm<T>(pool, false, false, pairs, cd, p.c_z, T(1), slope.data(), p.c_z, p.weight, cd, T(0), second.data(), cd);
    pool.parallel_for(rows, [&](index_t row, int) {
      detail::regroup_channels<T>(1, p.columns, p.c, p.d, second.data() + row * p.columns * cd,
                                  first.data() + row * p.c * wide);
    });
    if (g.da != nullptr)
      gemm<T>(pool, false, true, p.sequences, rows * p.c, wide, T(1), p.b, p.b_sequence, first.data(), wide, T(0),
              g.da + i * p.c, a_size);
    if (g.db != nullptr)
      gemm<T>(pool, false, false, p.sequences, wide, rows * p.c, T(1), p.a + i * p.c, p.a_sequence, first.data(), wide,
              T(1), g.db, wide);
  }
}

}  // namespace fathom::cpu_kernels
