// SPDX-License-Identifier: Apache-2.0
// The handle of the CPU backend: threads, BLAS, vectorised loops. Include fathom/backend/cpu.hpp, which adds the
// overrides of the fused operations.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <thread>

#include <fathom/backend/cpu/block_cache.hpp>
#include <fathom/backend/cpu/gemm.hpp>
#include <fathom/backend/cpu/map.hpp>
#include <fathom/backend/cpu/reduce.hpp>
#include <fathom/backend/cpu/vectorized.hpp>
#include <fathom/tensor/backend.hpp>

namespace fathom {

/// Settings of a CPU context.
struct cpu_options {
  /// 0: the environment variable FATHOM_THREADS, else all the processors of the machine.
  int threads = 0;
};

namespace detail {

/// What all copies of one CPU handle share.
struct cpu_context {
  explicit cpu_context(int threads) : pool(threads), blocks(std::make_shared<cpu_kernels::block_cache>()) {}
  cpu_kernels::thread_pool pool;
  std::shared_ptr<cpu_kernels::block_cache> blocks;
};

inline int default_threads() {
  if (const char* set = std::getenv("FATHOM_THREADS")) {
    const int n = std::atoi(set);
    if (n > 0) return n;
  }
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

/// The context of every default-constructed handle.
inline const std::shared_ptr<cpu_context>& default_cpu_context() {
  static const std::shared_ptr<cpu_context> shared = std::make_shared<cpu_context>(default_threads());
  return shared;
}

}  // namespace detail

/// cpu<float>{} uses all processors; cpu<float>{{.threads = 2}} its own pool of two. Copies share the pool; handles are
/// equal when they do. One handle serves one caller at a time (others wait).
template <class T>
class cpu {
 public:
  using scalar = T;
  static constexpr bool host_memory = true;

  cpu() : context_(detail::default_cpu_context()) {}
  explicit cpu(const cpu_options& options)
      : context_(
            std::make_shared<detail::cpu_context>(options.threads > 0 ? options.threads : detail::default_threads())) {}
  bool operator==(const cpu& other) const { return context_ == other.context_; }

  int threads() const { return context_->pool.size(); }
  cpu_kernels::thread_pool& pool() const { return context_->pool; }

  template <class U>
  std::shared_ptr<U> allocate(index_t n) const {
    using inside = cpu_kernels::owner_in_block<U>;
    const std::size_t bytes = static_cast<std::size_t>(std::max<index_t>(n, 1)) * sizeof(U);
    const auto& blocks = context_->blocks;
    const cpu_kernels::block_cache::block taken = blocks->take(bytes + inside::size);
    U* const data = reinterpret_cast<U*>(static_cast<std::byte*>(taken.data) + inside::size);
    return std::shared_ptr<U>(data, cpu_kernels::leave_alone{}, inside(blocks, taken));
  }
  template <class U>
  void upload(U* to, const U* from, index_t n) const {
    std::copy_n(from, n, to);
  }
  template <class U>
  void download(U* to, const U* from, index_t n) const {
    std::copy_n(from, n, to);
  }
  void synchronize() const {}
  /// Returns storage that is kept for reuse to the system: what memory_counter counts is then in use.
  void release_memory() const { context_->blocks->release(); }

  template <class F, class Out, class... In>
  void map(const F& f, strided_view<Out> out, strided_view<In>... in) const {
    cpu_kernels::map(pool(), cpu_kernels::vectorized<F>::of(f), out, in...);
  }
  template <class F, class Out>
  void generate(const F& f, strided_view<Out> out) const {
    cpu_kernels::generate(pool(), f, out);
  }
  template <class Monoid, class F, class Out, class... In>
  void reduce(const Monoid& monoid, const F& f, strided_view<Out> out, strided_view<In>... in) const {
    cpu_kernels::reduce(pool(), monoid, cpu_kernels::vectorized<F>::of(f), out, in...);
  }

