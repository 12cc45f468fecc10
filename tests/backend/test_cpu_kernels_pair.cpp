// SPDX-License-Identifier: Apache-2.0
// Permutations, the triangle contraction and the outer product of the CPU backend against plain loops.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fathom/backend/cpu/outer_product.hpp>
#include <fathom/backend/cpu/permute.hpp>
#include <fathom/backend/cpu/triangle.hpp>
#include <random>
#include <type_traits>
#include <vector>

using fathom::index_t;
using namespace fathom::cpu_kernels;

namespace {

std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

template <class T>
std::vector<T> random_values(index_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<T> values(at(count));
  for (T& value : values) value = static_cast<T>(uniform(generator));
  return values;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

template <class T>
double distance(const std::vector<T>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return 1e9;
  double largest = 1e-30, error = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(b[i]));
    error = std::max(error, std::abs(static_cast<double>(a[i]) - b[i]));
  }
  return error / largest;
}

}  // namespace

TEST_CASE_TEMPLATE("backend: transpose of every small shape, with gaps and a factor", T, float, double) {
  for (index_t rows = 0; rows < 11; ++rows)
    for (index_t columns = 0; columns < 19; ++columns) {
      const index_t from_stride = columns + 2, to_stride = rows + 3;
      const auto from = random_values<T>(rows * from_stride, 1);
      std::vector<T> to(at(columns * to_stride), T(9));
      transpose(rows, columns, T(-2), from.data(), from_stride, to.data(), to_stride);
      bool right = true;
      for (index_t c = 0; c < columns; ++c)
        for (index_t r = 0; r < to_stride; ++r)
          right = right && to[at(c * to_stride + r)] == (r < rows ? T(-2) * from[at(r * from_stride + c)] : T(9));
      CHECK(right);
    }
}

TEST_CASE_TEMPLATE("backend: permute copies any order of axes, merges what runs on, any thread count", T, float,
                   double) {
  struct order {
    std::vector<index_t> extents;
    std::vector<int> axes;
    index_t gap = 0;
  };
  for (const order& o :
       {order{{7}, {0}}, order{{5, 6}, {1, 0}}, order{{33, 70, 18}, {2, 0, 1}}, order{{12, 9, 40}, {0, 2, 1}, 3},
        order{{3, 4, 5, 6}, {3, 1, 2, 0}}, order{{4, 1, 6}, {0, 1, 2}}, order{{130, 200}, {1, 0}, 1},
        order{{2, 3, 2, 3, 2}, {4, 2, 0, 1, 3}}, order{{20000}, {0}}, order{{3, 0, 4}, {2, 1, 0}}}) {
    // The source is row-major over `extents` (with a gap after each innermost run), the result over the new order.
    const std::size_t rank = o.extents.size();
    std::vector<index_t> stride(rank, 1);
    index_t count = o.extents[rank - 1] + o.gap;
    for (std::size_t axis = rank - 1; axis-- > 0;) {
      stride[axis] = count;
      count *= o.extents[axis];
    }
    std::vector<index_t> result_stride(rank, 1);
    index_t results = 1;
    for (std::size_t place = rank; place-- > 0;) {
      result_stride[at(o.axes[place])] = results;
      results *= o.extents[at(o.axes[place])];
    }
    const auto from = random_values<T>(count, 2);
    permute_plan plan;
    for (std::size_t axis = 0; axis < rank; ++axis) plan.add(o.extents[axis], stride[axis], result_stride[axis]);
    for (const int threads : {1, 3}) {
      thread_pool pool(threads);
      std::vector<T> to(at(results), T(99));
      permute(pool, plan, from.data(), to.data());
      index_t wrong = 0;
      for (index_t flat = 0; flat < results; ++flat) {
        index_t rest = flat, source = 0, target = 0;
        for (std::size_t axis = rank; axis-- > 0;) {
          const index_t here = rest % o.extents[axis];
          rest /= o.extents[axis];
          source += here * stride[axis];
          target += here * result_stride[axis];
        }
        if (to[at(target)] != from[at(source)]) ++wrong;
      }
      CHECK(wrong == 0);
    }
  }
  permute_plan plan;
  for (int axis = 0; axis < 8; ++axis) plan.add(1, 1, 1);
  CHECK_THROWS_AS(plan.add(1, 1, 1), fathom::shape_error);
}

