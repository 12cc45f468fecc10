// SPDX-License-Identifier: Apache-2.0
// Matrix products of the CPU backend against plain loops in double, and their independence of the thread count.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fathom/backend/cpu/gemm.hpp>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

using fathom::index_t;
using namespace fathom::cpu_kernels;

namespace {

template <class T>
std::vector<T> random_values(index_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values) value = static_cast<T>(uniform(generator));
  return values;
}

struct product {
  bool trans_a, trans_b;
  index_t m, n, k;
  index_t pad = 0;
  double alpha = 1, beta = 0;
};

template <class T>
struct problem {
  product p;
  index_t lda, ldb, ldc;
  std::vector<T> a, b, c;
  explicit problem(product shape)
      : p(shape),
        lda((p.trans_a ? p.m : p.k) + p.pad),
        ldb((p.trans_b ? p.k : p.n) + p.pad),
        ldc(p.n + p.pad),
        a(random_values<T>((p.trans_a ? p.k : p.m) * lda, 1)),
        b(random_values<T>((p.trans_b ? p.n : p.k) * ldb, 2)),
        c(random_values<T>(p.m * ldc, 3)) {}

  double expected(index_t i, index_t j) const {
    double sum = 0;
    for (index_t l = 0; l < p.k; ++l)
      sum += static_cast<double>(a[static_cast<std::size_t>(p.trans_a ? l * lda + i : i * lda + l)]) *
             static_cast<double>(b[static_cast<std::size_t>(p.trans_b ? j * ldb + l : l * ldb + j)]);
    return p.alpha * sum + (p.beta == 0 ? 0 : p.beta * static_cast<double>(c[static_cast<std::size_t>(i * ldc + j)]));
  }
  std::vector<T> run(int threads) const {
    thread_pool pool(threads);
    std::vector<T> out = c;
    gemm(pool, p.trans_a, p.trans_b, p.m, p.n, p.k, static_cast<T>(p.alpha), a.data(), lda, b.data(), ldb,
         static_cast<T>(p.beta), out.data(), ldc);
    return out;
  }
};

template <class T>
double worst(const problem<T>& q, const std::vector<T>& out) {
  double error = 0;
  const auto look = [&](index_t i, index_t j) {
    error =
        std::max(error, std::abs(static_cast<double>(out[static_cast<std::size_t>(i * q.ldc + j)]) - q.expected(i, j)));
  };
  // Every element of small results, a ragged sample that reaches all tiles of large ones.
  const index_t step_i = q.p.m * q.p.n * q.p.k > 4000000 ? 37 : 1, step_j = step_i > 1 ? 29 : 1;
  for (index_t i = 0; i < q.p.m; i += step_i)
    for (index_t j = 0; j < q.p.n; j += step_j) look(i, j);
  if (q.p.m > 0 && q.p.n > 0) look(q.p.m - 1, q.p.n - 1);
  // The gap between rows belongs to someone else.
  for (index_t i = 0; i < q.p.m; ++i)
    for (index_t j = q.p.n; j < q.ldc; ++j)
      if (out[static_cast<std::size_t>(i * q.ldc + j)] != q.c[static_cast<std::size_t>(i * q.ldc + j)]) error = 1e9;
  return error;
}

const std::vector<product> shapes = {{false, false, 0, 5, 3},
                                     {false, false, 5, 0, 3},
                                     {false, true, 4, 5, 0},
                                     {false, false, 1, 1, 1},
                                     {true, true, 1, 7, 1},
                                     {false, true, 7, 1, 13, 2},
                                     {true, false, 13, 9, 6, 3},
                                     {false, false, 17, 33, 5, 1},
                                     {true, true, 31, 6, 65, 0, 0.5, 2},
                                     {false, true, 5, 3, 0, 1, 1, 0.25},
                                     {false, false, 300, 130, 70, 3, -1.5, 1},
                                     {false, true, 1000, 4, 129, 1},
                                     {false, false, 4099, 7, 33, 2},
                                     {true, false, 129, 67, 2500, 1, 1, 1},
                                     {true, false, 5, 4, 5000},
                                     {true, true, 63, 65, 4097, 2, 2, 0.5},
                                     {false, false, 1030, 1500, 40, 0, 1, 0},
                                     {false, true, 700, 90, 301, 5},
                                     {false, true, 41, 48, 30, 3},
                                     {false, true, 130, 200, 300, 2, 2, 0.5},
                                     {false, true, 90, 5, 33},
                                     {false, true, 25, 130, 120}};

}  // namespace

