// SPDX-License-Identifier: Apache-2.0
// Padding changes neither the steps of a solve nor what it finds; the MSA's first row as a leaf of the error norm.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/continuous/error_norm.hpp>
#include <fathom/continuous/evoformer_field.hpp>
#include <fathom/ode/batch.hpp>
#include <fathom/ode/ode.hpp>

#include "evoformer/small_dims.hpp"

using namespace fathom;
using testing::tiny;

namespace {

constexpr index_t s = 3, n = 4;
const ode::i control{.rtol = 1e-5, .atol = 1e-6};

/// x in the first corner of a tensor of extents `e`, `garbage` around it.
template <class B, int R>
tensor<B, R> padded(const tensor<B, R>& x, const extents<R>& e, double garbage) {
  const auto from = to_host(x);
  host_tensor<double> to(std::vector<index_t>(e.begin(), e.end()));
  for (std::size_t k = 0; k < to.data.size(); ++k) {
    std::size_t rest = k, at = 0, stride = 1;
    bool inside = true;
    for (int axis = R - 1; axis >= 0; --axis) {
      const auto a = static_cast<std::size_t>(axis);
      const auto i = static_cast<index_t>(rest) % e[a];
      rest /= static_cast<std::size_t>(e[a]);
      inside = inside && i < x.shape()[a];
      at += stride * static_cast<std::size_t>(i);
      stride *= static_cast<std::size_t>(x.shape()[a]);
    }
    to.data[k] = inside ? from.data[at] : garbage * std::sin(1.0 + static_cast<double>(k));
  }
  return from_host<R>(x.backend(), to);
}

/// State and masks with `rows` more sequences and `columns` more residues.
template <class B>
struct setting {
  msa_pair<B> y0;
  masks<B> mask;

  explicit setting(const B& b)
      : y0(testing::random_state(b, s, n, tiny::c_m, tiny::c_z, 1)), mask(full_masks(b, s, n)) {}
  setting(const B& b, index_t rows, index_t columns, double garbage) : setting(b) {
    y0 = {padded<B, 3>(y0.m, {s + rows, n + columns, tiny::c_m}, garbage),
          padded<B, 3>(y0.z, {n + columns, n + columns, tiny::c_z}, garbage)};
    mask = {padded<B, 2>(mask.msa, {s + rows, n + columns}, 0), padded<B, 2>(mask.pair, {n + columns, n + columns}, 0)};
  }
  ode::options<msa_pair<B>> options() const {
    ode::options<msa_pair<B>> o{.record_steps = true};
    o.norm = evoformer_norm(y0, mask);
    return o;
  }
};

/// Each element moves by itself.
struct position_wise {
  template <class B>
  msa_pair<B> operator()(const ode_time<B>& t, const msa_pair<B>& y) const {
    return {tanh(y.m * 1.7) - y.m * 0.4 + t, y.z * sin(y.z * 0.8) * (-0.9)};
  }
};

/// The valid part of m and z.
template <class B>
std::vector<double> valid(const msa_pair<B>& y) {
  auto m = to_host(contiguous(slice(slice(y.m, 0, 0, s), 1, 0, n))).data;
  const auto z = to_host(contiguous(slice(slice(y.z, 0, 0, n), 1, 0, n))).data;
  m.insert(m.end(), z.begin(), z.end());
  return m;
}

template <class B>
auto example_field(const B& b) {
  auto field = testing::randomised(evoformer_field<B, tiny>(b), 3);
  // Gentle enough that a few steps resolve it.
  tree::for_each_named(field, [&](const std::string& name, auto& leaf) {
    for (const char* last : {"linear_o.weight", "linear_2.weight", "linear_out.weight", "linear_z.weight"})
      if (name.find(last) != std::string::npos && name.find("msa_att_row.linear_z") == std::string::npos)
        leaf = leaf * 0.3;
  });
  return field;
}

template <class Y>
void check_steps(const ode::solution<Y>& a, const ode::solution<Y>& b, double tolerance) {
  CHECK(a.stats.accepted == b.stats.accepted);
  CHECK(a.stats.rejected == b.stats.rejected);
  REQUIRE(a.steps.size() == b.steps.size());
  for (std::size_t k = 0; k < a.steps.size(); ++k) {
    if (tolerance == 0)
      CHECK(a.steps[k].dt == b.steps[k].dt);
    else
      CHECK(std::abs(a.steps[k].dt / b.steps[k].dt - 1) <= tolerance);
  }
}

}  // namespace

TEST_CASE("continuous: padding and a position-wise field: steps and values bitwise") {
  const reference<double> b;
  const setting alone(b);
  const auto want = ode::solve(position_wise{}, alone.y0, {0, 2}, ode::dopri5{}, control, alone.options());
  CHECK(want.stats.accepted >= 5);
  for (const double garbage : {0.0, 1.0, 300.0})
    for (const index_t more : {1, 3, 12}) {
      const setting with(b, more, more, garbage);
      const auto got = ode::solve(position_wise{}, with.y0, {0, 2}, ode::dopri5{}, control, with.options());
      check_steps(got, want, 0);
      CHECK(valid(got.y1) == valid(want.y1));
    }
}