TEST_CASE_TEMPLATE("backend: permute without a unit stride on either side", T, float, double) {
  const auto from = random_values<T>(600, 4);
  std::vector<T> to(600, T(0));
  permute_plan plan;
  plan.add(10, 2, 60);
  plan.add(10, 60, 3);
  thread_pool pool(2);
  permute(pool, plan, from.data(), to.data());
  for (index_t i = 0; i < 10; ++i)
    for (index_t j = 0; j < 10; ++j) CHECK(to[at(60 * i + 3 * j)] == from[at(2 * i + 60 * j)]);
}

TEST_CASE_TEMPLATE("backend: the triangle contraction equals plain loops, outgoing and incoming, with its gradient", T,
                   float, double) {
  struct size {
    index_t n, channels;
  };
  const double tolerance = std::is_same_v<T, float> ? 2e-6 : 1e-14;
  for (const bool incoming : {false, true})
    for (const size& extents : {size{1, 1}, size{5, 3}, size{9, 16}, size{33, 20}, size{40, 35}}) {
      const index_t n = extents.n, channels = extents.channels;
      const auto a = random_values<T>(n * n * channels, 1), b = random_values<T>(n * n * channels, 2),
                 dx = random_values<T>(n * n * channels, 3);
      const auto id = [n, channels, incoming](index_t i, index_t k, index_t c) {
        return at(incoming ? (k * n + i) * channels + c : (i * n + k) * channels + c);
      };
      std::vector<double> x(a.size()), da(a.size()), db(a.size());
      for (index_t i = 0; i < n; ++i)
        for (index_t j = 0; j < n; ++j)
          for (index_t k = 0; k < n; ++k)
            for (index_t c = 0; c < channels; ++c) {
              const std::size_t out = at((i * n + j) * channels + c);
              const auto left = static_cast<double>(a[id(i, k, c)]), right = static_cast<double>(b[id(j, k, c)]);
              x[out] += left * right;
              da[id(i, k, c)] += static_cast<double>(dx[out]) * right;
              db[id(j, k, c)] += static_cast<double>(dx[out]) * left;
            }
      std::vector<T> first_x, first_da, first_db;
      for (const int threads : {1, 2, 3, 4, 7}) {
        thread_pool pool(threads);
        std::vector<T> got(a.size(), T(5)), got_da(a.size(), T(5)), got_db(a.size(), T(5));
        triangle_forward(pool, incoming, n, channels, a.data(), b.data(), got.data());
        triangle_backward(pool, incoming, n, channels, a.data(), b.data(), dx.data(), got_da.data(), got_db.data());
        if (threads == 1) {
          CHECK(distance(got, x) < tolerance);
          CHECK(distance(got_da, da) < tolerance);
          CHECK(distance(got_db, db) < tolerance);
          first_x = got;
          first_da = got_da;
          first_db = got_db;
        }
        CHECK(same_bits(got, first_x));
        CHECK(same_bits(got_da, first_da));
        CHECK(same_bits(got_db, first_db));
      }
    }
}

