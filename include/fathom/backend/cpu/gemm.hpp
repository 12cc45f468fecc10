// SPDX-License-Identifier: Apache-2.0
// Matrix products cut into tiles that depend on the extents alone, so that no result depends on the thread count.
#pragma once

#include <algorithm>
#include <fathom/backend/cpu/blas.hpp>
#include <fathom/backend/cpu/thread_pool.hpp>
#include <fathom/backend/cpu/transpose.hpp>

namespace fathom::cpu_kernels {

/// The default epilogue of gemm: nothing.
struct no_epilogue {
  template <class T>
  void operator()(index_t, index_t, index_t, index_t, T*, index_t) const {}
};

/// How a product m x n x k is cut: rows x columns tiles of tile_m x tile_n, each summed over chunks of tile_k.
struct gemm_tiling {
  index_t tile_m, tile_n, tile_k, rows, columns, chunks;
  index_t tiles() const { return rows * columns; }
};

namespace detail {
inline index_t ceil_div(index_t a, index_t b) { return (a + b - 1) / b; }
inline index_t round_up(index_t a, index_t b) { return ceil_div(a, b) * b; }
// Equal pieces of at most `largest`, in multiples of `unit`.
inline index_t balanced(index_t extent, index_t largest, index_t unit) {
  const index_t pieces = ceil_div(extent, std::max(largest, unit));
  return std::min(extent, round_up(ceil_div(extent, pieces), unit));
}
}  // namespace detail

/// Pure function of the extents, measured on the products of an Evoformer block: the largest of a list of tiles that
/// leaves 12 of them or more, tall ones first (BLAS packs the second operand once per tile; tiles of 64 x 128 run at 85
/// to 90 % of the speed of 128 x 128), in a number that four threads share evenly where rows allow it, none below about
/// a million multiply-adds. k is split only where there are still too few tiles to share.
inline gemm_tiling tile_gemm(index_t m, index_t n, index_t k) {
  using detail::balanced;
  using detail::ceil_div;
  constexpr index_t smallest = index_t(1) << 20, few = 12, shares_of_sum = 32;
  constexpr index_t shapes[][2] = {{512, 1024}, {256, 1024}, {256, 512}, {256, 256}, {256, 128}, {128, 128}, {64, 128}};
  gemm_tiling t{m, n, std::max<index_t>(k, 1), 1, 1, 1};
  const index_t work = m * n * t.tile_k;
  if (work <= smallest) return t;
  const auto cut = [&](index_t tall, index_t wide) {
    t.tile_n = balanced(n, wide, 16);
    t.columns = ceil_div(n, t.tile_n);
    t.tile_m = balanced(m, std::max(tall, smallest / (t.tile_n * t.tile_k)), 16);
    t.rows = ceil_div(m, t.tile_m);
    index_t rows = t.rows;
    while (rows * t.columns % 4 != 0) ++rows;
    if (t.rows > 1 && ceil_div(m, rows) >= 48) {
      t.tile_m = balanced(m, ceil_div(m, rows), 16);
      t.rows = ceil_div(m, t.tile_m);
    }
  };
  for (const auto& shape : shapes) {
    cut(shape[0], shape[1]);
    if (t.tiles() >= few) break;
  }
  if (k < 4096 || (t.tiles() >= few && m * n > (index_t(1) << 19))) return t;
  // Long sums of small results (weight gradients): partial sums over chunks of k, added in a fixed order.
  t.tile_n = balanced(n, 512, 16);
  t.columns = ceil_div(n, t.tile_n);
  t.tile_m = balanced(m, 256, 16);
  t.rows = ceil_div(m, t.tile_m);
  const index_t room = std::max<index_t>(1, (index_t(1) << 21) / (m * n));
  const index_t shares = m * n <= 2048 ? work >> 19 : ceil_div(shares_of_sum, t.tiles());
  t.chunks = std::max<index_t>(1, std::min({shares, k / 512, room}));
  t.tile_k = ceil_div(k, t.chunks);
  t.chunks = ceil_div(k, t.tile_k);
  return t;
}

namespace detail {

template <class T>
struct gemm_operands {
  bool trans_a, trans_b;
  index_t m, n, k;
  T alpha;
  const T* a;
  index_t lda;
  const T* b;
  index_t ldb;
  T beta;
  T* c;
  index_t ldc;

