// SPDX-License-Identifier: Apache-2.0
// Inputs that are the same on every backend in every memory layout, and records of results that can be compared.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <fathom/core/philox.hpp>
#include <fathom/op/kernel.hpp>
#include <fathom/op/layout.hpp>

namespace conformance {

using fathom::extents;
using fathom::host_tensor;
using fathom::index_t;
using fathom::tensor;

/// How the elements of an input lie in memory. Gaps hold NaN, so that reading one is seen.
enum class layout { dense, reversed, transposed, strided, repeated };
inline constexpr layout all_layouts[] = {layout::dense, layout::reversed, layout::transposed, layout::strided,
                                         layout::repeated};
inline const char* name_of(layout l) {
  constexpr const char* names[] = {"dense", "axes reversed", "last axes swapped", "every other element", "first axis repeated"};
  return names[static_cast<int>(l)];
}

/// Strides, first element and size of the storage for extents in a layout.
template <int R>
struct placement {
  extents<R> strides{};
  index_t offset = 0, size = 1;

  placement(const extents<R>& e, layout l) {
    std::array<std::size_t, static_cast<std::size_t>(R)> order{};  // slowest axis first
    for (int a = 0; a < R; ++a)
      order[static_cast<std::size_t>(a)] = static_cast<std::size_t>(l == layout::reversed ? R - 1 - a : a);
    if constexpr (R >= 2)
      if (l == layout::transposed) std::swap(order[R - 1], order[R - 2]);
    index_t step = l == layout::strided && R > 0 ? 2 : 1;
    offset = step - 1;
    for (std::size_t a = order.size(); a-- > 0;) {
      const bool repeated = l == layout::repeated && order[a] == 0;
      strides[order[a]] = repeated ? 0 : step;
      step *= repeated ? 1 : e[order[a]];
    }
    size = step + offset;
  }
};

/// Makes inputs on one backend. Values are exact in float, so that every precision starts from the same numbers.
template <class B>
struct maker {
  B b;
  layout l = layout::dense;

  template <int R>
  tensor<B, R> real(const extents<R>& e, std::uint64_t seed, double low = -1, double high = 1) const {
    const placement<R> place(e, l);
    host_tensor<double> host({place.size}, std::numeric_limits<double>::quiet_NaN());
    fathom::strided_view<double> view{host.data.data() + place.offset, R, {}, {}};
    for (std::size_t a = 0; a < e.size(); ++a) {
      view.extent[a] = e[a];
      view.stride[a] = place.strides[a];
    }
    const index_t n = view.size();
    for (index_t i = 0; i < n; ++i) {
      const double u = fathom::philox_uniform(seed, static_cast<std::uint64_t>(i));
      view.data[view.offset(i)] = static_cast<double>(static_cast<float>(low + (high - low) * u));
    }
    return fathom::from_host<1>(b, host).reinterpret(e, place.strides, place.offset);
  }

  tensor<B, 1, index_t> numbers(index_t n, index_t below, std::uint64_t seed) const {
    host_tensor<index_t> host({n});
    for (index_t i = 0; i < n; ++i)
      host.data[static_cast<std::size_t>(i)] =
          static_cast<index_t>(fathom::philox_uniform(seed, static_cast<std::uint64_t>(i)) * static_cast<double>(below));
    return fathom::from_host<1>(b, host);
  }
};

/// What one case computed.
struct record {
  std::string name;
  std::vector<host_tensor<double>> values;

  template <class B, int R, class T>
  void add(const tensor<B, R, T>& x) {
    const auto host = fathom::to_host(x);
    values.emplace_back(host.shape, std::vector<double>(host.data.begin(), host.data.end()));
  }
  template <class X>
  void add(const std::optional<X>& x) {
    if (x) add(*x);
  }
  template <class X>
  void add(const std::vector<X>& xs) {
    for (const auto& x : xs) add(x);
  }
  template <class... X>
  void add(const std::tuple<X...>& xs) {
    std::apply([this](const auto&... x) { (this->add(x), ...); }, xs);
  }
  void add(const fathom::none&) {}
};
using records = std::vector<record>;

template <class B, int R>
auto cotangent_like(const maker<B>& make, const tensor<B, R>& y) {
  return make.template real<R>(y.shape(), 977);
}
template <class B, class... Y>
auto cotangent_like(const maker<B>& make, const std::tuple<Y...>& ys) {
  return std::apply([&](const auto&... y) { return std::tuple(cotangent_like(make, y)...); }, ys);
}

/// Forward and vjp of one operation, with a cotangent in the maker's layout.
template <class Op, class B, class... Args>
void run(records& out, std::string name, const maker<B>& make, const Args&... args) {
  record r{std::string(Op::name) + " " + std::move(name), {}};
  const auto result = fathom::kernel<Op, B>::forward(args...);
  r.add(result.value);
  r.add(fathom::kernel<Op, B>::vjp(result.residuals, cotangent_like(make, result.value)));
  out.push_back(std::move(r));
}

/// Largest difference in units of the largest expected magnitude (at least 0.1: inputs are of order 1); infinite where a
/// value is finite on one side only.
inline double distance(const host_tensor<double>& got, const host_tensor<double>& expected) {
  double scale = 0.1, worst = 0;
  for (const double e : expected.data)
    if (std::isfinite(e)) scale = std::max(scale, std::abs(e));
  for (std::size_t i = 0; i < expected.data.size(); ++i) {
    const double g = got.data[i], e = expected.data[i];
    if (std::isfinite(g) && std::isfinite(e))
      worst = std::max(worst, std::abs(g - e) / scale);
    else if (!(std::isnan(g) && std::isnan(e)) && g != e)
      worst = std::numeric_limits<double>::infinity();
  }
  return worst;
}

/// Every value of every case within `tolerance` of the oracle's.
inline void compare(const records& got, const records& expected, double tolerance) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t c = 0; c < got.size(); ++c) {
    CAPTURE(expected[c].name);
    REQUIRE(got[c].name == expected[c].name);
    REQUIRE(got[c].values.size() == expected[c].values.size());
    for (std::size_t v = 0; v < got[c].values.size(); ++v) {
      CAPTURE(v);
      REQUIRE(got[c].values[v].shape == expected[c].values[v].shape);
      CHECK(distance(got[c].values[v], expected[c].values[v]) <= tolerance);
    }
  }
}

/// Every value of every case the same to the last bit.
inline void compare_bitwise(const records& got, const records& expected) {
  REQUIRE(got.size() == expected.size());
  for (std::size_t c = 0; c < got.size(); ++c) {
    CAPTURE(expected[c].name);
    REQUIRE(got[c].values.size() == expected[c].values.size());
    for (std::size_t v = 0; v < got[c].values.size(); ++v) {
      CAPTURE(v);
      const auto& g = got[c].values[v].data;
      const auto& e = expected[c].values[v].data;
      REQUIRE(g.size() == e.size());
      CHECK((g.empty() || std::memcmp(g.data(), e.data(), g.size() * sizeof(double)) == 0));
    }
  }
}

}  // namespace conformance
