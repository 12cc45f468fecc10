// SPDX-License-Identifier: Apache-2.0
// The library on Thrust: one thread for each element, no order between threads. The twin of the CUDA backend that runs
// without a GPU (device systems cpp, omp and tbb); it launches the same device_kernels.
#pragma once

#include <algorithm>
#include <memory>

#include <thrust/for_each.h>
#include <thrust/iterator/counting_iterator.h>

#include <fathom/backend/device_kernels.hpp>
#include <fathom/backend/host_storage.hpp>
#include <fathom/backend/thrust/system.hpp>
#include <fathom/tensor/backend.hpp>

namespace fathom {

/// T float or double; System one of thrust_system::cpp, omp (<fathom/backend/thrust/omp.hpp>), tbb (.../tbb.hpp), by
/// default the one that THRUST_DEVICE_SYSTEM names. Memory is the host's: on a GPU use cuda::gpu. Results do not depend
/// on the number of threads.
template <class T, class System = thrust_system::chosen>
struct thrust_backend {
  using scalar = T;
  static constexpr bool host_memory = true;
  using system = System;
  bool operator==(const thrust_backend&) const = default;

  template <class U>
  std::shared_ptr<U> allocate(index_t n) const {
    return detail::host_storage<U>(n);
  }
  template <class U>
  void upload(U* to, const U* from, index_t n) const {
    std::copy_n(from, n, to);
  }
  template <class U>
  void download(U* to, const U* from, index_t n) const {
    std::copy_n(from, n, to);
  }
  /// Thrust's algorithms in host memory return when they are done.
  void synchronize() const {}

  template <class F, class Out, class... In>
  void map(const F& f, strided_view<Out> out, strided_view<In>... in) const {
    launch(out.size(), device::make_map(f, out, in...));
  }

  template <class F, class Out>
  void generate(const F& f, strided_view<Out> out) const {
    launch(out.size(), device::make_generate(f, out));
  }

  template <class Monoid, class F, class Out, class First, class... In>
  void reduce(const Monoid& monoid, const F& f, strided_view<Out> out, strided_view<First> first,
              strided_view<In>... in) const {
    auto work = device::make_reduce(threads, monoid, f, out, first, in...);
    std::shared_ptr<Out> partial;
    if (work.parts > 1) {
      partial = allocate<Out>(work.parts * work.kept.size);
      work.partial = partial.get();
    }
    launch(work.parts * work.kept.size, work);
    if (work.parts > 1) launch(work.kept.size, device::make_join(work));
  }

  template <class U>
  void gemm(U alpha, strided_view<const U> a, strided_view<const U> b, U beta, strided_view<U> c) const {
    const auto work = device::make_gemm(alpha, a, b, beta, c);
    launch(work.tiles(), work);
  }

  template <class U>
  void gather(strided_view<U> out, strided_view<const U> table, strided_view<const index_t> where) const {
    launch(out.size(), device::make_gather(out, table, where));
  }
  template <class U>
  void scatter_add(strided_view<U> out, strided_view<const index_t> where, strided_view<const U> update) const {
    const auto work = device::make_scatter(threads, out, where, update);
    launch(work.shares * work.inner.size, work);
  }

 private:
  // Enough for any host; a constant, because results must not follow the machine.
  static constexpr index_t threads = 256;

  template <class Body>
  static void launch(index_t n, const Body& body) {
    if (n > 0) ::thrust::for_each_n(System::policy(), ::thrust::counting_iterator<index_t>(0), n, body);
  }
};

}  // namespace fathom
