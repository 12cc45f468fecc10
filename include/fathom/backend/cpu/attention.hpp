// SPDX-License-Identifier: Apache-2.0
// Streaming gated attention with pair bias and mask: logits live in one (query tile x keys) scratch per thread.
#pragma once

#include <algorithm>
#include <cmath>
#include <fathom/backend/cpu/attention_tile.hpp>
#include <fathom/backend/cpu/thread_pool.hpp>
#include <fathom/core/config.hpp>
#include <limits>

namespace fathom::cpu_kernels {

/// out[b, i, h, :] = sum_j softmax_j(scale q[b,i,h] . k[b,j,h] + key_bias[b,j] + pair_bias[h,i,j]) v[b,j,h,:]
///                   * sigmoid(gate[b,i,h,:])                                        (AF2 Suppl. Alg. 7, 8, 13, 14)
/// All strides count elements; head h of a position lies at + h * c, and its c values are contiguous. Batch strides are
/// free: MSA column attention takes the residue as batch and the sequence as position, without a transpose.
template <class T>
struct attention_args {
  index_t batch = 0, heads = 0, queries = 0, keys = 0, c = 0;
  const T* q = nullptr;
  const T* k = nullptr;
  const T* v = nullptr;
  index_t q_batch = 0, q_pos = 0, k_batch = 0, k_pos = 0, v_batch = 0, v_pos = 0;
  T scale = T(1);
  const T* key_bias = nullptr;  ///< [batch, keys], added to the logits; null for none
  index_t key_bias_batch = 0;
  const T* pair_bias = nullptr;  ///< [heads, queries, keys] with any strides, shared by the batch; null for none
  index_t pair_bias_head = 0, pair_bias_query = 0, pair_bias_key = 0;
  const T* gate = nullptr;  ///< logits of the gate, laid out like q; null for none
  index_t gate_batch = 0, gate_pos = 0;
  T* out = nullptr;
  index_t out_batch = 0, out_pos = 0;
  T* logsumexp = nullptr;  ///< [batch, heads, queries]; written when given
  /// [batch, heads, 2, queries]: every row's largest logit, and its sum of exponentials relative to that; written when
  /// given. A backward pass that is given them together with out computes neither again.
  T* statistics = nullptr;
};

namespace detail {

// The pair bias with contiguous keys: itself, or a copy [heads, queries, keys] made once for the whole batch.
template <class T>
struct contiguous_pair_bias {
  const T* data = nullptr;
  index_t head = 0, query = 0;
};

template <class T>
index_t pair_bias_copy_size(const attention_args<T>& a) {
  return a.pair_bias != nullptr && a.pair_bias_key != 1 ? a.heads * a.queries * a.keys : 0;
}

template <class T>
contiguous_pair_bias<T> make_pair_bias(thread_pool& pool, const attention_args<T>& a, T* copy) {
  if (a.pair_bias == nullptr) return {};
  if (a.pair_bias_key == 1) return {a.pair_bias, a.pair_bias_head, a.pair_bias_query};
  // Small squares of (query, key), all heads inside: whichever stride is 1, its cache lines are used up.
  constexpr index_t square = 16;
  const index_t bands = (a.queries + square - 1) / square;
  pool.parallel_for(bands, [&](index_t band, int) {
    const index_t last_query = std::min(a.queries, (band + 1) * square);
    for (index_t first_key = 0; first_key < a.keys; first_key += square) {
      const index_t last_key = std::min(a.keys, first_key + square);
      for (index_t h = 0; h < a.heads; ++h)
        for (index_t i = band * square; i < last_query; ++i)
          for (index_t j = first_key; j < last_key; ++j)
            copy[(h * a.queries + i) * a.keys + j] =
                a.pair_bias[h * a.pair_bias_head + i * a.pair_bias_query + j * a.pair_bias_key];
    }
  });
  return {copy, a.queries * a.keys, a.keys};
}

// key_bias[b, :] (or zeros), and minus infinity in the padding.
template <class T>
void pad_key_bias(const attention_args<T>& a, index_t b, T* to) {
  const index_t padded = padded_keys(a.keys);
  for (index_t key = 0; key < a.keys; ++key)
    to[key] = a.key_bias == nullptr ? T(0) : a.key_bias[b * a.key_bias_batch + key];
  for (index_t key = a.keys; key < padded; ++key) to[key] = -std::numeric_limits<T>::infinity();
}

}  // namespace detail

/// Forward of attention_args. keys = 0 gives zeros. Tasks are (head, batch, part of the queries); their tiles depend
/// on the extents alone.
template <class T>
void attention_forward(thread_pool& pool, const attention_args<T>& a) {
  if (a.batch <= 0 || a.heads <= 0 || a.queries <= 0 || a.c <= 0) return;
  const auto copy = pool.scratch<T>(pool.current_worker(), detail::pair_bias_copy_size(a));
  const detail::contiguous_pair_bias<T> pair = detail::make_pair_bias(pool, a, copy.data());
  const index_t padded = detail::padded_keys(a.keys), tile = detail::query_tile(a.keys);
  const index_t tiles = (a.queries + tile - 1) / tile, pairs = a.batch * a.heads;
  const index_t parts = pairs >= 32 ? 1 : std::min(tiles, (32 + pairs - 1) / pairs);
  const index_t tiles_per_part = (tiles + parts - 1) / parts;

  pool.parallel_for(pairs * parts, [&](index_t task, int worker) {
    const index_t part = task % parts, h = task / parts % a.heads, b = task / parts / a.heads;
    const auto keys_transposed = pool.scratch<T>(worker, padded * a.c), values = pool.scratch<T>(worker, a.keys * a.c),
               key_bias = pool.scratch<T>(worker, padded), query = pool.scratch<T>(worker, tile * a.c),
               logits = pool.scratch<T>(worker, tile * padded), result = pool.scratch<T>(worker, tile * a.c),
               maximum = pool.scratch<T>(worker, tile), sum = pool.scratch<T>(worker, tile);
    detail::pack_transposed(a.keys, a.c, a.k + b * a.k_batch + h * a.c, a.k_pos, keys_transposed.data());
    run_multiversion<detail::copy_rows<T>>(a.keys, a.c, T(1), a.v + b * a.v_batch + h * a.c, a.v_pos, values.data(),
                                           a.c);
    detail::pad_key_bias(a, b, key_bias.data());
    const index_t last = std::min(a.queries, (part + 1) * tiles_per_part * tile);
    for (index_t i = part * tiles_per_part * tile; i < last; i += tile) {
      const index_t rows = std::min(tile, last - i);
      T* const out = a.out + b * a.out_batch + i * a.out_pos + h * a.c;
      if (a.keys <= 0) {
        for (index_t row = 0; row < rows; ++row) std::fill_n(out + row * a.out_pos, a.c, T(0));
        continue;
      }
      run_multiversion<detail::copy_rows<T>>(rows, a.c, a.scale, a.q + b * a.q_batch + i * a.q_pos + h * a.c, a.q_pos,
                                             query.data(), a.c);
      detail::times_transposed<T>(rows, a.keys, a.c, query.data(), keys_transposed.data(), logits.data(), padded);
      run_multiversion<detail::softmax_tile<T>>(
          rows, a.keys, logits.data(), padded, static_cast<const T*>(key_bias.data()),
          pair.data == nullptr ? pair.data : pair.data + h * pair.head + i * pair.query, pair.query, maximum.data(),
          sum.data());
      detail::times_rows<T>(rows, a.keys, a.c, logits.data(), padded, values.data(), result.data());
      run_multiversion<detail::gate_tile<T>>(
          rows, a.c, static_cast<const T*>(result.data()), static_cast<const T*>(sum.data()),
          a.gate == nullptr ? a.gate : a.gate + b * a.gate_batch + i * a.gate_pos + h * a.c, a.gate_pos, out,
          a.out_pos);
      if (a.logsumexp != nullptr)
        for (index_t row = 0; row < rows; ++row)
          a.logsumexp[(b * a.heads + h) * a.queries + i + row] = maximum[row] + std::log(sum[row]);
      if (a.statistics != nullptr) {
        T* const to = a.statistics + (b * a.heads + h) * 2 * a.queries + i;
        std::copy_n(maximum.data(), rows, to);
        std::copy_n(sum.data(), rows, to + a.queries);
      }
    }
  });
}

}  // namespace fathom::cpu_kernels
