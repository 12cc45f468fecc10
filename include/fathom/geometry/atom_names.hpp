// SPDX-License-Identifier: Apache-2.0
// Heavy atom names in the two layouts of AlphaFold2: 37 columns for any residue, 14 columns by residue type.
#pragma once

#include <array>
#include <string_view>

#include <fathom/geometry/residue_types.hpp>

namespace fathom {

inline constexpr int atom37_count = 37;
inline constexpr int atom14_count = 14;

/// Column names of the atom37 layout; a column means the same atom in every residue.
inline constexpr std::array<std::string_view, atom37_count> atom37_names = {
    "N",   "CA",  "C",   "CB",  "O",   "CG", "CG1", "CG2", "OG",  "OG1", "SG", "CD",  "CD1",
    "CD2", "ND1", "ND2", "OD1", "OD2", "SD", "CE",  "CE1", "CE2", "CE3", "NE", "NE1", "NE2",
    "OE1", "OE2", "CH2", "NH1", "NH2", "OH", "CZ",  "CZ2", "CZ3", "NZ",  "OXT"};

/// Side chain atoms beyond N CA C O, one row per residue type, in the order of columns 4.. of the atom14 layout.
inline constexpr std::array<std::array<std::string_view, 10>, restype_count_with_x> side_chain_atom_names = {{
    {"CB"},                                                                // ALA
    {"CB", "CG", "CD", "NE", "CZ", "NH1", "NH2"},                          // ARG
    {"CB", "CG", "OD1", "ND2"},                                            // ASN
    {"CB", "CG", "OD1", "OD2"},                                            // ASP
    {"CB", "SG"},                                                          // CYS
    {"CB", "CG", "CD", "OE1", "NE2"},                                      // GLN
    {"CB", "CG", "CD", "OE1", "OE2"},                                      // GLU
    {},                                                                    // GLY
    {"CB", "CG", "ND1", "CD2", "CE1", "NE2"},                              // HIS
    {"CB", "CG1", "CG2", "CD1"},                                           // ILE
    {"CB", "CG", "CD1", "CD2"},                                            // LEU
    {"CB", "CG", "CD", "CE", "NZ"},                                        // LYS
    {"CB", "CG", "SD", "CE"},                                              // MET
    {"CB", "CG", "CD1", "CD2", "CE1", "CE2", "CZ"},                        // PHE
    {"CB", "CG", "CD"},                                                    // PRO
    {"CB", "OG"},                                                          // SER
    {"CB", "OG1", "CG2"},                                                  // THR
    {"CB", "CG", "CD1", "CD2", "NE1", "CE2", "CE3", "CZ2", "CZ3", "CH2"},  // TRP
    {"CB", "CG", "CD1", "CD2", "CE1", "CE2", "CZ", "OH"},                  // TYR
    {"CB", "CG1", "CG2"},                                                  // VAL
    {},                                                                    // UNK
}};

/// Name of column `column` of the atom14 layout for a residue index, "" where the residue has no such column.
/// An unknown residue is listed with its backbone N CA C O.
constexpr std::string_view atom14_name(int restype, int column) {
  constexpr std::array<std::string_view, 4> backbone = {"N", "CA", "C", "O"};
  if (column < 4) return backbone[static_cast<std::size_t>(column)];
  return side_chain_atom_names[static_cast<std::size_t>(restype)][static_cast<std::size_t>(column - 4)];
}

/// Column of an atom name in the atom37 layout, -1 when it has none.
constexpr int atom37_index(std::string_view name) {
  for (int i = 0; i < atom37_count; ++i)
    if (atom37_names[static_cast<std::size_t>(i)] == name) return i;
  return -1;
}

/// Column of an atom name in the atom14 layout of a residue index, -1 when the residue lacks the atom.
constexpr int atom14_index(int restype, std::string_view name) {
  if (name.empty()) return -1;
  for (int i = 0; i < atom14_count; ++i)
    if (atom14_name(restype, i) == name) return i;
  return -1;
}

/// Chemical element of an atom37 column: 'N', 'C', 'O' or 'S' (the first letter of every name here).
constexpr char atom37_element(int column) { return atom37_names[static_cast<std::size_t>(column)].front(); }

/// Van der Waals radius in Angstrom of an element letter.
constexpr double van_der_waals_radius(char element) {
  switch (element) {
    case 'C':
      return 1.7;
    case 'N':
      return 1.55;
    case 'O':
      return 1.52;
    case 'S':
      return 1.8;
    default:
      return 0.0;
  }
}

/// Two atoms of one residue type that chemistry cannot tell apart, so that either may carry either name
/// (AF2 Suppl. Table 3).
struct ambiguous_pair {
  char residue;
  std::string_view first, second;
};
inline constexpr std::array<ambiguous_pair, 6> ambiguous_pairs = {{{'D', "OD1", "OD2"},
                                                                   {'E', "OE1", "OE2"},
                                                                   {'F', "CD1", "CD2"},
                                                                   {'F', "CE1", "CE2"},
                                                                   {'Y', "CD1", "CD2"},
                                                                   {'Y', "CE1", "CE2"}}};

}  // namespace fathom
