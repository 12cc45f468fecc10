// SPDX-License-Identifier: Apache-2.0
// Batches: one controller per sample, other samples never matter, failures stay where they happen.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/ode/adams.hpp>
#include <fathom/ode/batch.hpp>
#include <fathom/ode/batch_axis.hpp>
#include <fathom/op/reduction.hpp>

#include "problems.hpp"

namespace ode = fathom::ode;
using namespace problems;

namespace {

const ode::i control{.rtol = 1e-7, .atol = 1e-9};
const std::vector<double> stiffness{1, 40, 5, 0.1, 120};

/// van der Pol with a constant of each sample's own.
const auto numbered = [](std::size_t sample, double, const vec2& y) -> vec2 {
  return van_der_pol{stiffness[sample]}(0, y);
};

std::vector<vec2> starts(std::size_t count) {
  std::vector<vec2> y;
  for (std::size_t n = 0; n < count; ++n) y.push_back({2 + 0.1 * static_cast<double>(n), 0});
  return y;
}

template <class Y>
void check_same(const ode::solution<Y>& a, const ode::solution<Y>& b) {
  CHECK(a.y1 == b.y1);
  CHECK(a.stats.evaluations == b.stats.evaluations);
  CHECK(a.stats.accepted == b.stats.accepted);
  CHECK(a.stats.rejected == b.stats.rejected);
  REQUIRE(a.steps.size() == b.steps.size());
  for (std::size_t n = 0; n < a.steps.size(); ++n) CHECK(a.steps[n].dt == b.steps[n].dt);
}

}  // namespace

TEST_CASE("ode: each sample of a batch has its own steps, bitwise those of a solve alone") {
  const ode::options<vec2> option{.record_steps = true};
  const auto all = ode::solve_batch(numbered, starts(5), {0, 2}, ode::dopri5{}, control, option);
  REQUIRE(all.samples.size() == 5);
  long evaluations = 0;
  for (std::size_t n = 0; n < 5; ++n) {
    const auto alone = ode::solve(van_der_pol{stiffness[n]}, starts(5)[n], {0, 2}, ode::dopri5{}, control, option);
    check_same(all.samples[n], alone);
    evaluations += alone.stats.evaluations;
  }
  CHECK(all.total().evaluations == evaluations);
  CHECK(all.samples[4].stats.accepted > 3 * all.samples[3].stats.accepted);
  CHECK(all.failed().empty());
}

TEST_CASE_TEMPLATE("ode: a joint field sees all running samples at once and changes nothing, bitwise", Solver,
                   ode::dopri5, ode::bosh3, ode::adaptive_heun, ode::dopri8) {
  std::vector<std::size_t> sizes;
  const auto joint = [&](const std::vector<ode::batch_point<vec2>>& points) {
    sizes.push_back(points.size());
    std::vector<vec2> slopes;
    for (const auto& p : points) slopes.push_back(van_der_pol{stiffness[p.sample]}(p.t, *p.y));
    return slopes;
  };
  ode::options<vec2> option{.save_at = {0.3, 0.9}, .record_steps = true};
  option.events.push_back({[](double, const vec2& y) { return y[0] - 1.9; }, ode::crossing::falling, true});
  const std::vector<ode::interval> spans{{0, 2}, {0, 2}, {0, 1}, {-1, 3}, {0, 2}};
  const auto together =
      ode::solve_batch(joint, starts(5), spans, Solver{}, control, std::vector<ode::options<vec2>>{option});
  const auto apart =
      ode::solve_batch(numbered, starts(5), spans, Solver{}, control, std::vector<ode::options<vec2>>{option});
  for (std::size_t n = 0; n < 5; ++n) {
    check_same(together.samples[n], apart.samples[n]);
    CHECK(together.samples[n].values == apart.samples[n].values);
    CHECK(together.samples[n].t1 == apart.samples[n].t1);
    CHECK(together.samples[n].status == apart.samples[n].status);
  }
  // Samples drop out as they finish: calls with all five, calls with fewer.
  CHECK(*std::max_element(sizes.begin(), sizes.end()) == 5);
  CHECK(std::count(sizes.begin(), sizes.end(), std::size_t(2)) > 0);
  // Without the others, or among others, a sample takes the same way.
  const auto fewer = ode::solve_batch(joint, {starts(5)[0], starts(5)[1]}, {0, 2}, Solver{}, control, option);
  check_same(fewer.samples[1], together.samples[1]);
}

