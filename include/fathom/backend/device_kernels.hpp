// SPDX-License-Identifier: Apache-2.0
// The work of one device thread for each kernel of a backend, as plain structs called with the thread's number. The Thrust
// backend and the CUDA backend launch the same structs, so that what a GPU runs is tested where there is none.
#pragma once

#include <cstdint>

#include <fathom/tensor/strided_view.hpp>

namespace fathom::device {

/// N views over one set of extents, walked together. Axes that all views pass in one stride are merged, so that the usual
/// contiguous case needs no division.
template <int N>
struct lattice {
  int rank = 0;
  index_t size = 1;
  index_t extent[max_rank] = {};
  index_t stride[N][max_rank] = {};

  /// Appends an axis behind the others.
  void append(index_t e, const index_t (&step)[N]) {
    size *= e;
    if (e == 1) return;
    bool merges = rank > 0;
    for (int v = 0; v < N && merges; ++v) merges = stride[v][rank - 1] == step[v] * e;
    const int axis = merges ? rank - 1 : rank++;
    extent[axis] = merges ? extent[axis] * e : e;
    for (int v = 0; v < N; ++v) stride[v][axis] = step[v];
  }

  /// Offsets of the element with row-major number `linear` in every view.
  FATHOM_HD void locate(index_t linear, index_t (&at)[N]) const {
    if (size <= 0x7FFFFFFF)
      locate_as(static_cast<std::uint32_t>(linear), at);
    else
      locate_as(static_cast<std::uint64_t>(linear), at);
  }

 private:
  // 32-bit division costs a GPU a fraction of the 64-bit one.
  template <class Number>
  FATHOM_HD void locate_as(Number rest, index_t (&at)[N]) const {
    for (int v = 0; v < N; ++v) at[v] = 0;
    for (int axis = rank - 1; axis >= 0; --axis) {
      const Number above = axis > 0 ? rest / static_cast<Number>(extent[axis]) : 0;
      const auto here = static_cast<index_t>(rest - above * static_cast<Number>(extent[axis]));
      for (int v = 0; v < N; ++v) at[v] += here * stride[v][axis];
      rest = above;
    }
  }
};

/// Pointers of several types, read at one offset each. (std::tuple has no device code.)
template <class... T>
struct pointers;
template <>
struct pointers<> {
  template <class F, class... X>
  FATHOM_HD auto call(const F& f, const index_t*, X... x) const {
    return f(x...);
  }
};
template <class First, class... Rest>
struct pointers<First, Rest...> {
  First* first;
  pointers<Rest...> rest;
  template <class F, class... X>
  FATHOM_HD auto call(const F& f, const index_t* at, X... x) const {
    return rest.call(f, at + 1, x..., first[*at]);
  }
};

inline pointers<> pointers_of() { return {}; }
template <class First, class... Rest>
pointers<First, Rest...> pointers_of(const strided_view<First>& first, const strided_view<Rest>&... rest) {
  return {first.data, pointers_of(rest...)};
}

/// All axes of views of equal extents.
template <class First, class... Rest>
lattice<1 + static_cast<int>(sizeof...(Rest))> lattice_of(const strided_view<First>& first,
                                                          const strided_view<Rest>&... rest) {
  lattice<1 + static_cast<int>(sizeof...(Rest))> all;
  for (int axis = 0; axis < first.rank; ++axis) all.append(first.extent[axis], {first.stride[axis], rest.stride[axis]...});
  return all;
}

/// out[i] = f(in[i]...)
template <class F, class Out, class... In>
struct map_element {
  F f;
  Out* out;
  pointers<In...> in;
  lattice<1 + static_cast<int>(sizeof...(In))> where;

  FATHOM_HD void operator()(index_t i) const {
    index_t at[1 + sizeof...(In)];
    where.locate(i, at);
    out[at[0]] = static_cast<Out>(in.call(f, at + 1));
  }
};
template <class F, class Out, class... In>
map_element<F, Out, In...> make_map(const F& f, const strided_view<Out>& out, const strided_view<In>&... in) {
  return {f, out.data, pointers_of(in...), lattice_of(out, in...)};
}

/// out[i] = f(i)
template <class F, class Out>
struct generate_element {
  F f;
  Out* out;
  lattice<1> where;