TEST_CASE_TEMPLATE("backend: gemm equals plain loops for ragged extents, strides, transposes, alpha and beta", T, float,
                   double) {
  const double tolerance = std::is_same_v<T, float> ? 2e-4 : 1e-11;
  for (const product& shape : shapes) {
    const problem<T> q(shape);
    CAPTURE(shape.m);
    CAPTURE(shape.n);
    CAPTURE(shape.k);
    CHECK(worst(q, q.run(3)) < tolerance);
  }
}

TEST_CASE_TEMPLATE("backend: gemm gives the same bits for any number of threads", T, float, double) {
  for (const product& shape : shapes) {
    const problem<T> q(shape);
    const std::vector<T> one = q.run(1);
    for (const int threads : {2, 3, 4, 7}) {
      const std::vector<T> many = q.run(threads);
      CHECK((one.empty() || std::memcmp(one.data(), many.data(), one.size() * sizeof(T)) == 0));
    }
  }
}

TEST_CASE("backend: two products at once give the bits of each alone") {
  // Together, one that is turned, one that is summed in parts, one that is empty.
  const std::vector<product> pairs[] = {{{false, false, 300, 256, 96}, {true, false, 256, 96, 300}},
                                        {{false, false, 90, 40, 17, 3}, {false, true, 700, 90, 600}},
                                        {{true, false, 64, 48, 9000}, {false, false, 500, 300, 64, 1, 0.5, 2}},
                                        {{false, false, 0, 5, 4}, {true, false, 30, 20, 0}}};
  for (const auto& pair : pairs)
    for (const int threads : {1, 3}) {
      thread_pool pool(threads);
      const problem<float> first(pair[0]), second(pair[1]);
      std::vector<float> x = first.c, y = second.c;
      const auto operands = [](const problem<float>& q, std::vector<float>& out) {
        return detail::gemm_operands<float>{q.p.trans_a,
                                            q.p.trans_b,
                                            q.p.m,
                                            q.p.n,
                                            q.p.k,
                                            static_cast<float>(q.p.alpha),
                                            q.a.data(),
                                            q.lda,
                                            q.b.data(),
                                            q.ldb,
                                            static_cast<float>(q.p.beta),
                                            out.data(),
                                            q.ldc};
      };
      gemm_pair(pool, operands(first, x), operands(second, y));
      CHECK(x == first.run(1));
      CHECK(y == second.run(1));
    }
}

TEST_CASE("backend: the tiling covers every product exactly and shares large ones") {
  for (const index_t m : {1, 63, 128, 1000, 16384, 65536})
    for (const index_t n : {1, 4, 128, 1023, 4096})
      for (const index_t k : {0, 1, 32, 1024, 65536}) {
        const gemm_tiling t = tile_gemm(m, n, k);
        CHECK((t.rows * t.tile_m >= m && (t.rows - 1) * t.tile_m < m));
        CHECK((t.columns * t.tile_n >= n && (t.columns - 1) * t.tile_n < n));
        CHECK((t.chunks * t.tile_k >= k && (k == 0 || (t.chunks - 1) * t.tile_k < k)));
        CHECK((t.chunks == 1 || t.chunks * m * n <= (index_t(1) << 21)));
      }
  CHECK(tile_gemm(16384, 1024, 256).tiles() >= 16);
  CHECK(tile_gemm(128, 128, 65536).chunks >= 16);
}

TEST_CASE("backend: with beta = 0 a not-a-number in c does not survive, and garbage is not read") {
  thread_pool pool(2);
  std::vector<float> a(6, 1.f), b(6, 2.f), c(4, std::numeric_limits<float>::quiet_NaN());
  gemm(pool, false, false, 2, 2, 3, 1.f, a.data(), 3, b.data(), 2, 0.f, c.data(), 2);
  for (const float value : c) CHECK(value == 6.f);
  std::fill(c.begin(), c.end(), std::numeric_limits<float>::quiet_NaN());
  gemm(pool, false, false, 2, 2, 0, 1.f, a.data(), 3, b.data(), 2, 0.f, c.data(), 2);
  for (const float value : c) CHECK(value == 0.f);
}

