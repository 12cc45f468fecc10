// SPDX-License-Identifier: Apache-2.0
// Dropout: its mask is a function of key and position.
#include <doctest/doctest.h>

#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/op/dropout.hpp>

#include "support/random.hpp"

using namespace fathom;

TEST_CASE("op: dropout keeps the mean, scales what stays, and repeats itself") {
  const reference<double> b;
  const auto ones = full<2>(b, {200, 100}, 1.0);
  const auto y = to_host(dropout(ones, dropout_key{3, 0.25}));
  double mean = 0;
  for (const double v : y.data) {
    CHECK((v == 0 || v == doctest::Approx(1 / 0.75)));
    mean += v / static_cast<double>(y.data.size());
  }
  CHECK(mean == doctest::Approx(1).epsilon(0.02));
  CHECK(to_host(dropout(ones, dropout_key{3, 0.25})).data == y.data);
  CHECK(to_host(dropout(ones, dropout_key{4, 0.25})).data != y.data);
  CHECK(to_host(dropout(full<2>(cpu<double>{}, {200, 100}, 1.0), dropout_key{3, 0.25})).data == y.data);
}

TEST_CASE("op: dropout shares its mask along an axis") {
  const reference<double> b;
  const auto y = to_host(dropout(full<3>(b, {5, 6, 7}, 1.0), dropout_key{1, 0.5}, 0));
  const auto z = to_host(dropout(full<3>(b, {5, 6, 7}, 1.0), dropout_key{1, 0.5}, 1));
  bool varies = false;
  for (index_t i = 0; i < 5; ++i)
    for (index_t j = 0; j < 6; ++j)
      for (index_t k = 0; k < 7; ++k) {
        CHECK(y(i, j, k) == y(0, j, k));
        CHECK(z(i, j, k) == z(i, 0, k));
        varies = varies || y(i, j, k) != y(0, 0, 0);
      }
  CHECK(varies);
}

TEST_CASE("op: dropout without a rate is the identity, and impossible rates are refused") {
  const reference<double> b;
  const auto x = testing::normal<2>(b, {3, 4}, 1);
  CHECK(dropout(x, dropout_key{5}).storage() == x.storage());
  CHECK(dropout_key{5}.with_rate(0.3).rate == 0);
  CHECK(dropout_key{5, 1e-3}.with_rate(0.3).rate == 0.3);
  CHECK_THROWS_WITH_AS(dropout(x, dropout_key{5, 1.0}), doctest::Contains("[0, 1)"), error);
  CHECK_THROWS_AS(dropout(x, dropout_key{5, -0.1}), error);
}
