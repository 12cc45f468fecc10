// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include <fathom/io/protein.hpp>
#include <fathom/io/safetensors.hpp>
#include <fathom/metrics/secondary_structure.hpp>

#include "support/ideal_chain.hpp"

#ifndef FATHOM_SHARED_DIR
#define FATHOM_SHARED_DIR ""
#endif

namespace {

using namespace fathom;
using namespace fathom::metrics;

}  // namespace

TEST_CASE("metrics: helices of three kinds and polyproline from their torsions") {
  const std::string letters(16, 'A');
  CHECK(secondary_structure(test::ideal_chain(letters, {-62, -42, 180, {}})) == "-HHHHHHHHHHHHHH-");
  CHECK(secondary_structure(test::ideal_chain(letters, {-50, -25, 180, {}})) == "-GGGGGGGGGGGGGG-");
  CHECK(secondary_structure(test::ideal_chain(letters, {-75, 145, 180, {}})) == "-PPPPPPPPPPPPPP-");
  CHECK(three_states("HGIEBTSP-.") == "HHHEECCCC.");
  // Prolines give no hydrogen to bonds: a helix of them has none.
  CHECK(secondary_structure(test::ideal_chain(std::string(16, 'P'), {-62, -42, 180, {}})).find('H') ==
        std::string::npos);
}

TEST_CASE("metrics: unobserved residues get a dot and chain breaks end helices") {
  io::protein helix = test::ideal_chain(std::string(20, 'A'), {-62, -42, 180, {}});
  helix.mask(0, atom37_index("O")) = 0;
  for (index_t i = 10; i < 20; ++i)
    for (index_t a = 0; a < 37; ++a) helix.positions(i, a, 0) += 30;
  const std::string states = secondary_structure(helix);
  CHECK(states.substr(0, 3) == ".-H");
  CHECK(states.substr(9, 2) == "--");
  CHECK(states.substr(11, 8) == "HHHHHHHH");
  CHECK(secondary_structure(io::protein(3)) == "...");
  CHECK(secondary_structure(io::protein()) == "");
}

TEST_CASE("metrics: secondary structure agrees with DSSP on the validation chains") {
  const std::string folder = std::string(FATHOM_SHARED_DIR) + "/data/chains/";
  if (!std::filesystem::exists(folder + "chains_main.safetensors")) {
    MESSAGE("SKIPPED: no chains under '" << folder << "'");
    return;
  }
  for (const std::string set : {"chains_main", "chains_long"}) {
    const io::safetensors file(folder + set + ".safetensors");
    const auto offsets = file.get<std::int64_t>("offsets");
    const auto aatype = file.get<std::uint8_t>("aatype"), states = file.get<std::uint8_t>("ss8");
    const auto mask = file.get<std::uint8_t>("atom_mask");
    const auto atoms = file.get<float>("bb");
    std::ifstream table(folder + set + ".tsv");
    std::string row;
    std::getline(table, row);
    std::size_t residues = 0, same_eight = 0, same_three = 0, chains = 0;
    for (std::size_t c = 0; std::getline(table, row); ++c) {
      if (row.find("\tvalid\t") == std::string::npos) continue;
      ++chains;
      const index_t begin = offsets.data[c], end = offsets.data[c + 1];
      io::protein chain(end - begin);
      std::string expected;
      for (index_t i = begin; i < end; ++i) {
        chain.aatype[static_cast<std::size_t>(i - begin)] = aatype.data[static_cast<std::size_t>(i)];
        expected += ".-HGIPEBTS"[states.data[static_cast<std::size_t>(i)]];
        for (index_t a = 0; a < 4; ++a) {
          const index_t column = a == 3 ? atom37_index("O") : a;
          chain.mask(i - begin, column) = mask(i, a);
          for (index_t k = 0; k < 3; ++k) chain.positions(i - begin, column, k) = static_cast<double>(atoms(i, a, k));
        }
      }
      const std::string found = secondary_structure(chain);
      const std::string found3 = three_states(found), expected3 = three_states(expected);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        if (expected[i] == '.') continue;
        ++residues;
        same_eight += found[i] == expected[i] ? 1 : 0;
        same_three += found3[i] == expected3[i] ? 1 : 0;
      }
    }
    MESSAGE(set << ": " << chains << " chains, " << same_eight << " of " << residues << " residues as DSSP says");
    CHECK(chains >= 12);
    CHECK(static_cast<double>(same_eight) >= 0.999 * static_cast<double>(residues));
    CHECK(static_cast<double>(same_three) >= 0.999 * static_cast<double>(residues));
  }
}
