// SPDX-License-Identifier: Apache-2.0
// A stack of blocks as a split field: the same network at h = 1, its own flow at smaller steps, blends between blocks.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/continuous/split_field.hpp>
#include <fathom/ode/ode.hpp>

#include "evoformer/small_dims.hpp"
#include "support/directional.hpp"

using namespace fathom;
using testing::tiny;

namespace {

using D = reference<double>;
constexpr index_t s = 4, n = 5;

template <class B>
evoformer_stack<B, tiny> example_stack(const B& b, index_t blocks) {
  return testing::randomised(evoformer_stack<B, tiny>(b, blocks), 3);
}

/// The stack with every output map scaled, so that a block moves the state little.
template <class B>
evoformer_stack<B, tiny> gentle_stack(const B& b, index_t blocks, double scale) {
  auto stack = example_stack(b, blocks);
  tree::for_each_named(stack, [&](const std::string& name, auto& leaf) {
    for (const char* last : {"linear_o.", "linear_2.", "linear_out.", "linear_z."})
      if (name.find(last) != std::string::npos && name.find("msa_att_row.linear_z") == std::string::npos)
        leaf = leaf * scale;
  });
  return stack;
}

template <class B>
double distance(const msa_pair<B>& a, const msa_pair<B>& b) {
  return std::sqrt(static_cast<double>(item(sum(square(a.m - b.m)))) +
                   static_cast<double>(item(sum(square(a.z - b.z)))));
}
template <class B>
bool same_bits(const msa_pair<B>& a, const msa_pair<B>& b) {
  return to_host(a.m).data == to_host(b.m).data && to_host(a.z).data == to_host(b.z).data;
}

template <class Stack, class B>
void check_bitwise(const Stack& stack, const msa_pair<B>& y0, const masks<B>& mask, dropout_key key = {}) {
  const auto field = as_split_field(stack, mask, key);
  const auto blocks = static_cast<long>(stack.blocks.size());
  const auto discrete = stack(y0, mask, key);
  const auto solved = ode::solve(field, y0, {0, field.depth()}, ode::lie_trotter{}, ode::fixed_steps{blocks}).y1;
  CHECK(same_bits(solved, {discrete.m, discrete.z}));
  CHECK_FALSE(same_bits(solved, y0));
}

}  // namespace

TEST_CASE("continuous: Lie-Trotter with h = 1 is the discrete stack of 48 blocks, bitwise in float32") {
  const cpu<float> b;
  const auto stack = example_stack(b, 48);
  const auto y0 = testing::random_state(b, 7, 9, tiny::c_m, tiny::c_z, 1);
  check_bitwise(stack, y0, testing::random_masks(b, 7, 9, 5));
}

TEST_CASE("continuous: so it is with dropout, with the outer product first, and on the reference backend") {
  const cpu<float> b;
  const auto y0 = testing::random_state(b, s, n, tiny::c_m, tiny::c_z, 1);
  auto stack = example_stack(b, 3);
  check_bitwise(stack, y0, testing::random_masks(b, s, n, 5), dropout_key{7, 0.1});
  for (auto& block : stack.blocks) block.options.opm_first = true;
  check_bitwise(stack, y0, testing::random_masks(b, s, n, 5));
  const D d;
  check_bitwise(example_stack(d, 3), testing::random_state(d, s, n, tiny::c_m, tiny::c_z, 1),
                testing::random_masks(d, s, n, 5));
}

namespace {

/// Largest difference between the gradients of a loss through the stack and through Lie-Trotter steps of length 1,
/// relative to the largest entry of any leaf.
template <class B>
double gradient_difference(const B& b, index_t blocks, index_t rows, index_t columns, double scale) {
  const auto stack = gentle_stack(b, blocks, scale);
  const auto mask = testing::random_masks(b, rows, columns, 5);
  const auto y0 = testing::random_state(b, rows, columns, tiny::c_m, tiny::c_z, 1);
  const auto loss = [](const auto& y) { return testing::probe(y.m) + testing::probe(y.z); };
  const auto [direct, expected] = value_and_gradient(
      [&](const auto& x) {
        const auto& [model, y] = x;
        return loss(model(y, testing::masks_on(y.m, mask)));
      },
      std::tuple(stack, y0));
  const auto [value, got] = value_and_gradient(
      [&](const auto& x) {
        const auto& [model, y] = x;
        const auto field = as_split_field(model, testing::masks_on(y.m, mask));
        return loss(
            ode::solve(field, y, {0, static_cast<double>(blocks)}, ode::lie_trotter{}, ode::fixed_steps{blocks}).y1);
      },
      std::tuple(stack, y0));
  CHECK(value == direct);
  double worst = 0, largest = 0;
  tree::for_each_zipped(
      [&](const auto& a, const auto& c) {
        const auto x = to_host(a).data, y = to_host(c).data;
        for (std::size_t i = 0; i < x.size(); ++i) {
          worst = std::max(worst, std::abs(static_cast<double>(x[i]) - static_cast<double>(y[i])));
          largest = std::max(largest, std::abs(static_cast<double>(y[i])));
        }
      },
      got, expected);
  CHECK(largest > 0);
  return worst / largest;
}

}  // namespace

