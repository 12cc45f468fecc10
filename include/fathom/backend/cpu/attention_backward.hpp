// SPDX-License-Identifier: Apache-2.0
// Gradient of the streaming attention: probabilities are computed again tile by tile, sums run in a fixed order.
#pragma once

#include <algorithm>
#include <fathom/backend/cpu/attention.hpp>

namespace fathom::cpu_kernels {

/// Where the cotangents go. dq, dk, dv and dgate are laid out like q, k, v and gate of the forward call and are
/// overwritten; null means not wanted (dq, dk and dv: all or none). dpair_bias: [heads, queries, keys] contiguous, the
/// sum over the batch; dkey_bias: [batch, keys] contiguous, the sum over heads and queries.
template <class T>
struct attention_gradients {
  T* dq = nullptr;
  T* dk = nullptr;
  T* dv = nullptr;
  T* dgate = nullptr;
  T* dpair_bias = nullptr;
  T* dkey_bias = nullptr;
};

namespace detail {

// do = dout * sigmoid(gate); o becomes o / sum; dgate = dout * o * sigmoid'(gate). Tiles are [rows, c].
template <class T>
struct ungate_tile {
  template <int Bytes>
  static FATHOM_INLINE void piece(index_t& at, index_t c, const T* dout, const T* gate, const T* o, T inverse, T* slope,
                                  T* dgate) {
    constexpr index_t L = pack_size<T, Bytes>;
    for (; at + L <= c; at += L) {
      pack<T, Bytes> value, factor, result;
      load(value, dout + at);
      if (gate != nullptr) {
        load(factor, gate + at);
        sigmoid_in_place<T, Bytes>(factor);
        if (dgate != nullptr) {
          load(result, o + at);
          result = value * (result * inverse) * (factor * (T(1) - factor));
          store(result, dgate + at);
        }
        value *= factor;
      }
      store(value, slope + at);
    }
    if constexpr (Bytes > 16) {
      piece<Bytes / 2>(at, c, dout, gate, o, inverse, slope, dgate);
    } else if constexpr (Bytes > 0) {
      piece<0>(at, c, dout, gate, o, inverse, slope, dgate);
    }
  }
  template <int Bytes>
  static FATHOM_INLINE void run(index_t rows, index_t c, const T* dout, index_t dout_stride, const T* gate,
                                index_t gate_stride, const T* o, const T* sum, T* slope, T* dgate) {
    for (index_t row = 0; row < rows; ++row) {
      index_t at = 0;
      piece<Bytes>(at, c, dout + row * dout_stride, gate == nullptr ? gate : gate + row * gate_stride, o + row * c,
                   T(1) / sum[row], slope + row * c, dgate == nullptr ? dgate : dgate + row * gate_stride);
    }
  }
};

// p becomes the probabilities (with sum null it holds them already), dp becomes ds = p * (dp - sum_j p dp); ds is added
// to dpair and dkey where given. p and dp have padded rows, where p is 0 and dp finite; dpair has rows of `keys`
// values, dkey is padded.
template <class T>
struct softmax_backward_tile {
  template <int Bytes>
  static FATHOM_INLINE void run(index_t rows, index_t keys, T* p, T* dp, index_t stride, const T* sum, T* dpair,
                                T* dkey) {
    using P = pack<T, Bytes>;
    constexpr index_t L = pack_size<T, Bytes>;
    const index_t padded = (keys + 15) / 16 * 16;
    for (index_t row = 0; row < rows; ++row) {
      T* const probability = p + row * stride;
      T* const slope = dp + row * stride;
      const T inverse = sum == nullptr ? T(1) : T(1) / sum[row];
      P total = P{};
      for (index_t key = 0; key < padded; key += L) {
        P value, change;
        load(value, probability + key);
        load(change, slope + key);
        if (sum != nullptr) {
          value *= inverse;
          store(value, probability + key);
        }
        total += value * change;
      }
      const T mean = sum_of<T>(total);
      for (index_t key = 0; key < padded; key += L) {
        P value, change, more;
        load(value, probability + key);
        load(change, slope + key);
        change = value * (change - mean);
        store(change, slope + key);
        if (dpair != nullptr) {
          T* const to = dpair + row * keys + key;
          if (key + L <= keys) {
            load(more, to);
            more += change;
            store(more, to);
          } else {
            load_part(more, to, keys - key, T(0));
            more += change;
            store_part(more, to, keys - key);
          }
        }
        if (dkey != nullptr) {
          load(more, dkey + key);
          more += change;
          store(more, dkey + key);
        }
      }
    }
  }
};

// The same from the forward pass's result, gated: do = dout * sigmoid(gate); dgate = dout * out * (1 - sigmoid(gate)).
template <class T>
struct ungate_known_tile {
  template <int Bytes>
  static FATHOM_INLINE void piece(index_t& at, index_t c, const T* dout, const T* gate, const T* out, T* slope,
                                  T* dgate) {
    constexpr index_t L = pack_size<T, Bytes>;
    for (; at + L <= c; at += L) {
      pack<T, Bytes> value, factor, result;
      load(value, dout + at);
      if (gate != nullptr) {
        load(factor, gate + at);
        sigmoid_in_place<T, Bytes>(factor);
        if (dgate != nullptr) {
          load(result, out + at);
          result = value * result * (T(1) - factor);
          store(result, dgate + at);
        }
        value *= factor;
      }
      store(value, slope + at);
    }
    if constexpr (Bytes > 16) {
      piece<Bytes / 2>(at, c, dout, gate, out, slope, dgate);
    } else if constexpr (Bytes > 0) {
      piece<0>(at, c, dout, gate, out, slope, dgate);
    }
  }
  template <int Bytes>
  static FATHOM_INLINE void run(index_t rows, index_t c, const T* dout, const T* out, index_t out_stride, const T* gate,
                                index_t gate_stride, T* slope, T* dgate) {
    for (index_t row = 0; row < rows; ++row) {
      index_t at = 0;
      piece<Bytes>(at, c, dout + row * out_stride, gate == nullptr ? gate : gate + row * gate_stride,
                   out + row * out_stride, slope + row * c, dgate == nullptr ? dgate : dgate + row * gate_stride);
    }
  }
};

// Everything one (batch, head) needs; the arrays are scratch of the worker.
template <class T>
struct attention_backward_task {
  const attention_args<T>& a;
  const attention_gradients<T>& g;
  const T* dout;
  contiguous_pair_bias<T> pair;
  index_t tile, padded;
  T *keys_transposed = nullptr, *values_transposed = nullptr, *keys = nullptr, *values = nullptr, *key_bias = nullptr,
    *query = nullptr, *query_transposed = nullptr, *slope = nullptr, *slope_transposed = nullptr, *p = nullptr,
    *dp = nullptr, *o = nullptr, *small = nullptr, *dkeys_transposed = nullptr, *dvalues_transposed = nullptr,
    *maximum = nullptr, *sum = nullptr;

