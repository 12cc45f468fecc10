// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include <nlohmann/json.hpp>

#include <fathom/geometry/residue_constants.hpp>

#ifndef FATHOM_SHARED_DIR
#define FATHOM_SHARED_DIR ""
#endif

namespace {

using fathom::index_t;

struct golden_table {
  std::vector<index_t> shape;
  std::vector<double> values;
};

/// The `const.*` arrays of the reference file, integers widened to double. Empty when the file is absent.
std::map<std::string, golden_table> read_golden() {
  std::map<std::string, golden_table> tables;
  std::ifstream in(std::string(FATHOM_SHARED_DIR) + "/goldens/00_residue_constants.safetensors", std::ios::binary);
  if (!in) return tables;
  std::uint64_t length = 0;
  in.read(reinterpret_cast<char*>(&length), 8);
  std::string header(length, ' ');
  in.read(header.data(), static_cast<std::streamsize>(length));
  const auto json = nlohmann::json::parse(header);
  for (const auto& [key, entry] : json.items()) {
    if (key.rfind("const.", 0) != 0) continue;
    golden_table table{entry["shape"].get<std::vector<index_t>>(), {}};
    const auto begin = entry["data_offsets"][0].get<std::uint64_t>(),
               end = entry["data_offsets"][1].get<std::uint64_t>();
    std::vector<char> bytes(end - begin);
    in.seekg(static_cast<std::streamoff>(8 + length + begin));
    in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    table.values.resize(bytes.size() / 8);
    for (std::size_t i = 0; i < table.values.size(); ++i) {
      std::int64_t integer = 0;
      std::memcpy(&integer, &bytes[8 * i], 8);
      if (entry["dtype"] == "F64")
        std::memcpy(&table.values[i], &bytes[8 * i], 8);
      else
        table.values[i] = static_cast<double>(integer);
    }
    tables[key.substr(6)] = std::move(table);
  }
  return tables;
}

}  // namespace

TEST_CASE("geometry: residue tables equal the reference tables") {
  const auto golden = read_golden();
  if (golden.empty()) {
    MESSAGE("SKIPPED: no reference tables under '" << FATHOM_SHARED_DIR << "'");
    return;
  }
  std::set<std::string> compared;
  const auto& t = fathom::residue_tables();
  const auto check = [&](const std::string& name, const auto& ours) {
    INFO("table ", name);
    REQUIRE(golden.count(name) == 1);
    const auto& expected = golden.at(name);
    // chi_angles_mask: the reference has no row for X, ours has one of zeros.
    std::vector<index_t> shape = ours.shape;
    if (name == "chi_angles_mask") shape[0] = 20;
    REQUIRE(shape == expected.shape);
    double worst = 0;
    for (std::size_t i = 0; i < expected.values.size(); ++i) {
      const double a = static_cast<double>(ours.data[i]), b = expected.values[i];
      worst = std::max(worst, std::abs(a - b) / std::max(std::abs(b), 1e-3));
    }
    for (std::size_t i = expected.values.size(); i < ours.data.size(); ++i) CHECK(ours.data[i] == 0);
    CHECK(worst <= 1e-12);
    compared.insert(name);
  };
#define CHECK_TABLE(name) check(#name, t.name)
  CHECK_TABLE(atom14_dists_lower_bound);
  CHECK_TABLE(atom14_dists_stddev);
  CHECK_TABLE(atom14_dists_upper_bound);
  CHECK_TABLE(atom37_van_der_waals_radius);
  CHECK_TABLE(between_res_bond_length_c_n);
  CHECK_TABLE(between_res_bond_length_stddev_c_n);
  CHECK_TABLE(between_res_cos_angles_c_n_ca);
  CHECK_TABLE(between_res_cos_angles_ca_c_n);
  CHECK_TABLE(chi_angles_mask);
  CHECK_TABLE(chi_atom_indices);
  CHECK_TABLE(chi_pi_periodic);
  CHECK_TABLE(restype_atom14_is_ambiguous);
  CHECK_TABLE(restype_atom14_mask);
  CHECK_TABLE(restype_atom14_rigid_group_positions);
  CHECK_TABLE(restype_atom14_to_atom37);
  CHECK_TABLE(restype_atom14_to_rigid_group);
  CHECK_TABLE(restype_atom37_mask);
  CHECK_TABLE(restype_atom37_rigid_group_positions);
  CHECK_TABLE(restype_atom37_to_atom14);
  CHECK_TABLE(restype_atom37_to_rigid_group);
  CHECK_TABLE(restype_rigid_group_default_frame);
#undef CHECK_TABLE
  check("restype_atom14_exists", t.restype_atom14_mask);
  check("restype_atom37_exists", t.restype_atom37_mask);
  for (const auto& table : golden) CHECK_MESSAGE(compared.count(table.first) == 1, "not compared: ", table.first);
}