TEST_CASE("ode: a failure names its sample and leaves the others their results") {
  const auto field = [](std::size_t sample, double t, double y) -> double {
    if (sample == 1) return y * y;  // blows up at t = 1
    if (sample == 2 && t > 0.5) return std::numeric_limits<double>::quiet_NaN();
    return -y;
  };
  const std::vector<double> y0{1, 1, 1, 1};
  const auto joint = [&](const std::vector<ode::batch_point<double>>& points) {
    std::vector<double> slopes;
    for (const auto& p : points) slopes.push_back(field(p.sample, p.t, *p.y));
    return slopes;
  };
  const auto check = [&](const auto& f) {
    ode::options<double> option{.max_evaluations = 10000, .on_failure = ode::on_failure::return_status};
    const auto all = ode::solve_batch(f, y0, {0, 2}, ode::dopri5{}, control, option);
    CHECK(all.failed() == std::vector<std::size_t>{1, 2});
    CHECK(all.samples[1].status == ode::status::step_underflow);
    CHECK(all.samples[1].t1 == doctest::Approx(1).epsilon(1e-5));
    CHECK(all.samples[2].status == ode::status::non_finite);
    CHECK(all.samples[2].y1 == doctest::Approx(std::exp(-all.samples[2].t1)).epsilon(1e-5));
    for (const std::size_t n : {0, 3}) CHECK(all.samples[n].y1 == doctest::Approx(std::exp(-2.0)).epsilon(1e-6));
    option.on_failure = ode::on_failure::raise;
    try {
      ode::solve_batch(f, y0, {0, 2}, ode::dopri5{}, control, option);
      FAIL("no exception");
    } catch (const ode::batch_error<double>& e) {
      CHECK(e.sample == 1);
      CHECK(e.code == ode::status::step_underflow);
      CHECK(std::string(e.what()).find("sample 1 of 4: dopri5") == 0);
      CHECK(e.all->samples[3].y1 == all.samples[3].y1);
      CHECK(e.last_good<double>() == all.samples[1].y1);
    }
  };
  check(field);
  check(joint);
}

TEST_CASE("ode: directions, intervals and tolerances of a batch's own; wrong counts are refused") {
  const auto field = [](double t, double y) { return y * std::cos(t); };
  const auto both = ode::solve_batch(field, std::vector<double>{1, std::exp(std::sin(2.0))}, {{0, 2}, {2, 0}},
                                     ode::dopri5{}, ode::i{.rtol = 1e-9, .atol = 1e-9});
  CHECK(both.samples[0].y1 == doctest::Approx(std::exp(std::sin(2.0))).epsilon(1e-8));
  CHECK(both.samples[1].y1 == doctest::Approx(1).epsilon(1e-8));
  CHECK_THROWS_WITH_AS(ode::solve_batch(field, std::vector<double>{1, 2, 3}, {{0, 1}, {0, 2}}, ode::dopri5{}, control),
                       doctest::Contains("3 states and 2 intervals"), fathom::error);
  const auto short_of = [](const std::vector<ode::batch_point<double>>&) { return std::vector<double>(2, 0.0); };
  CHECK_THROWS_WITH_AS(
      ode::solve_batch(short_of, std::vector<double>{1, 2, 3}, ode::interval{0, 1}, ode::dopri5{}, control),
      doctest::Contains("3 slopes and returned 2"), fathom::shape_error);
  // Fixed steps and other methods work sample by sample.
  const auto fixed =
      ode::solve_batch(field, std::vector<double>{1, 2}, {0, 1}, ode::adams_bashforth<2>{}, ode::fixed_steps{50});
  CHECK(fixed.samples[1].y1 == doctest::Approx(2 * fixed.samples[0].y1).epsilon(1e-12));
}

TEST_CASE_TEMPLATE("ode: samples along the first axis of tensors", B, fathom::reference<double>, fathom::cpu<double>) {
  using namespace fathom;
  const B b;
  using Y = tensor<B, 2>;
  const std::vector<double> rates{0.1, 3, 0.7};
  const auto y0 = from_host<2>(b, host_tensor<double>({3, 2}, std::vector<double>{1, 2, 0.3, -1, 2, 5}));
  // y' = -rate y + t, the rates being those of the samples that are still there.
  std::vector<std::size_t> sizes;
  const auto field = [&](const tensor<B, 1>& t, const Y& y, const std::vector<std::size_t>& numbers) {
    std::vector<double> rate;
    for (const std::size_t n : numbers) rate.push_back(-rates[n]);
    sizes.push_back(numbers.size());
    const auto n = static_cast<index_t>(rate.size());
    return y * unsqueeze(from_host<1>(b, host_tensor<double>({n}, rate)), 1) + unsqueeze(t, 1);
  };
  ode::options<Y> option{.record_steps = true};
  const auto all = ode::solve_batch(ode::stacked(field), ode::split_batch(y0), {0, 3}, ode::dopri5{}, control, option);
  std::vector<Y> ends;
  for (std::size_t n = 0; n < 3; ++n) {
    const auto alone = ode::solve([&](const ode_time<B>& t, const Y& y) { return y * (-rates[n]) + t; },
                                  ode::split_batch(y0)[n], {0, 3}, ode::dopri5{}, control, option);
    REQUIRE(alone.steps.size() == all.samples[n].steps.size());
    for (std::size_t k = 0; k < alone.steps.size(); ++k) CHECK(alone.steps[k].dt == all.samples[n].steps[k].dt);
    CHECK(to_host(alone.y1).data == to_host(all.samples[n].y1).data);
    ends.push_back(all.samples[n].y1);
  }
  const auto joined = ode::join_batch(ends);
  CHECK(joined.shape() == y0.shape());
  const double r = 3, t = 3;
  CHECK(to_host(joined).data[3] ==
        doctest::Approx((-1 + 1 / (r * r)) * std::exp(-r * t) + t / r - 1 / (r * r)).epsilon(1e-6));
  CHECK(sizes.front() == 1);
  CHECK(*std::max_element(sizes.begin(), sizes.end()) == 3);
}
