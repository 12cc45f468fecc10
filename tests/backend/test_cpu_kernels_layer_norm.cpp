// SPDX-License-Identifier: Apache-2.0
// Layer normalisation kernels against the formula in double and against central differences.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fathom/backend/cpu/layer_norm.hpp>
#include <random>
#include <type_traits>
#include <vector>

using fathom::index_t;
using namespace fathom::cpu_kernels;

namespace {

template <class T>
std::vector<T> random_values(index_t count, unsigned seed, double scale = 1, double offset = 0) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<T> values(static_cast<std::size_t>(count));
  for (T& value : values) value = static_cast<T>(offset + scale * uniform(generator));
  return values;
}

std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

template <class T>
struct outcome {
  std::vector<T> y, mean, rstd, dx, dweight, dbias;
  bool operator==(const outcome& other) const {
    const auto same = [](const std::vector<T>& a, const std::vector<T>& b) {
      return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
    };
    return same(y, other.y) && same(mean, other.mean) && same(rstd, other.rstd) && same(dx, other.dx) &&
           same(dweight, other.dweight) && same(dbias, other.dbias);
  }
};

template <class T>
struct problem {
  index_t rows, channels, pad;
  double offset = 0;
  std::vector<T> x, weight, bias, dy;
  problem(index_t r, index_t c, index_t gap, double shift = 0)
      : rows(r),
        channels(c),
        pad(gap),
        offset(shift),
        x(random_values<T>(r * (c + gap), 1, 2, shift)),
        weight(random_values<T>(c, 2, 0.5, 1)),
        bias(random_values<T>(c, 3)),
        dy(random_values<T>(r * (c + gap), 4)) {}

  outcome<T> run(int threads, bool saved = true) const {
    thread_pool pool(threads);
    outcome<T> out;
    const index_t stride = channels + pad;
    out.y.assign(at(rows * stride), T(0));
    out.dx = out.y;
    out.mean.assign(at(rows), T(0));
    out.rstd = out.mean;
    out.dweight.assign(at(channels), T(99));
    out.dbias = out.dweight;
    layer_norm_args<T> args;
    args.rows = rows;
    args.channels = channels;
    args.x = x.data();
    args.x_stride = args.y_stride = stride;
    args.weight = weight.data();
    args.bias = bias.data();
    args.y = out.y.data();
    args.mean = out.mean.data();
    args.rstd = out.rstd.data();
    layer_norm_forward(pool, args);
    if (!saved) args.mean = args.rstd = nullptr;
    layer_norm_backward(pool, args, dy.data(), stride, out.dx.data(), stride, out.dweight.data(), out.dbias.data());
    return out;
  }
};

// The formula, in double.
template <class T>
outcome<double> reference(const problem<T>& p) {
  outcome<double> out;
  const index_t stride = p.channels + p.pad;
  out.y.assign(at(p.rows * stride), 0);
  out.dx = out.y;
  out.mean.assign(at(p.rows), 0);
  out.rstd = out.mean;
  out.dweight.assign(at(p.channels), 0);
  out.dbias = out.dweight;
  const auto n = static_cast<double>(p.channels);
  for (index_t r = 0; r < p.rows; ++r) {
    const auto x = [&](index_t c) { return static_cast<double>(p.x[at(r * stride + c)]); };
    const auto g = [&](index_t c) { return static_cast<double>(p.dy[at(r * stride + c)]); };
    double mean = 0, variance = 0, plain = 0, weighted = 0;
    for (index_t c = 0; c < p.channels; ++c) mean += x(c) / n;
    for (index_t c = 0; c < p.channels; ++c) variance += (x(c) - mean) * (x(c) - mean) / n;
    const double rstd = 1 / std::sqrt(variance + static_cast<double>(T(1e-5)));
    for (index_t c = 0; c < p.channels; ++c) {
      const double normal = (x(c) - mean) * rstd, w = static_cast<double>(p.weight[at(c)]);
      out.y[at(r * stride + c)] = normal * w + static_cast<double>(p.bias[at(c)]);
      out.dweight[at(c)] += g(c) * normal;
      out.dbias[at(c)] += g(c);
      plain += g(c) * w / n;
      weighted += g(c) * w * normal / n;
    }
    for (index_t c = 0; c < p.channels; ++c)
      out.dx[at(r * stride + c)] =
          rstd * (g(c) * static_cast<double>(p.weight[at(c)]) - plain - (x(c) - mean) * rstd * weighted);
    out.mean[at(r)] = mean;
    out.rstd[at(r)] = rstd;
  }
  return out;
}

template <class T>
double distance(const std::vector<T>& a, const std::vector<double>& b) {
  double largest = 1e-30, error = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(b[i]));
    error = std::max(error, std::abs(static_cast<double>(a[i]) - b[i]));
  }
  return error / largest;
}

}  // namespace

