// SPDX-License-Identifier: Apache-2.0
// Gated attention with key and pair bias in one pass: tiled online softmax (Dao et al. 2022), probabilities never
// stored.
#pragma once

#include <fathom/cuda/kernels/tile.cuh>

namespace fathom::cuda::kernels {

/// [batch, row, channels] by its strides; channels are contiguous.
template <class T>
struct batched_rows {
  T* data = nullptr;
  index_t batch = 0, row = 0;

  FATHOM_DEVICE row_matrix<T> from(index_t b, index_t i, index_t channel) const {
    return {data + b * batch + i * row + channel, row};
  }
};

/// out[b, i, h, :] = sum_j softmax_j(scale q[b, i, h] . k[b, j, h] + key_bias[b, j] + pair_bias[h, i, j]) v[b, j, h, :]
///                   * sigmoid(gate[b, i, h, :])                           (AF2 Suppl. Alg. 7, 8, 13, 14)
/// Batch and row strides are free: column attention and the ending node need no transposes. Null pointers are absent.
struct attention_args {
  index_t batch = 0;
  int heads = 0, queries = 0, keys = 0, channels = 0;
  batched_rows<const float> q, k, v, gate;
  batched_rows<float> out;
  const float* key_bias = nullptr;  ///< [batch, keys]
  index_t key_bias_batch = 0, key_bias_key = 0;
  const float* pair_bias = nullptr;  ///< [heads, queries, keys], keys together
  index_t pair_bias_head = 0, pair_bias_query = 0;
  bool pair_aligned = false;    ///< two keys of every row of the pair bias can be read at once
  float* statistics = nullptr;  ///< [batch, heads, 2, queries]: a row's largest logit, sum of exp(logit - largest)
  float scale = 1;
  bool aligned = false;  ///< four channels of every row can be read at once

  FATHOM_DEVICE float* statistics_of(index_t b, int h) const { return statistics + (b * heads + h) * 2 * queries; }
};

/// Which head, batch entry and tile a block works on: tiles fastest, so that neighbours read the same keys and values.
struct attention_place {
  int tile, head;
  index_t batch;
  FATHOM_DEVICE attention_place(index_t block, int tiles, int heads) {
    const index_t above = block / tiles;
    tile = static_cast<int>(block - above * tiles);
    batch = above / heads;
    head = static_cast<int>(above - batch * heads);
  }
};

/// Bias of query `query0` + row and key `key0` + column as the start of their logits. `key_bias` of a tile's columns is
/// -infinity beyond the keys; pair bias points to a head.
template <int N>
FATHOM_DEVICE void start_logits(float (&s)[N][4], const attention_args& a, const float* pair_bias, int query0, int key0,
                                const shared_array<const float>& key_bias) {
  FATHOM_UNROLL
  for (int n = 0; n < N; ++n) {
    const int column = column_of(n, 0);
    s[n][0] = s[n][2] = key_bias[column];
    s[n][1] = s[n][3] = key_bias[column + 1];
  }
  if (pair_bias == nullptr) return;
  FATHOM_UNROLL
  for (int half = 0; half < 2; ++half) {
    const int query = query0 + row_of(2 * half);
    if (query >= a.queries) continue;
    const float* const from = pair_bias + query * a.pair_bias_query + key0;
    FATHOM_UNROLL
    for (int n = 0; n < N; ++n) {
      const int column = column_of(n, 0), left = a.keys - key0 - column;
      if (a.pair_aligned && left > 1) {
        const auto two = *reinterpret_cast<const pack<float, 2>*>(from + column);
        s[n][2 * half] += two.v[0];
        s[n][2 * half + 1] += two.v[1];
      } else {
        if (left > 0) s[n][2 * half] += from[column];
        if (left > 1) s[n][2 * half + 1] += from[column + 1];
      }
    }
  }
}
/// key_bias[b, key0 ...] for a tile's columns, -infinity beyond the keys.
template <int Columns>
FATHOM_DEVICE void load_key_bias(const shared_array<float>& to, const attention_args& a, index_t b, int key0) {
  const int at = thread_number(), key = key0 + at;
  if (at < Columns)
    to[at] = key >= a.keys           ? -infinity<float>()
             : a.key_bias != nullptr ? a.key_bias[b * a.key_bias_batch + key * a.key_bias_key]
                                     : 0.0f;
}

/// A block computes 64 queries of one head, each of its four warps 16.
template <class Math, int C>
struct attention_forward {
  using stored = typename Math::stored;
  static constexpr int threads = 128, rows = 64, columns = Math::template columns<C>, across = columns / 8;
  static constexpr int stride = Math::template stride<C>, staging = Math::template staging<across>;
  static constexpr std::size_t shared_bytes = shared_size<stored>(rows * stride) +
                                              2 * shared_size<stored>(columns * stride) + shared_size<float>(columns) +
                                              shared_size<stored>(4 * staging);
  attention_args a;

