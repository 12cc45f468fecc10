// SPDX-License-Identifier: Apache-2.0
// Weights as splines in depth: the basis, the projection of a stack, gradients, the smoothness penalty; the trunk's
// field with several coefficients.
#include <doctest/doctest.h>

#include <cmath>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/continuous/continuous_evoformer.hpp>
#include <fathom/continuous/depth_weights.hpp>

#include "evoformer/small_dims.hpp"

using namespace fathom;
using testing::tiny;

namespace {

using B = reference<double>;
constexpr index_t s = 3, n = 4;

evoformer_stack<B, tiny> example_stack(index_t blocks) {
  return testing::randomised(evoformer_stack<B, tiny>(B{}, blocks), 3);
}

/// A stack whose weights are a polynomial of the block's number, of the given degree.
evoformer_stack<B, tiny> polynomial_stack(index_t blocks, int degree) {
  const auto terms = example_stack(degree + 1).blocks;
  auto stack = example_stack(blocks);
  for (std::size_t k = 0; k < stack.blocks.size(); ++k) {
    std::vector<const evoformer_block<B, tiny>*> at;
    std::vector<double> powers;
    for (std::size_t j = 0; j < terms.size(); ++j) {
      at.push_back(&terms[j]);
      powers.push_back(std::pow((static_cast<double>(k) + 0.5) / static_cast<double>(blocks), static_cast<double>(j)));
    }
    stack.blocks[k] = detail::combined(at, [&](const auto& leaves) { return linear_combination(leaves, powers); });
  }
  return stack;
}

template <class Module>
double squared_distance(const Module& a, const Module& b) {
  double total = 0;
  tree::for_each_zipped([&](const auto& x, const auto& y) { total += item(sum(square(x - y))); }, a, b);
  return total;
}

double misfit(const evoformer_spline_field<B, tiny>& field, const evoformer_stack<B, tiny>& stack) {
  double total = 0;
  for (std::size_t k = 0; k < stack.blocks.size(); ++k)
    total += squared_distance(field.at(full<0>(B{}, {}, static_cast<double>(k) + 0.5)), stack.blocks[k]);
  return total;
}

}  // namespace

TEST_CASE("continuous: B-splines are a partition of unity, and Bernstein polynomials where there are no inner knots") {
  for (const int degree : {0, 1, 2, 3}) {
    const spline_basis basis{7, degree, 12};
    for (double t = 0; t <= 12; t += 0.37) {
      const auto span = basis.span(t);
      const auto values = basis.values(t, span, 1.0);
      REQUIRE(values.size() == static_cast<std::size_t>(degree) + 1);
      double sum = 0;
      for (const double v : values) {
        CHECK(v >= -1e-15);
        sum += v;
      }
      CHECK(sum == doctest::Approx(1).epsilon(1e-14));
      CHECK(basis.knot(span) <= t);
      CHECK((t < basis.knot(span + 1) || span == 6));
    }
  }
  const spline_basis bernstein{4, 3, 2};
  const double u = 0.3;
  const auto values = bernstein.values(2 * u, bernstein.span(2 * u), 1.0);
  const double expected[] = {std::pow(1 - u, 3), 3 * u * (1 - u) * (1 - u), 3 * u * u * (1 - u), u * u * u};
  for (std::size_t j = 0; j < 4; ++j) CHECK(values[j] == doctest::Approx(expected[j]).epsilon(1e-14));
}

TEST_CASE("continuous: projection loses nothing of K constants, nor of weights that are cubic in depth") {
  const auto stack = example_stack(5);
  const auto constant_pieces = as_spline_field(stack, 5, 0);
  CHECK(misfit(constant_pieces, stack) == 0);
  const auto mask = testing::random_masks(B{}, s, n, 5);
  const auto y = testing::random_state(B{}, s, n, tiny::c_m, tiny::c_z, 1);
  const auto t = full<0>(B{}, {}, 3.25);
  CHECK(to_host(constant_pieces(t, y, mask).m).data == to_host(as_split_field(stack)(t, y, mask).m).data);

  const auto cubic = polynomial_stack(8, 3);
  const auto splines = as_spline_field(cubic, 5, 3);
  REQUIRE(splines.coefficients.size() == 5);
  CHECK(misfit(splines, cubic) <=
        1e-18 * squared_distance(cubic, tree::map([](const auto& x) { return x * 0.0; }, cubic)));
  CHECK(misfit(as_spline_field(cubic, 5, 1), cubic) > 1e-6);
}

TEST_CASE("continuous: the projection of rough weights is the closest spline") {
  const auto stack = example_stack(6);
  const auto field = as_spline_field(stack, 4, 2);
  const double best = misfit(field, stack);
  CHECK(best > 0.1);
  for (std::size_t j = 0; j < 4; ++j)
    for (const double step : {-1e-3, 1e-3}) {
      auto moved = field;
      auto& leaf = moved.coefficients[j].msa_transition.linear_1.weight;
      leaf = leaf + step;
      CHECK(misfit(moved, stack) > best);
    }
  // Options of the blocks go along.
  auto flagged = stack;
  for (auto& block : flagged.blocks) block.options.opm_first = true;
  CHECK(as_spline_field(flagged, 4, 2).at(full<0>(B{}, {}, 0.1)).options.opm_first);
}

TEST_CASE("continuous: coefficients that the blocks do not determine are refused") {
  const auto stack = example_stack(3);
  CHECK_THROWS_WITH_AS(as_spline_field(stack, 4, 1), doctest::Contains("use fewer coefficients"), error);
  CHECK_THROWS_WITH_AS(as_spline_field(stack, 3, 3), doctest::Contains("more coefficients than the degree"), error);
}