  FATHOM_HD void operator()(index_t i) const {
    index_t at[1];
    where.locate(i, at);
    out[at[0]] = static_cast<Out>(f(i));
  }
};
template <class F, class Out>
generate_element<F, Out> make_generate(const F& f, const strided_view<Out>& out) {
  return {f, out.data, lattice_of(out)};
}

/// One part of one output of a reduction, its terms taken in row-major order. Thread i works on output i % outputs and
/// part i / outputs. The number of parts follows from the extents alone, so that results do not depend on the machine.
template <class Monoid, class F, class Out, class... In>
struct reduce_part {
  static constexpr int inputs = static_cast<int>(sizeof...(In));
  Monoid monoid;
  F f;
  Out* out;      // the output itself where there is one part
  Out* partial;  // [parts, outputs], otherwise
  pointers<In...> in;
  lattice<1 + inputs> kept;
  lattice<inputs> reduced;
  index_t parts, length;

  FATHOM_HD void operator()(index_t i) const {
    const index_t part = i / kept.size;
    index_t base[1 + inputs], at[inputs];
    kept.locate(i - part * kept.size, base);
    const index_t from = part * length, end = from + length < reduced.size ? from + length : reduced.size;
    Out total = Monoid::template identity<Out>();
    for (index_t term = from; term < end; ++term) {
      reduced.locate(term, at);
      for (int v = 0; v < inputs; ++v) at[v] += base[1 + v];
      total = monoid(total, static_cast<Out>(in.call(f, at)));
    }
    if (parts == 1)
      out[base[0]] = total;
    else
      partial[i] = total;
  }
};

/// The parts of one output, joined in their order.
template <class Monoid, class Out>
struct reduce_join {
  Monoid monoid;
  Out* out;
  const Out* partial;
  lattice<1> kept;
  index_t parts;

  FATHOM_HD void operator()(index_t i) const {
    Out total = partial[i];
    for (index_t part = 1; part < parts; ++part) total = monoid(total, partial[part * kept.size + i]);
    index_t at[1];
    kept.locate(i, at);
    out[at[0]] = total;
  }
};

/// Cuts a reduction into about `threads` parts in all, none shorter than 256 terms. Missing leading
/// axes of `out` are summed over as well.
template <class Monoid, class F, class Out, class First, class... In>
reduce_part<Monoid, F, Out, First, In...> make_reduce(index_t threads, const Monoid& monoid, const F& f,
                                                      const strided_view<Out>& out, const strided_view<First>& first,
                                                      const strided_view<In>&... in) {
  reduce_part<Monoid, F, Out, First, In...> work{monoid, f, out.data, nullptr, pointers_of(first, in...), {}, {}, 1, 0};
  for (int axis = 0; axis < first.rank; ++axis) {
    const int at = axis - (first.rank - out.rank);
    if ((at < 0 || out.extent[at] == 1) && first.extent[axis] != 1)
      work.reduced.append(first.extent[axis], {first.stride[axis], in.stride[axis]...});
    else if (at >= 0)
      work.kept.append(out.extent[at], {out.stride[at], first.stride[axis], in.stride[axis]...});
  }
  const index_t terms = work.reduced.size, outputs = work.kept.size > 0 ? work.kept.size : 1;
  const index_t wanted = threads / outputs > 1 ? threads / outputs : 1;
  const index_t length = (terms + wanted - 1) / wanted;
  work.length = length > 256 ? length : 256;
  work.parts = terms > 0 ? (terms + work.length - 1) / work.length : 1;
  return work;
}
template <class Monoid, class F, class Out, class... In>
reduce_join<Monoid, Out> make_join(const reduce_part<Monoid, F, Out, In...>& work) {
  reduce_join<Monoid, Out> join{work.monoid, work.out, work.partial, {}, work.parts};
  for (int axis = 0; axis < work.kept.rank; ++axis) join.kept.append(work.kept.extent[axis], {work.kept.stride[0][axis]});
  join.kept.size = work.kept.size;
  return join;
}

/// One 4 x 4 tile of c = alpha a b + beta c, terms in the order of k.
template <class U>
struct gemm_tile {
  static constexpr int side = 4;
  U alpha, beta;
  const U *a, *b;
  U* c;
  index_t m, n, k, tiles_m, tiles_n;
  index_t a_row, a_column, b_row, b_column, c_row, c_column;
  lattice<3> batch;

  FATHOM_HD index_t tiles() const { return batch.size * tiles_m * tiles_n; }