  index_t tiles() const { return (a.queries + rows - 1) / rows; }
  index_t blocks() const { return a.batch * a.heads * tiles(); }

  FATHOM_DEVICE void operator()() const {
    const attention_place place(block_number(), (a.queries + rows - 1) / rows, a.heads);
    const int h = place.head, first = place.tile * rows, mine = first + warp_number() * 16;
    const index_t b = place.batch, channel = static_cast<index_t>(h) * a.channels;
    shared_memory memory;
    const auto q = memory.take<stored>(rows * stride), k = memory.take<stored>(columns * stride),
               v = memory.take<stored>(columns * stride);
    const auto key_bias = memory.take<float>(columns);
    const auto own = memory.take<stored>(4 * staging) + warp_number() * staging;
    const float* const pair_bias = a.pair_bias == nullptr ? nullptr : a.pair_bias + h * a.pair_bias_head;

    load_tile<Math, rows, C, threads>(q, a.q.from(b, first, channel), a.queries - first, a.channels, a.aligned,
                                      a.scale);
    float top[2] = {-infinity<float>(), -infinity<float>()}, sum[2] = {0, 0}, o[C / 8][4];
    clear(o);
    for (int key0 = 0; key0 < a.keys; key0 += columns) {
      __syncthreads();  // all have read the tiles before
      load_tile<Math, columns, C, threads>(k, a.k.from(b, key0, channel), a.keys - key0, a.channels, a.aligned);
      load_tile<Math, columns, C, threads>(v, a.v.from(b, key0, channel), a.keys - key0, a.channels, a.aligned);
      load_key_bias<columns>(key_bias, a, b, key0);
      __syncthreads();
      float s[across][4];
      start_logits(s, a, pair_bias, mine, key0, key_bias);
      Math::template times_rows<C>(s, q + warp_number() * 16 * stride, stride, k, stride);
      soften(s, o, top, sum);
      Math::times_columns(o, s, own, v, stride);
    }
    finish(b, h, mine, o, top, sum);
  }

 private:
  // Logits become exponentials relative to the largest one so far; what was summed before is scaled to that.
  FATHOM_DEVICE static void soften(float (&s)[across][4], float (&o)[C / 8][4], float (&top)[2], float (&sum)[2]) {
    constexpr float log2e = static_cast<float>(log2_e);
    FATHOM_UNROLL
    for (int half = 0; half < 2; ++half) {
      float highest = top[half];
      FATHOM_UNROLL
      for (int n = 0; n < across; ++n) highest = larger(highest, larger(s[n][2 * half], s[n][2 * half + 1]));
      highest = maximum_over_lanes<4>(highest);
      // A row of -infinity has no largest logit.
      const float level = highest == -infinity<float>() ? 0.0f : highest, factor = exp2_of((top[half] - level) * log2e);
      top[half] = highest;
      float more = 0;
      FATHOM_UNROLL
      for (int n = 0; n < across; ++n) {
        FATHOM_UNROLL
        for (int e = 2 * half; e < 2 * half + 2; ++e) {
          s[n][e] = exp2_of((s[n][e] - level) * log2e);
          more += s[n][e];
        }
      }
      sum[half] = sum[half] * factor + more;
      FATHOM_UNROLL
      for (int n = 0; n < C / 8; ++n) {
        o[n][2 * half] *= factor;
        o[n][2 * half + 1] *= factor;
      }
    }
  }

  FATHOM_DEVICE void finish(index_t b, int h, int mine, const float (&o)[C / 8][4], const float (&top)[2],
                            const float (&sum)[2]) const {
    FATHOM_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int query = mine + row_of(2 * half);
      const float whole = sum_over_lanes<4>(sum[half]), inverse = whole > 0 ? 1 / whole : 0.0f;
      if (query >= a.queries) continue;
      if (a.statistics != nullptr && lane_number() % 4 == 0) {
        float* const to = a.statistics_of(b, h);
        to[query] = top[half] == -infinity<float>() ? 0.0f : top[half];
        to[a.queries + query] = whole;
      }
      const index_t channel = static_cast<index_t>(h) * a.channels;
      float* const to = a.out.from(b, query, channel).data;
      const float* const gate = a.gate.data == nullptr ? nullptr : a.gate.from(b, query, channel).data;
      FATHOM_UNROLL
      for (int n = 0; n < C / 8; ++n) {
        FATHOM_UNROLL
        for (int e = 2 * half; e < 2 * half + 2; ++e) {
          const int c = column_of(n, e);
          if (c >= a.channels) continue;
          const float value = o[n][e] * inverse;
          to[c] = gate == nullptr ? value : value * sigmoid_of(gate[c]);
        }
      }
    }
  }
};

}  // namespace fathom::cuda::kernels