  static index_t scratch_size(const attention_args<T>& a, index_t tile, index_t padded) {
    return padded * (6 * a.c + 1) + tile * (6 * a.c + 2 * padded + 2) + 17 * 16;
  }
  void place(T* from) {
    const auto next = [&from](index_t count) {
      T* const here = from;
      from += (count + 15) / 16 * 16;
      return here;
    };
    const index_t c = a.c;
    keys_transposed = next(padded * c);
    values_transposed = next(padded * c);
    keys = next(padded * c);
    values = next(padded * c);
    dkeys_transposed = next(padded * c);
    dvalues_transposed = next(padded * c);
    key_bias = next(padded);
    query = next(tile * c);
    query_transposed = next(tile * c);
    slope = next(tile * c);
    slope_transposed = next(tile * c);
    o = next(tile * c);
    small = next(tile * c);
    p = next(tile * padded);
    dp = next(tile * padded);
    maximum = next(tile);
    sum = next(tile);
  }

  // dpair: [queries, keys] to add to, or null; dkey: [padded] to overwrite, or null.
  void run(index_t b, index_t h, T* dpair, T* dkey) const {
    const index_t c = a.c, head = h * c;
    const T* const k = a.k + b * a.k_batch + head;
    const T* const v = a.v + b * a.v_batch + head;
    pack_transposed(a.keys, c, k, a.k_pos, keys_transposed);
    pack_transposed(a.keys, c, v, a.v_pos, values_transposed);
    run_multiversion<copy_rows<T>>(a.keys, c, T(1), k, a.k_pos, keys, c);
    run_multiversion<copy_rows<T>>(a.keys, c, T(1), v, a.v_pos, values, c);
    pad_key_bias(a, b, key_bias);
    if (dkey != nullptr) std::fill_n(dkey, padded, T(0));
    for (index_t i = 0; i < a.queries; i += tile) one_tile(b, head, i, dpair, dkey, h);
    if (g.dq != nullptr) {
      transpose<T>(c, a.keys, T(1), static_cast<const T*>(dkeys_transposed), padded, g.dk + b * a.k_batch + head,
                   a.k_pos);
      transpose<T>(c, a.keys, T(1), static_cast<const T*>(dvalues_transposed), padded, g.dv + b * a.v_batch + head,
                   a.v_pos);
    }
  }