  /// Matrices with a unit stride in one of their two axes go to BLAS as they lie; others are packed first.
  template <class U>
  void gemm(U alpha, strided_view<const U> a, strided_view<const U> b, U beta, strided_view<U> c) const {
    if (c.size() == 0) return;
    const int r = c.rank;
    if (c.stride[r - 1] != 1 && c.extent[r - 1] != 1) {
      if (c.stride[r - 2] == 1 || c.extent[r - 2] == 1) {
        swap_matrix_axes(a), swap_matrix_axes(b), swap_matrix_axes(c);
        std::swap(a, b);
      } else {
        throw shape_error("cpu gemm: the output needs a unit stride in one of its last two axes");
      }
    }
    std::shared_ptr<U> packed_a, packed_b;
    const operand<U> left = matrix(a, packed_a), right = matrix(b, packed_b);
    const index_t m = c.extent[r - 2], n = c.extent[r - 1], k = a.extent[r - 1];
    const index_t ldc = c.extent[r - 2] == 1 ? std::max<index_t>(n, 1) : c.stride[r - 2];
    const int batch_axes = r - 2;
    const index_t outer = batch_axes >= 2 ? c.extent[batch_axes - 2] : 1;
    const index_t inner = batch_axes >= 1 ? c.extent[batch_axes - 1] : 1;
    index_t rest = 1;
    for (int axis = 0; axis < batch_axes - 2; ++axis) rest *= c.extent[axis];
    const auto steps = [&](const auto& view) {
      return cpu_kernels::batch_strides{batch_axes >= 2 ? view.stride[batch_axes - 2] : 0,
                                        batch_axes >= 1 ? view.stride[batch_axes - 1] : 0};
    };
    for (index_t slab = 0; slab < rest; ++slab) {
      index_t at[3] = {0, 0, 0}, number = slab;
      for (int axis = batch_axes - 3; axis >= 0; --axis) {
        const index_t i = number % c.extent[axis];
        number /= c.extent[axis];
        at[0] += i * left.view.stride[axis];
        at[1] += i * right.view.stride[axis];
        at[2] += i * c.stride[axis];
      }
      cpu_kernels::gemm_batched(pool(), outer, inner, left.transposed, right.transposed, m, n, k, alpha,
                                left.view.data + at[0], left.leading, steps(left.view), right.view.data + at[1],
                                right.leading, steps(right.view), beta, c.data + at[2], ldc, steps(c));
    }
  }

  template <class U>
  void gather(strided_view<U> out, strided_view<const U> table, strided_view<const index_t> where) const {
    pool().parallel_for(out.extent[0], [&](index_t row, int) {
      copy_row(out, row, table, where.data[row * where.stride[0]], [](U& to, U from) { to = from; });
    });
  }
  /// Serial: rows may repeat, and the order of additions is part of the result.
  template <class U>
  void scatter_add(strided_view<U> out, strided_view<const index_t> where, strided_view<const U> update) const {
    for (index_t row = 0; row < update.extent[0]; ++row)
      copy_row(out, where.data[row * where.stride[0]], update, row, [](U& to, U from) { to += from; });
  }

 private:
  template <class U>
  struct operand {
    strided_view<const U> view;
    bool transposed;
    index_t leading;
  };

  template <class View>
  static void swap_matrix_axes(View& view) {
    std::swap(view.extent[view.rank - 1], view.extent[view.rank - 2]);
    std::swap(view.stride[view.rank - 1], view.stride[view.rank - 2]);
  }

  template <class U>
  operand<U> matrix(strided_view<const U> x, std::shared_ptr<U>& packed) const {
    const int r = x.rank;
    const index_t rows = x.extent[r - 2], columns = x.extent[r - 1];
    if ((x.stride[r - 1] == 1 || columns == 1) && (rows == 1 || x.stride[r - 2] >= std::max<index_t>(columns, 1)))
      return {x, false, rows == 1 ? std::max<index_t>(columns, 1) : x.stride[r - 2]};
    if ((x.stride[r - 2] == 1 || rows == 1) && (columns == 1 || x.stride[r - 1] >= std::max<index_t>(rows, 1)))
      return {x, true, columns == 1 ? std::max<index_t>(rows, 1) : x.stride[r - 1]};
    packed = allocate<U>(x.size());
    strided_view<U> y{packed.get(), r, {}, {}};
    index_t step = 1;
    for (int axis = r - 1; axis >= 0; --axis) {
      y.extent[axis] = x.extent[axis];
      y.stride[axis] = step;
      step *= x.extent[axis];
    }
    map(detail::copy_value{}, y, x);
    return {y, false, std::max<index_t>(columns, 1)};
  }

  template <class To, class From, class F>
  static void copy_row(const To& to, index_t to_row, const From& from, index_t from_row, const F& f) {
    index_t inner = 1;
    for (int axis = 1; axis < to.rank; ++axis) inner *= to.extent[axis];
    if (to.rank == 2 && to.stride[1] == 1 && from.stride[1] == 1) {
      auto* const out = to.data + to_row * to.stride[0];
      const auto* const in = from.data + from_row * from.stride[0];
      for (index_t i = 0; i < inner; ++i) f(out[i], in[i]);
      return;
    }
    for (index_t i = 0; i < inner; ++i) {
      index_t at_to = to_row * to.stride[0], at_from = from_row * from.stride[0], number = i;
      for (int axis = to.rank - 1; axis >= 1; --axis) {
        const index_t here = number % to.extent[axis];
        number /= to.extent[axis];
        at_to += here * to.stride[axis];
        at_from += here * from.stride[axis];
      }
      f(to.data[at_to], from.data[at_from]);
    }
  }

  std::shared_ptr<detail::cpu_context> context_;
};

}  // namespace fathom
