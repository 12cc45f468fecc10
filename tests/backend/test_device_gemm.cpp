// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include <fathom/backend/device_gemm.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/tensor/tensor.hpp>

using namespace fathom;

namespace {

std::vector<double> drawn(std::size_t n, double phase) {
  std::vector<double> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = std::sin(1.7 * static_cast<double>(i) + phase);
  return x;
}

/// What cublasGemmStridedBatchedEx does, with its own checks of the leading dimensions.
void column_major_gemm(const device::gemm_plan& plan, const double* first, const double* second, double* out) {
  REQUIRE(plan.first_leading >= std::max<index_t>(1, plan.first_transposed ? plan.depth : plan.rows));
  REQUIRE(plan.second_leading >= std::max<index_t>(1, plan.second_transposed ? plan.columns : plan.depth));
  REQUIRE(plan.out_leading >= std::max<index_t>(1, plan.rows));
  for (index_t s = 0; s < plan.batch; ++s)
    for (index_t i = 0; i < plan.rows; ++i)
      for (index_t j = 0; j < plan.columns; ++j) {
        double sum = 0;
        for (index_t l = 0; l < plan.depth; ++l) {
          const index_t f = plan.first_transposed ? l + i * plan.first_leading : i + l * plan.first_leading;
          const index_t g = plan.second_transposed ? j + l * plan.second_leading : l + j * plan.second_leading;
          sum += first[s * plan.first_step + f] * second[s * plan.second_step + g];
        }
        out[s * plan.out_step + i + j * plan.out_leading] = sum;
      }
}

struct operand {
  extents<4> e, s;
};
strided_view<double> view_of(std::vector<double>& data, const operand& o) {
  strided_view<double> v{data.data(), 4, {}, {}};
  for (std::size_t a = 0; a < 4; ++a) {
    v.extent[a] = o.e[a];
    v.stride[a] = o.s[a];
  }
  return v;
}

/// Executes the plan and compares all of the output's storage with the reference's.
void check(const operand& a, const operand& b, const operand& c) {
  auto left = drawn(2000, 0.3), right = drawn(2000, 1.1);
  std::vector<double> expected(2000, 7), got(2000, 7);
  const strided_view<const double> va = view_of(left, a), vb = view_of(right, b);
  reference<double>{}.gemm(1.0, va, vb, 0.0, view_of(expected, c));
  const auto plan = device::plan_gemm(va, vb, view_of(got, c));
  REQUIRE(plan.possible);
  for (index_t i = 0; i < plan.outer.size; ++i) {
    index_t at[3];
    plan.outer.locate(i, at);
    column_major_gemm(plan, (plan.swapped ? right : left).data() + at[0], (plan.swapped ? left : right).data() + at[1],
                      got.data() + at[2]);
  }
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(std::abs(got[i] - expected[i]) < 1e-12);
}

}  // namespace

TEST_CASE("backend: products planned for a column-major GEMM equal the reference's") {
  const index_t p = 2, q = 3, m = 4, n = 5, k = 6;
  const operand a{{p, q, m, k}, {q * m * k, m * k, k, 1}}, at{{p, q, m, k}, {q * m * k, m * k, 1, m}};
  const operand b{{p, q, k, n}, {q * k * n, k * n, n, 1}}, bt{{p, q, k, n}, {q * k * n, k * n, 1, k}};
  const operand c{{p, q, m, n}, {q * m * n, m * n, n, 1}}, ct{{p, q, m, n}, {q * m * n, m * n, 1, m}};
  for (const auto& left : {a, at})
    for (const auto& right : {b, bt})
      for (const auto& out : {c, ct}) check(left, right, out);
  // Heads between rows and channels, as attention splits them; wide rows; an operand shared by the batch.
  check({{p, q, m, k}, {m * q * k, k, q * k, 1}}, {{p, q, k, n}, {n * q * k, k, 1, q * k}}, c);
  check({{p, q, m, k}, {300, 90, 11, 1}}, b, {{p, q, m, n}, {200, 50, 9, 1}});
  check({{p, q, m, k}, {0, 0, k, 1}}, b, c);
  check({{p, q, m, k}, {m * k, 0, 1, m}}, {{p, q, k, n}, {0, k * n, n, 1}}, ct);
  // The batch axes do not merge: one is walked on the host.
  check({{p, q, m, k}, {m * k, p * m * k, k, 1}}, b, c);
}

TEST_CASE("backend: vectors and single elements are planned whatever the stride of an axis of extent 1") {
  for (const index_t m : {1, 4})
    for (const index_t n : {1, 5})
      for (const index_t k : {1, 6})
        for (const index_t odd : {0, 1, 77}) {
          const auto stride = [odd](index_t extent, index_t s) { return extent == 1 ? odd : s; };
          check({{1, 2, m, k}, {odd, m * k, stride(m, k), stride(k, 1)}}, {{1, 2, k, n}, {odd, k * n, stride(k, n), stride(n, 1)}},
                {{1, 2, m, n}, {odd, m * n, stride(m, n), stride(n, 1)}});
          check({{1, 2, m, k}, {odd, m * k, stride(m, 1), stride(k, m)}}, {{1, 2, k, n}, {odd, k * n, stride(k, 1), stride(n, k)}},
                {{1, 2, m, n}, {odd, m * n, stride(m, 1), stride(n, m)}});
        }
}

TEST_CASE("backend: operands that no GEMM can read are left to the tile kernel") {
  std::vector<double> data(4000);
  const operand plain_b{{1, 1, 6, 5}, {30, 30, 5, 1}}, plain_c{{1, 1, 4, 5}, {20, 20, 5, 1}};
  const auto possible = [&](const operand& a, const operand& b, const operand& c) {
    return device::plan_gemm<double>(view_of(data, a), view_of(data, b), view_of(data, c)).possible;
  };
  CHECK(possible({{1, 1, 4, 6}, {24, 24, 6, 1}}, plain_b, plain_c));
  CHECK_FALSE(possible({{1, 1, 4, 6}, {48, 48, 12, 2}}, plain_b, plain_c));  // every other element
  CHECK_FALSE(possible({{1, 1, 4, 6}, {6, 6, 0, 1}}, plain_b, plain_c));     // one row, repeated
  CHECK_FALSE(possible({{1, 1, 4, 6}, {24, 24, 6, 1}}, plain_b, {{1, 1, 4, 5}, {40, 40, 10, 2}}));
}
