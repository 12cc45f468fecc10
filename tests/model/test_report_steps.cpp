// SPDX-License-Identifier: Apache-2.0
// The record of a trunk's steps, and folding with the compact model that it belongs to.
#include <doctest/doctest.h>

#include <cmath>

#include <fathom/backend/cpu.hpp>
#include <fathom/features/featurize.hpp>
#include <fathom/model/compact_fold.hpp>

#include "support/solvers.hpp"

using namespace fathom;

namespace {

using B = cpu<float>;
using model_type = compact_fold_model<B, compact>;

const model_type& model() {
  static const model_type m = initialise(model_type(B(cpu_options{.threads = 1})), {.seed = 5, .final_scale = 0.5});
  return m;
}

features query() {
  io::alignment alignment;
  alignment.descriptions = {"query"};
  alignment.rows = {"MKVLAAGXGWYRHEDC"};
  alignment.deletions = {std::vector<int>(alignment.rows[0].size(), 0)};
  feature_options options;
  options.clusters = 1;
  options.extra = 0;
  return featurize(alignment, options);
}

}  // namespace

TEST_CASE("model: folding with the compact model is its passes one after the other, bit for bit, and again the same") {
  const auto features = query();
  fold_options options;
  options.recycles = 1;
  options.solver = ode::heun{};
  options.control = ode::fixed_steps{3};
  const auto once = fold(model(), features, options), again = fold(model(), features, options);
  CHECK(once.structure.positions.data == again.structure.positions.data);

  const B& b = model().evoformer.linear.weight.backend();
  auto before = model().nothing_recycled(b, features.length());
  const trunk_solver solver{ode::heun{}, 3};
  for (index_t cycle = 0; cycle < 2; ++cycle) {
    const auto in = upload(b, features, features.draw(cycle));
    const auto pass = model().pass(in, before, solver);
    const auto atoms = to_host(model().positions(pass, in));
    if (cycle == 1) CHECK(std::vector<double>(atoms.data.begin(), atoms.data.end()) == once.structure.positions.data);
    before = model().recycle(pass, in);
  }
  CHECK(once.plddt.size() == 16);
  CHECK(!once.errors);
}

TEST_CASE("model: fixed steps are recorded pass by pass; what twice the steps change falls with the steps") {
  const auto features = query();
  fold_options options;
  options.recycles = 1;
  options.solver = ode::heun{};
  options.measure_drift = true;
  double drift[2] = {};
  for (const long n : {2L, 8L}) {
    options.control = ode::fixed_steps{n};
    const auto p = fold(model(), features, options);
    REQUIRE(p.solution.steps.size() == static_cast<std::size_t>(2 * n));
    // Measuring the drift costs evaluations that are not those of the fold.
    CHECK(p.solution.stats.evaluations == 4 * n);
    for (std::size_t k = 0; k < p.solution.steps.size(); ++k) {
      const auto& step = p.solution.steps[k];
      const auto place = static_cast<double>(static_cast<long>(k) % n);
      CHECK(step.cycle == static_cast<index_t>(k) / n);
      CHECK(step.t0 == doctest::Approx(place / static_cast<double>(n)));
      CHECK(step.t1 == doctest::Approx((place + 1) / static_cast<double>(n)));
      CHECK(step.accepted);
      CHECK(step.change > 0);
      CHECK(std::isnan(step.error));
      CHECK(std::isnan(step.drift) == (step.cycle == 0));
    }
    drift[n == 8] = p.solution.steps.back().drift;
  }
  CHECK(drift[0] > 0);
  CHECK(drift[1] < 0.5 * drift[0]);
}

TEST_CASE("model: adaptive steps are recorded with their estimated errors and rejections") {
  const auto features = query();
  fold_options options;
  options.recycles = 0;
  options.solver = ode::bosh3{};
  // A first step that is far too long is rejected.
  ode::pid control{.rtol = 1e-4, .atol = 1e-6};
  control.limits.first_step = 1;
  options.control = control;
  const auto p = fold(model(), features, options);
  long accepted = 0, rejected = 0;
  double t = 0;
  for (const auto& step : p.solution.steps) {
    CHECK(step.t0 == doctest::Approx(t));
    CHECK(step.error > 0);
    if (!step.accepted) {
      ++rejected;
      continue;
    }
    ++accepted;
    t = step.t1;
  }
  CHECK(t == doctest::Approx(1));
  CHECK(accepted == p.solution.stats.accepted);
  CHECK(rejected == p.solution.stats.rejected);
  CHECK(rejected > 0);
  CHECK(p.solution.steps.front().error > p.solution.steps.back().error);
}
