// SPDX-License-Identifier: Apache-2.0
// The oracle backend: plain loops in the order of the formulas, single-threaded. Slow on purpose, easy to trust.
#pragma once

#include <algorithm>
#include <memory>

#include <fathom/backend/host_storage.hpp>
#include <fathom/tensor/backend.hpp>

namespace fathom {

/// reference<double> is what every other backend is compared with.
template <class T>
struct reference {
  using scalar = T;
  static constexpr bool host_memory = true;
  bool operator==(const reference&) const = default;

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
  void synchronize() const {}

  template <class F, class Out, class... In>
  void map(const F& f, strided_view<Out> out, strided_view<In>... in) const {
    const index_t n = out.size();
    for (index_t i = 0; i < n; ++i) out.data[out.offset(i)] = static_cast<Out>(f(in.data[in.offset(i)]...));
  }

  template <class F, class Out>
  void generate(const F& f, strided_view<Out> out) const {
    const index_t n = out.size();
    for (index_t i = 0; i < n; ++i) out.data[out.offset(i)] = static_cast<Out>(f(i));
  }

  template <class Monoid, class F, class Out, class First, class... In>
  void reduce(const Monoid& monoid, const F& f, strided_view<Out> out, strided_view<First> first,
              strided_view<In>... in) const {
    const index_t outputs = out.size();
    for (index_t o = 0; o < outputs; ++o) out.data[out.offset(o)] = Monoid::template identity<Out>();
    const index_t n = first.size();
    const auto target = detail::broadcast_view(out, first.rank, first.extent);
    for (index_t i = 0; i < n; ++i) {
      Out& sum = target.data[target.offset(i)];
      sum = monoid(sum, static_cast<Out>(f(first.data[first.offset(i)], in.data[in.offset(i)]...)));
    }
  }

  template <class U>
  void gemm(U alpha, strided_view<const U> a, strided_view<const U> b, U beta, strided_view<U> c) const {
    const int r = c.rank;
    const index_t m = c.extent[r - 2], n = c.extent[r - 1], k = a.extent[r - 1];
    index_t batch = 1;
    for (int axis = 0; axis < r - 2; ++axis) batch *= c.extent[axis];
    const auto start = [&](const auto& view, index_t number) {
      index_t at = 0;
      for (int axis = r - 3; axis >= 0; --axis) {
        at += (number % view.extent[axis]) * view.stride[axis];
        number /= view.extent[axis];
      }
      return view.data + at;
    };
    for (index_t s = 0; s < batch; ++s) {
      const U* as = start(a, s);
      const U* bs = start(b, s);
      U* cs = start(c, s);
      for (index_t i = 0; i < m; ++i)
        for (index_t j = 0; j < n; ++j) {
          U sum = 0;
          for (index_t l = 0; l < k; ++l)
            sum += as[i * a.stride[r - 2] + l * a.stride[r - 1]] * bs[l * b.stride[r - 2] + j * b.stride[r - 1]];
          U& value = cs[i * c.stride[r - 2] + j * c.stride[r - 1]];
          value = beta == U(0) ? alpha * sum : alpha * sum + beta * value;
        }
    }
  }

  template <class U>
  void gather(strided_view<U> out, strided_view<const U> table, strided_view<const index_t> where) const {
    for_rows(out, where, [&](index_t row, index_t number, index_t inner) {
      out.data[inner_offset(out, row, inner)] = table.data[inner_offset(table, number, inner)];
    });
  }
  template <class U>
  void scatter_add(strided_view<U> out, strided_view<const index_t> where, strided_view<const U> update) const {
    for_rows(update, where, [&](index_t row, index_t number, index_t inner) {
      out.data[inner_offset(out, number, inner)] += update.data[inner_offset(update, row, inner)];
    });
  }

 private:
  template <class View>
  static index_t inner_offset(const View& view, index_t row, index_t inner) {
    index_t at = row * view.stride[0];
    for (int axis = view.rank - 1; axis >= 1; --axis) {
      at += (inner % view.extent[axis]) * view.stride[axis];
      inner /= view.extent[axis];
    }
    return at;
  }
  template <class View, class Body>
  static void for_rows(const View& rows, strided_view<const index_t> where, const Body& body) {
    index_t inner = 1;
    for (int axis = 1; axis < rows.rank; ++axis) inner *= rows.extent[axis];
    for (index_t row = 0; row < rows.extent[0]; ++row)
      for (index_t i = 0; i < inner; ++i) body(row, where.data[row * where.stride[0]], i);
  }
};

}  // namespace fathom
