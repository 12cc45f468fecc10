// SPDX-License-Identifier: Apache-2.0
// Elementwise loops: any strides and broadcasts, vectorised over short tiles, shared among threads in fixed pieces.
#pragma once

#include <algorithm>
#include <fathom/backend/cpu/loop_nest.hpp>
#include <fathom/backend/cpu/multiversion.hpp>
#include <fathom/backend/cpu/thread_pool.hpp>
#include <tuple>
#include <utility>

namespace fathom::cpu_kernels {

namespace detail {

inline constexpr index_t map_tile = 512;

/// Room for the values of a tile, not initialised: zeroing it would cost more than a short row's work.
template <class T>
struct tile_buffer {
  T values[map_tile];
  tile_buffer() {}
  T* data() { return values; }
};

/// Input k of a tile as contiguous values: in place where it is contiguous, else gathered or repeated into `buffer`.
template <class T>
FATHOM_INLINE const T* tile_values(const T* from, index_t stride, index_t n, T* buffer) {
  if (stride == 1) return from;
  if (stride == 0) {
    const T value = *from;
    for (index_t i = 0; i < n; ++i) buffer[i] = value;
  } else {
    for (index_t i = 0; i < n; ++i) buffer[i] = from[i * stride];
  }
  return buffer;
}

/// One row of a map: out[i * out_stride] = f(in[i * stride]...).
template <class F, class Out, class... In>
struct map_row {
  template <std::size_t... K>
  static FATHOM_INLINE void run_tiles(const F& f, index_t n, Out* out, index_t out_stride,
                                      const std::tuple<const In*...>& in, const index_t* stride,
                                      std::index_sequence<K...>) {
    std::tuple<tile_buffer<In>...> buffers;
    Out results[map_tile];
    for (index_t from = 0; from < n; from += map_tile) {
      const index_t count = std::min(map_tile, n - from);
      const std::tuple<const In*...> at{
          tile_values(std::get<K>(in) + from * stride[K], stride[K], count, std::get<K>(buffers).data())...};
      if (out_stride == 1) {
        Out* const to = out + from;
        for (index_t i = 0; i < count; ++i) to[i] = static_cast<Out>(f(std::get<K>(at)[i]...));
      } else {
        for (index_t i = 0; i < count; ++i) results[i] = static_cast<Out>(f(std::get<K>(at)[i]...));
        for (index_t i = 0; i < count; ++i) out[(from + i) * out_stride] = results[i];
      }
    }
  }
};

/// A range of rows of a nest.
template <class F, class Out, class... In>
struct map_rows {
  static constexpr std::size_t views = sizeof...(In) + 1;
  template <int>
  static FATHOM_INLINE void run(const F* f, const loop_nest<views>* nest, index_t first, index_t last, Out* out,
                                const std::tuple<const In*...>* in) {
    const int inner = nest->rank - 1;
    const auto axis = static_cast<std::size_t>(inner);
    index_t stride[views];
    for (std::size_t k = 0; k < views; ++k) stride[k] = nest->stride[k][axis];
    for (index_t row = first; row < last; ++row) {
      const auto at = nest->offsets(row, inner);
      shifted(*f, *nest, out + at[0], stride, at, *in, std::index_sequence_for<In...>{});
    }
  }
  template <std::size_t... K>
  static FATHOM_INLINE void shifted(const F& f, const loop_nest<views>& nest, Out* out, const index_t* stride,
                                    const std::array<index_t, views>& at, const std::tuple<const In*...>& in,
                                    std::index_sequence<K...> all) {
    const std::tuple<const In*...> row{(std::get<K>(in) + at[K + 1])...};
    map_row<F, Out, In...>::run_tiles(f, nest.extent[nest.rank - 1], out, stride[0], row, stride + 1, all);
  }
};

}  // namespace detail

/// out[i] = f(in[i]...); all views have the extents of out.
template <class F, class Out, class... In>
void map(thread_pool& pool, const F& f, strided_view<Out> out, strided_view<In>... in) {
  if (out.size() == 0) return;
  constexpr std::size_t views = sizeof...(In) + 1;
  auto nest = make_nest<views>(out.rank, out.extent, {out.stride, in.stride...}, nullptr);
  if (nest.rank == 0) {
    *out.data = static_cast<Out>(f(*in.data...));
    return;
  }
  // A long single row is cut so that threads can share it; the cut changes no result.
  constexpr index_t piece = 8192;
  if (nest.rank < max_rank + 1 && nest.size(0, nest.rank - 1) < 64 && nest.extent[nest.rank - 1] >= 2 * piece) {
    const auto last = static_cast<std::size_t>(nest.rank - 1);
    const index_t whole = nest.extent[last] / piece * piece;
    if (whole < nest.extent[last]) {
      auto tail = nest;
      tail.extent[last] -= whole;
      const std::tuple<const std::remove_const_t<In>*...> rest = [&]<std::size_t... K>(std::index_sequence<K...>) {
        return std::tuple<const std::remove_const_t<In>*...>{(in.data + whole * nest.stride[K + 1][last])...};
      }
      (std::index_sequence_for<In...>{});
      run_multiversion<detail::map_rows<F, Out, std::remove_const_t<In>...>>(
          &f, static_cast<const loop_nest<views>*>(&tail), index_t(0), tail.size(0, tail.rank - 1),
          out.data + whole * nest.stride[0][last], &rest);
    }
    nest.extent[last] = whole / piece;
    nest.extent[last + 1] = piece;
    for (auto& stride : nest.stride) {
      stride[last + 1] = stride[last];
      stride[last] *= piece;
    }
    ++nest.rank;
  }
  const index_t rows = nest.size(0, nest.rank - 1), length = nest.extent[nest.rank - 1];
  const index_t grain = std::max<index_t>(1, 16384 / length);
  const std::tuple<const std::remove_const_t<In>*...> data{in.data...};
  const auto some = [&](index_t task, int) {
    run_multiversion<detail::map_rows<F, Out, std::remove_const_t<In>...>>(
        &f, static_cast<const loop_nest<views>*>(&nest), task * grain, std::min(rows, (task + 1) * grain), out.data,
        &data);
  };
  if (rows <= grain)
    some(0, 0);
  else
    pool.parallel_for((rows + grain - 1) / grain, some);
}

/// out[i] = f(row-major number of i)
template <class F, class Out>
void generate(thread_pool& pool, const F& f, strided_view<Out> out) {
  const index_t n = out.size(), grain = 8192;
  const bool packed = fathom::detail::is_row_major(out);
  pool.parallel_for((n + grain - 1) / grain, [&](index_t task, int) {
    for (index_t i = task * grain; i < std::min(n, (task + 1) * grain); ++i)
      out.data[packed ? i : out.offset(i)] = static_cast<Out>(f(i));
  });
}

}  // namespace fathom::cpu_kernels
