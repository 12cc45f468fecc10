// SPDX-License-Identifier: Apache-2.0
// Input, recycling and extra-MSA embedders: gradients, bins, relative positions, names.
#include <doctest/doctest.h>

#include <set>
#include <string>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/embed/extra_msa_embedder.hpp>
#include <fathom/embed/input_embedder.hpp>
#include <fathom/embed/recycling_embedder.hpp>

#include "support/frames.hpp"
#include "support/golden_dims.hpp"

using namespace fathom;
using golden::dims;
using testing::difference;
using testing::normal;
using testing::probe;

#define BACKENDS reference<double>, cpu<double>

TEST_CASE_TEMPLATE("embed: relative positions are clipped differences of residue numbers", B, BACKENDS, cpu<float>) {
  const B b;
  const auto numbers = from_host<1>(b, host_tensor<std::int64_t>({4}, {1, 2, 5, 20}));
  const auto bins = to_host(relative_positions(numbers, 4));
  const std::vector<index_t> expected = {4, 3, 0, 0, 5, 4, 1, 0, 8, 7, 4, 0, 8, 8, 8, 4};
  CHECK(bins.data == expected);
}

TEST_CASE_TEMPLATE("embed: distances fall into open bins", B, BACKENDS, cpu<float>) {
  const B b;
  const auto origin = full<2>(b, {1, 3}, scalar_of<B>(0));
  host_tensor<double> points({6, 3});
  const double distance[6] = {0, 0.9, 1, 1.5, 2.5, 100};
  for (index_t i = 0; i < 6; ++i) points(i, 1) = distance[i];
  // Edges 1, 2, 3: below the first, and exactly on an edge, there is no bin.
  const auto bins = to_host(distance_bins(origin, from_host<2>(b, points), {1, 3, 3}));
  const std::vector<scalar_of<B>> expected = {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1};
  CHECK(bins.data == expected);
  CHECK_THROWS_AS(distance_bins(origin, origin, {1, 3, 1}), error);
}

TEST_CASE_TEMPLATE("embed: gradients of the input embedder", B, BACKENDS) {
  const B b;
  const auto module = testing::randomised(input_embedder<B, dims>(b), 1);
  const auto numbers = from_host<1>(b, host_tensor<std::int64_t>({4}, {1, 2, 5, 20}));
  const auto loss = [&](const auto& in) {
    const auto& [embed, tf, msa] = in;
    const auto x = embed(tf, constant(tf.backend(), numbers), msa);
    return probe(x.m) + probe(x.z, 5);
  };
  const auto point = std::tuple(module, normal<2>(b, {4, dims::tf_dim}, 2), normal<3>(b, {3, 4, dims::msa_dim}, 3));
  CHECK(gradient_check(loss, point, {1e-4, 12, 1}) < 1e-6);
  CHECK(live_gradient_nodes() == 0);
}

TEST_CASE_TEMPLATE("embed: gradients of the recycling and extra-MSA embedders", B, BACKENDS) {
  const B b;
  const auto recycle = testing::randomised(recycling_embedder<B, dims>(b), 4);
  const auto x = normal<2>(b, {5, 3}, 5, 8);
  const auto loss = [&](const auto& in) {
    const auto& [embed, m, z] = in;
    const auto update = embed(m, z, constant(m.backend(), x));
    return probe(update.m) + probe(update.z, 5);
  };
  const auto point = std::tuple(recycle, normal<2>(b, {5, dims::c_m}, 6), normal<3>(b, {5, 5, dims::c_z}, 7));
  CHECK(gradient_check(loss, point, {1e-4, 15, 1}) < 1e-6);
  const auto extra = testing::randomised(extra_msa_embedder<B, dims>(b), 8);
  CHECK(gradient_check([](const auto& in) { return probe(std::get<0>(in)(std::get<1>(in))); },
                       std::tuple(extra, normal<3>(b, {2, 3, dims::extra_msa_dim}, 9)), {1e-4, 12, 1}) < 1e-6);
}

TEST_CASE("embed: recycled positions carry no gradient") {
  const reference<double> b;
  const auto embed = testing::randomised(recycling_embedder<reference<double>, dims>(b), 4);
  const auto [value, gradient] = value_and_gradient(
      [&](const auto& in) {
        const auto& [module, m, z, x] = in;
        return probe(module(m, z, x).z);
      },
      std::tuple(embed, normal<2>(b, {5, dims::c_m}, 6), normal<3>(b, {5, 5, dims::c_z}, 7),
                 normal<2>(b, {5, 3}, 5, 8)));
  CHECK(std::isfinite(value));
  CHECK(testing::largest(std::get<3>(gradient)) == 0);
  CHECK(testing::largest(std::get<2>(gradient)) > 0);
}

TEST_CASE("embed: rows of the alignment are embedded one by one") {
  const reference<double> b;
  const auto embed = testing::randomised(input_embedder<reference<double>, dims>(b), 1);
  const auto numbers = from_host<1>(b, host_tensor<std::int64_t>({4}, {0, 1, 2, 3}));
  const auto tf = normal<2>(b, {4, dims::tf_dim}, 2);
  const auto msa = normal<3>(b, {3, 4, dims::msa_dim}, 3);
  const auto all = embed(tf, numbers, msa), second = embed(tf, numbers, slice(msa, 0, 1, 2));
  CHECK(difference(slice(all.m, 0, 1, 2), second.m) == 0);
  CHECK(difference(all.z, second.z) == 0);
  CHECK_THROWS_AS(embed(tf, numbers, normal<3>(b, {3, 5, dims::msa_dim}, 3)), shape_error);
}

TEST_CASE("embed: the extra-MSA feature is a one-hot token and two deletion channels") {
  const reference<double> b;
  const auto tokens = from_host<2>(b, host_tensor<std::int64_t>({1, 2}, {0, 22}));
  const auto some = from_host<2>(b, host_tensor<double>({1, 2}, {0.25, 0.5}));
  const auto feature = to_host(extra_msa_feature(tokens, some, some * 2.0));
  CHECK(feature.shape == std::vector<index_t>{1, 2, 25});
  CHECK(feature(0, 0, 0) == 1);
  CHECK(feature(0, 1, 22) == 1);
  CHECK(feature(0, 1, 0) == 0);
  CHECK(feature(0, 1, 23) == 0.5);
  CHECK(feature(0, 1, 24) == 1);
}

TEST_CASE("embed: parameters have OpenFold's names") {
  std::set<std::string> names;
  const auto add = [&](const auto& module, const std::string& prefix) {
    tree::for_each_named(
        module, [&](const std::string& path, const auto&) { names.insert(path); }, prefix);
  };
  using B = reference<double>;
  add(input_embedder<B, dims>(B{}), "input_embedder");
  add(recycling_embedder<B, dims>(B{}), "recycling_embedder");
  add(extra_msa_embedder<B, dims>(B{}), "extra_msa_embedder");
  for (const char* name :
       {"input_embedder.linear_tf_z_i.weight", "input_embedder.linear_tf_z_j.bias", "input_embedder.linear_tf_m.weight",
        "input_embedder.linear_msa_m.weight", "input_embedder.linear_relpos.bias", "recycling_embedder.linear.weight",
        "recycling_embedder.layer_norm_m.weight", "recycling_embedder.layer_norm_z.bias",
        "extra_msa_embedder.linear.weight"})
    CHECK_MESSAGE(names.count(name) == 1, name);
  CHECK(names.size() == 18);
}