TEST_CASE("continuous: gradients through the split field are those of the stack, 48 blocks") {
  CHECK(gradient_difference(D{}, 3, s, n, 1) <= 1e-12);
  CHECK(gradient_difference(D{}, 48, s, n, 0.3) <= 1e-12);
  CHECK(gradient_difference(cpu<float>{}, 48, 7, 9, 0.3) <= 1e-6);
}

namespace {

/// Gradients of a loss of y(2) by rk4 with respect to weights and state, one number after the other.
template <class B, class Policy>
std::vector<double> field_gradient(const B& b, const Policy& policy) {
  const auto field = ode::differentiable(as_split_field(gentle_stack(b, 2, 0.3)), testing::random_masks(b, s, n, 5));
  const auto y0 = testing::random_state(b, s, n, tiny::c_m, tiny::c_z, 1);
  const auto a = testing::random_state(b, s, n, tiny::c_m, tiny::c_z, 2);
  const auto g = ode::solve_with_gradient(field, y0, {0, 2}, ode::rk4{}, ode::fixed_steps{6}, policy).second(a);
  std::vector<double> all;
  const auto take = [&](const auto& leaf) {
    if constexpr (any_tensor<decltype(leaf)>)
      for (const auto x : to_host(leaf).data) all.push_back(static_cast<double>(x));
  };
  tree::for_each(g.parameters, take);
  tree::for_each(g.y0, take);
  return all;
}
double largest_of(const std::vector<double>& x, const std::vector<double>& minus) {
  REQUIRE(x.size() == minus.size());
  double largest = 0;
  for (std::size_t i = 0; i < x.size(); ++i) largest = std::max(largest, std::abs(x[i] - minus[i]));
  return largest;
}

}  // namespace

TEST_CASE("continuous: the discrete adjoint through the Evoformer field: recorded in float64, checkpointed in both") {
  const auto recorded = field_gradient(D{}, ode::direct{});
  const double largest = largest_of(recorded, std::vector<double>(recorded.size(), 0.0));
  CHECK(largest > 0.1);
  CHECK(largest_of(field_gradient(D{}, ode::checkpointed{.slots = 2}), recorded) <= 1e-13 * largest);
  CHECK(largest_of(field_gradient(cpu<float>{}, ode::checkpointed{.slots = 3}), recorded) <= 1e-4 * largest);
}

TEST_CASE("continuous: the derivative of the full Evoformer field along a direction, over dual numbers") {
  const D b;
  testing::check_directional(as_split_field(example_stack(b, 2)), 1.3,
                             testing::random_state(b, s, n, tiny::c_m, tiny::c_z, 1),
                             testing::random_masks(b, s, n, 5));
}

TEST_CASE("continuous: the field is the sum of its parts, and its weights are those of the block at t") {
  const D b;
  const auto stack = example_stack(b, 3);
  const auto mask = testing::random_masks(b, s, n, 5);
  const auto y = testing::random_state(b, s, n, tiny::c_m, tiny::c_z, 1);
  const auto field = as_split_field(stack, mask);
  REQUIRE(field.parts() == 9);
  for (const double t : {0.0, 0.99, 1.0, 2.5, 3.0}) {
    const auto when = full<0>(b, {}, t);
    auto total = field.part(0, when, y);
    for (std::size_t i = 1; i < field.parts(); ++i) {
      const auto part = field.part(i, when, y);
      total = {total.m + part.m, total.z + part.z};
    }
    CHECK(distance(total, field(when, y)) <= 1e-12);
    const auto& block = stack.blocks[t < 1 ? 0 : t < 2 ? 1 : 2];
    const auto row = block.update(evoformer_sublayer::msa_row_attention, y, mask);
    CHECK(to_host(field.part(0, when, y).m).data == to_host(row).data);
  }
  CHECK(field.field().jump_times() == std::vector<double>{1, 2});
  CHECK(as_split_field(stack, split_field_options{depth_blend::hat}).jump_times().empty());
}

