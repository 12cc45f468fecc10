// SPDX-License-Identifier: Apache-2.0
// Loops over one tile of an attention: packing of heads, softmax of a (queries x keys) tile, gating of its output.
#pragma once

#include <algorithm>
#include <cmath>
#include <fathom/backend/cpu/blas.hpp>
#include <fathom/backend/cpu/pack.hpp>
#include <fathom/backend/cpu/transpose.hpp>
#include <fathom/backend/cpu/vector_math.hpp>
#include <fathom/core/config.hpp>
#include <limits>

namespace fathom::cpu_kernels::detail {

// Keys per BLAS call: products of 64 x 256 x 32 and smaller stay on OpenBLAS' path without packing and locks.
inline constexpr index_t key_block = 256;

inline index_t padded_keys(index_t keys) { return (keys + 15) / 16 * 16; }
inline index_t query_tile(index_t keys) {
  return std::min<index_t>(64, std::max<index_t>(16, 32768 / std::max<index_t>(keys, 1) / 8 * 8));
}

// to[row, :] = factor * from[row, :], rows of `columns` contiguous values.
template <class T>
struct copy_rows {
  template <int Bytes>
  static FATHOM_INLINE void run(index_t rows, index_t columns, T factor, const T* from, index_t from_stride, T* to,
                                index_t to_stride) {
    constexpr index_t L = pack_size<T, Bytes>;
    for (index_t row = 0; row < rows; ++row) {
      const T* const in = from + row * from_stride;
      T* const out = to + row * to_stride;
      index_t c = 0;
      for (; c + L <= columns; c += L) {
        pack<T, Bytes> value;
        load(value, in + c);
        value *= factor;
        store(value, out + c);
      }
      for (; c < columns; ++c) out[c] = factor * in[c];
    }
  }
};

// to[i] += from[i]
template <class T>
struct add_to {
  template <int Bytes>
  static FATHOM_INLINE void run(index_t count, const T* from, T* to) {
    constexpr index_t L = pack_size<T, Bytes>;
    index_t i = 0;
    for (; i + L <= count; i += L) {
      pack<T, Bytes> value, more;
      load(value, to + i);
      load(more, from + i);
      value += more;
      store(value, to + i);
    }
    for (; i < count; ++i) to[i] += from[i];
  }
};

// Keys (or values) as blocks of [c, key_block] columns, zero beyond the last key, so that every product is plain.
template <class T>
void pack_transposed(index_t keys, index_t c, const T* from, index_t stride, T* to) {
  const index_t padded = padded_keys(keys);
  for (index_t first = 0; first < padded; first += key_block) {
    const index_t width = std::min(key_block, padded - first), count = std::min(width, keys - first);
    T* const block = to + first * c;
    transpose<T>(count, c, T(1), from + first * stride, stride, block, width);
    for (index_t row = 0; row < c; ++row)
      for (index_t key = count; key < width; ++key) block[row * width + key] = T(0);
  }
}

// out[rows, padded keys] = a[rows, c] times what pack_transposed made.
template <class T>
void times_transposed(index_t rows, index_t keys, index_t c, const T* a, const T* packed, T* out, index_t out_stride) {
  const index_t padded = padded_keys(keys);
  for (index_t first = 0; first < padded; first += key_block) {
    const index_t width = std::min(key_block, padded - first);
    gemm_serial(false, false, rows, width, c, T(1), a, c, packed + first * c, width, T(0), out + first, out_stride);
  }
}

// out[rows, c] = p[rows, keys] values[keys, c].
template <class T>
void times_rows(index_t rows, index_t keys, index_t c, const T* p, index_t p_stride, const T* values, T* out) {
  for (index_t first = 0; first < keys; first += key_block)
    gemm_serial(false, false, rows, c, std::min(key_block, keys - first), T(1), p + first, p_stride, values + first * c,
                c, first == 0 ? T(0) : T(1), out, c);
}

// s += key_bias + pair_bias; s = exp(s - max); sum. key_bias is padded with minus infinity, which makes the padded
// columns exactly 0. maximum and sum: [rows].
template <class T>
struct softmax_tile {
  template <int Bytes>
  static FATHOM_INLINE void run(index_t rows, index_t keys, T* s, index_t s_stride, const T* key_bias,
                                const T* pair_bias, index_t pair_stride, T* maximum, T* sum) {
    using P = pack<T, Bytes>;
    constexpr index_t L = pack_size<T, Bytes>;
    const index_t padded = (keys + 15) / 16 * 16;
    for (index_t row = 0; row < rows; ++row) {
      T* const line = s + row * s_stride;
      const T* const pair = pair_bias == nullptr ? nullptr : pair_bias + row * pair_stride;
      P largest = P{} + std::numeric_limits<T>::lowest();
      for (index_t key = 0; key < padded; key += L) {
        P value, bias;
        load(value, line + key);
        load(bias, key_bias + key);
        value += bias;
        if (pair != nullptr) {
          if (key + L <= keys)
            load(bias, pair + key);
          else
            load_part(bias, pair + key, keys - key, T(0));
          value += bias;
        }
        largest = largest < value ? value : largest;
        store(value, line + key);
      }
      const T top = max_of<T>(largest);
      P total[2] = {P{}, P{}};
      index_t key = 0;
      for (; key + 2 * L <= padded; key += 2 * L) {
        P first, second;
        load(first, line + key);
        load(second, line + key + L);
        first -= top;
        second -= top;
        exp_in_place<Bytes>(first);
        exp_in_place<Bytes>(second);
        total[0] += first;
        total[1] += second;
        store(first, line + key);
        store(second, line + key + L);
      }
      for (; key < padded; key += L) {
        P value;
        load(value, line + key);
        value -= top;
        exp_in_place<Bytes>(value);
        total[0] += value;
        store(value, line + key);
      }
      total[0] += total[1];
      maximum[row] = top;
      sum[row] = sum_of<T>(total[0]);
    }
  }
};

// s = exp(s + key_bias + pair_bias - maximum) / sum: the probabilities where softmax_tile has run before.
template <class T>
struct probability_tile {
  template <int Bytes>
  static FATHOM_INLINE void run(index_t rows, index_t keys, T* s, index_t s_stride, const T* key_bias,
                                const T* pair_bias, index_t pair_stride, const T* maximum, const T* sum) {
    using P = pack<T, Bytes>;
    constexpr index_t L = pack_size<T, Bytes>;
    const index_t padded = (keys + 15) / 16 * 16;
    for (index_t row = 0; row < rows; ++row) {
      T* const line = s + row * s_stride;
      const T* const pair = pair_bias == nullptr ? nullptr : pair_bias + row * pair_stride;
      const T top = maximum[row], inverse = T(1) / sum[row];
      for (index_t key = 0; key < padded; key += L) {
        P value, bias;
        load(value, line + key);
        load(bias, key_bias + key);
        value += bias;
        if (pair != nullptr) {
          if (key + L <= keys)
            load(bias, pair + key);
          else
            load_part(bias, pair + key, keys - key, T(0));
          value += bias;
        }
        value -= top;
        exp_in_place<Bytes>(value);
        value *= inverse;
        store(value, line + key);
      }
    }
  }
};

// out = o / sum * sigmoid(gate), gate optional. The end of a row goes through packs of half the width, down to one.
template <class T>
struct gate_tile {
  template <int Bytes>
  static FATHOM_INLINE void piece(index_t& at, index_t c, T inverse, const T* o, const T* gate, T* out) {
    constexpr index_t L = pack_size<T, Bytes>;
    for (; at + L <= c; at += L) {
      pack<T, Bytes> value, factor;
      load(value, o + at);
      value *= inverse;
      if (gate != nullptr) {
        load(factor, gate + at);
        sigmoid_in_place<T, Bytes>(factor);
        value *= factor;
      }
      store(value, out + at);
    }
    if constexpr (Bytes > 16) {
      piece<Bytes / 2>(at, c, inverse, o, gate, out);
    } else if constexpr (Bytes > 0) {
      piece<0>(at, c, inverse, o, gate, out);
    }
  }
  template <int Bytes>
  static FATHOM_INLINE void run(index_t rows, index_t c, const T* o, const T* sum, const T* gate, index_t gate_stride,
                                T* out, index_t out_stride) {
    for (index_t row = 0; row < rows; ++row) {
      index_t at = 0;
      piece<Bytes>(at, c, T(1) / sum[row], o + row * c, gate == nullptr ? gate : gate + row * gate_stride,
                   out + row * out_stride);
    }
  }
};

}  // namespace fathom::cpu_kernels::detail