TEST_CASE("backend: the triangle contraction of three different extents, every cut, channels outermost or innermost") {
  const index_t rows = 100, columns = 90, channels = 37;
  CHECK(detail::triangle_alone((rows + columns) * 40));
  CHECK_FALSE(detail::triangle_alone((rows + columns) * 300));
  for (const index_t depth : {40, 300, 800}) {
    const auto a = random_values<double>(rows * depth * channels, 1),
               b = random_values<double>(columns * depth * channels, 2);
    std::vector<double> x(at(rows * columns * channels), 5.);
    thread_pool pool(3);
    // a is [c, k, i], b is [j, k, c], x is [c, i, j].
    triangle_args<double> t{rows,
                            columns,
                            depth,
                            channels,
                            {a.data(), 1, rows, rows * depth},
                            {b.data(), depth * channels, channels, 1},
                            {x.data(), columns, 1, rows * columns}};
    triangle_contract(pool, t);
    double error = 0;
    for (const index_t i : {0, 31, 32, 99})
      for (const index_t j : {0, 50, 89})
        for (index_t c = 0; c < channels; ++c) {
          double sum = 0;
          for (index_t k = 0; k < depth; ++k)
            sum += a[at((c * depth + k) * rows + i)] * b[at((j * depth + k) * channels + c)];
          error = std::max(error, std::abs(sum - x[at((c * rows + i) * columns + j)]));
        }
    CHECK(error < 1e-11);
    t.depth = 0;
    triangle_contract(pool, t);
    CHECK(x[77] == 0);
  }
}

namespace {

template <class T>
struct outer_problem {
  index_t s, n, m, c, d, c_z;
  std::vector<T> a, b, weight, bias, scale, dz;
  outer_problem(index_t sequences, index_t rows, index_t columns, index_t left, index_t right, index_t pair)
      : s(sequences),
        n(rows),
        m(columns),
        c(left),
        d(right),
        c_z(pair),
        a(random_values<T>(s * (n * c + 2), 1)),
        b(random_values<T>(s * (m * d + 1), 2)),
        weight(random_values<T>(c_z * c * d, 3)),
        bias(random_values<T>(c_z, 4)),
        scale(random_values<T>(n * m, 5)),

        dz(random_values<T>(n * m * c_z, 6)) {
    for (T& value : scale) value += value < T(0) ? T(-0.5) : T(0.5);
  }
};

template <class T>
struct outer_outcome {
  std::vector<T> z, da, db, dweight, dbias, dscale;
  bool same(const outer_outcome& o) const {
    return same_bits(z, o.z) && same_bits(da, o.da) && same_bits(db, o.db) && same_bits(dweight, o.dweight) &&
           same_bits(dbias, o.dbias) && same_bits(dscale, o.dscale);
  }
};

template <class T>
outer_outcome<T> run(const outer_problem<T>& p, int threads, bool plain = false) {
  thread_pool pool(threads);
  outer_outcome<T> r;
  r.z.assign(at(p.n * p.m * p.c_z), T(5));
  r.da.assign(at(p.s * p.n * p.c), T(5));
  r.db.assign(at(p.s * p.m * p.d), T(5));
  r.dweight.assign(p.weight.size(), T(5));
  r.dbias.assign(p.bias.size(), T(5));
  r.dscale.assign(p.scale.size(), T(0));
  outer_product_args<T> args{p.s,
                             p.n,
                             p.m,
                             p.c,
                             p.d,
                             p.c_z,
                             p.a.data(),
                             p.n * p.c + 2,
                             p.b.data(),
                             p.m * p.d + 1,
                             p.weight.data(),
                             p.bias.data(),
                             p.scale.data(),
                             r.z.data()};
  if (plain) args.bias = args.scale = nullptr;
  outer_product_forward(pool, args);
  outer_product_gradients<T> g{r.da.data(), r.db.data(), r.dweight.data(), r.dbias.data(), r.dscale.data()};
  outer_product_backward(pool, args, p.dz.data(), g);
  return r;
}

template <class T>
outer_outcome<double> reference(const outer_problem<T>& p, bool plain = false) {
  outer_outcome<double> r;
  r.z.assign(at(p.n * p.m * p.c_z), 0);
  r.da.assign(at(p.s * p.n * p.c), 0);
  r.db.assign(at(p.s * p.m * p.d), 0);
  r.dweight.assign(p.weight.size(), 0);
  r.dbias.assign(p.bias.size(), 0);
  r.dscale.assign(p.scale.size(), 0);
  for (index_t i = 0; i < p.n; ++i)
    for (index_t j = 0; j < p.m; ++j) {
      std::vector<double> vec(at(p.c * p.d)), slope(at(p.c * p.d));
      const auto left = [&](index_t s, index_t c) {
        return static_cast<double>(p.a[at(s * (p.n * p.c + 2) + i * p.c + c)]);
      };
      const auto right = [&](index_t s, index_t d) {
        return static_cast<double>(p.b[at(s * (p.m * p.d + 1) + j * p.d + d)]);
      };
      for (index_t s = 0; s < p.s; ++s)
        for (index_t c = 0; c < p.c; ++c)
          for (index_t d = 0; d < p.d; ++d) vec[at(c * p.d + d)] += left(s, c) * right(s, d);
      const double scale = plain ? 1 : static_cast<double>(p.scale[at(i * p.m + j)]);
      for (index_t q = 0; q < p.c_z; ++q) {
        double sum = plain ? 0 : static_cast<double>(p.bias[at(q)]);
        const double dz = scale * static_cast<double>(p.dz[at((i * p.m + j) * p.c_z + q)]);
        for (index_t e = 0; e < p.c * p.d; ++e) {
          const auto w = static_cast<double>(p.weight[at(q * p.c * p.d + e)]);
          sum += w * vec[at(e)];
          r.dweight[at(q * p.c * p.d + e)] += dz * vec[at(e)];
          slope[at(e)] += dz * w;
        }
        r.z[at((i * p.m + j) * p.c_z + q)] = sum * scale;
        r.dbias[at(q)] += dz;
        if (!plain) r.dscale[at(i * p.m + j)] += sum * static_cast<double>(p.dz[at((i * p.m + j) * p.c_z + q)]);
      }
      for (index_t s = 0; s < p.s; ++s)
        for (index_t c = 0; c < p.c; ++c)
          for (index_t d = 0; d < p.d; ++d) {
            r.da[at((s * p.n + i) * p.c + c)] += slope[at(c * p.d + d)] * right(s, d);
            r.db[at((s * p.m + j) * p.d + d)] += slope[at(c * p.d + d)] * left(s, c);
          }
    }
  return r;
}

}  // namespace