 private:
  void one_tile(index_t b, index_t head, index_t i, T* dpair, T* dkey, index_t h) const {
    const index_t c = a.c, rows = std::min(tile, a.queries - i);
    const T* const q = a.q + b * a.q_batch + i * a.q_pos + head;
    const index_t gate_at = b * a.gate_batch + i * a.gate_pos + head;
    run_multiversion<copy_rows<T>>(rows, c, a.scale, q, a.q_pos, query, c);
    times_transposed<T>(rows, a.keys, c, query, keys_transposed, p, padded);
    const T* const bias = pair.data == nullptr ? pair.data : pair.data + h * pair.head + i * pair.query;
    const T* const gate = a.gate == nullptr ? a.gate : a.gate + gate_at;
    const T* const slope_out = dout + b * a.out_batch + i * a.out_pos + head;
    T* const dgate = g.dgate == nullptr ? g.dgate : g.dgate + gate_at;
    T* const dbias = dpair == nullptr ? dpair : dpair + i * a.keys;
    if (a.statistics != nullptr && a.out != nullptr) {
      const T* const known = a.statistics + (b * a.heads + h) * 2 * a.queries + i;
      run_multiversion<probability_tile<T>>(rows, a.keys, p, padded, static_cast<const T*>(key_bias), bias, pair.query,
                                            known, known + a.queries);
      run_multiversion<ungate_known_tile<T>>(rows, c, slope_out,
                                             static_cast<const T*>(a.out) + b * a.out_batch + i * a.out_pos + head,
                                             a.out_pos, gate, a.gate_pos, slope, dgate);
      times_transposed<T>(rows, a.keys, c, slope, values_transposed, dp, padded);
      run_multiversion<softmax_backward_tile<T>>(rows, a.keys, p, dp, padded, static_cast<const T*>(nullptr), dbias,
                                                 dkey);
    } else {
      run_multiversion<softmax_tile<T>>(rows, a.keys, p, padded, static_cast<const T*>(key_bias), bias, pair.query,
                                        maximum, sum);
      if (g.dgate != nullptr) times_rows<T>(rows, a.keys, c, p, padded, values, o);
      run_multiversion<ungate_tile<T>>(rows, c, slope_out, a.out_pos, gate, a.gate_pos, static_cast<const T*>(o),
                                       static_cast<const T*>(sum), slope, dgate);
      times_transposed<T>(rows, a.keys, c, slope, values_transposed, dp, padded);
      run_multiversion<softmax_backward_tile<T>>(rows, a.keys, p, dp, padded, static_cast<const T*>(sum), dbias, dkey);
    }
    if (g.dq == nullptr) return;
    times_rows<T>(rows, a.keys, c, dp, padded, keys, small);
    run_multiversion<copy_rows<T>>(rows, c, a.scale, static_cast<const T*>(small), c,
                                   g.dq + b * a.q_batch + i * a.q_pos + head, a.q_pos);
    transpose<T>(rows, c, T(1), static_cast<const T*>(query), c, query_transposed, tile);
    transpose<T>(rows, c, T(1), static_cast<const T*>(slope), c, slope_transposed, tile);
    const T beta = i == 0 ? T(0) : T(1);
    for (index_t key = 0; key < padded; key += key_block) {
      const index_t width = std::min(key_block, padded - key);
      gemm_serial<T>(false, false, c, width, rows, T(1), query_transposed, tile, dp + key, padded, beta,
                     dkeys_transposed + key, padded);
      gemm_serial<T>(false, false, c, width, rows, T(1), slope_transposed, tile, p + key, padded, beta,
                     dvalues_transposed + key, padded);
    }
  }
};

// How the batch is shared out when its slopes add up to one pair bias: a fixed number of partial sums.
inline index_t pair_bias_parts(index_t batch, index_t heads, index_t queries, index_t keys) {
  index_t parts = std::max<index_t>(1, std::min(batch, (32 + heads - 1) / heads));
  while (parts > 1 && heads * parts > 8 && heads * parts * queries * keys > (index_t(1) << 23)) --parts;
  return parts;
}

}  // namespace detail

/// Cotangents of attention_forward(a) for the cotangent dout, laid out like a.out. Where a.statistics and a.out hold
/// what the forward pass left there, they are read; else row sums and results are computed again. Never a.logsumexp,
/// which is not exact where a whole row is masked.
template <class T>
void attention_backward(thread_pool& pool, const attention_args<T>& a, const T* dout,
                        const attention_gradients<T>& gradients) {
  if (a.heads <= 0) return;
  if (a.batch <= 0) {
    if (gradients.dpair_bias != nullptr) std::fill_n(gradients.dpair_bias, a.heads * a.queries * a.keys, T(0));
    return;
  }
  attention_gradients<T> g = gradients;
  if (a.gate == nullptr) g.dgate = nullptr;
  const index_t map = a.queries * a.keys;
  if (a.queries <= 0 || a.keys <= 0 || a.c <= 0) {
    // No logits: every slope is zero.
    for (index_t b = 0; b < a.batch && a.heads * a.c > 0; ++b) {
      for (index_t i = 0; i < a.queries; ++i) {
        if (g.dq != nullptr) std::fill_n(g.dq + b * a.q_batch + i * a.q_pos, a.heads * a.c, T(0));
        if (g.dgate != nullptr) std::fill_n(g.dgate + b * a.gate_batch + i * a.gate_pos, a.heads * a.c, T(0));
      }
      for (index_t j = 0; j < a.keys; ++j) {
        if (g.dk != nullptr) std::fill_n(g.dk + b * a.k_batch + j * a.k_pos, a.heads * a.c, T(0));
        if (g.dv != nullptr) std::fill_n(g.dv + b * a.v_batch + j * a.v_pos, a.heads * a.c, T(0));
      }
    }
    if (g.dpair_bias != nullptr) std::fill_n(g.dpair_bias, a.heads * map, T(0));
    if (g.dkey_bias != nullptr) std::fill_n(g.dkey_bias, a.batch * a.keys, T(0));
    return;
  }
  const int self = pool.current_worker();
  const index_t tile = detail::query_tile(a.keys), padded = detail::padded_keys(a.keys);
  const auto copy = pool.scratch<T>(self, detail::pair_bias_copy_size(a));
  const detail::contiguous_pair_bias<T> pair = detail::make_pair_bias(pool, a, copy.data());
  const bool with_pair = g.dpair_bias != nullptr, with_key = g.dkey_bias != nullptr;
  const index_t parts = with_pair ? detail::pair_bias_parts(a.batch, a.heads, a.queries, a.keys) : a.batch;
  const index_t per_part = (a.batch + parts - 1) / parts;
  // The first part of each head writes to its final place; the others to scratch, added in order below.
  const auto partial = pool.scratch<T>(self, with_pair ? a.heads * (parts - 1) * map : 0);
  const auto dkey = pool.scratch<T>(self, with_key ? a.batch * a.heads * padded : 0);

  pool.parallel_for(a.heads * parts, [&](index_t task, int worker) {
    const index_t h = task % a.heads, part = task / a.heads;
    const auto space = pool.scratch<T>(worker, detail::attention_backward_task<T>::scratch_size(a, tile, padded));
    detail::attention_backward_task<T> work{a, g, dout, pair, tile, padded};
    work.place(space.data());
    T* dpair = nullptr;
    if (with_pair) {
      dpair = part == 0 ? g.dpair_bias + h * map : partial.data() + ((part - 1) * a.heads + h) * map;
      std::fill_n(dpair, map, T(0));
    }
    const index_t last = std::min(a.batch, (part + 1) * per_part);
    for (index_t b = part * per_part; b < last; ++b)
      work.run(b, h, dpair, with_key ? dkey.data() + (b * a.heads + h) * padded : nullptr);
  });

  if (with_pair && parts > 1) {
    const index_t total = a.heads * map, band = 4096;
    pool.parallel_for((total + band - 1) / band, [&](index_t task, int) {
      const index_t first = task * band, count = std::min(band, total - first);
      for (index_t part = 0; part + 1 < parts; ++part)
        run_multiversion<detail::add_to<T>>(count, static_cast<const T*>(partial.data()) + part * total + first,
                                            g.dpair_bias + first);
    });
  }
  if (with_key)
    pool.parallel_for(a.batch, [&](index_t b, int) {
      for (index_t j = 0; j < a.keys; ++j) {
        T sum = T(0);
        for (index_t h = 0; h < a.heads; ++h) sum += dkey[(b * a.heads + h) * padded + j];
        g.dkey_bias[b * a.keys + j] = sum;
      }
    });
}

}  // namespace fathom::cpu_kernels
