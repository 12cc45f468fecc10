// SPDX-License-Identifier: Apache-2.0
// Cotangents of the gated attention. Probabilities are computed again from the rows' largest logits and sums; every
// result has one block that sums it in a fixed order, so that no atomics are needed and bits do not change between
// runs.
#pragma once

#include <fathom/cuda/kernels/attention_forward.cuh>

namespace fathom::cuda::kernels {

/// What the kernels below share, beside the forward pass's arguments (whose `out` is its result).
struct attention_slopes_args {
  attention_args a;
  batched_rows<const float> d_out;
  batched_rows<float> d_o;     ///< cotangent before the gate; written where there is a gate
  batched_rows<float> d_gate;  ///< written where there is a gate
  float* dot = nullptr;        ///< [batch, heads, queries]: d_out . out over the channels of a head
  batched_rows<float> dq, dk, dv;
  float* d_key_bias = nullptr;   ///< [batch, heads, keys]: still to be summed over heads
  float* d_pair_bias = nullptr;  ///< [parts, heads, queries, keys]: still to be summed over parts
  int parts = 1;

  FATHOM_DEVICE batched_rows<const float> slopes() const {
    return a.gate.data == nullptr ? d_out : batched_rows<const float>{d_o.data, d_o.batch, d_o.row};
  }
};

/// d_o = d_out sigmoid(gate), d_gate = d_out out (1 - sigmoid(gate)), dot = sum d_out out. Eight lanes for each row.
struct attention_ungate {
  static constexpr int threads = 256, rows = threads / 8;
  static constexpr std::size_t shared_bytes = 0;
  attention_slopes_args g;

  index_t all() const { return g.a.batch * g.a.queries * g.a.heads; }
  index_t blocks() const { return (all() + rows - 1) / rows; }

  FATHOM_DEVICE void operator()() const {
    const attention_args& a = g.a;
    const index_t row = block_number() * rows + thread_number() / 8;
    const index_t position = row / a.heads, b = position / a.queries, i = position - b * a.queries;
    const int h = static_cast<int>(row - position * a.heads);
    float dot = 0;
    if (b < a.batch) {
      const index_t channel = static_cast<index_t>(h) * a.channels;
      const float* const d_out = g.d_out.from(b, i, channel).data;
      const float* const out = a.out.from(b, i, channel).data;
      for (int c = lane_number() % 8; c < a.channels; c += 8) {
        const float slope = d_out[c], product = slope * out[c];
        dot += product;
        if (a.gate.data == nullptr) continue;
        const float open = sigmoid_of(a.gate.from(b, i, channel).data[c]);
        g.d_o.from(b, i, channel).data[c] = slope * open;
        g.d_gate.from(b, i, channel).data[c] = product * (1 - open);
      }
    }
    dot = sum_over_lanes<8>(dot);
    if (b < a.batch && lane_number() % 8 == 0) g.dot[(b * a.heads + h) * a.queries + i] = dot;
  }
};

/// Largest logit, 1 / sum and dot of one query; of one beyond the last, such that its probabilities are 0.
struct query_statistics {
  float top = infinity<float>(), inverse = 0, dot = 0;
  FATHOM_DEVICE query_statistics() {}
  FATHOM_DEVICE query_statistics(const attention_slopes_args& g, index_t b, int h, int query) {
    if (query >= g.a.queries) return;
    const float* const known = g.a.statistics_of(b, h);
    const float sum = known[g.a.queries + query];
    top = known[query];
    inverse = sum > 0 ? 1 / sum : 0.0f;
    dot = g.dot[(b * g.a.heads + h) * g.a.queries + query];
  }
  FATHOM_DEVICE float probability(float logit) const {
    return exp2_of((logit - top) * static_cast<float>(log2_e)) * inverse;
  }
};

/// dk, dv and the key bias's cotangent of 64 keys of one head, summed over the queries in their order.
template <class Math, int C>
struct attention_key_slopes {
  using stored = typename Math::stored;
  static constexpr int threads = 128, rows = 64, columns = Math::template columns<C>, across = columns / 8;
  static constexpr int stride = Math::template stride<C>, staging = Math::template staging<across>;
  static constexpr std::size_t shared_bytes = 2 * shared_size<stored>(rows * stride) +
                                              2 * shared_size<stored>(columns * stride) +
                                              3 * shared_size<float>(columns) + shared_size<stored>(4 * staging);
  attention_slopes_args g;

