// SPDX-License-Identifier: Apache-2.0
// Learning rates by hand, and the published phases as data.
#include <doctest/doctest.h>

#include <fathom/train/schedule.hpp>

using namespace fathom;

TEST_CASE("train: warm-up, plateau and decay") {
  const train::plateau_schedule rate;
  CHECK(rate(0) == 0);
  CHECK(rate(500) == doctest::Approx(5e-4).epsilon(1e-12));
  CHECK(rate(1000) == 1e-3);
  CHECK(rate(50000) == 1e-3);
  CHECK(rate(50001) == doctest::Approx(0.95e-3).epsilon(1e-12));
  CHECK(rate(99999) == doctest::Approx(0.95e-3).epsilon(1e-12));
  CHECK(rate(100000) == doctest::Approx(0.95 * 0.95e-3).epsilon(1e-12));
  const train::plateau_schedule from_base{.max = 2, .base = 1, .warmup = 10};
  CHECK(from_base(0) == 1);
  CHECK(from_base(5) == doctest::Approx(1.5).epsilon(1e-12));
  CHECK_THROWS_AS(rate(-1), error);
}

TEST_CASE("train: half a cosine to the end of the budget") {
  const train::cosine_schedule rate{.max = 2e-3, .min = 1e-4, .warmup = 100, .total = 1100};
  CHECK(rate(50) == doctest::Approx(1e-3).epsilon(1e-12));
  CHECK(rate(100) == doctest::Approx(2e-3).epsilon(1e-12));
  CHECK(rate(600) == doctest::Approx(0.5 * (2e-3 + 1e-4)).epsilon(1e-12));
  CHECK(rate(350) == doctest::Approx(1e-4 + 0.5 * 1.9e-3 * (1 + std::sqrt(0.5))).epsilon(1e-12));
  CHECK(rate(1100) == 1e-4);
  CHECK(rate(5000) == 1e-4);
}

TEST_CASE("train: the published phases") {
  const auto* initial = loss::find_training_phase("initial_training");
  REQUIRE(initial != nullptr);
  CHECK(initial->loss == loss::weights{});
  CHECK(initial->loss.violation == 0);
  CHECK(initial->loss.masked_msa == 2);
  CHECK(initial->crop == 256);
  const auto* fine = loss::find_training_phase("finetuning_no_templ_ptm");
  REQUIRE(fine != nullptr);
  CHECK(fine->loss.violation == 1);
  CHECK(fine->loss.experimentally_resolved == 0.01);
  CHECK(fine->loss.tm == 0.1);
  CHECK(fine->crop == 384);
  CHECK_FALSE(fine->templates);
  CHECK(loss::find_training_phase("finetuning")->loss.tm == 0);
  CHECK(loss::find_training_phase("finetuning")->templates);
  CHECK(loss::find_training_phase("warming up") == nullptr);

  const auto rate = train::schedule_of(*initial, 128);
  CHECK(rate.warmup == 1000);
  CHECK(rate.decay_after == 50000);
  CHECK(rate(500) == doctest::Approx(5e-4).epsilon(1e-12));
  CHECK(train::schedule_of(*fine, 128)(0) == 5e-4);
  CHECK(train::schedule_of(*initial, 1).warmup == 128000);
  CHECK_THROWS_AS(train::schedule_of(*initial, 0), error);
}