TEST_CASE_TEMPLATE("continuous: padding and the Evoformer field: the same accepted and rejected steps", B,
                   reference<double>, cpu<double>) {
  const B b;
  const auto field = example_field(b);
  const auto solve = [&](const setting<B>& at) {
    return ode::solve(ode::with_context(field, at.mask), at.y0, {0, 1}, ode::bosh3{},
                      ode::i{.rtol = 1e-4, .atol = 1e-5}, at.options());
  };
  const auto want = solve(setting<B>(b));
  CHECK(want.stats.accepted >= 3);
  // Other extents: the sums are taken in another order.
  for (const index_t more : {1, 5}) {
    const auto got = solve(setting<B>(b, more, more, 0.5));
    check_steps(got, want, 1e-9);
    const auto x = valid(got.y1), y = valid(want.y1);
    for (std::size_t k = 0; k < x.size(); ++k) CHECK(std::abs(x[k] - y[k]) <= 1e-9 * (1 + std::abs(y[k])));
  }
  // The same extents and other contents: bitwise.
  const auto zeros = solve(setting<B>(b, 2, 2, 0));
  const auto garbage = solve(setting<B>(b, 2, 2, 4));
  check_steps(garbage, zeros, 0);
  CHECK(valid(garbage.y1) == valid(zeros.y1));
}

TEST_CASE("continuous: proteins of a batch keep their own steps, whatever else is in it") {
  const cpu<double> b;
  const auto field = example_field(b);
  const std::vector<setting<cpu<double>>> proteins{setting(b), setting(b, 1, 2, 0.5), setting(b, 0, 1, 2)};
  const auto own_masks = [&](std::size_t sample, const ode_time<cpu<double>>& t, const msa_pair<cpu<double>>& y) {
    return field(t, y, proteins[sample].mask);
  };
  std::vector<msa_pair<cpu<double>>> y0;
  std::vector<ode::options<msa_pair<cpu<double>>>> options;
  for (const auto& one : proteins) {
    y0.push_back(one.y0);
    options.push_back(one.options());
  }
  const auto all = ode::solve_batch(own_masks, y0, {{0, 1}}, ode::bosh3{}, control, options);
  for (std::size_t k = 0; k < proteins.size(); ++k) {
    const auto alone =
        ode::solve(ode::with_context(field, proteins[k].mask), y0[k], {0, 1}, ode::bosh3{}, control, options[k]);
    check_steps(all.samples[k], alone, 0);
    CHECK(to_host(all.samples[k].y1.m).data == to_host(alone.y1.m).data);
  }
}

TEST_CASE("continuous: the MSA's first row is a leaf of its own, with tolerances of its own") {
  const cpu<double> b;
  const auto field = example_field(b);
  const setting with(b, 1, 1, 1e3);
  const ode::i loose{.rtol = 1e-2, .atol = 1e-3};
  auto option = with.options();
  const auto solve = [&] {
    return ode::solve(ode::with_context(field, with.mask), with.y0, {0, 1}, ode::bosh3{}, loose, option);
  };
  const auto plain = solve();
  option.norm = evoformer_norm(with.y0, with.mask, ode::tolerances{.rtol = 1e-6, .atol = 1e-7});
  const auto strict = solve();
  CHECK(strict.stats.accepted > 2 * plain.stats.accepted);
  // The same tolerances as the others': the first row alone may still be worse than the mean over all rows.
  option.norm = evoformer_norm(with.y0, with.mask, ode::tolerances{.rtol = 1e-2, .atol = 1e-3});
  const auto same = solve();
  CHECK(same.stats.accepted >= plain.stats.accepted);
  CHECK(same.stats.accepted < strict.stats.accepted);
  // What the row is held to is what it gets.
  const auto exact = ode::solve(ode::with_context(field, with.mask), with.y0, {0, 1}, ode::dopri5{},
                                ode::i{.rtol = 1e-9, .atol = 1e-9}, with.options())
                         .y1;
  const auto first = [&](const msa_pair<cpu<double>>& y) {
    const auto e = contiguous(slice(select(y.m, 0, 0) - select(exact.m, 0, 0), 0, 0, n));
    return std::sqrt(static_cast<double>(item(mean_square(e))));
  };
  CHECK(first(strict.y1) < 1e-5);
  CHECK(first(strict.y1) < 0.1 * first(plain.y1));
  // A failure names it.
  option.norm = evoformer_norm(with.y0, with.mask, ode::tolerances{.rtol = 1e-17, .atol = 0});
  option.on_failure = ode::on_failure::return_status;
  const auto refused = solve();
  CHECK(refused.status == ode::status::tolerance_below_floor);
  CHECK(refused.leaf == "m[0]");
}
