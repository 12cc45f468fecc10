// SPDX-License-Identifier: Apache-2.0
// Geometry, structure module and embedders, forward and gradients, on every backend beside the reference.
#include <doctest/doctest.h>

#include <fathom/autodiff/gradient.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/backend/thrust.hpp>
#include <fathom/embed/input_embedder.hpp>
#include <fathom/embed/template_embedder.hpp>
#include <fathom/geometry/atoms.hpp>
#include <fathom/structure/structure_module.hpp>

#include "support/frames.hpp"
#include "support/golden_dims.hpp"

using namespace fathom;
using golden::dims;
using testing::normal;
using testing::probe;

namespace {

/// Leaves in host memory.
using values = std::vector<host_tensor<double>>;

template <class X>
void append(values& all, const X& tree_of_tensors) {
  tree::for_each(tree_of_tensors, [&](const auto& leaf) {
    const auto host = to_host(leaf);
    all.push_back({host.shape, std::vector<double>(host.data.begin(), host.data.end())});
  });
}

/// Features to structure: everything and its gradient.
template <class B>
values embedded_and_folded(const B& b) {
  const index_t n = 11;
  auto fold = testing::randomised(structure_module<B, dims>(b), 1);
  fold.options.blocks = 2;
  const auto embed = testing::randomised(input_embedder<B, dims>(b), 2);
  const auto templates = testing::randomised(template_embedder<B, dims>(b, 1), 3);
  const auto aatype = from_host<1>(b, testing::any_sequence(n));
  const auto numbers = from_host<1>(b, testing::any_sequence(n));
  const auto mask = full<1>(b, {n}, scalar_of<B>(1));
  const auto pair_mask = full<2>(b, {n, n}, scalar_of<B>(1));
  const auto target = normal<2>(b, {n, dims::tf_dim}, 4);
  const auto msa = normal<3>(b, {3, n, dims::msa_dim}, 5);

  const auto embedded = embed(target, numbers, msa);
  const auto first = fold(normal<2>(b, {n, dims::c_s}, 6), embedded.z, aatype, mask);
  const auto side = atom14_to_atom37(first.last().positions, aatype);
  const auto types = aatype.reinterpret(extents<2>{1, n}, extents<2>{n, 1});
  const auto input =
      make_template_input<B>(types, unsqueeze(side, 0), unsqueeze(make_atom_masks(aatype).atom37_atom_exists, 0),
                             full<1>(b, {1}, scalar_of<B>(1)));
  const auto update = templates(input, embedded.z, pair_mask);

  values all;
  append(all, std::tuple(embedded.m, embedded.z, update.pair, update.single));
  append(all, first);
  const auto gradient = value_and_gradient(
      [&](const auto& in) {
        const auto& [module, single, z] = in;
        const auto a = z.backend();
        return probe(module(single, z, constant(a, aatype), constant(a, mask)).last().positions);
      },
      std::tuple(fold, normal<2>(b, {n, dims::c_s}, 6), embedded.z));
  append(all, gradient.second);
  return all;
}

/// The largest difference relative to the largest value of each array, but to no less than a thousandth of the largest of
/// all: some gradients vanish, and hold rounding.
double worst(const values& got, const values& expected) {
  REQUIRE(got.size() == expected.size());
  double most = 0, largest = 0;
  for (const auto& one : expected)
    for (const double x : one.data) largest = std::max(largest, std::abs(x));
  for (std::size_t k = 0; k < got.size(); ++k) {
    REQUIRE(got[k].shape == expected[k].shape);
    double scale = 1e-3 * largest, difference = 0;
    for (std::size_t i = 0; i < got[k].data.size(); ++i) {
      scale = std::max(scale, std::abs(expected[k].data[i]));
      difference = std::max(difference, std::abs(got[k].data[i] - expected[k].data[i]));
    }
    most = std::max(most, std::isfinite(difference) ? difference / scale : HUGE_VAL);
  }
  return most;
}

}  // namespace

TEST_CASE("structure: every backend embeds and folds like the reference") {
  const auto expected = embedded_and_folded(reference<double>{});
  CHECK(worst(embedded_and_folded(cpu<double>{}), expected) < 1e-10);
  CHECK(worst(embedded_and_folded(thrust_backend<double>{}), expected) < 1e-10);
  CHECK(worst(embedded_and_folded(cpu<float>{}), expected) < 2e-3);
  CHECK(live_gradient_nodes() == 0);
}
