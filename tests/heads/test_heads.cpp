// SPDX-License-Identifier: Apache-2.0
// Heads: names, symmetry, confidence measures against hand-computed values, gradients.
#include <doctest/doctest.h>

#include <set>
#include <string>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/heads/aux_heads.hpp>

#include "support/frames.hpp"

using namespace fathom;
using testing::difference;
using testing::normal;

namespace {

struct dims {
  static constexpr index_t c_m = 5, c_z = 4, c_s = 6;
};

std::set<std::string> names(const auto& module) {
  std::set<std::string> all;
  tree::for_each_named(module, [&](const std::string& path, const auto&) { all.insert(path); });
  return all;
}

/// Logits that put all probability on one bin everywhere.
template <class B>
tensor<B, 3> certain(const B& b, index_t n, index_t bin) {
  host_tensor<double> logits({n, n, 64}, -1e4);
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < n; ++j) logits(i, j, bin) = 0;
  return from_host<3>(b, logits);
}

double tm_term(double error, double length) {
  const double d0 = 1.24 * std::cbrt(length - 15) - 1.8;
  return 1 / (1 + error * error / (d0 * d0));
}

}  // namespace

TEST_CASE("heads: parameters have OpenFold's names, and the tm head is there when asked for") {
  const reference<double> b;
  const aux_heads<reference<double>, dims> plain(b), with_tm(b, true);
  const std::set<std::string> expected = {"plddt.layer_norm.weight",
                                          "plddt.layer_norm.bias",
                                          "plddt.linear_1.weight",
                                          "plddt.linear_1.bias",
                                          "plddt.linear_2.weight",
                                          "plddt.linear_2.bias",
                                          "plddt.linear_3.weight",
                                          "plddt.linear_3.bias",
                                          "distogram.linear.weight",
                                          "distogram.linear.bias",
                                          "masked_msa.linear.weight",
                                          "masked_msa.linear.bias",
                                          "experimentally_resolved.linear.weight",
                                          "experimentally_resolved.linear.bias"};
  CHECK(names(plain) == expected);
  auto more = expected;
  more.insert({"tm.linear.weight", "tm.linear.bias"});
  CHECK(names(with_tm) == more);
}

TEST_CASE("heads: initialising and moving to another backend reaches the optional head") {
  const auto heads =
      initialise(aux_heads<reference<double>, dims>(reference<double>{}, true), {.seed = 3, .final_scale = 1});
  REQUIRE(heads.tm);
  CHECK(testing::largest(heads.tm->linear.weight) > 0);
  const cpu<float> there;
  const auto moved = tree::rebind(heads, there, [&](const auto& from, auto& to) {
    to = from_host<std::remove_cvref_t<decltype(from)>::rank>(there, to_host(from));
  });
  REQUIRE(moved.tm);
  CHECK(difference(moved.tm->linear.weight, heads.tm->linear.weight) < 1e-6);
  const auto m = normal<3>(there, {2, 3, dims::c_m}, 1);
  const auto z = normal<3>(there, {3, 3, dims::c_z}, 2);
  const auto s = normal<2>(there, {3, dims::c_s}, 3), last = normal<2>(there, {3, dims::c_s}, 4);
  const auto logits = moved(m, z, s, last);
  REQUIRE(logits.tm);
  CHECK(logits.tm->shape() == extents<3>{3, 3, 64});
  CHECK(logits.masked_msa.shape() == extents<3>{2, 3, 23});
  CHECK(logits.experimentally_resolved.shape() == extents<2>{3, 37});
  CHECK(logits.plddt.shape() == extents<2>{3, 50});
  CHECK(difference(logits.distogram, transpose(logits.distogram, 0, 1)) < 1e-6);
  CHECK(difference(logits.distogram, moved.distogram.linear(z)) > 1e-2);
}

TEST_CASE("heads: certain errors give known aligned errors and TM-scores") {
  const cpu<double> b;
  for (const index_t bin : {index_t(0), index_t(20), index_t(63)}) {
    const double centre = 0.25 + 0.5 * static_cast<double>(bin);
    const auto logits = certain(b, 30, bin);
    const auto pae = predicted_aligned_error(logits);
    CHECK(difference(pae, full<2>(b, {30, 30}, centre)) < 1e-12);
    CHECK(item(predicted_tm(logits)) == doctest::Approx(tm_term(centre, 30)).epsilon(1e-8));
  }
  CHECK(max_predicted_aligned_error() == 31.75);
  // Short chains take the scale of 19 residues.
  CHECK(item(predicted_tm(certain(b, 5, 10))) == doctest::Approx(tm_term(5.25, 19)).epsilon(1e-8));
}

TEST_CASE("heads: ipTM sees pairs of different chains only, and weights choose residues") {
  const cpu<double> b;
  const index_t n = 40, half = 20;
  // Inside a chain the error is 0.25 A, between chains 10.25 A.
  host_tensor<double> logits({n, n, 64}, -1e4);
  host_tensor<std::int64_t> chain({n});
  host_tensor<double> first({n});
  for (index_t i = 0; i < n; ++i) {
    chain(i) = i < half ? 1 : 2;
    first(i) = i < half ? 1 : 0;
    for (index_t j = 0; j < n; ++j) logits(i, j, (i < half) == (j < half) ? 0 : 20) = 0;
  }
  const auto x = from_host<3>(b, logits);
  const auto chains = from_host<1>(b, chain);
  CHECK(item(predicted_interface_tm(x, chains)) == doctest::Approx(tm_term(10.25, 40)).epsilon(1e-8));
  CHECK(item(predicted_tm(x)) == doctest::Approx(0.5 * (tm_term(10.25, 40) + tm_term(0.25, 40))).epsilon(1e-8));
  CHECK(item(predicted_tm(x, std::optional(from_host<1>(b, first)))) ==
        doctest::Approx(tm_term(0.25, 20)).epsilon(1e-8));
}

TEST_CASE("heads: gradients of the confidence measures") {
  const reference<double> b;
  const auto logits = normal<3>(b, {4, 4, 64}, 5);
  const auto chains = from_host<1>(b, host_tensor<std::int64_t>({4}, {1, 1, 2, 2}));
  const auto f = [&](const auto& x) {
    return predicted_tm(x) + predicted_interface_tm(x, constant(x.backend(), chains)) * 0.5 +
           testing::probe(predicted_aligned_error(x)) * 0.1;
  };
  CHECK(gradient_check(f, logits, {.samples = 12}) < 1e-6);
}
