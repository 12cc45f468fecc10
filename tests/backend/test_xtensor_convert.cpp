// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/backend/xtensor/convert.hpp>
#include <fathom/op/elementwise.hpp>
#include <fathom/op/layout.hpp>
#include <fathom/op/matmul.hpp>

#if __has_include(<xtensor/views/xview.hpp>)
#include <xtensor/views/xview.hpp>
#else
#include <xtensor/xview.hpp>
#endif

// clang 19 does not compile xt::xarray of xtensor 0.24 (ambiguous rebind_container).
#if !defined(__clang__) || __clang_major__ < 19 || XTENSOR_VERSION_MAJOR > 0 || XTENSOR_VERSION_MINOR > 24
#define WITH_RUN_TIME_RANK 1
#if __has_include(<xtensor/views/xstrided_view.hpp>)
#include <xtensor/containers/xarray.hpp>
#include <xtensor/views/xstrided_view.hpp>
#else
#include <xtensor/xarray.hpp>
#include <xtensor/xstrided_view.hpp>
#endif
#endif

using namespace fathom;

namespace {
template <class T>
xt::xtensor<T, 3> counted() {
  xt::xtensor<T, 3> x(std::array<std::size_t, 3>{2, 3, 4});
  T value = 0;
  for (auto& element : x) element = value++;
  return x;
}
template <class B, class Expression>
void check_equal(const tensor<B, 3>& got, const Expression& expected) {
  REQUIRE(got.shape() == extents<3>{static_cast<index_t>(expected.shape()[0]), static_cast<index_t>(expected.shape()[1]),
                                    static_cast<index_t>(expected.shape()[2])});
  const auto host = to_host(got);
  for (index_t i = 0; i < got.extent(0); ++i)
    for (index_t j = 0; j < got.extent(1); ++j)
      for (index_t k = 0; k < got.extent(2); ++k) CHECK(host(i, j, k) == expected(i, j, k));
}
}  // namespace

TEST_CASE_TEMPLATE("backend: an xtensor is taken over without a copy", B, reference<double>, cpu<double>) {
  const B b;
  auto x = counted<double>();
  const auto copy = x;
  const double* const data = x.data();
  auto t = from_xtensor(b, std::move(x));
  static_assert(std::is_same_v<decltype(t), tensor<B, 3>>);
  CHECK(t.data() == data);
  CHECK(t.is_unique());
  check_equal(t, copy);
}

TEST_CASE("backend: a column-major xtensor is taken over with its strides") {
  const reference<double> b;
  xt::xtensor<double, 3, xt::layout_type::column_major> x = counted<double>();
  const double* const data = x.data();
  const auto t = from_xtensor(b, std::move(x));
  CHECK(t.data() == data);
  CHECK(t.strides() == extents<3>{1, 2, 6});
  check_equal(t, counted<double>());
}

TEST_CASE("backend: an lvalue, another element type and an expression are copied") {
  const cpu<float> b;
  const auto x = counted<double>();
  check_equal(from_xtensor(b, x), x);
  check_equal(from_xtensor(b, counted<double>()), x);
  check_equal(from_xtensor(b, x + 2.0 * x), xt::xtensor<double, 3>(3.0 * x));
  xt::xtensor<int, 1> numbers{4, 5, 6};
  const auto whole = from_xtensor(b, numbers);
  static_assert(std::is_same_v<decltype(whole), const tensor<cpu<float>, 1, index_t>>);
  CHECK(to_host(whole).data == std::vector<index_t>{4, 5, 6});
}

TEST_CASE("backend: views that are not contiguous are copied in their own order") {
  const cpu<double> b;
  const auto x = counted<double>();
  const auto every_other = xt::view(x, xt::all(), xt::range(0, 3, 2), xt::range(1, 4));
  const auto t = from_xtensor(b, every_other);
  CHECK(t.is_contiguous());
  check_equal(t, every_other);
  const auto turned = xt::transpose(x, {2, 0, 1});
  check_equal(from_xtensor<3>(b, turned), xt::xtensor<double, 3>(turned));
  const auto row = from_xtensor(b, xt::view(x, 1, 2, xt::all()));
  CHECK(to_host(row).data == std::vector<double>{20, 21, 22, 23});
}

