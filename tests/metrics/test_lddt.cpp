// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include <fathom/io/safetensors.hpp>
#include <fathom/metrics/lddt.hpp>

#ifndef FATHOM_SHARED_DIR
#define FATHOM_SHARED_DIR ""
#endif

namespace {

using namespace fathom;
using namespace fathom::metrics;

masked_points line(const std::vector<double>& x) {
  masked_points points;
  for (const double value : x) points.at.push_back({value, 0, 0});
  points.mask.assign(x.size(), 1.0);
  return points;
}

}  // namespace

TEST_CASE("metrics: lddt of one pair with known shifts") {
  // Pair 5 Angstrom apart: each threshold of 0.5, 1, 2, 4 that the shift reaches costs a quarter.
  const masked_points native = line({0, 5});
  for (const auto& [shift, expected] : std::vector<std::pair<double, double>>{
           {0.0, 1.0}, {0.49, 1.0}, {0.51, 0.75}, {1.01, 0.5}, {2.01, 0.25}, {4.01, 0.0}, {100.0, 0.0}}) {
    const auto scores = lddt(line({0, 5 + shift}), native);
    CHECK(scores.mean == doctest::Approx(expected).epsilon(1e-9));
    CHECK(scores.residue[0] == doctest::Approx(expected).epsilon(1e-9));
  }
}

TEST_CASE("metrics: lddt counts pairs within the cutoff of the native chain only") {
  const masked_points native = line({0, 5, 30});
  const auto scores = lddt(line({0, 5, 300}), native);
  CHECK(scores.residue == std::vector<double>{1.0, 1.0, 1.0});  // the third has no neighbour
  CHECK(scores.mean == 1.0);
  const auto wide = lddt(line({0, 5, 300}), native, 40.0);
  CHECK(wide.residue[2] == doctest::Approx(0.0));
  CHECK(wide.mean == doctest::Approx(1.0 / 3));
  masked_points partly = line({0, 5, 7});
  partly.mask[1] = 0;
  const auto masked = lddt(line({0, 50, 7}), partly);
  CHECK(masked.mean == doctest::Approx(1.0));
  CHECK_THROWS_AS(lddt(line({0, 1}), native), shape_error);
}

TEST_CASE("metrics: lddt equals the reference on a real chain") {
  const std::string path = std::string(FATHOM_SHARED_DIR) + "/goldens/07_lddt.safetensors";
  if (!std::filesystem::exists(path)) {
    MESSAGE("SKIPPED: no " << path);
    return;
  }
  const io::safetensors file(path);
  const auto mask = file.get<double>("in.all_atom_mask");
  const auto native = atom_trace(file.get<double>("in.all_atom_positions"), mask, "CA");
  const auto model = atom_trace(file.get<double>("in.all_atom_pred_pos"), mask, "CA");
  const auto expected = file.get<double>("out.lddt_ca_per_residue");
  const auto scores = lddt(model, native);
  REQUIRE(scores.residue.size() == expected.data.size());
  std::size_t compared = 0;
  for (std::size_t i = 0; i < expected.data.size(); ++i) {
    if (!native.has(i)) continue;
    ++compared;
    CHECK(scores.residue[i] == doctest::Approx(expected.data[i]).epsilon(1e-9));
  }
  CHECK(compared > 30);
  CHECK(scores.mean == doctest::Approx(file.get<double>("out.lddt_ca_total").data[0]).epsilon(1e-9));
  CHECK(scores.mean < 0.999);
}
