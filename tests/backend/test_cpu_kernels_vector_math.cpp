// SPDX-License-Identifier: Apache-2.0
// Accuracy of the vectorised exp and sigmoid in units in the last place, and their behaviour at the edges.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fathom/backend/cpu/vector_math.hpp>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

using fathom::index_t;
using namespace fathom::cpu_kernels;

namespace {

// Distance in units in the last place of T; `exact` carries more digits than T.
template <class T>
double ulps(T value, long double exact) {
  const T rounded = static_cast<T>(exact);
  if (value == rounded) return 0;
  if (std::isinf(value) || std::isinf(rounded)) return 1e9;
  const T magnitude = std::max(std::abs(rounded), std::numeric_limits<T>::min());
  const T ulp = std::nextafter(magnitude, std::numeric_limits<T>::infinity()) - magnitude;
  return static_cast<double>(std::abs(static_cast<long double>(value) - exact) / static_cast<long double>(ulp));
}

template <class T>
std::vector<T> arguments() {
  const T limit = std::is_same_v<T, float> ? T(110) : T(760);
  std::vector<T> x;
  for (int i = -200000; i <= 200000; ++i) x.push_back(limit * static_cast<T>(i) / T(200000));
  std::mt19937_64 generator(7);
  std::uniform_real_distribution<double> uniform(-1, 1);
  for (int i = 0; i < 200000; ++i) {
    x.push_back(static_cast<T>(uniform(generator)));
    x.push_back(static_cast<T>(20 * uniform(generator)));
    x.push_back(static_cast<T>(uniform(generator) * std::pow(10., 20 * uniform(generator) - 20)));
  }
  return x;
}

}  // namespace

TEST_CASE_TEMPLATE("backend: exp_n is within 1.5 ulp from underflow to overflow", T, float, double) {
  const std::vector<T> x = arguments<T>();
  std::vector<T> y(x.size());
  exp_n(static_cast<index_t>(x.size()), x.data(), y.data());
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    worst = std::max(worst, ulps(y[i], std::exp(static_cast<long double>(x[i]))));
  MESSAGE("worst exp error ", worst, " ulp");
  CHECK(worst <= 1.5);
}

TEST_CASE_TEMPLATE("backend: sigmoid_n is within 2.5 ulp on both sides", T, float, double) {
  const std::vector<T> x = arguments<T>();
  std::vector<T> y(x.size());
  sigmoid_n(static_cast<index_t>(x.size()), x.data(), y.data());
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto wide = static_cast<long double>(x[i]);
    worst = std::max(worst, ulps(y[i], wide < 0 ? std::exp(wide) / (1 + std::exp(wide)) : 1 / (1 + std::exp(-wide))));
  }
  MESSAGE("worst sigmoid error ", worst, " ulp");
  CHECK(worst <= 2.5);
}

TEST_CASE_TEMPLATE("backend: exp_n and sigmoid_n at zero, infinity, not-a-number and masks", T, float, double) {
  const T infinity = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  const std::vector<T> x = {T(0), -T(0), infinity, -infinity, nan, T(-1e9), T(1e9), std::numeric_limits<T>::lowest()};
  std::vector<T> y(x.size());
  exp_n(static_cast<index_t>(x.size()), x.data(), y.data());
  CHECK(y[0] == 1);
  CHECK(y[1] == 1);
  CHECK(y[2] == infinity);
  CHECK(y[3] == 0);
  CHECK(std::isnan(y[4]));
  CHECK(y[5] == 0);
  CHECK(y[6] == infinity);
  CHECK(y[7] == 0);
  sigmoid_n(static_cast<index_t>(x.size()), x.data(), y.data());
  CHECK(y[0] == T(0.5));
  CHECK(y[2] == 1);
  CHECK(y[3] == 0);
  CHECK(std::isnan(y[4]));
  CHECK(y[5] == 0);
  CHECK(y[6] == 1);
}

TEST_CASE_TEMPLATE("backend: a value's bits do not depend on its position, in place or not", T, float, double) {
  std::vector<T> x(67);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(std::sin(static_cast<double>(i)) * 9);
  std::vector<T> all(x.size());
  exp_n(static_cast<index_t>(x.size()), x.data(), all.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    T one = 0;
    exp_n(index_t(1), &x[i], &one);
    CHECK(std::memcmp(&one, &all[i], sizeof(T)) == 0);
  }
  exp_n(static_cast<index_t>(x.size()), x.data(), x.data());
  CHECK(std::memcmp(x.data(), all.data(), x.size() * sizeof(T)) == 0);
  exp_n(index_t(0), x.data(), x.data());
}
