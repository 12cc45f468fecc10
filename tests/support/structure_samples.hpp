// SPDX-License-Identifier: Apache-2.0
// A made-up chain of all residue types, and comparisons of chains, for tests of structure files.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fathom/geometry/residue_constants.hpp>
#include <fathom/io/protein.hpp>

namespace fathom::test {

inline bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

inline index_t atoms_in(const io::protein& chain) {
  index_t atoms = 0;
  for (const double m : chain.mask.data) atoms += m > 0.5 ? 1 : 0;
  return atoms;
}

/// A complete chain of all residue types (all side chain atoms at made-up places) and a UNK.
inline io::protein made_up_chain() {
  const std::string letters = "ARNDCQEGHILKMFPSTWYVX";
  const auto& tables = residue_tables(unknown_residue::backbone);
  host_tensor<double> positions({21, 37, 3}), mask({21, 37});
  std::vector<double> plddt;
  for (index_t i = 0; i < 21; ++i) {
    plddt.push_back(4.5 * static_cast<double>(i));
    for (index_t a = 0; a < 37; ++a) {
      mask(i, a) = tables.restype_atom37_mask(i, a);
      for (index_t k = 0; k < 3; ++k)
        positions(i, a, k) = mask(i, a) * (static_cast<double>((7 * i + 3 * a + 11 * k) % 100) - 41.7);
    }
  }
  return io::make_protein(letters, positions, mask, plddt);
}

inline void check_same(const io::protein& a, const io::protein& b, double tolerance) {
  REQUIRE(a.size() == b.size());
  CHECK(a.aatype == b.aatype);
  CHECK(a.residue_number == b.residue_number);
  CHECK(a.insertion_code == b.insertion_code);
  CHECK(a.mask.data == b.mask.data);
  double worst = 0, worst_b = 0;
  for (index_t i = 0; i < a.size(); ++i)
    for (index_t c = 0; c < 37; ++c) {
      if (!a.has(i, static_cast<int>(c))) continue;
      for (index_t k = 0; k < 3; ++k) worst = std::max(worst, std::abs(a.positions(i, c, k) - b.positions(i, c, k)));
      worst_b = std::max(worst_b, std::abs(a.b_factor(i, c) - b.b_factor(i, c)));
    }
  CHECK(worst <= tolerance);
  CHECK(worst_b <= 0.00501);
}

}  // namespace fathom::test
