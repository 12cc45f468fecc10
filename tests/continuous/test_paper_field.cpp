// SPDX-License-Identifier: Apache-2.0
// The fields of the neural-ODE folding paper: gradients, the shipped weights, memory, errors. Values against the
// paper's own code are golden cases.
#include <doctest/doctest.h>

#include <cmath>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/continuous/paper_field.hpp>
#include <fathom/continuous/paper_field_2.hpp>
#include <fathom/continuous/paper_field_fast.hpp>
#include <fathom/core/memory.hpp>
#include <fathom/io/parameters.hpp>

#include "support/directional.hpp"
#include "support/random.hpp"

using namespace fathom;

namespace {

/// All sizes different, so that none can stand for another.
struct small_paper_dims {
  static constexpr index_t c_m = 7, c_z = 5, hidden_dim = 6, num_heads = 2;
};

template <class B>
msa_pair<B> random_state(const B& b, index_t s, index_t n, index_t c_m, index_t c_z, double scale = 1) {
  return {testing::normal<3>(b, {s, n, c_m}, 1, scale), testing::normal<3>(b, {n, n, c_z}, 2, scale)};
}

/// Worst relative error of the gradient with respect to weights, time and state.
template <class Field>
double worst_gradient() {
  const reference<double> b;
  const auto field = testing::randomised(Field(b), 4);
  return gradient_check(
      [](const auto& x) {
        const auto& [f, t, y] = x;
        const auto rate = f(t, y);
        return testing::probe(rate.m) + testing::probe(rate.z);
      },
      std::tuple(field, full<0>(b, {}, 0.3), random_state(b, 3, 4, Field::c_m, Field::c_z)), {.samples = 3});
}

template <class B>
auto trained(const B& b) {
  return load<evoformer_ode_func<B>>(b, FATHOM_SOURCE_DIR "/examples/models/paper_evoformer_ode.safetensors");
}

}  // namespace

TEST_CASE("continuous: gradients of the paper's fields with respect to weights, time and state") {
  using B = reference<double>;
  CHECK(worst_gradient<evoformer_ode_func<B, small_paper_dims>>() <= 1e-6);
  CHECK(worst_gradient<evoformer_ode_func2<B, small_paper_dims>>() <= 1e-6);
  CHECK(worst_gradient<evoformer_ode_func_fast<B, small_paper_dims>>() <= 1e-6);
}

TEST_CASE("continuous: the derivative of the paper's field along a direction, over dual numbers") {
  const reference<double> b;
  using field = evoformer_ode_func<reference<double>, small_paper_dims>;
  testing::check_directional(testing::randomised(field(b), 4), 0.3, random_state(b, 3, 4, field::c_m, field::c_z));
}

TEST_CASE("continuous: the shipped weights are the paper's: size and gates in time") {
  const reference<double> b;
  const auto field = trained(b);
  CHECK(tree::count(field) == 854854);
  const double m[] = {0.771, 0.881, 0.942, 0.972, 0.987}, z[] = {0.831, 0.926, 0.970, 0.989, 0.996};
  for (std::size_t k = 0; k < 5; ++k) {
    const auto mix = to_host(field.time_mlp(full<0>(b, {}, 0.25 * static_cast<double>(k)))).data;
    CHECK(std::abs(mix[0] - m[k]) <= 5e-4);
    CHECK(std::abs(mix[1] - z[k]) <= 5e-4);
  }
}

TEST_CASE("continuous: an evaluation of the paper's field and its gradient need a few times the state") {
  using B = cpu<float>;
  const B b;
  const index_t s = 96, n = 128;
  const auto field = trained(b);
  const auto y = random_state(b, s, n, paper_dims::c_m, paper_dims::c_z, 4);
  const auto t = full<0>(b, {}, 0.5f);
  const auto state = static_cast<double>(4 * (y.m.size() + y.z.size()));
  const auto peak_over = [&](auto&& f) {
    const auto before = memory_counter::current();
    memory_counter::reset_peak();
    f();
    return static_cast<double>(memory_counter::peak() - before) / state;
  };
  const double forward = peak_over([&] { CHECK(field(t, y).m.shape() == y.m.shape()); });
  const double backward = peak_over([&] {
    auto [rate, pullback] = vjp(
        b, [](const auto& f, const auto& when, const auto& at) { return f(when, at); }, field, t, y);
    const auto gradient = pullback(rate);
    CHECK(std::get<2>(gradient).z.shape() == y.z.shape());
  });
  MESSAGE("peak of " << forward << " times the state, with the gradient " << backward);
  CHECK(forward >= 1);
  CHECK(forward <= 4);
  CHECK(backward <= 10);
}

TEST_CASE("continuous: a state of other channels is refused with its extents") {
  const reference<double> b;
  const auto field = testing::randomised(evoformer_ode_func<reference<double>, small_paper_dims>(b), 4);
  const auto t = full<0>(b, {}, 0.0);
  CHECK_THROWS_WITH_AS(field(t, random_state(b, 3, 4, 8, 5)),
                       doctest::Contains("evoformer_ode_func: m has extents [3, 4, 8], expected [3, 4, 7]"),
                       shape_error);
  auto y = random_state(b, 3, 4, 7, 5);
  y.z = slice(y.z, 0, 0, 3);
  CHECK_THROWS_WITH_AS(field(t, y), doctest::Contains("z has extents [3, 4, 5], expected [4, 4, 5]"), shape_error);
}