  index_t blocks() const { return g.a.batch * g.a.heads * ((g.a.keys + rows - 1) / rows); }

  FATHOM_DEVICE void operator()() const {
    const attention_args& a = g.a;
    const attention_place place(block_number(), (a.keys + rows - 1) / rows, a.heads);
    const int h = place.head, first = place.tile * rows, mine = first + warp_number() * 16;
    const index_t b = place.batch, channel = static_cast<index_t>(h) * a.channels;
    shared_memory memory;
    const auto k = memory.take<stored>(rows * stride), v = memory.take<stored>(rows * stride),
               q = memory.take<stored>(columns * stride), d_o = memory.take<stored>(columns * stride);
    const auto top = memory.take<float>(columns), inverse = memory.take<float>(columns),
               dot = memory.take<float>(columns);
    const auto own = memory.take<stored>(4 * staging) + warp_number() * staging;
    const batched_rows<const float> slopes = g.slopes();

    load_tile<Math, rows, C, threads>(k, a.k.from(b, first, channel), a.keys - first, a.channels, a.aligned);
    load_tile<Math, rows, C, threads>(v, a.v.from(b, first, channel), a.keys - first, a.channels, a.aligned);
    float key_bias[2], d_key_bias[2] = {0, 0}, dk[C / 8][4], dv[C / 8][4];
    clear(dk);
    clear(dv);
    FATHOM_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int key = mine + row_of(2 * half);
      key_bias[half] = key >= a.keys           ? -infinity<float>()
                       : a.key_bias != nullptr ? a.key_bias[b * a.key_bias_batch + key * a.key_bias_key]
                                               : 0.0f;
    }
    for (int query0 = 0; query0 < a.queries; query0 += columns) {
      __syncthreads();  // all have read the tiles before
      const int rest = a.queries - query0;
      load_tile<Math, columns, C, threads>(q, a.q.from(b, query0, channel), rest, a.channels, a.aligned, a.scale);
      load_tile<Math, columns, C, threads>(d_o, slopes.from(b, query0, channel), rest, a.channels, a.aligned);
      if (thread_number() < columns) {
        const query_statistics known(g, b, h, query0 + thread_number());
        top[thread_number()] = known.top;
        inverse[thread_number()] = known.inverse;
        dot[thread_number()] = known.dot;
      }
      __syncthreads();
      float p[across][4], ds[across][4];
      start(p, h, mine, query0, key_bias);
      Math::template times_rows<C>(p, k + warp_number() * 16 * stride, stride, q, stride);
      clear(ds);
      Math::template times_rows<C>(ds, v + warp_number() * 16 * stride, stride, d_o, stride);
      FATHOM_UNROLL
      for (int n = 0; n < across; ++n) {
        FATHOM_UNROLL
        for (int e = 0; e < 4; ++e) {
          const int column = column_of(n, e);
          query_statistics known;
          known.top = top[column];
          known.inverse = inverse[column];
          p[n][e] = known.probability(p[n][e]);
          ds[n][e] = p[n][e] * (ds[n][e] - dot[column]);
          d_key_bias[e / 2] += ds[n][e];
        }
      }
      Math::times_columns(dv, p, own, d_o, stride);
      Math::times_columns(dk, ds, own, q, stride);
    }
    FATHOM_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int key = mine + row_of(2 * half);
      const float bias_slope = sum_over_lanes<4>(d_key_bias[half]);
      if (key >= a.keys) continue;
      if (g.d_key_bias != nullptr && lane_number() % 4 == 0)
        g.d_key_bias[(b * a.heads + h) * a.keys + key] = bias_slope;
      FATHOM_UNROLL
      for (int n = 0; n < C / 8; ++n) {
        FATHOM_UNROLL
        for (int e = 2 * half; e < 2 * half + 2; ++e) {
          const int c = column_of(n, e);
          if (c >= a.channels) continue;
          g.dk.from(b, key, channel).data[c] = dk[n][e];
          g.dv.from(b, key, channel).data[c] = dv[n][e];
        }
      }
    }
  }

 private:
  // As start_logits, with keys as rows and queries as columns.
  FATHOM_DEVICE void start(float (&s)[across][4], int h, int key0, int query0, const float (&key_bias)[2]) const {
    const attention_args& a = g.a;
    FATHOM_UNROLL
    for (int n = 0; n < across; ++n) {
      FATHOM_UNROLL
      for (int e = 0; e < 4; ++e) {
        const int key = key0 + row_of(e), query = query0 + column_of(n, e);
        s[n][e] = key_bias[e / 2];
        if (a.pair_bias != nullptr && query < a.queries && key < a.keys)
          s[n][e] += a.pair_bias[h * a.pair_bias_head + query * a.pair_bias_query + key];
      }
    }
  }
};

