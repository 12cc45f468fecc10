// SPDX-License-Identifier: Apache-2.0
// Reductions in an order that depends on the extents alone: fixed lanes, fixed chunks, partial results joined in order.
#pragma once

#include <fathom/backend/cpu/map.hpp>

namespace fathom::cpu_kernels {

namespace detail {

/// Elements that one partial result covers at most, and lanes in which a contiguous run is accumulated.
inline constexpr index_t reduce_chunk = 32768;
inline constexpr index_t reduce_lanes = 16;

/// Folds f over a run of n elements that are reduced: lane i takes elements i, i + lanes, ...
template <class Monoid, class F, class Out, class... In>
struct fold_run {
  template <std::size_t... K>
  static FATHOM_INLINE Out fold(const Monoid& monoid, const F& f, index_t n, const std::tuple<const In*...>& in,
                                const index_t* stride, std::index_sequence<K...>) {
    Out lane[reduce_lanes];
    for (index_t l = 0; l < reduce_lanes; ++l) lane[l] = Monoid::template identity<Out>();
    std::tuple<tile_buffer<In>...> buffers;
    for (index_t from = 0; from < n; from += map_tile) {
      const index_t count = std::min(map_tile, n - from);
      const std::tuple<const In*...> at{
          tile_values(std::get<K>(in) + from * stride[K], stride[K], count, std::get<K>(buffers).data())...};
      index_t i = 0;
      for (; i + reduce_lanes <= count; i += reduce_lanes)
        for (index_t l = 0; l < reduce_lanes; ++l)
          lane[l] = monoid(lane[l], static_cast<Out>(f(std::get<K>(at)[i + l]...)));
      for (index_t l = 0; i + l < count; ++l) lane[l] = monoid(lane[l], static_cast<Out>(f(std::get<K>(at)[i + l]...)));
    }
    for (index_t width = reduce_lanes / 2; width > 0; width /= 2)
      for (index_t l = 0; l < width; ++l) lane[l] = monoid(lane[l], lane[l + width]);
    return lane[0];
  }
};

/// Everything one task of a reduction needs.
template <class Monoid, class F, class Out, class... In>
struct reduce_job {
  static constexpr std::size_t views = sizeof...(In) + 1;
  const Monoid* monoid;
  const F* f;
  loop_nest<views> kept, summed;  // outer loops of both kinds, without the innermost axis
  index_t length;                 // of the innermost axis
  index_t inner[views];           // its strides
  std::tuple<const In*...> in;
};

/// Innermost axis reduced: joins units [first, last) of output `o`; a unit is one run of the innermost axis.
template <class Monoid, class F, class Out, class... In>
struct reduce_runs {
  using job = reduce_job<Monoid, F, Out, In...>;
  template <int>
  static FATHOM_INLINE void run(const job* j, index_t o, index_t first, index_t last, Out* result) {
    Out total = Monoid::template identity<Out>();
    const auto base = j->kept.offsets(o, j->kept.rank);
    for (index_t unit = first; unit < last; ++unit) {
      const auto step = j->summed.offsets(unit, j->summed.rank);
      total = (*j->monoid)(total, at(*j, base, step, std::index_sequence_for<In...>{}));
    }
    *result = total;
  }
  template <std::size_t... K>
  static FATHOM_INLINE Out at(const job& j, const std::array<index_t, job::views>& base,
                              const std::array<index_t, job::views>& step, std::index_sequence<K...> all) {
    const std::tuple<const In*...> row{(std::get<K>(j.in) + base[K + 1] + step[K + 1])...};
    return fold_run<Monoid, F, Out, In...>::fold(*j.monoid, *j.f, j.length, row, j.inner + 1, all);
  }
};

/// Innermost axis kept: for columns [c, c + n) of kept row `o`, joins units [first, last) into contiguous `result`.
template <class Monoid, class F, class Out, class... In>
struct reduce_columns {
  using job = reduce_job<Monoid, F, Out, In...>;
  template <int>
  static FATHOM_INLINE void run(const job* j, index_t o, index_t c, index_t n, index_t first, index_t last,
                                Out* result) {
    for (index_t i = 0; i < n; ++i) result[i] = Monoid::template identity<Out>();
    const auto base = j->kept.offsets(o, j->kept.rank);
    for (index_t unit = first; unit < last; ++unit) {
      const auto step = j->summed.offsets(unit, j->summed.rank);
      join(*j, c, n, base, step, result, std::index_sequence_for<In...>{});
    }
  }
  template <std::size_t... K>
  static FATHOM_INLINE void join(const job& j, index_t c, index_t n, const std::array<index_t, job::views>& base,
                                 const std::array<index_t, job::views>& step, Out* result, std::index_sequence<K...>) {
    std::tuple<tile_buffer<In>...> buffers;
    const std::tuple<const In*...> at{tile_values(std::get<K>(j.in) + base[K + 1] + step[K + 1] + c * j.inner[K + 1],
                                                  j.inner[K + 1], n, std::get<K>(buffers).data())...};
    const Monoid& monoid = *j.monoid;
    const F& f = *j.f;
    for (index_t i = 0; i < n; ++i) result[i] = monoid(result[i], static_cast<Out>(f(std::get<K>(at)[i]...)));
  }
};

/// Splits a nest into its kept and its reduced loops, leaving out the innermost axis.
template <std::size_t Views>
void split_nest(const loop_nest<Views>& nest, loop_nest<Views>& kept, loop_nest<Views>& summed) {
  for (int a = 0; a + 1 < nest.rank; ++a) {
    auto& to = nest.reduced[a] ? summed : kept;
    to.extent[to.rank] = nest.extent[a];
    for (std::size_t k = 0; k < Views; ++k)
      to.stride[k][static_cast<std::size_t>(to.rank)] = nest.stride[k][static_cast<std::size_t>(a)];
    ++to.rank;
  }
}

}  // namespace detail

/// out[i] = the monoid's fold of f(in...) over the axes where out has extent 1 and in has not.
template <class Monoid, class F, class Out, class First, class... In>
void reduce(thread_pool& pool, const Monoid& monoid, const F& f, strided_view<Out> out, strided_view<First> first,
            strided_view<In>... in) {
  if (out.size() == 0) return;
  if (first.size() == 0) {
    generate(
        pool, [](index_t) { return Monoid::template identity<Out>(); }, out);
    return;
  }
  using job_t = detail::reduce_job<Monoid, F, Out, std::remove_const_t<First>, std::remove_const_t<In>...>;
  bool reduced[max_rank] = {};
  for (int a = 0; a < first.rank; ++a) reduced[a] = out.extent[a] == 1 && first.extent[a] != 1;
  auto nest = make_nest<job_t::views>(first.rank, first.extent, {out.stride, first.stride, in.stride...}, reduced);
  if (nest.rank == 0) {
    *out.data = monoid(Monoid::template identity<Out>(), static_cast<Out>(f(*first.data, *in.data...)));
    return;
  }
  const int last = nest.rank - 1;
  if (nest.reduced[last] && nest.extent[last] >= 2 * detail::reduce_chunk &&
      nest.extent[last] % detail::reduce_chunk == 0) {
    const auto axis = static_cast<std::size_t>(last);
    nest.extent[last + 1] = detail::reduce_chunk;
    nest.extent[last] /= detail::reduce_chunk;
    nest.reduced[last + 1] = true;
    for (auto& stride : nest.stride) {
      stride[axis + 1] = stride[axis];
      stride[axis] *= detail::reduce_chunk;
    }
    ++nest.rank;
  }
  job_t job{&monoid, &f, {}, {}, nest.extent[nest.rank - 1], {}, {first.data, in.data...}};
  const auto axis = static_cast<std::size_t>(nest.rank - 1);
  for (std::size_t k = 0; k < job_t::views; ++k) job.inner[k] = nest.stride[k][axis];
  detail::split_nest(nest, job.kept, job.summed);
  const index_t outputs = job.kept.size(), units = job.summed.size();
  const int self = pool.current_worker();

  if (nest.reduced[nest.rank - 1]) {
    using body = detail::reduce_runs<Monoid, F, Out, std::remove_const_t<First>, std::remove_const_t<In>...>;
    const index_t per_chunk = std::max<index_t>(1, detail::reduce_chunk / job.length);
    const index_t chunks = outputs >= 64 ? 1 : (units + per_chunk - 1) / per_chunk;
    const index_t step = chunks == 1 ? units : per_chunk;
    const auto partial = pool.template scratch<Out>(self, outputs * chunks);
    const index_t grain = std::max<index_t>(1, detail::reduce_chunk / std::max<index_t>(1, step * job.length));
    pool.parallel_for((outputs * chunks + grain - 1) / grain, [&](index_t task, int) {
      for (index_t at = task * grain; at < std::min(outputs * chunks, (task + 1) * grain); ++at)
        run_multiversion<body>(static_cast<const job_t*>(&job), at / chunks, at % chunks * step,
                               std::min(units, (at % chunks + 1) * step), partial.data() + at);
    });
    for (index_t o = 0; o < outputs; ++o) {
      Out total = partial[o * chunks];
      for (index_t c = 1; c < chunks; ++c) total = monoid(total, partial[o * chunks + c]);
      out.data[job.kept.offsets(o, job.kept.rank)[0]] = total;
    }
    return;
  }
  using body = detail::reduce_columns<Monoid, F, Out, std::remove_const_t<First>, std::remove_const_t<In>...>;
  const index_t tiles = (job.length + detail::map_tile - 1) / detail::map_tile, rows = outputs * tiles;
  const index_t per_chunk = std::max<index_t>(64, detail::reduce_chunk / std::min(job.length, detail::map_tile));
  const index_t chunks = rows >= 64 ? 1 : (units + per_chunk - 1) / per_chunk;
  const index_t step = chunks == 1 ? units : per_chunk;
  const index_t width = std::min(job.length, detail::map_tile);
  const auto finish = [&](index_t row, const Out* sums) {
    const index_t c = row % tiles * detail::map_tile, n = std::min(detail::map_tile, job.length - c);
    Out* const to = out.data + job.kept.offsets(row / tiles, job.kept.rank)[0] + c * job.inner[0];
    for (index_t i = 0; i < n; ++i) to[i * job.inner[0]] = sums[i];
  };
  if (chunks == 1) {
    const index_t grain = std::max<index_t>(1, detail::reduce_chunk / std::max<index_t>(1, units * width));
    pool.parallel_for((rows + grain - 1) / grain, [&](index_t task, int) {
      Out sums[detail::map_tile];
      for (index_t row = task * grain; row < std::min(rows, (task + 1) * grain); ++row) {
        const index_t c = row % tiles * detail::map_tile;
        run_multiversion<body>(static_cast<const job_t*>(&job), row / tiles, c,
                               std::min(detail::map_tile, job.length - c), index_t(0), units, static_cast<Out*>(sums));
        finish(row, sums);
      }
    });
    return;
  }
  const auto partial = pool.template scratch<Out>(self, rows * chunks * width);
  pool.parallel_for(rows * chunks, [&](index_t at, int) {
    const index_t row = at / chunks, chunk = at % chunks, c = row % tiles * detail::map_tile;
    run_multiversion<body>(static_cast<const job_t*>(&job), row / tiles, c, std::min(detail::map_tile, job.length - c),
                           chunk * step, std::min(units, (chunk + 1) * step), partial.data() + at * width);
  });
  for (index_t row = 0; row < rows; ++row) {
    Out* const sums = partial.data() + row * chunks * width;
    for (index_t chunk = 1; chunk < chunks; ++chunk)
      for (index_t i = 0; i < width; ++i) sums[i] = monoid(sums[i], sums[chunk * width + i]);
    finish(row, sums);
  }
}

}  // namespace fathom::cpu_kernels