TEST_CASE("geometry: names, letters and alphabets are consistent") {
  CHECK(fathom::restype_index('V') == 19);
  CHECK(fathom::restype_index('X') == 20);
  CHECK(fathom::restype_index('B') == -1);
  CHECK(fathom::restype_index("TRP") == 17);
  CHECK(fathom::restype_index("HOH") == -1);
  CHECK(fathom::restype_name(20) == "UNK");
  for (int i = 0; i < fathom::restype_count_with_x; ++i) {
    CHECK(fathom::restype_index(fathom::restype_letter(i)) == i);
    CHECK(fathom::restype_index(fathom::restype_name(i)) == i);
  }
  // B->D, Z->E, U->C, J and O->X: letters without an own HHblits index.
  for (const auto& [letter, same] : std::map<char, char>{{'B', 'D'}, {'Z', 'E'}, {'U', 'C'}, {'J', 'X'}, {'O', 'X'}})
    CHECK(fathom::hhblits_index(letter) == fathom::hhblits_index(same));
  CHECK(fathom::hhblits_index('-') == 21);
  CHECK(fathom::hhblits_index('*') == -1);
  CHECK(fathom::hhblits_index('a') == -1);
  std::set<int> seen;
  for (const char letter : fathom::hhblits_letters) {
    const int mapped = fathom::hhblits_to_restype[static_cast<std::size_t>(fathom::hhblits_index(letter))];
    seen.insert(mapped);
    if (letter != '-') CHECK(fathom::restype_letter(mapped) == letter);
  }
  CHECK(seen.size() == 22);
  CHECK(fathom::atom37_index("OXT") == 36);
  CHECK(fathom::atom37_element(fathom::atom37_index("SD")) == 'S');
  CHECK(fathom::atom14_index(fathom::restype_index('A'), "CG") == -1);
}

TEST_CASE("geometry: an unknown residue can have the backbone of glycine") {
  const auto& t = fathom::residue_tables(fathom::unknown_residue::backbone);
  const int gly = fathom::restype_index('G');
  double atoms = 0;
  for (int column = 0; column < 14; ++column) {
    atoms += t.restype_atom14_mask(20, column);
    CHECK(t.restype_atom14_mask(20, column) == t.restype_atom14_mask(gly, column));
    for (int k = 0; k < 3; ++k)
      CHECK(t.restype_atom14_rigid_group_positions(20, column, k) ==
            t.restype_atom14_rigid_group_positions(gly, column, k));
  }
  CHECK(atoms == 4);
  for (int group = 0; group < 8; ++group)
    for (int r = 0; r < 4; ++r)
      for (int c = 0; c < 4; ++c)
        CHECK(t.restype_rigid_group_default_frame(20, group, r, c) ==
              t.restype_rigid_group_default_frame(gly, group, r, c));
  // The twenty amino acids do not depend on the choice.
  const auto& plain = fathom::residue_tables();
  for (std::size_t i = 0; i < 20 * 8 * 16; ++i)
    REQUIRE(t.restype_rigid_group_default_frame.data[i] == plain.restype_rigid_group_default_frame.data[i]);
}

TEST_CASE("geometry: renaming swaps, ambiguous groups and frame atoms follow from each other") {
  const auto& t = fathom::residue_tables();
  int swapped = 0;
  for (int restype = 0; restype < 21; ++restype)
    for (int column = 0; column < 14; ++column) {
      const auto other = t.restype_atom14_swap(restype, column);
      CHECK(t.restype_atom14_swap(restype, other) == column);
      CHECK((other != column) == (t.restype_atom14_is_ambiguous(restype, column) == 1.0));
      swapped += other != column ? 1 : 0;
    }
  CHECK(swapped == 12);
  for (int restype = 0; restype < 20; ++restype)
    for (int chi = 0; chi < 4; ++chi) {
      if (t.chi_angles_mask(restype, chi) == 0.0) continue;
      // The last atom of the torsion lies in its own group, in the xy plane with y > 0.
      const auto last = t.chi_atom_indices(restype, chi, 3);
      CHECK(t.restype_atom37_to_rigid_group(restype, last) == 4 + chi);
      CHECK(t.restype_atom37_rigid_group_positions(restype, last, 1) > 0.5);
      CHECK(std::abs(t.restype_atom37_rigid_group_positions(restype, last, 2)) < 5e-3);
    }
}

TEST_CASE("geometry: tolerances of the distance bounds scale as asked") {
  const auto wide = fathom::make_residue_tables(fathom::unknown_residue::absent, {1.5, 15.0});
  const auto narrow = fathom::make_residue_tables(fathom::unknown_residue::absent, {1.0, 3.0});
  // N-CA of alanine: 1.459 +- 0.020; N-O has no bond or angle: van der Waals contact.
  CHECK(wide.atom14_dists_lower_bound(0, 0, 1) == doctest::Approx(1.459 - 0.3));
  CHECK(narrow.atom14_dists_upper_bound(0, 0, 1) == doctest::Approx(1.459 + 0.06));
  CHECK(narrow.atom14_dists_lower_bound(0, 0, 3) == doctest::Approx(1.55 + 1.52 - 1.0));
}
