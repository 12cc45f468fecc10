// SPDX-License-Identifier: Apache-2.0
// The backend handle of an NVIDIA GPU: gpu<float>, gpu<double>, gpu<tf32_mixed> or gpu<bf16_mixed>. Files that compute
// with it are compiled by nvcc; other compilers may hold, upload and download its tensors.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include <fathom/backend/device_kernels.hpp>
#include <fathom/core/host_tensor.hpp>
#include <fathom/cuda/buffer.hpp>
#include <fathom/cuda/gemm.hpp>
#include <fathom/cuda/precision.hpp>
#include <fathom/tensor/backend.hpp>
#if defined(__CUDACC__)
#include <fathom/cuda/kernels/launch_blocks.cuh>
#include <fathom/cuda/kernels/reduce.cuh>
#include <fathom/cuda/kernels/tiled_copy.cuh>
#include <fathom/cuda/launch.cuh>
#endif

namespace fathom::cuda {

/// gpu<float>{} is device 0, gpu<float>{1} device 1; both share one stream for each device. gpu<float>{context} has a
/// stream of its own. Handles are equal when they share a context. No device is touched before the first use.
template <class Precision = float>
class gpu {
 public:
  using scalar = typename precision<Precision>::scalar;

  gpu() = default;
  explicit gpu(int device) : device_(device) {}
  explicit gpu(std::shared_ptr<cuda::context> own) : device_(own->device()), own_(std::move(own)) {}
  bool operator==(const gpu&) const = default;

  int device() const { return device_; }
  const std::shared_ptr<cuda::context>& context() const { return own_ ? own_ : cuda::context::of_device(device_); }

  template <class U>
  std::shared_ptr<U> allocate(index_t n) const {
    return device_buffer<U>(context(), n);
  }
  template <class U>
  void upload(U* to, const U* from, index_t n) const {
    cuda::upload(*context(), to, from, n);
  }
  template <class U>
  void download(U* to, const U* from, index_t n) const {
    cuda::download(*context(), to, from, n);
  }
  void synchronize() const { context()->synchronize(); }

  /// Rows that a row-wise layer takes at a time where a processor with caches would take `rows`, whose scratch is some
  /// 6 MB: many more, or as few as limit_memory asks for. Read by chunked().
  index_t chunk_of(index_t rows) const {
    constexpr double cached_bytes = 6 << 20;
    const double scaled = static_cast<double>(rows) * static_cast<double>(context()->chunk_bytes()) / cached_bytes;
    return scaled < 1 ? 1 : static_cast<index_t>(scaled);
  }

  template <class F, class Out, class... In>
  void map(const F& f, strided_view<Out> out, strided_view<In>... in) const {
#if defined(__CUDACC__)
    if constexpr (std::is_same_v<F, fathom::detail::copy_value> && (std::is_same_v<In, const Out> && ...))
      if (kernels::copy_tiled(*this, out, in...)) return;
#endif
    run(out.size(), device::make_map(f, out, in...), "map", out);
  }
  template <class F, class Out>
  void generate(const F& f, strided_view<Out> out) const {
    run(out.size(), device::make_generate(f, out), "generate", out);
  }
  template <class Monoid, class F, class Out, class First, class... In>
  void reduce(const Monoid& monoid, const F& f, strided_view<Out> out, strided_view<First> first,
              strided_view<In>... in) const {
#if defined(__CUDACC__)
    kernels::reduce_on(*this, monoid, f, out, first, in...);
#else
    run(first.size(), device::make_reduce(threads, monoid, f, out, first, in...), "reduce", first);
#endif
  }
  /// cuBLAS where it can read the operands as they lie, else a kernel of our own.
  template <class U>
  void gemm(U alpha, strided_view<const U> a, strided_view<const U> b, U beta, strided_view<U> c) const {
    if (c.size() == 0) return;
    if (a.extent[a.rank - 1] > 0) {
      const auto plan = device::plan_gemm(a, b, c);
      if (fits_cublas(plan)) {
        constexpr bool own_scalar = std::is_same_v<U, scalar>;
        constexpr auto compute = own_scalar ? precision<Precision>::product : precision<U>::product;
        return run_gemm(*context(), plan, compute, alpha, a.data, b.data, beta, c.data);
      }
    }
    const auto work = device::make_gemm(alpha, a, b, beta, c);
    run(work.tiles(), work, "matmul", c);
  }
  template <class U>
  void gather(strided_view<U> out, strided_view<const U> table, strided_view<const index_t> where) const {
    run(out.size(), device::make_gather(out, table, where), "gather", out);
  }
  template <class U>
  void scatter_add(strided_view<U> out, strided_view<const index_t> where, strided_view<const U> update) const {
    const auto work = device::make_scatter(threads / 32, out, where, update);
    run(work.shares * work.inner.size, work, "scatter_add", update);
  }

 private:
  // What reductions are cut into: a constant, so that results do not follow the model of the GPU.
  static constexpr index_t threads = index_t(1) << 17;

  template <class Body, class View>
  void run(index_t n, const Body& body, const char* name, const View& view) const {
#if defined(__CUDACC__)
    cuda::launch(*context(), n, body, [name, &view] {
      return fathom::detail::concat(name, " over ",
                                    to_string_extents(std::vector<index_t>(view.extent, view.extent + view.rank)));
    });
#else
    static_assert(sizeof(Body) == 0,
                  "fathom: this file computes on cuda::gpu and must be compiled by nvcc (a .cu file)");
    (void)n, (void)body, (void)name, (void)view;
#endif
  }

  int device_ = 0;
  std::shared_ptr<cuda::context> own_;
};

}  // namespace fathom::cuda

#include <fathom/cuda/linear.hpp>
#if defined(__CUDACC__)
#include <fathom/cuda/ops.cuh>
#endif
