// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <fathom/io/confidence_json.hpp>

TEST_CASE("io: pLDDT and aligned errors in the database's JSON formats") {
  const auto plddt = nlohmann::json::parse(fathom::io::plddt_json({12.345, 49.994, 49.996, 70, 89.9949, 99.5}));
  CHECK(plddt["residueNumber"] == nlohmann::json({1, 2, 3, 4, 5, 6}));
  CHECK(plddt["confidenceCategory"] == nlohmann::json({"D", "D", "L", "M", "M", "H"}));
  CHECK(plddt["confidenceScore"][1].get<double>() == doctest::Approx(49.99));
  CHECK(plddt["confidenceScore"][2].get<double>() == doctest::Approx(50));
  CHECK(fathom::io::plddt_json({49.99}) ==
        "{\"residueNumber\":[1],\"confidenceScore\":[49.99],\"confidenceCategory\":[\"D\"]}\n");

  fathom::host_tensor<double> errors({2, 2});
  errors(0, 0) = 0.2, errors(0, 1) = 7.6, errors(1, 0) = 30.9, errors(1, 1) = 0.4;
  CHECK(fathom::io::pae_json(errors, 31.75) ==
        "[{\"predicted_aligned_error\":[[0,8],[31,0]],\"max_predicted_aligned_error\":31.75}]\n");
  CHECK_THROWS_AS(fathom::io::pae_json(fathom::host_tensor<double>({2, 3}), 1), fathom::shape_error);
}