TEST_CASE("continuous: gradients of a spline field with respect to coefficients, time and state") {
  const auto field = as_spline_field(example_stack(5), 4, 2);
  const auto mask = testing::random_masks(B{}, s, n, 5);
  const auto y = testing::random_state(B{}, s, n, tiny::c_m, tiny::c_z, 1);
  const double worst = gradient_check(
      [&](const auto& x) {
        const auto& [f, t, state] = x;
        const auto rate = f(t, state, testing::masks_on(t, mask));
        return testing::probe(rate.m) + testing::probe(rate.z);
      },
      std::tuple(field, full<0>(B{}, {}, 1.7), y), {.samples = 1});
  CHECK(worst <= 1e-6);
}

TEST_CASE("continuous: the smoothness penalty is the sum of squared differences, with its gradient") {
  const auto stack = example_stack(3);
  const double expected =
      squared_distance(stack.blocks[1], stack.blocks[0]) + squared_distance(stack.blocks[2], stack.blocks[1]);
  CHECK(item(smoothness_penalty(stack.blocks)) == doctest::Approx(expected).epsilon(1e-12));
  CHECK(item(smoothness_penalty(std::vector(3, stack.blocks[0]))) == 0);
  CHECK_THROWS_AS(smoothness_penalty(std::vector(1, stack.blocks[0])), error);
  CHECK(gradient_check([](const auto& blocks) { return smoothness_penalty(blocks); }, stack.blocks, {.samples = 1}) <=
        1e-6);
}

namespace {

/// The trunk's field with every path at work.
evoformer_field<B, tiny> example_field(index_t knots, int degree, double depth) {
  evoformer_field<B, tiny> field(B{});
  field.set_knots(knots, degree, depth);
  return testing::randomised(field, 7);
}

template <class Y>
bool same_bits(const Y& a, const Y& b) {
  return to_host(a.m).data == to_host(b.m).data && to_host(a.z).data == to_host(b.z).data;
}

}  // namespace

TEST_CASE("continuous: one coefficient is the field as it was, equal ones are the same field") {
  const auto field = example_field(1, 0, 1);
  const auto mask = testing::random_masks(B{}, s, n, 5);
  const auto y = testing::random_state(B{}, s, n, tiny::c_m, tiny::c_z, 1);
  const auto t = full<0>(B{}, {}, 0.3);
  const auto rate = field(t, y, mask);
  const auto condition = field.time_mlp(t);
  const index_t m = tiny::c_m, z = tiny::c_z;
  const auto part = [&](index_t from, index_t count) { return slice(condition, 0, from, from + count); };
  const msa_pair<B> moved{y.m + part(0, m), y.z + part(m, z)};
  auto next = field.block(moved, mask);
  next.m = (next.m - moved.m) * (part(m + z, m) + 1.0);
  next.z = (next.z - moved.z) * (part(2 * m + z, z) + 1.0);
  CHECK(same_bits(rate, next));
  std::vector<std::string> names;
  tree::for_each_named(field, [&](const std::string& path, const auto&) { names.push_back(path); });
  for (const auto& name : names) CHECK(name.find("further") == std::string::npos);
  for (const int degree : {0, 1, 2}) {
    auto several = field;
    several.set_knots(3, degree, 1);
    const auto also = several(t, y, mask);
    CHECK(item(sum(square(also.m - rate.m))) + item(sum(square(also.z - rate.z))) < 1e-22);
    CHECK(tree::count(several) > tree::count(field));
  }
  CHECK_THROWS_WITH_AS((evoformer_field<B, tiny>(B{}).set_knots(2, 2, 1)),
                       doctest::Contains("more coefficients than the degree"), error);
  CHECK_THROWS_WITH_AS((evoformer_field<B, tiny>(B{}).set_knots(0, 0, 1)), doctest::Contains("at least 1"), error);
}

TEST_CASE("continuous: the field's weights are its coefficients at their knots, and change where pieces meet") {
  const auto near = [](const auto& a, const auto& b) { return squared_distance(a, b) < 1e-24; };
  const auto at = [](const auto& field, double t) { return field.at(full<0>(B{}, {}, t)); };
  const auto linear = example_field(4, 1, 6);
  CHECK(near(at(linear, 0), linear.block));
  for (std::size_t j = 0; j < 3; ++j) CHECK(near(at(linear, 2.0 * static_cast<double>(j + 1)), linear.further[j]));
  CHECK(near(at(linear, 9), linear.further[2]));
  CHECK(squared_distance(at(linear, 3), linear.further[0]) > 1);
  const auto pieces = example_field(4, 0, 6);
  CHECK(near(at(pieces, 1.49), pieces.block));
  CHECK(near(at(pieces, 1.5), pieces.further[0]));
  // A third of 6 in steps of float32 lies below the double.
  CHECK(near(at(pieces, 4.5 * (1 - 6e-8)), pieces.further[2]));
  CHECK(near(at(pieces, 6), pieces.further[2]));
}

TEST_CASE("continuous: gradients of the trunk's field reach every coefficient, time and state") {
  const auto mask = testing::random_masks(B{}, s, n, 5);
  const auto y = testing::random_state(B{}, s, n, tiny::c_m, tiny::c_z, 1);
  for (const int degree : {0, 1}) {
    const double worst = gradient_check(
        [&](const auto& x) {
          const auto& [f, t, state] = x;
          const auto rate = f(t, state, testing::masks_on(t, mask));
          return testing::probe(rate.m) + testing::probe(rate.z);
        },
        std::tuple(example_field(3, degree, 2), full<0>(B{}, {}, 0.7), y), {.samples = 1});
    CHECK(worst <= 1e-6);
  }
}