  const T* a_at(index_t i, index_t l) const { return trans_a ? a + l * lda + i : a + i * lda + l; }
  const T* b_at(index_t l, index_t j) const { return trans_b ? b + j * ldb + l : b + l * ldb + j; }
};

// One tile of the product, or the whole of a small one. Few columns go in bands of rows that BLAS computes without
// packing the long operand.
template <class T>
void gemm_block(const gemm_operands<T>& p, index_t i, index_t j, index_t l, index_t rows, index_t columns,
                index_t depth, T beta, T* c, index_t ldc) {
  const index_t band = columns > 16 || p.trans_a
                           ? rows
                           : std::max<index_t>(16, (index_t(1) << 17) / (columns * std::max<index_t>(depth, 1)));
  for (index_t row = 0; row < rows; row += band)
    gemm_serial(p.trans_a, p.trans_b, std::min(band, rows - row), columns, depth, p.alpha, p.a_at(i + row, l), p.lda,
                p.b_at(l, j), p.ldb, beta, c + row * ldc, ldc);
}

// Partial products over chunks of k in scratch memory, then their sum, in order, for one band of rows per task.
template <class T, class Epilogue>
void gemm_split(thread_pool& pool, const gemm_operands<T>& p, const gemm_tiling& t, Epilogue& epilogue) {
  const int self = pool.current_worker();
  const auto partial = pool.scratch<T>(self, t.chunks * p.m * p.n);
  T* const sums = partial.data();
  pool.parallel_for(t.tiles() * t.chunks, [&](index_t task, int) {
    const index_t chunk = task / t.tiles(), tile = task % t.tiles();
    const index_t i = tile / t.columns * t.tile_m, j = tile % t.columns * t.tile_n, l = chunk * t.tile_k;
    gemm_block(p, i, j, l, std::min(t.tile_m, p.m - i), std::min(t.tile_n, p.n - j), std::min(t.tile_k, p.k - l), T(0),
               sums + chunk * p.m * p.n + i * p.n + j, p.n);
  });
  const index_t band = std::max<index_t>(1, ceil_div(16384, t.chunks * p.n));
  pool.parallel_for(ceil_div(p.m, band), [&](index_t task, int) {
    const index_t first = task * band, rows = std::min(band, p.m - first);
    for (index_t i = first; i < first + rows; ++i) {
      T* const out = p.c + i * p.ldc;
      const T* const first_partial = sums + i * p.n;
      for (index_t j = 0; j < p.n; ++j) out[j] = p.beta == T(0) ? first_partial[j] : p.beta * out[j] + first_partial[j];
      for (index_t chunk = 1; chunk < t.chunks; ++chunk) {
        const T* FATHOM_RESTRICT const more = sums + (chunk * p.m + i) * p.n;
        for (index_t j = 0; j < p.n; ++j) out[j] += more[j];
      }
    }
    epilogue(first, index_t(0), rows, p.n, p.c + first * p.ldc, p.ldc);
  });
}

}  // namespace detail

/// c[m, n] = alpha op(a) op(b) + beta c; row-major with row strides lda, ldb, ldc; op(x) is the transpose when asked
/// (a is then [k, m], b is [n, k]). Any extents, 0 and 1 too; with beta = 0 what c holds is never read; c may not
/// overlap a or b. epilogue(row, column, rows, columns, tile, ldc) runs once on every finished tile while it is in
/// cache: bias, activation, gating, residual addition.
template <class T, class Epilogue = no_epilogue>
void gemm(thread_pool& pool, bool trans_a, bool trans_b, index_t m, index_t n, index_t k, T alpha, const T* a,
          index_t lda, const T* b, index_t ldb, T beta, T* c, index_t ldc, Epilogue&& epilogue = {}) {
  if (m <= 0 || n <= 0) return;
  detail::gemm_operands<T> p{trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc};
  const gemm_tiling t = tile_gemm(m, n, k);
  // BLAS packs a transposed second operand slowly, and again for every tile: turned once, unless there are few rows to
  // use it or so few columns that BLAS need not pack.
  const bool turn = trans_b && m >= 24 && n * k <= 512 * m && (n > 24 || k <= 64);
  const auto turned = pool.scratch<T>(pool.current_worker(), turn ? n * k : 0);
  if (turn) {
    const auto strip = [&](index_t task, int) {
      const index_t j = task * 32;
      transpose(std::min<index_t>(32, n - j), k, T(1), b + j * ldb, ldb, turned.data() + j, n);
    };
    const index_t strips = detail::ceil_div(n, 32);
    if (n * k <= index_t(1) << 15)
      for (index_t task = 0; task < strips; ++task) strip(task, 0);
    else
      pool.parallel_for(strips, strip);
    p.trans_b = false;
    p.b = turned.data();
    p.ldb = n;
  }
  if (t.chunks > 1) {
    detail::gemm_split(pool, p, t, epilogue);
    return;
  }
  const auto tile = [&](index_t task, int) {
    const index_t i = task / t.columns * t.tile_m, j = task % t.columns * t.tile_n;
    const index_t rows = std::min(t.tile_m, m - i), columns = std::min(t.tile_n, n - j);
    T* const out = c + i * ldc + j;
    detail::gemm_block(p, i, j, index_t(0), rows, columns, k, beta, out, ldc);
    epilogue(i, j, rows, columns, out, ldc);
  };
  if (t.tiles() == 1)
    tile(0, 0);
  else
    pool.parallel_for(t.tiles(), tile);
}

/// The same for operands that are described already.
template <class T>
void gemm(thread_pool& pool, const detail::gemm_operands<T>& p) {
  gemm(pool, p.trans_a, p.trans_b, p.m, p.n, p.k, p.alpha, p.a, p.lda, p.b, p.ldb, p.beta, p.c, p.ldc);
}

/// Two independent products (the gradients of a linear layer): their tiles, the same as gemm's,
/// are shared out together, so that threads wait for each other once.
template <class T>
void gemm_pair(thread_pool& pool, const detail::gemm_operands<T>& first, const detail::gemm_operands<T>& second) {
  const detail::gemm_operands<T>* const products[] = {&first, &second};
  const gemm_tiling cut[] = {tile_gemm(first.m, first.n, first.k), tile_gemm(second.m, second.n, second.k)};
  bool together = true;
  for (int i = 0; i < 2; ++i)
    together = together && cut[i].chunks == 1 && !products[i]->trans_b && products[i]->m > 0 && products[i]->n > 0;
  if (!together) {
    for (const auto* p : products) gemm(pool, *p);
    return;
  }
  pool.parallel_for(cut[0].tiles() + cut[1].tiles(), [&](index_t task, int) {
    const int which = task < cut[0].tiles() ? 0 : 1;
    const index_t tile = which == 0 ? task : task - cut[0].tiles();
    const auto& p = *products[which];
    const gemm_tiling& t = cut[which];
    const index_t i = tile / t.columns * t.tile_m, j = tile % t.columns * t.tile_n;
    detail::gemm_block(p, i, j, index_t(0), std::min(t.tile_m, p.m - i), std::min(t.tile_n, p.n - j), p.k, p.beta,
                       p.c + i * p.ldc + j, p.ldc);
  });
}

/// Strides, in elements, of one operand along the two batch axes of gemm_batched.
struct batch_strides {
  index_t outer = 0, inner = 0;
};

/// One gemm for every pair of batch indices (o, i): c + o*c_batch.outer + i*c_batch.inner, and so for a and b. A stride
/// of 0 shares an operand (not c). Small products are grouped into tasks, large ones cut into tiles as in gemm.
template <class T>
void gemm_batched(thread_pool& pool, index_t outer, index_t inner, bool trans_a, bool trans_b, index_t m, index_t n,
                  index_t k, T alpha, const T* a, index_t lda, batch_strides a_batch, const T* b, index_t ldb,
                  batch_strides b_batch, T beta, T* c, index_t ldc, batch_strides c_batch) {
  const index_t batch = outer * inner;
  if (batch <= 0 || m <= 0 || n <= 0) return;
  const index_t work = m * n * std::max<index_t>(k, 1);
  if (batch == 1 || (work >= (index_t(1) << 22) && batch < 32)) {
    for (index_t at = 0; at < batch; ++at) {
      const index_t o = at / inner, i = at % inner;
      gemm(pool, trans_a, trans_b, m, n, k, alpha, a + o * a_batch.outer + i * a_batch.inner, lda,
           b + o * b_batch.outer + i * b_batch.inner, ldb, beta, c + o * c_batch.outer + i * c_batch.inner, ldc);
    }
    return;
  }
  // Small plain products need no packing by BLAS; turning the second operand first costs less than that.
  const bool turn = trans_b && !trans_a && m >= 32 && n >= 16 && k >= 8 && work <= 1000000;
  const index_t group = std::max<index_t>(1, (index_t(1) << 18) / work);
  const auto some = [&](index_t task, int worker) {
    for (index_t at = task * group; at < std::min(batch, (task + 1) * group); ++at) {
      const index_t o = at / inner, i = at % inner;
      const detail::gemm_operands<T> p{trans_a,
                                       trans_b,
                                       m,
                                       n,
                                       k,
                                       alpha,
                                       a + o * a_batch.outer + i * a_batch.inner,
                                       lda,
                                       b + o * b_batch.outer + i * b_batch.inner,
                                       ldb,
                                       beta,
                                       c + o * c_batch.outer + i * c_batch.inner,
                                       ldc};
      if (!turn) {
        detail::gemm_block(p, index_t(0), index_t(0), index_t(0), m, n, k, beta, p.c, ldc);
        continue;
      }
      const auto turned = pool.scratch<T>(worker, n * k);
      transpose(n, k, T(1), p.b, ldb, turned.data(), n);
      gemm_serial(false, false, m, n, k, alpha, p.a, lda, static_cast<const T*>(turned.data()), n, beta, p.c, ldc);
    }
  };
  if (batch <= group)
    some(0, pool.current_worker());
  else
    pool.parallel_for(detail::ceil_div(batch, group), some);
}

}  // namespace fathom::cpu_kernels