TEST_CASE("continuous: smaller steps of Lie-Trotter and Strang converge to the flow of the sum, at orders 1 and 2") {
  const D b;
  const auto stack = gentle_stack(b, 2, 0.1);
  const auto mask = full_masks(b, s, n);
  const auto y0 = testing::random_state(b, s, n, tiny::c_m, tiny::c_z, 1);
  const auto field = as_split_field(stack, mask);
  ode::options<msa_pair<D>> at_jumps;
  at_jumps.jump_times = field.field().jump_times();
  const auto exact = ode::solve(field, y0, {0, 2}, ode::rk4{}, ode::fixed_steps{128}, at_jumps).y1;
  const auto error = [&](auto method, long steps) {
    return distance(ode::solve(field, y0, {0, 2}, method, ode::fixed_steps{steps}).y1, exact);
  };
  const double lie = std::log2(error(ode::lie_trotter{}, 16) / error(ode::lie_trotter{}, 32));
  CHECK(lie == doctest::Approx(1).epsilon(0.15));
  const double strang = std::log2(error(ode::strang{}, 16) / error(ode::strang{}, 32));
  CHECK(strang == doctest::Approx(2).epsilon(0.15));
}

TEST_CASE("continuous: blended fields equal a block at its centre, are continuous, and depend on t with a gradient") {
  const D b;
  const auto stack = example_stack(b, 3);
  const auto mask = testing::random_masks(b, s, n, 5);
  const auto y = testing::random_state(b, s, n, tiny::c_m, tiny::c_z, 1);
  const auto plain = as_split_field(stack, mask);
  const auto hat = as_split_field(stack, mask, {}, {depth_blend::hat});
  const auto at = [&](const auto& field, double t) { return field(full<0>(b, {}, t), y); };
  CHECK(same_bits(at(hat, 0.2), at(plain, 0.2)));
  CHECK(distance(at(hat, 1.5), at(plain, 1.5)) <= 1e-12);
  CHECK(distance(at(hat, 1.0 - 1e-9), at(hat, 1.0 + 1e-9)) <= 1e-6);
  CHECK(distance(at(hat, 1.5 - 1e-9), at(hat, 1.5 + 1e-9)) <= 1e-6);
  CHECK(distance(at(plain, 1.0 - 1e-9), at(plain, 1.0)) > 1e-2);
  const auto middle = at(hat, 1.0), left = at(plain, 0.5), right = at(plain, 1.5);
  CHECK(distance(middle, {(left.m + right.m) * 0.5, (left.z + right.z) * 0.5}) <= 1e-12);

  const auto loss = [&](const auto& t) {
    const auto field = as_split_field(
        tree::rebind(stack, t.backend(), [&](const auto& from, auto& to) { to = constant(t.backend(), from); }),
        testing::masks_on(t, mask), {}, {depth_blend::hat});
    const auto rate = field(t, msa_pair<typename std::remove_cvref_t<decltype(t)>::backend_type>{
                                   constant(t.backend(), y.m), constant(t.backend(), y.z)});
    return testing::probe(rate.m) + testing::probe(rate.z);
  };
  const auto [value, slope] = value_and_gradient(loss, full<0>(b, {}, 1.2));
  const auto probe = [&](double t) {
    const auto rate = at(hat, t);
    return static_cast<double>(item(testing::probe(rate.m) + testing::probe(rate.z)));
  };
  CHECK(value == doctest::Approx(probe(1.2)));
  CHECK(item(slope) == doctest::Approx((probe(1.3) - probe(1.1)) / 0.2).epsilon(1e-9));
}

TEST_CASE("continuous: a stack without blocks has no field") {
  const D b;
  evoformer_stack<D, tiny> none(b, 0);
  const auto y = testing::random_state(b, s, n, tiny::c_m, tiny::c_z, 1);
  CHECK_THROWS_WITH_AS(as_split_field(none, full_masks(b, s, n))(full<0>(b, {}, 0.0), y),
                       doctest::Contains("no blocks"), error);
}
