// SPDX-License-Identifier: Apache-2.0
// Reductions: a thread for each part of a result where neighbouring results lie together, a warp where the terms of one
// do (the last axis, or everything), a block for joining the parts. The cut follows from extents alone.
#pragma once

#include <memory>
#include <type_traits>

#include <fathom/backend/device_kernels.hpp>
#include <fathom/cuda/kernels/intrinsics.cuh>

namespace fathom::cuda::kernels {

/// Parts of all results together: enough threads, and enough warps, for any GPU.
inline constexpr index_t parts_by_threads = index_t(1) << 17, parts_by_warps = index_t(1) << 12;

/// device::reduce_part, a thread for each part.
template <class Part>
struct reduce_by_threads {
  static constexpr int threads = 256;
  static constexpr std::size_t shared_bytes = 0;
  Part work;

  index_t blocks() const { return (work.parts * work.kept.size + threads - 1) / threads; }

  FATHOM_DEVICE void operator()() const {
    const index_t i = block_number() * threads + thread_number();
    if (i < work.parts * work.kept.size) work(i);
  }
};

/// The same by warps: lanes take the terms of a part in turn, and are joined in a fixed order.
template <class Part>
struct reduce_by_warps {
  static constexpr int threads = 256, warps = threads / 32;
  static constexpr std::size_t shared_bytes = 0;
  Part work;

  index_t blocks() const { return (work.parts * work.kept.size + warps - 1) / warps; }

  FATHOM_DEVICE void operator()() const {
    using Out = std::remove_pointer_t<decltype(work.out)>;
    const index_t i = block_number() * warps + warp_number();
    if (i >= work.parts * work.kept.size) return;
    const index_t part = i / work.kept.size;
    index_t base[1 + Part::inputs], at[Part::inputs];
    work.kept.locate(i - part * work.kept.size, base);
    const index_t from = part * work.length;
    const index_t end = from + work.length < work.reduced.size ? from + work.length : work.reduced.size;
    Out total = work.monoid.template identity<Out>();
    for (index_t term = from + lane_number(); term < end; term += 32) {
      work.reduced.locate(term, at);
      for (int v = 0; v < Part::inputs; ++v) at[v] += base[1 + v];
      total = work.monoid(total, static_cast<Out>(work.in.call(work.f, at)));
    }
    __syncwarp();
    for (int with = 16; with > 0; with /= 2) total = work.monoid(total, across_lanes(total, with));
    if (lane_number() > 0) return;
    if (work.parts == 1)
      work.out[base[0]] = total;
    else
      work.partial[i] = total;
  }
};

/// device::reduce_join, a block for each result.
template <class Join>
struct join_by_blocks {
  using Out = std::remove_pointer_t<decltype(Join::out)>;
  static constexpr int threads = 128;
  static constexpr std::size_t shared_bytes = shared_size<Out>(threads);
  Join work;

  index_t blocks() const { return work.kept.size; }

  FATHOM_DEVICE void operator()() const {
    shared_memory memory;
    const auto totals = memory.take<Out>(threads);
    const index_t result = block_number();
    Out total = work.monoid.template identity<Out>();
    for (index_t part = thread_number(); part < work.parts; part += threads)
      total = work.monoid(total, work.partial[part * work.kept.size + result]);
    totals[thread_number()] = total;
    for (int half = threads / 2; half > 0; half /= 2) {
      __syncthreads();
      if (thread_number() < half)
        totals[thread_number()] = work.monoid(totals[thread_number()], totals[thread_number() + half]);
    }
    if (thread_number() > 0) return;
    index_t at[1];
    work.kept.locate(result, at);
    work.out[at[0]] = totals[0];
  }
};

/// Whether neighbouring terms lie closer together in the first input than neighbouring results, and are worth a warp.
template <class Part>
bool terms_lie_closer(const Part& work) {
  if (work.reduced.size < 32) return false;
  const index_t term = work.reduced.stride[0][work.reduced.rank - 1];
  return work.kept.rank == 0 || term < work.kept.stride[1][work.kept.rank - 1];
}

/// See the backend concept's reduce.
template <class B, class Monoid, class F, class Out, class First, class... In>
void reduce_on(const B& b, const Monoid& monoid, const F& f, const strided_view<Out>& out,
               const strided_view<First>& first, const strided_view<In>&... in) {
  const auto cut = [&](index_t parts) { return device::make_reduce(parts, monoid, f, out, first, in...); };
  const bool by_warps = terms_lie_closer(cut(parts_by_warps));
  auto work = cut(by_warps ? parts_by_warps : parts_by_threads);
  std::shared_ptr<Out> partial;
  if (work.parts > 1) {
    partial = b.template allocate<Out>(work.parts * work.kept.size);
    work.partial = partial.get();
  }
  const auto launch = [&](const auto& body) { launch_blocks(b, body.blocks(), body, "reduce", first); };
  using Part = decltype(work);
  if (by_warps)
    launch(reduce_by_warps<Part>{work});
  else
    launch(reduce_by_threads<Part>{work});
  if (work.parts > 1) launch(join_by_blocks<decltype(device::make_join(work))>{device::make_join(work)});
}

}  // namespace fathom::cuda::kernels