#ifdef WITH_RUN_TIME_RANK
TEST_CASE("backend: the rank of an xarray is checked") {
  const reference<double> b;
  const xt::xarray<double> x = counted<double>();
  check_equal(from_xtensor<3>(b, x), x);
  try {
    (void)from_xtensor<2>(b, x);
    FAIL("a rank that does not fit was accepted");
  } catch (const shape_error& refused) {
    CHECK(std::string(refused.what()) == "from_xtensor: expected 2 axes, got extents [2, 3, 4]");
  }
  CHECK_THROWS_AS((void)borrow_xtensor<4>(b, x), shape_error);
}

TEST_CASE("backend: a strided view is borrowed as it lies, one that runs backwards is refused") {
  const reference<double> b;
  const auto x = counted<double>();
  const auto part = xt::strided_view(x, {xt::all(), xt::range(1, 3), xt::range(0, 4, 2)});
  const auto t = borrow_xtensor<3>(b, part);
  CHECK(t.data() == x.data() + 4);
  CHECK(t.strides() == extents<3>{12, 4, 2});
  check_equal(t, xt::xtensor<double, 3>(part));
  const auto backwards = xt::strided_view(x, {xt::all(), xt::all(), xt::range(3, xt::placeholders::_, -1)});
  CHECK_THROWS_AS((void)borrow_xtensor<3>(b, backwards), shape_error);
  check_equal(from_xtensor<3>(b, backwards), xt::xtensor<double, 3>(backwards));
}

#endif

TEST_CASE_TEMPLATE("backend: borrowed memory is never overwritten by in-place operations", B, reference<double>,
                   cpu<double>) {
  const B b;
  const auto x = counted<double>();
  auto t = borrow_xtensor(b, x);
  CHECK(t.data() == x.data());
  CHECK_FALSE(t.empty());
  CHECK_FALSE(t.is_unique());
  const auto ones = full<3>(b, {2, 3, 4}, 1.0);
  const auto sum = std::move(t) + ones;
  CHECK(sum.data() != x.data());
  CHECK(x == counted<double>());
  check_equal(sum, xt::xtensor<double, 3>(x + 1.0));
  // The same sum over memory of its own may take it.
  auto own = from_xtensor(b, x);
  const double* const data = own.data();
  CHECK((std::move(own) + ones).data() == data);
}

TEST_CASE("backend: tensors become xtensors") {
  const cpu<double> b;
  const auto x = counted<double>();
  const auto t = permute(from_xtensor(b, x), {2, 0, 1});
  const auto copied = to_xtensor(t);
  static_assert(std::is_same_v<decltype(copied), const xt::xtensor<double, 3>>);
  CHECK(copied == xt::xtensor<double, 3>(xt::transpose(x, {2, 0, 1})));

  auto shared = std::make_unique<tensor<cpu<double>, 3>>(t);
  const auto seen = as_xtensor(*shared);
  CHECK(&seen(0, 0, 0) == t.data());
  shared.reset();
  CHECK(seen == copied);
  CHECK(to_xtensor(full<0>(b, {}, 3.0))() == 3.0);
  CHECK(to_xtensor(zeros<2>(b, {0, 4})).size() == 0);
  CHECK(from_xtensor(b, xt::xtensor<double, 2>(std::array<std::size_t, 2>{0, 4})).shape() == extents<2>{0, 4});
}

TEST_CASE("backend: an adapted tensor outlives its handle and blocks overwriting") {
  const reference<double> b;
  auto t = from_xtensor(b, counted<double>());
  const auto seen = as_xtensor(t);
  CHECK_FALSE(t.is_unique());
  t = std::move(t) + full<3>(b, {2, 3, 4}, 1.0);
  CHECK(seen == counted<double>());
}
