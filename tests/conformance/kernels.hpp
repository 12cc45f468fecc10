// SPDX-License-Identifier: Apache-2.0
// The kernels of the backend concept, called directly. Outputs lie in larger buffers whose other elements must survive.
#pragma once

#include "support.hpp"

#include <fathom/op/functors.hpp>

namespace conformance {

template <int N>
struct weighted_sum {
  template <class... T>
  FATHOM_HD double operator()(T... x) const {
    static_assert(sizeof...(T) == N);
    double total = 0;
    ((total = 0.5 * total + static_cast<double>(x)), ...);
    return total;
  }
};
struct row_number {
  FATHOM_HD double operator()(index_t i) const { return static_cast<double>(i % 1000) * 0.125; }
};
struct twice {
  template <class T>
  FATHOM_HD T operator()(T x) const {
    return x + x;
  }
};
struct is_even {
  template <class T>
  FATHOM_HD T operator()(index_t number, T x) const {
    return number % 2 == 0 ? x : -x;
  }
};

/// A window with a margin: kernels write through it, all of its storage is recorded.
template <class B, int R>
struct window {
  tensor<B, 1> storage;
  tensor<B, R> inside;

  window(const B& b, const extents<R>& e, layout l, double value = 77)
      : storage(fathom::full<1>(b, {placement<R>(e, l).size + 5}, static_cast<typename B::scalar>(value))),
        inside(storage.reinterpret(e, placement<R>(e, l).strides, placement<R>(e, l).offset + 2)) {}
  auto view() { return inside.mutable_view(); }
};

/// Layouts an output may have: all but those that write one place twice.
inline constexpr layout output_layouts[] = {layout::dense, layout::reversed, layout::transposed, layout::strided};

template <class B>
void map_cases(records& all, const B& b, layout in, layout out) {
  using T = typename B::scalar;
  const maker<B> make{b, in};
  const extents<4> shapes[] = {{2, 3, 5, 7}, {1, 1, 1, 1}, {3, 0, 2, 4}, {1, 37, 1, 129}, {4, 1, 3, 1}};
  for (const auto& e : shapes) {
    record r{"map and generate", {}};
    const auto x = [&](std::uint64_t seed) { return make.template real<4>(e, seed); };
    const auto a = x(1), c = x(2), d = x(3), f = x(4), g = x(5), h = x(6), k = x(7);
    window<B, 4> one(b, e, out), two(b, e, out), five(b, e, out), seven(b, e, out), made(b, e, out);
    b.map(weighted_sum<1>{}, one.view(), a.view());
    b.map(weighted_sum<2>{}, two.view(), a.view(), c.view());
    b.map(weighted_sum<5>{}, five.view(), a.view(), c.view(), d.view(), f.view(), g.view());
    b.map(weighted_sum<7>{}, seven.view(), a.view(), c.view(), d.view(), f.view(), g.view(), h.view(), k.view());
    b.map(twice{}, two.view(), fathom::strided_view<const T>(two.view()));  // in place
    b.generate(row_number{}, made.view());
    for (const auto* w : {&one, &two, &five, &seven, &made}) r.add(w->storage);
    all.push_back(std::move(r));
  }
  record r{"map over whole numbers, upload, download", {}};
  const auto numbers = make.numbers(1001, 50, 8);
  tensor<B, 1, index_t> copied(b, numbers.shape());
  b.map(fathom::detail::copy_value{}, copied.mutable_view(), numbers.view());
  r.add(copied);
  window<B, 1> signs(b, {1001}, out);
  b.map(is_even{}, signs.view(), numbers.view(), make.template real<1>({1001}, 9).view());
  r.add(signs.storage);
  all.push_back(std::move(r));
}

template <class B>
void reduce_cases(records& all, const B& b, layout in, layout out) {
  const maker<B> make{b, in};
  struct shapes {
    extents<4> from, to;
  };
  const shapes cases[] = {{{2, 3, 5, 7}, {2, 3, 5, 1}},    {{2, 3, 5, 7}, {1, 3, 1, 7}},   {{2, 3, 5, 7}, {2, 1, 1, 7}},
                          {{2, 3, 5, 7}, {1, 1, 1, 1}},    {{2, 3, 5, 7}, {2, 3, 5, 7}},   {{2, 3, 0, 7}, {2, 3, 1, 7}},
                          {{0, 3, 5, 7}, {0, 3, 1, 7}},    {{1, 40, 33, 17}, {1, 1, 1, 17}}, {{1, 40, 33, 17}, {1, 1, 1, 1}},
                          {{3, 1, 1, 1300}, {3, 1, 1, 1}}, {{1, 1, 1, 1}, {1, 1, 1, 1}}};
  for (const auto& c : cases) {
    record r{"reduce " + fathom::to_string_extents(c.from) + " to " + fathom::to_string_extents(c.to), {}};
    const auto x = make.template real<4>(c.from, 11), y = make.template real<4>(c.from, 12);
    window<B, 4> sum(b, c.to, out), top(b, c.to, out), dot(b, c.to, out);
    b.reduce(fathom::functor::sum{}, fathom::functor::identity{}, sum.view(), x.view());
    b.reduce(fathom::functor::maximum{}, fathom::functor::identity{}, top.view(), x.view());
    b.reduce(fathom::functor::sum{}, fathom::functor::product{}, dot.view(), x.view(), y.view());
    for (const auto* w : {&sum, &top, &dot}) r.add(w->storage);
    all.push_back(std::move(r));
  }
  // A NaN among the inputs is the maximum, wherever it stands.
  record r{"maximum with a NaN", {}};
  for (const index_t at : {0, 300, 1299}) {
    host_tensor<double> host({1300}, 1.0);
    host.data[static_cast<std::size_t>(at)] = std::numeric_limits<double>::quiet_NaN();
    const auto x = fathom::from_host<1>(b, host);
    window<B, 1> top(b, {1}, out);
    b.reduce(fathom::functor::maximum{}, fathom::functor::identity{}, top.view(), x.view());
    r.add(top.storage);
  }
  all.push_back(std::move(r));
}

template <class B>
void gemm_cases(records& all, const B& b, layout in) {
  using T = typename B::scalar;
  const maker<B> make{b, in};
  struct shapes {
    extents<2> batch;
    index_t m, n, k;
  };
  const shapes cases[] = {{{1, 1}, 1, 1, 1},   {{1, 1}, 5, 7, 3},  {{2, 3}, 9, 4, 17}, {{1, 5}, 33, 65, 31},
                          {{4, 1}, 1, 130, 8}, {{1, 1}, 70, 1, 9}, {{2, 2}, 3, 3, 0},  {{1, 2}, 0, 4, 5},
                          {{0, 2}, 3, 4, 5},   {{1, 1}, 130, 129, 260}};
  for (const auto& c : cases)
    for (const layout out : {layout::dense, layout::transposed}) {
      record r{"gemm " + fathom::to_string_extents(extents<5>{c.batch[0], c.batch[1], c.m, c.n, c.k}), {}};
      const auto left = make.template real<4>({c.batch[0], c.batch[1], c.m, c.k}, 21);
      const auto right = make.template real<4>({c.batch[0], c.batch[1], c.k, c.n}, 22);
      const extents<4> e{c.batch[0], c.batch[1], c.m, c.n};
      window<B, 4> plain(b, e, out, std::numeric_limits<double>::quiet_NaN()), scaled(b, e, out, 3);
      b.gemm(T(1), left.view(), right.view(), T(0), plain.view());  // beta = 0 overwrites whatever is there
      b.gemm(T(-0.5), left.view(), right.view(), T(0.25), scaled.view());
      r.add(plain.storage);
      r.add(scaled.storage);
      // One operand for the whole batch.
      auto shared = left.view();
      for (const int axis : {0, 1})
        if (shared.extent[axis] > 0) shared.stride[axis] = 0;
      window<B, 4> repeated(b, e, out);
      b.gemm(T(1), shared, right.view(), T(0), repeated.view());
      r.add(repeated.storage);
      all.push_back(std::move(r));
    }
}

template <class B>
void indexing_cases(records& all, const B& b, layout in, layout out) {
  const maker<B> make{b, in};
  struct shapes {
    extents<3> table;
    index_t n;
  };
  const shapes cases[] = {{{21, 4, 5}, 40}, {{7, 1, 1}, 13}, {{1, 3, 2}, 6}, {{5, 2, 33}, 0}, {{9, 0, 3}, 4}, {{65, 1, 128}, 200}};
  for (const auto& c : cases) {
    record r{"gather and scatter_add " + fathom::to_string_extents(c.table), {}};
    const extents<3> rows{c.n, c.table[1], c.table[2]};
    const auto where = make.numbers(c.n, c.table[0], 31);
    window<B, 3> taken(b, rows, out), summed(b, c.table, out, 0.5);
    b.gather(taken.view(), make.template real<3>(c.table, 32).view(), where.view());
    b.scatter_add(summed.view(), where.view(), make.template real<3>(rows, 33).view());
    r.add(taken.storage);
    r.add(summed.storage);
    all.push_back(std::move(r));
  }
  record r{"gather and scatter_add of single numbers, every other index", {}};
  const auto numbers = make.numbers(60, 11, 34);
  const auto where = numbers.reinterpret(extents<1>{30}, extents<1>{2});
  window<B, 1> taken(b, {30}, out), summed(b, {11}, out, 0.5);
  b.gather(taken.view(), make.template real<1>({11}, 35).view(), where.view());
  b.scatter_add(summed.view(), where.view(), make.template real<1>({30}, 36).view());
  r.add(taken.storage);
  r.add(summed.storage);
  all.push_back(std::move(r));
}

/// Every kernel in every pair of layouts.
template <class B>
records kernel_records(const B& b) {
  records all;
  for (const layout in : all_layouts) {
    for (const layout out : output_layouts) {
      map_cases(all, b, in, out);
      reduce_cases(all, b, in, out);
      indexing_cases(all, b, in, out);
    }
    gemm_cases(all, b, in);
  }
  return all;
}

}  // namespace conformance
