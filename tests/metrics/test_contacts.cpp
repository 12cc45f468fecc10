// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <fathom/metrics/contacts.hpp>

#include "support/ideal_chain.hpp"

namespace {

using namespace fathom;
using namespace fathom::metrics;

/// A hairpin of points: residue i and n-1-i are 5 Angstrom apart, neighbours 3.8.
masked_points hairpin(index_t n) {
  masked_points points;
  for (index_t i = 0; i < n; ++i) {
    const bool back = i >= n / 2;
    const double x = 3.8 * static_cast<double>(back ? n - 1 - i : i);
    points.at.push_back({x, back ? 5.0 : 0.0, 0.0});
  }
  points.mask.assign(static_cast<std::size_t>(n), 1.0);
  return points;
}

}  // namespace

TEST_CASE("metrics: contact precision of perfect, useless and partly right scores") {
  const index_t n = 60;
  const masked_points native = hairpin(n);
  host_tensor<double> perfect({n, n}), useless({n, n}), one_sided({n, n});
  index_t contacts = 0;
  for (index_t i = 0; i < n; ++i)
    for (index_t j = i + 24; j < n; ++j) {
      const bool contact = distance(native.at[static_cast<std::size_t>(i)], native.at[static_cast<std::size_t>(j)]) < 8;
      contacts += contact ? 1 : 0;
      perfect(i, j) = perfect(j, i) = contact ? 1 : 0;
      useless(i, j) = useless(j, i) = contact ? 0 : 1;
      one_sided(j, i) = contact ? 1 : 0;
    }
  REQUIRE(contacts > n / 2);
  REQUIRE(contacts < n);
  const auto best = score_contacts(perfect, native);
  CHECK(best.top_l5 == 1.0);
  CHECK(best.top_l2 == 1.0);
  CHECK(best.top_l == doctest::Approx(static_cast<double>(contacts) / static_cast<double>(n)));
  CHECK(best.pairs == 36 * 37 / 2);
  CHECK(score_contacts(useless, native).top_l == 0.0);
  CHECK(score_contacts(one_sided, native).top_l5 == 1.0);  // both triangles count
  // Half of the top L/5 = 12 pairs wrong.
  host_tensor<double> mixed = perfect;
  for (index_t k = 0; k < 6; ++k) mixed(k, 29 + k) = mixed(29 + k, k) = 10;
  CHECK(distance(native.at[0], native.at[29]) > 8);
  CHECK(score_contacts(mixed, native).top_l5 == doctest::Approx(0.5));
}

TEST_CASE("metrics: contact precision keeps to the range of separations and the mask") {
  const index_t n = 40;
  masked_points native = hairpin(n);
  host_tensor<double> score({n, n}, 0.5);
  CHECK(score_contacts(score, native, short_range).pairs == (34 + 33 + 32 + 31 + 30 + 29));
  CHECK(score_contacts(score, native, medium_range).pairs == (28 + 17) * 12 / 2);
  native.mask[0] = 0;
  CHECK(score_contacts(score, native, medium_range).pairs == (28 + 17) * 12 / 2 - 12);
  CHECK_THROWS_AS(score_contacts(host_tensor<double>({n, n - 1}), native), shape_error);
  native.mask.assign(static_cast<std::size_t>(n), 0.0);
  CHECK(score_contacts(score, native).top_l == 0.0);
}

TEST_CASE("metrics: pseudo-beta atoms are CB, or CA of glycine") {
  const io::protein chain = test::ideal_chain("GA", test::torsions{});
  const masked_points beta = pseudo_beta_trace(chain), ca = ca_trace(chain);
  CHECK(distance(beta.at[0], ca.at[0]) == 0.0);
  CHECK(distance(beta.at[1], ca.at[1]) == doctest::Approx(1.53).epsilon(0.01));
  CHECK(beta.has(0));
}
