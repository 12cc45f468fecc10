// SPDX-License-Identifier: Apache-2.0
// Layout operations: values, sharing of storage, and what a wrong call says.
#include <doctest/doctest.h>

#include <fathom/backend/reference.hpp>
#include <fathom/op/indexing.hpp>
#include <fathom/op/layout.hpp>

using namespace fathom;
using B = reference<double>;

namespace {

/// x[i, j, k] = 100 i + 10 j + k
tensor<B, 3> numbered() {
  host_tensor<double> x({2, 3, 4});
  for (index_t i = 0; i < 2; ++i)
    for (index_t j = 0; j < 3; ++j)
      for (index_t k = 0; k < 4; ++k) x(i, j, k) = static_cast<double>(100 * i + 10 * j + k);
  return from_host<3>(B{}, x);
}

}  // namespace

TEST_CASE("op: permute, slice, select and unsqueeze are views") {
  const auto x = numbered();
  const auto p = permute(x, {2, 0, 1});
  CHECK(p.shape() == extents<3>{4, 2, 3});
  CHECK(to_host(p)(3, 1, 2) == 123);
  CHECK(p.storage() == x.storage());
  const auto s = slice(x, 1, 1, 3);
  CHECK(s.shape() == extents<3>{2, 2, 4});
  CHECK(to_host(s)(1, 0, 2) == 112);
  CHECK(s.data() == x.data() + 4);
  const auto one = select(x, -1, 3);
  CHECK(one.shape() == extents<2>{2, 3});
  CHECK(to_host(one)(1, 2) == 123);
  CHECK(unsqueeze(x, 0).shape() == extents<4>{1, 2, 3, 4});
  CHECK(unsqueeze(x, -1).shape() == extents<4>{2, 3, 4, 1});
  CHECK(unsqueeze(p, 1).data() == x.data());
}

TEST_CASE("op: reshape keeps the row-major order, of views too") {
  const auto x = numbered();
  CHECK(to_host(reshape<2>(x, {6, 4}))(4, 1) == 111);
  CHECK(reshape<2>(x, {6, 4}).data() == x.data());
  const auto t = to_host(reshape<2>(transpose(x, 0, 1), {3, 8}));
  CHECK(t(2, 5) == 121);
  CHECK(to_host(reshape<1>(slice(x, 2, 1, 2), {6})).data == std::vector<double>{1, 11, 21, 101, 111, 121});
  CHECK(reshape<3>(reshape<2>(x, {0 + 1, 24}), {24, 1, 1}).shape() == extents<3>{24, 1, 1});
}

TEST_CASE("op: concatenate and stack") {
  const auto x = numbered();
  const auto joined = to_host(concatenate(std::vector{x, slice(x, 1, 0, 1)}, 1));
  CHECK(joined.shape == std::vector<index_t>{2, 4, 4});
  CHECK(joined(1, 3, 2) == 102);
  CHECK(joined(1, 2, 2) == 122);
  const auto stacked = to_host(stack(std::vector{x, x}, 1));
  CHECK(stacked.shape == std::vector<index_t>{2, 2, 3, 4});
  CHECK(stacked(1, 1, 2, 3) == 123);
}

TEST_CASE("op: broadcast_to repeats without copying") {
  const auto x = slice(numbered(), 1, 1, 2);
  const auto wide = broadcast_to<4>(x, {5, 2, 3, 4});
  CHECK(wide.storage() == x.storage());
  CHECK(to_host(wide)(4, 1, 2, 3) == 113);
}

TEST_CASE("op: gather and one_hot") {
  const auto table = select(numbered(), 0, 0);
  const auto where = from_host<1>(B{}, host_tensor<index_t>({4}, {2, 0, 2, 1}));
  const auto rows = to_host(gather(table, where));
  CHECK(rows.shape == std::vector<index_t>{4, 4});
  CHECK(rows(0, 1) == 21);
  CHECK(rows(3, 0) == 10);
  const auto hot = to_host(one_hot(from_host<1>(B{}, host_tensor<index_t>({3}, {1, 5, -1})), 3));
  CHECK(hot.data == std::vector<double>{0, 1, 0, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("op: wrong layouts are refused with extents") {
  const auto x = numbered();
  CHECK_THROWS_WITH_AS(reshape<2>(x, {5, 5}), doctest::Contains("[2, 3, 4] has 24 elements, [5, 5] has 25"), shape_error);
  CHECK_THROWS_AS(slice(x, 1, 2, 4), shape_error);
  CHECK_THROWS_AS(slice(x, 3, 0, 1), shape_error);
  CHECK_THROWS_AS(select(x, 0, 2), shape_error);
  CHECK_THROWS_AS(permute(x, {0, 0, 1}), shape_error);
  CHECK_THROWS_AS(squeeze(x, 0), shape_error);
  CHECK_THROWS_WITH_AS(broadcast_to<3>(x, {2, 3, 5}), doctest::Contains("[2, 3, 4]"), shape_error);
  CHECK_THROWS_AS(concatenate(std::vector{x, slice(x, 2, 0, 2)}, 1), shape_error);
  CHECK_THROWS_AS(concatenate(std::vector<tensor<B, 3>>{}, 1), error);
}

TEST_CASE("op: an empty tensor and a shape that does not broadcast are named") {
  const auto x = numbered();
  CHECK_THROWS_WITH_AS(x + (tensor<B, 3>()), doctest::Contains("initialise"), error);
  CHECK_THROWS_WITH_AS(x + slice(x, 2, 0, 3), doctest::Contains("[2, 3, 4] and [2, 3, 3]"), shape_error);
}