TEST_CASE("backend: the epilogue sees every finished element exactly once") {
  for (const product shape :
       {product{false, true, 5, 3, 4}, product{false, false, 900, 300, 64}, product{true, false, 40, 50, 6000}}) {
    const problem<double> q(shape);
    const std::vector<double> plain = q.run(1);
    const std::vector<double> bias = random_values<double>(shape.n, 5);
    for (const int threads : {1, 4}) {
      thread_pool pool(threads);
      std::vector<double> out = q.c;
      gemm(pool, shape.trans_a, shape.trans_b, shape.m, shape.n, shape.k, 1., q.a.data(), q.lda, q.b.data(), q.ldb, 0.,
           out.data(), q.ldc,
           [&](index_t, index_t column, index_t rows, index_t columns, double* tile, index_t stride) {
             for (index_t i = 0; i < rows; ++i)
               for (index_t j = 0; j < columns; ++j)
                 tile[i * stride + j] = 2 * tile[i * stride + j] + bias[static_cast<std::size_t>(column + j)];
           });
      double error = 0;
      for (index_t i = 0; i < shape.m; ++i)
        for (index_t j = 0; j < shape.n; ++j) {
          const auto at = static_cast<std::size_t>(i * q.ldc + j);
          error = std::max(error, std::abs(out[at] - (2 * plain[at] + bias[static_cast<std::size_t>(j)])));
        }
      CHECK(error == 0);
    }
  }
}

TEST_CASE_TEMPLATE("backend: gemm_batched over two strided axes, shared operands, any thread count", T, float, double) {
  struct batch_case {
    index_t outer, inner, m, n, k;
    bool share_b;
  };
  for (const batch_case& s :
       {batch_case{3, 5, 7, 6, 9, false}, batch_case{2, 3, 33, 17, 5, true}, batch_case{1, 300, 8, 8, 8, false},
        batch_case{2, 2, 170, 190, 140, false}, batch_case{0, 4, 3, 3, 3, false}, batch_case{2, 3, 4, 5, 0, false}}) {
    // a[o, row, i, l]: the inner batch axis lies between row and column, as heads do.
    const index_t lda = s.inner * s.k + 1, ldb = s.k + 2, ldc = s.inner * s.n;
    const batch_strides a_batch{s.m * lda, s.k},
        b_batch{s.share_b ? 0 : s.n * ldb, s.share_b ? 0 : s.outer * s.n * ldb}, c_batch{s.m * ldc, s.n};
    const auto a = random_values<T>(s.outer * s.m * lda, 1), b = random_values<T>(s.outer * s.inner * s.n * ldb + 1, 2);
    std::vector<T> first;
    for (const int threads : {1, 2, 3, 7}) {
      thread_pool pool(threads);
      std::vector<T> c(static_cast<std::size_t>(s.outer * s.m * ldc), T(7));
      gemm_batched(pool, s.outer, s.inner, false, true, s.m, s.n, s.k, T(2), a.data(), lda, a_batch, b.data(), ldb,
                   b_batch, T(0), c.data(), ldc, c_batch);
      if (threads == 1) {
        first = c;
        double error = 0;
        for (index_t o = 0; o < s.outer; ++o)
          for (index_t at = 0; at < s.inner; ++at)
            for (index_t i = 0; i < s.m; ++i)
              for (index_t j = 0; j < s.n; ++j) {
                double sum = 0;
                for (index_t l = 0; l < s.k; ++l)
                  sum += 2. *
                         static_cast<double>(
                             a[static_cast<std::size_t>(o * a_batch.outer + at * a_batch.inner + i * lda + l)]) *
                         static_cast<double>(
                             b[static_cast<std::size_t>(o * b_batch.outer + at * b_batch.inner + j * ldb + l)]);
                const auto out = static_cast<std::size_t>(o * c_batch.outer + at * c_batch.inner + i * ldc + j);
                error = std::max(error, std::abs(static_cast<double>(c[out]) - sum));
              }
        CHECK(error < (std::is_same_v<T, float> ? 1e-4 : 1e-12));
      } else if (!c.empty()) {
        CHECK(std::memcmp(first.data(), c.data(), c.size() * sizeof(T)) == 0);
      }
    }
  }
}

TEST_CASE("backend: a stride beyond what BLAS can take is refused with its value") {
  std::vector<double> a(8, 1.), b(8, 1.), c(8, 0.);
  CHECK_THROWS_WITH_AS(gemm_serial(false, false, index_t(1), index_t(1), index_t(2), 1., a.data(), index_t(1) << 33,
                                   b.data(), index_t(1), 0., c.data(), index_t(1)),
                       doctest::Contains("8589934592"), fathom::shape_error);
}
