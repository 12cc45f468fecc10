// SPDX-License-Identifier: Apache-2.0
// Side chain torsions chi1..chi4: the four atoms of each, how many a residue has, which have period pi.
#pragma once

#include <array>
#include <string_view>

#include <fathom/geometry/residue_types.hpp>

namespace fathom {

inline constexpr int chi_count = 4;

/// Atoms along the side chain axis from CB on. chi_k is the torsion of four consecutive members of N, CA, axis...;
/// arginine's chi5 is 0 +- 5 degrees and is left out. Rows in the order of `restype_letters`.
inline constexpr std::array<std::array<std::string_view, 5>, restype_count_with_x> chi_axis_atoms = {{
    {},                              // ALA
    {"CB", "CG", "CD", "NE", "CZ"},  // ARG
    {"CB", "CG", "OD1"},             // ASN
    {"CB", "CG", "OD1"},             // ASP
    {"CB", "SG"},                    // CYS
    {"CB", "CG", "CD", "OE1"},       // GLN
    {"CB", "CG", "CD", "OE1"},       // GLU
    {},                              // GLY
    {"CB", "CG", "ND1"},             // HIS
    {"CB", "CG1", "CD1"},            // ILE
    {"CB", "CG", "CD1"},             // LEU
    {"CB", "CG", "CD", "CE", "NZ"},  // LYS
    {"CB", "CG", "SD", "CE"},        // MET
    {"CB", "CG", "CD1"},             // PHE
    {"CB", "CG", "CD"},              // PRO
    {"CB", "OG"},                    // SER
    {"CB", "OG1"},                   // THR
    {"CB", "CG", "CD1"},             // TRP
    {"CB", "CG", "CD1"},             // TYR
    {"CB", "CG1"},                   // VAL
    {},                              // UNK
}};

/// Number of chi angles of a residue index, 0..4.
constexpr int chi_angle_count(int restype) {
  int named = 0;
  for (const auto& name : chi_axis_atoms[static_cast<std::size_t>(restype)]) named += name.empty() ? 0 : 1;
  return named == 0 ? 0 : named - 1;
}

/// Name of atom `atom` (0..3) of torsion chi_{chi+1}; the torsion must exist.
constexpr std::string_view chi_atom_name(int restype, int chi, int atom) {
  const int at = chi + atom;
  if (at == 0) return "N";
  if (at == 1) return "CA";
  return chi_axis_atoms[static_cast<std::size_t>(restype)][static_cast<std::size_t>(at - 2)];
}

/// True when turning chi_{chi+1} by pi gives the same molecule: chi2 of Asp, Phe, Tyr and chi3 of Glu.
constexpr bool chi_is_pi_periodic(int restype, int chi) {
  const char letter = restype_letter(restype);
  return (chi == 1 && (letter == 'D' || letter == 'F' || letter == 'Y')) || (chi == 2 && letter == 'E');
}

}  // namespace fathom