TEST_CASE_TEMPLATE("backend: the outer product equals plain loops, forward and backward, for any thread count", T,
                   float, double) {
  const double tolerance = std::is_same_v<T, float> ? 5e-6 : 2e-14;
  for (const outer_problem<T>& p : {outer_problem<T>(1, 1, 1, 1, 1, 1), outer_problem<T>(3, 5, 7, 2, 3, 4),
                                    outer_problem<T>(9, 13, 11, 5, 6, 17), outer_problem<T>(17, 37, 40, 8, 32, 9)})
    for (const bool plain : {false, true}) {
      const outer_outcome<double> expected = reference(p, plain);
      const outer_outcome<T> got = run(p, 1, plain);
      CHECK(distance(got.z, expected.z) < tolerance);
      CHECK(distance(got.da, expected.da) < tolerance);
      CHECK(distance(got.db, expected.db) < tolerance);
      CHECK(distance(got.dweight, expected.dweight) < tolerance);
      CHECK(distance(got.dbias, expected.dbias) < tolerance);
      CHECK(distance(got.dscale, expected.dscale) < tolerance);
      for (const int threads : {2, 3, 4, 7}) CHECK(run(p, threads, plain).same(got));
    }
}

TEST_CASE("backend: the outer product in several bands, and of no sequences") {
  const outer_problem<double> p(6, 20, 130, 32, 32, 3);  // 16 rows to a band
  const outer_outcome<double> expected = reference(p);
  const outer_outcome<double> got = run(p, 2);
  CHECK(distance(got.z, expected.z) < 1e-13);
  CHECK(distance(got.da, expected.da) < 1e-13);
  CHECK(distance(got.db, expected.db) < 1e-13);
  CHECK(distance(got.dweight, expected.dweight) < 1e-13);
  CHECK(distance(got.dbias, expected.dbias) < 1e-13);
  const outer_problem<double> none(0, 2, 3, 2, 2, 4);
  const outer_outcome<double> bias_only = run(none, 2);
  CHECK(bias_only.z[1] == none.bias[1] * none.scale[0]);
  CHECK(bias_only.dweight[0] == 0);
}