/// What the two kernels below do with a tile of 64 queries and some keys: ds from the tiles in shared memory. `s` comes
/// in as the biases.
template <class Math, int C, int Across>
FATHOM_DEVICE void logit_slopes(float (&s)[Across][4], const query_statistics (&known)[2],
                                const shared_array<const typename Math::stored>& q,
                                const shared_array<const typename Math::stored>& d_o,
                                const shared_array<const typename Math::stored>& k,
                                const shared_array<const typename Math::stored>& v) {
  constexpr int stride = Math::template stride<C>;
  float dp[Across][4];
  Math::template times_rows<C>(s, q + warp_number() * 16 * stride, stride, k, stride);
  clear(dp);
  Math::template times_rows<C>(dp, d_o + warp_number() * 16 * stride, stride, v, stride);
  FATHOM_UNROLL
  for (int n = 0; n < Across; ++n) {
    FATHOM_UNROLL
    for (int e = 0; e < 4; ++e) s[n][e] = known[e / 2].probability(s[n][e]) * (dp[n][e] - known[e / 2].dot);
  }
}

/// dq of 64 queries of one head, summed over the keys in their order.
template <class Math, int C>
struct attention_query_slopes {
  using stored = typename Math::stored;
  static constexpr int threads = 128, rows = 64, columns = Math::template columns<C>, across = columns / 8;
  static constexpr int stride = Math::template stride<C>, staging = Math::template staging<across>;
  static constexpr std::size_t shared_bytes = 2 * shared_size<stored>(rows * stride) +
                                              2 * shared_size<stored>(columns * stride) + shared_size<float>(columns) +
                                              shared_size<stored>(4 * staging);
  attention_slopes_args g;

  index_t blocks() const { return g.a.batch * g.a.heads * ((g.a.queries + rows - 1) / rows); }

  FATHOM_DEVICE void operator()() const {
    const attention_args& a = g.a;
    const attention_place place(block_number(), (a.queries + rows - 1) / rows, a.heads);
    const int h = place.head, first = place.tile * rows, mine = first + warp_number() * 16;
    const index_t b = place.batch, channel = static_cast<index_t>(h) * a.channels;
    shared_memory memory;
    const auto q = memory.take<stored>(rows * stride), d_o = memory.take<stored>(rows * stride),
               k = memory.take<stored>(columns * stride), v = memory.take<stored>(columns * stride);
    const auto key_bias = memory.take<float>(columns);
    const auto own = memory.take<stored>(4 * staging) + warp_number() * staging;
    const float* const pair_bias = a.pair_bias == nullptr ? nullptr : a.pair_bias + h * a.pair_bias_head;
    const int rest = a.queries - first;

    load_tile<Math, rows, C, threads>(q, a.q.from(b, first, channel), rest, a.channels, a.aligned, a.scale);
    load_tile<Math, rows, C, threads>(d_o, g.slopes().from(b, first, channel), rest, a.channels, a.aligned);
    const query_statistics known[2] = {query_statistics(g, b, h, mine + row_of(0)),
                                       query_statistics(g, b, h, mine + row_of(2))};
    float dq[C / 8][4];
    clear(dq);
    for (int key0 = 0; key0 < a.keys; key0 += columns) {
      __syncthreads();  // all have read the tiles before
      load_tile<Math, columns, C, threads>(k, a.k.from(b, key0, channel), a.keys - key0, a.channels, a.aligned);
      load_tile<Math, columns, C, threads>(v, a.v.from(b, key0, channel), a.keys - key0, a.channels, a.aligned);
      load_key_bias<columns>(key_bias, a, b, key0);
      __syncthreads();
      float s[across][4];
      start_logits(s, a, pair_bias, mine, key0, key_bias);
      logit_slopes<Math, C>(s, known, q, d_o, k, v);
      Math::times_columns(dq, s, own, k, stride);
    }
    FATHOM_UNROLL
    for (int n = 0; n < C / 8; ++n) {
      FATHOM_UNROLL
      for (int e = 0; e < 4; ++e) {
        const int query = mine + row_of(e), c = column_of(n, e);
        if (query < a.queries && c < a.channels) g.dq.from(b, query, channel).data[c] = dq[n][e] * a.scale;
      }
    }
  }
};