  FATHOM_HD void operator()(index_t tile) const {
    const index_t row0 = tile / tiles_n % tiles_m * side, column0 = tile % tiles_n * side;
    index_t at[3], a_at[side], b_at[side];
    batch.locate(tile / (tiles_m * tiles_n), at);
    // Rows and columns over the edge read the last valid one and are not stored.
    for (int s = 0; s < side; ++s) {
      a_at[s] = at[0] + (row0 + s < m ? row0 + s : m - 1) * a_row;
      b_at[s] = at[1] + (column0 + s < n ? column0 + s : n - 1) * b_column;
    }
    U sum[side][side] = {};
    for (index_t l = 0; l < k; ++l) {
      U left[side], right[side];
      for (int s = 0; s < side; ++s) left[s] = a[a_at[s] + l * a_column];
      for (int s = 0; s < side; ++s) right[s] = b[b_at[s] + l * b_row];
      for (int i = 0; i < side; ++i)
        for (int j = 0; j < side; ++j) sum[i][j] += left[i] * right[j];
    }
    for (int i = 0; i < side && row0 + i < m; ++i)
      for (int j = 0; j < side && column0 + j < n; ++j) {
        U& value = c[at[2] + (row0 + i) * c_row + (column0 + j) * c_column];
        value = beta == U(0) ? alpha * sum[i][j] : alpha * sum[i][j] + beta * value;
      }
  }
};
template <class U>
gemm_tile<U> make_gemm(U alpha, const strided_view<const U>& a, const strided_view<const U>& b, U beta,
                       const strided_view<U>& c) {
  const int r = c.rank;
  const index_t m = c.extent[r - 2], n = c.extent[r - 1], k = a.extent[r - 1];
  gemm_tile<U> work{alpha, beta, a.data, b.data, c.data, m, n, k, (m + 3) / 4, (n + 3) / 4,
                    a.stride[r - 2], a.stride[r - 1], b.stride[r - 2], b.stride[r - 1],
                    c.stride[r - 2], c.stride[r - 1], {}};
  for (int axis = 0; axis < r - 2; ++axis)
    work.batch.append(c.extent[axis], {a.stride[axis], b.stride[axis], c.stride[axis]});
  return work;
}

/// out[n, ...] = table[where[n], ...], one element
template <class U>
struct gather_element {
  U* out;
  const U* table;
  const index_t* where;
  index_t out_row, table_row, where_step, rows;
  lattice<2> inner;

  FATHOM_HD void operator()(index_t i) const {
    index_t at[2];
    inner.locate(i % inner.size, at);
    const index_t row = i / inner.size;
    out[at[0] + row * out_row] = table[at[1] + where[row * where_step] * table_row];
  }
};
template <class U>
gather_element<U> make_gather(const strided_view<U>& out, const strided_view<const U>& table,
                              const strided_view<const index_t>& where) {
  gather_element<U> work{out.data,        table.data,    where.data, out.stride[0], table.stride[0],
                         where.stride[0], out.extent[0], {}};
  for (int axis = 1; axis < out.rank; ++axis) work.inner.append(out.extent[axis], {out.stride[axis], table.stride[axis]});
  return work;
}

/// out[where[n], ...] += update[n, ...] in the order of n, without atomics: thread i owns one inner element of every row
/// whose number leaves the remainder i / inner.size when divided by `shares`.
template <class U>
struct scatter_share {
  U* out;
  const U* update;
  const index_t* where;
  index_t out_row, update_row, where_step, rows, shares;
  lattice<2> inner;

  FATHOM_HD void operator()(index_t i) const {
    index_t at[2];
    inner.locate(i % inner.size, at);
    const index_t share = i / inner.size;
    for (index_t row = 0; row < rows; ++row) {
      const index_t target = where[row * where_step];
      if (target % shares == share) out[at[0] + target * out_row] += update[at[1] + row * update_row];
    }
  }
};
template <class U>
scatter_share<U> make_scatter(index_t threads, const strided_view<U>& out, const strided_view<const index_t>& where,
                              const strided_view<const U>& update) {
  scatter_share<U> work{out.data,        update.data,      where.data, out.stride[0], update.stride[0],
                        where.stride[0], update.extent[0], 1,          {}};
  for (int axis = 1; axis < out.rank; ++axis)
    work.inner.append(out.extent[axis], {out.stride[axis], update.stride[axis]});
  const index_t wanted = threads / (work.inner.size > 0 ? work.inner.size : 1);
  work.shares = wanted < out.extent[0] ? wanted : out.extent[0];
  if (work.shares < 1) work.shares = 1;
  return work;
}

}  // namespace fathom::device