TEST_CASE_TEMPLATE("backend: layer norm forward and backward equal the formula, ragged widths and strides", T, float,
                   double) {
  const double tolerance = std::is_same_v<T, float> ? 3e-6 : 1e-13;
  for (const index_t channels : {2, 5, 15, 16, 17, 23, 31, 32, 64, 128, 257})
    for (const index_t rows : {1, 3, 700}) {
      const problem<T> p(rows, channels, channels % 3);
      const outcome<double> expected = reference(p);
      const outcome<T> got = p.run(2);
      CAPTURE(channels);
      CAPTURE(rows);
      CHECK(distance(got.y, expected.y) < (channels == 2 ? 100 : 1) * tolerance);
      CHECK(distance(got.mean, expected.mean) < 10 * tolerance);
      CHECK(distance(got.rstd, expected.rstd) < (channels == 2 ? 1000 : 1) * tolerance);
      // Two channels: their difference, often tiny, decides everything, and dx is the difference of equal numbers.
      CHECK(distance(got.dx, expected.dx) < (channels <= 2 ? 1e4 : channels <= 5 ? 100 : 10) * tolerance);
      CHECK(distance(got.dweight, expected.dweight) < (channels == 2 ? 100 : 10) * tolerance);
      CHECK(distance(got.dbias, expected.dbias) < 10 * tolerance);
    }
}

TEST_CASE("backend: layer norm keeps its accuracy when the mean is far from zero") {
  const problem<float> p(40, 128, 0, 1000);
  const outcome<double> expected = reference(p);
  const outcome<float> got = p.run(1);
  CHECK(distance(got.y, expected.y) < 1e-4);
}

TEST_CASE_TEMPLATE("backend: layer norm gives the same bits for any number of threads, saved moments or not", T, float,
                   double) {
  const problem<T> p(2000, 67, 2);
  const outcome<T> one = p.run(1);
  for (const int threads : {2, 3, 4, 7}) CHECK(p.run(threads) == one);
  CHECK(p.run(3, false) == one);
}

TEST_CASE("backend: layer norm in place, without weight and bias, and of no rows") {
  thread_pool pool(2);
  std::vector<double> x = {1, 2, 3, 4, 10, 10, 10, 10};
  layer_norm_args<double> args;
  args.rows = 2;
  args.channels = 4;
  args.x = args.y = x.data();
  args.y = x.data();
  args.x_stride = args.y_stride = 4;
  args.eps = 0.25;
  layer_norm_forward(pool, args);
  const double rstd = 1 / std::sqrt(1.25 + 0.25);
  for (int i = 0; i < 4; ++i) CHECK(x[at(i)] == doctest::Approx((i - 1.5) * rstd));
  for (int i = 4; i < 8; ++i) CHECK(x[at(i)] == 0);
  args.rows = 0;
  layer_norm_forward(pool, args);
  std::vector<double> dweight(4, 7.), dbias(4, 7.);
  layer_norm_backward<double>(pool, args, nullptr, 0, nullptr, 0, dweight.data(), dbias.data());
  for (int i = 0; i < 4; ++i) CHECK((dweight[at(i)] == 0 && dbias[at(i)] == 0));
}

TEST_CASE("backend: layer norm over one channel gives the bias and no slope") {
  const problem<double> p(4, 1, 0);
  const outcome<double> got = p.run(1);
  for (const double y : got.y) CHECK(y == p.bias[0]);
  for (const double dx : got.dx) CHECK(std::abs(dx) < 1e-12);
}

TEST_CASE("backend: layer norm backward equals central differences") {
  problem<double> p(3, 9, 1);
  const outcome<double> analytic = p.run(1);
  const auto loss = [&] {
    const outcome<double> now = p.run(1);
    double sum = 0;
    for (index_t r = 0; r < 3; ++r)
      for (index_t c = 0; c < 9; ++c) sum += now.y[at(r * 10 + c)] * p.dy[at(r * 10 + c)];
    return sum;
  };
  const auto slope = [&](double& value) {
    const double keep = value, h = 1e-5;
    value = keep + h;
    const double up = loss();
    value = keep - h;
    const double down = loss();
    value = keep;
    return (up - down) / (2 * h);
  };
  for (index_t c = 0; c < 9; ++c) {
    CHECK(slope(p.x[at(10 + c)]) == doctest::Approx(analytic.dx[at(10 + c)]).epsilon(1e-6));
    CHECK(slope(p.weight[at(c)]) == doctest::Approx(analytic.dweight[at(c)]).epsilon(1e-6));
    CHECK(slope(p.bias[at(c)]) == doctest::Approx(analytic.dbias[at(c)]).epsilon(1e-6));
  }
}