/// The pair bias's cotangent for 64 queries and a tile of keys of one head, summed over a part of the batch in its
/// order.
template <class Math, int C>
struct attention_pair_slopes {
  using stored = typename Math::stored;
  static constexpr int threads = 128, rows = 64, columns = Math::template columns<C>, across = columns / 8;
  static constexpr int stride = Math::template stride<C>;
  static constexpr std::size_t shared_bytes =
      2 * shared_size<stored>(rows * stride) + 2 * shared_size<stored>(columns * stride) + shared_size<float>(columns);
  attention_slopes_args g;

  static index_t tiles(const attention_args& a) {
    return static_cast<index_t>((a.queries + rows - 1) / rows) * ((a.keys + columns - 1) / columns);
  }
  /// Enough blocks for any GPU where the batch allows it; by extents alone.
  static int parts_for(const attention_args& a) {
    const index_t wanted = (512 + tiles(a) * a.heads - 1) / (tiles(a) * a.heads);
    return static_cast<int>(wanted < a.batch ? wanted : a.batch);
  }
  index_t blocks() const { return g.parts * g.a.heads * tiles(g.a); }

  FATHOM_DEVICE void operator()() const {
    const attention_args& a = g.a;
    const int down = (a.queries + rows - 1) / rows, over = (a.keys + columns - 1) / columns;
    const attention_place place(block_number(), down * over, a.heads);
    const int h = place.head, part = static_cast<int>(place.batch);
    const int first = place.tile / over * rows, key0 = place.tile % over * columns, mine = first + warp_number() * 16;
    const index_t channel = static_cast<index_t>(h) * a.channels;
    const index_t length = (a.batch + g.parts - 1) / g.parts, from = part * length;
    const index_t end = from + length < a.batch ? from + length : a.batch;
    shared_memory memory;
    const auto q = memory.take<stored>(rows * stride), d_o = memory.take<stored>(rows * stride),
               k = memory.take<stored>(columns * stride), v = memory.take<stored>(columns * stride);
    const auto key_bias = memory.take<float>(columns);
    const float* const pair_bias = a.pair_bias == nullptr ? nullptr : a.pair_bias + h * a.pair_bias_head;
    const int rest = a.queries - first, keys = a.keys - key0;

    float sum[across][4];
    clear(sum);
    for (index_t b = from; b < end; ++b) {
      __syncthreads();  // all have read the tiles before
      load_tile<Math, rows, C, threads>(q, a.q.from(b, first, channel), rest, a.channels, a.aligned, a.scale);
      load_tile<Math, rows, C, threads>(d_o, g.slopes().from(b, first, channel), rest, a.channels, a.aligned);
      load_tile<Math, columns, C, threads>(k, a.k.from(b, key0, channel), keys, a.channels, a.aligned);
      load_tile<Math, columns, C, threads>(v, a.v.from(b, key0, channel), keys, a.channels, a.aligned);
      load_key_bias<columns>(key_bias, a, b, key0);
      const query_statistics known[2] = {query_statistics(g, b, h, mine + row_of(0)),
                                         query_statistics(g, b, h, mine + row_of(2))};
      __syncthreads();
      float s[across][4];
      start_logits(s, a, pair_bias, mine, key0, key_bias);
      logit_slopes<Math, C>(s, known, q, d_o, k, v);
      FATHOM_UNROLL
      for (int n = 0; n < across; ++n) {
        FATHOM_UNROLL
        for (int e = 0; e < 4; ++e) sum[n][e] += s[n][e];
      }
    }
    float* const to = g.d_pair_bias + (static_cast<index_t>(part) * a.heads + h) * a.queries * a.keys;
    FATHOM_UNROLL
    for (int n = 0; n < across; ++n) {
      FATHOM_UNROLL
      for (int e = 0; e < 4; ++e) {
        const int query = mine + row_of(e), key = key0 + column_of(n, e);
        if (query < a.queries && key < a.keys) to[static_cast<index_t>(query) * a.keys + key] = sum[n][e];
      }
    }
  }
};

}  // namespace fathom::cuda::kernels
