// SPDX-License-Identifier: Apache-2.0
// Bond lengths and angles within residues and across the peptide bond (Engh and Huber, 1991/2001; the selection is that
// of AlphaFold2's stereo_chemical_props, Apache-2.0).
#pragma once

namespace fathom {

/// Length in Angstrom of a covalent bond. Residue '*' means every amino acid that has no row of its own for the bond.
struct bond_length {
  char residue;
  const char *first, *second;
  double mean, stddev;
};

/// Angle first-vertex-third in degrees. Residue '*' as in `bond_length`.
struct bond_angle {
  char residue;
  const char *first, *vertex, *third;
  double mean, stddev;
};

// clang-format off
inline constexpr bond_length bond_lengths[] = {
    {'*', "C", "O", 1.229, 0.019}, {'*', "CA", "C", 1.525, 0.026}, {'*', "N", "CA", 1.459, 0.020},
    {'A', "CA", "CB", 1.520, 0.021},
    {'R', "CA", "CB", 1.535, 0.022}, {'R', "CB", "CG", 1.521, 0.027}, {'R', "CG", "CD", 1.515, 0.025},
    {'R', "CD", "NE", 1.460, 0.017}, {'R', "NE", "CZ", 1.326, 0.013}, {'R', "CZ", "NH1", 1.326, 0.013},
    {'R', "CZ", "NH2", 1.326, 0.013},
    {'N', "CA", "CB", 1.527, 0.026}, {'N', "CB", "CG", 1.506, 0.023}, {'N', "CG", "OD1", 1.235, 0.022},
    {'N', "CG", "ND2", 1.324, 0.025},
    {'D', "CA", "CB", 1.535, 0.022}, {'D', "CB", "CG", 1.513, 0.021}, {'D', "CG", "OD1", 1.249, 0.023},
    {'D', "CG", "OD2", 1.249, 0.023},
    {'C', "CA", "CB", 1.526, 0.013}, {'C', "CB", "SG", 1.812, 0.016},
    {'Q', "CA", "CB", 1.535, 0.022}, {'Q', "CB", "CG", 1.521, 0.027}, {'Q', "CG", "CD", 1.506, 0.023},
    {'Q', "CD", "OE1", 1.235, 0.022}, {'Q', "CD", "NE2", 1.324, 0.025},
    {'E', "CA", "CB", 1.535, 0.022}, {'E', "CB", "CG", 1.517, 0.019}, {'E', "CG", "CD", 1.515, 0.015},
    {'E', "CD", "OE1", 1.252, 0.011}, {'E', "CD", "OE2", 1.252, 0.011},
    {'G', "N", "CA", 1.456, 0.015}, {'G', "CA", "C", 1.514, 0.016}, {'G', "C", "O", 1.232, 0.016},
    {'H', "CA", "CB", 1.535, 0.022}, {'H', "CB", "CG", 1.492, 0.016}, {'H', "CG", "ND1", 1.369, 0.015},
    {'H', "CG", "CD2", 1.353, 0.017}, {'H', "ND1", "CE1", 1.343, 0.025}, {'H', "CD2", "NE2", 1.415, 0.021},
    {'H', "CE1", "NE2", 1.322, 0.023},
    {'I', "CA", "CB", 1.544, 0.023}, {'I', "CB", "CG1", 1.536, 0.028}, {'I', "CB", "CG2", 1.524, 0.031},
    {'I', "CG1", "CD1", 1.500, 0.069},
    {'L', "CA", "CB", 1.533, 0.023}, {'L', "CB", "CG", 1.521, 0.029}, {'L', "CG", "CD1", 1.514, 0.037},
    {'L', "CG", "CD2", 1.514, 0.037},
    {'K', "CA", "CB", 1.535, 0.022}, {'K', "CB", "CG", 1.521, 0.027}, {'K', "CG", "CD", 1.520, 0.034},
    {'K', "CD", "CE", 1.508, 0.025}, {'K', "CE", "NZ", 1.486, 0.025},
    {'M', "CA", "CB", 1.535, 0.022}, {'M', "CB", "CG", 1.509, 0.032}, {'M', "CG", "SD", 1.807, 0.026},
    {'M', "SD", "CE", 1.774, 0.056},
    {'F', "CA", "CB", 1.535, 0.022}, {'F', "CB", "CG", 1.509, 0.017}, {'F', "CG", "CD1", 1.383, 0.015},
    {'F', "CG", "CD2", 1.383, 0.015}, {'F', "CD1", "CE1", 1.388, 0.020}, {'F', "CD2", "CE2", 1.388, 0.020},
    {'F', "CE1", "CZ", 1.369, 0.019}, {'F', "CE2", "CZ", 1.369, 0.019},
    {'P', "CA", "CB", 1.531, 0.020}, {'P', "CB", "CG", 1.495, 0.050}, {'P', "CG", "CD", 1.502, 0.033},
    {'P', "CD", "N", 1.474, 0.014}, {'P', "N", "CA", 1.468, 0.017}, {'P', "CA", "C", 1.524, 0.020},
    {'P', "C", "O", 1.228, 0.020},
    {'S', "CA", "CB", 1.525, 0.015}, {'S', "CB", "OG", 1.418, 0.013},
    {'T', "CA", "CB", 1.529, 0.026}, {'T', "CB", "OG1", 1.428, 0.020}, {'T', "CB", "CG2", 1.519, 0.033},
    {'W', "CA", "CB", 1.535, 0.022}, {'W', "CB", "CG", 1.498, 0.018}, {'W', "CG", "CD1", 1.363, 0.014},
    {'W', "CG", "CD2", 1.432, 0.017}, {'W', "CD1", "NE1", 1.375, 0.017}, {'W', "NE1", "CE2", 1.371, 0.013},
    {'W', "CD2", "CE2", 1.409, 0.012}, {'W', "CD2", "CE3", 1.399, 0.015}, {'W', "CE2", "CZ2", 1.393, 0.017},
    {'W', "CE3", "CZ3", 1.380, 0.017}, {'W', "CZ2", "CH2", 1.369, 0.019}, {'W', "CZ3", "CH2", 1.396, 0.016},
    {'Y', "CA", "CB", 1.535, 0.022}, {'Y', "CB", "CG", 1.512, 0.015}, {'Y', "CG", "CD1", 1.387, 0.013},
    {'Y', "CG", "CD2", 1.387, 0.013}, {'Y', "CD1", "CE1", 1.389, 0.015}, {'Y', "CD2", "CE2", 1.389, 0.015},
    {'Y', "CE1", "CZ", 1.381, 0.013}, {'Y', "CE2", "CZ", 1.381, 0.013}, {'Y', "CZ", "OH", 1.374, 0.017},
    {'V', "CA", "CB", 1.543, 0.021}, {'V', "CB", "CG1", 1.524, 0.021}, {'V', "CB", "CG2", 1.524, 0.021},
};

inline constexpr bond_angle bond_angles[] = {
    {'*', "CA", "C", "O", 120.1, 2.1}, {'*', "N", "CA", "C", 111.0, 2.7},
    {'A', "N", "CA", "CB", 110.1, 1.4}, {'A', "CB", "CA", "C", 110.1, 1.5},
    {'R', "N", "CA", "CB", 110.6, 1.8}, {'R', "CB", "CA", "C", 110.4, 2.0}, {'R', "CA", "CB", "CG", 113.4, 2.2},
    {'R', "CB", "CG", "CD", 111.6, 2.6}, {'R', "CG", "CD", "NE", 111.8, 2.1}, {'R', "CD", "NE", "CZ", 123.6, 1.4},
    {'R', "NE", "CZ", "NH1", 120.3, 0.5}, {'R', "NE", "CZ", "NH2", 120.3, 0.5}, {'R', "NH1", "CZ", "NH2", 119.4, 1.1},
    {'N', "N", "CA", "CB", 110.6, 1.8}, {'N', "CB", "CA", "C", 110.4, 2.0}, {'N', "CA", "CB", "CG", 113.4, 2.2},
    {'N', "CB", "CG", "ND2", 116.7, 2.4}, {'N', "CB", "CG", "OD1", 121.6, 2.0}, {'N', "ND2", "CG", "OD1", 121.9, 2.3},
    {'D', "N", "CA", "CB", 110.6, 1.8}, {'D', "CB", "CA", "C", 110.4, 2.0}, {'D', "CA", "CB", "CG", 113.4, 2.2},
    {'D', "CB", "CG", "OD1", 118.3, 0.9}, {'D', "CB", "CG", "OD2", 118.3, 0.9}, {'D', "OD1", "CG", "OD2", 123.3, 1.9},
    {'C', "N", "CA", "CB", 110.8, 1.5}, {'C', "CB", "CA", "C", 111.5, 1.2}, {'C', "CA", "CB", "SG", 114.2, 1.1},
    {'Q', "N", "CA", "CB", 110.6, 1.8}, {'Q', "CB", "CA", "C", 110.4, 2.0}, {'Q', "CA", "CB", "CG", 113.4, 2.2},
    {'Q', "CB", "CG", "CD", 111.6, 2.6}, {'Q', "CG", "CD", "OE1", 121.6, 2.0}, {'Q', "CG", "CD", "NE2", 116.7, 2.4},
    {'Q', "OE1", "CD", "NE2", 121.9, 2.3},
    {'E', "N", "CA", "CB", 110.6, 1.8}, {'E', "CB", "CA", "C", 110.4, 2.0}, {'E', "CA", "CB", "CG", 113.4, 2.2},
    {'E', "CB", "CG", "CD", 114.2, 2.7}, {'E', "CG", "CD", "OE1", 118.3, 2.0}, {'E', "CG", "CD", "OE2", 118.3, 2.0},
    {'E', "OE1", "CD", "OE2", 123.3, 1.2},
    {'G', "N", "CA", "C", 113.1, 2.5}, {'G', "CA", "C", "O", 120.6, 1.8},
    {'H', "N", "CA", "CB", 110.6, 1.8}, {'H', "CB", "CA", "C", 110.4, 2.0}, {'H', "CA", "CB", "CG", 113.6, 1.7},
    {'H', "CB", "CG", "ND1", 123.2, 2.5}, {'H', "CB", "CG", "CD2", 130.8, 3.1}, {'H', "CG", "ND1", "CE1", 108.2, 1.4},
    {'H', "ND1", "CE1", "NE2", 109.9, 2.2}, {'H', "CE1", "NE2", "CD2", 106.6, 2.5},
    {'H', "NE2", "CD2", "CG", 109.2, 1.9}, {'H', "CD2", "CG", "ND1", 106.0, 1.4},
    {'I', "N", "CA", "CB", 110.8, 2.3}, {'I', "CB", "CA", "C", 111.6, 2.0}, {'I', "CA", "CB", "CG1", 111.0, 1.9},
    {'I', "CB", "CG1", "CD1", 113.9, 2.8}, {'I', "CA", "CB", "CG2", 110.9, 2.0}, {'I', "CG1", "CB", "CG2", 111.4, 2.2},
    {'L', "N", "CA", "CB", 110.4, 2.0}, {'L', "CB", "CA", "C", 110.2, 1.9}, {'L', "CA", "CB", "CG", 115.3, 2.3},
    {'L', "CB", "CG", "CD1", 111.0, 1.7}, {'L', "CB", "CG", "CD2", 111.0, 1.7}, {'L', "CD1", "CG", "CD2", 110.5, 3.0},
    {'K', "N", "CA", "CB", 110.6, 1.8}, {'K', "CB", "CA", "C", 110.4, 2.0}, {'K', "CA", "CB", "CG", 113.4, 2.2},
    {'K', "CB", "CG", "CD", 111.6, 2.6}, {'K', "CG", "CD", "CE", 111.9, 3.0}, {'K', "CD", "CE", "NZ", 111.7, 2.3},
    {'M', "N", "CA", "CB", 110.6, 1.8}, {'M', "CB", "CA", "C", 110.4, 2.0}, {'M', "CA", "CB", "CG", 113.3, 1.7},
    {'M', "CB", "CG", "SD", 112.4, 3.0}, {'M', "CG", "SD", "CE", 100.2, 1.6},
    {'F', "N", "CA", "CB", 110.6, 1.8}, {'F', "CB", "CA", "C", 110.4, 2.0}, {'F', "CA", "CB", "CG", 113.9, 2.4},
    {'F', "CB", "CG", "CD1", 120.8, 0.7}, {'F', "CB", "CG", "CD2", 120.8, 0.7}, {'F', "CD1", "CG", "CD2", 118.3, 1.3},
    {'F', "CG", "CD1", "CE1", 120.8, 1.1}, {'F', "CG", "CD2", "CE2", 120.8, 1.1},
    {'F', "CD1", "CE1", "CZ", 120.1, 1.2}, {'F', "CD2", "CE2", "CZ", 120.1, 1.2},
    {'F', "CE1", "CZ", "CE2", 120.0, 1.8},
    {'P', "N", "CA", "CB", 103.3, 1.2}, {'P', "CB", "CA", "C", 111.7, 2.1}, {'P', "CA", "CB", "CG", 104.8, 1.9},
    {'P', "CB", "CG", "CD", 106.5, 3.9}, {'P', "CG", "CD", "N", 103.2, 1.5}, {'P', "CA", "N", "CD", 111.7, 1.4},
    {'P', "N", "CA", "C", 112.1, 2.6}, {'P', "CA", "C", "O", 120.2, 2.4},
    {'S', "N", "CA", "CB", 110.5, 1.5}, {'S', "CB", "CA", "C", 110.1, 1.9}, {'S', "CA", "CB", "OG", 111.2, 2.7},
    {'T', "N", "CA", "CB", 110.3, 1.9}, {'T', "CB", "CA", "C", 111.6, 2.7}, {'T', "CA", "CB", "OG1", 109.0, 2.1},
    {'T', "CA", "CB", "CG2", 112.4, 1.4}, {'T', "OG1", "CB", "CG2", 110.0, 2.3},
    {'W', "N", "CA", "CB", 110.6, 1.8}, {'W', "CB", "CA", "C", 110.4, 2.0}, {'W', "CA", "CB", "CG", 113.7, 1.9},
    {'W', "CB", "CG", "CD1", 127.0, 1.3}, {'W', "CB", "CG", "CD2", 126.6, 1.3}, {'W', "CD1", "CG", "CD2", 106.3, 0.8},
    {'W', "CG", "CD1", "NE1", 110.1, 1.0}, {'W', "CD1", "NE1", "CE2", 109.0, 0.9},
    {'W', "NE1", "CE2", "CD2", 107.3, 1.0}, {'W', "CE2", "CD2", "CG", 107.3, 0.8},
    {'W', "CG", "CD2", "CE3", 133.9, 0.9}, {'W', "NE1", "CE2", "CZ2", 130.4, 1.1},
    {'W', "CE3", "CD2", "CE2", 118.7, 1.2}, {'W', "CD2", "CE2", "CZ2", 122.3, 1.2},
    {'W', "CE2", "CZ2", "CH2", 117.4, 1.0}, {'W', "CZ2", "CH2", "CZ3", 121.6, 1.2},
    {'W', "CH2", "CZ3", "CE3", 121.2, 1.1}, {'W', "CZ3", "CE3", "CD2", 118.8, 1.3},
    {'Y', "N", "CA", "CB", 110.6, 1.8}, {'Y', "CB", "CA", "C", 110.4, 2.0}, {'Y', "CA", "CB", "CG", 113.4, 1.9},
    {'Y', "CB", "CG", "CD1", 121.0, 0.6}, {'Y', "CB", "CG", "CD2", 121.0, 0.6}, {'Y', "CD1", "CG", "CD2", 117.9, 1.1},
    {'Y', "CG", "CD1", "CE1", 121.3, 0.8}, {'Y', "CG", "CD2", "CE2", 121.3, 0.8},
    {'Y', "CD1", "CE1", "CZ", 119.8, 0.9}, {'Y', "CD2", "CE2", "CZ", 119.8, 0.9},
    {'Y', "CE1", "CZ", "CE2", 119.8, 1.6}, {'Y', "CE1", "CZ", "OH", 120.1, 2.7}, {'Y', "CE2", "CZ", "OH", 120.1, 2.7},
    {'V', "N", "CA", "CB", 111.5, 2.2}, {'V', "CB", "CA", "C", 111.4, 1.9}, {'V', "CA", "CB", "CG1", 110.9, 1.5},
    {'V', "CA", "CB", "CG2", 110.9, 1.5}, {'V', "CG1", "CB", "CG2", 110.9, 1.6},
};
// clang-format on

/// Distance of consecutive CA atoms across a trans peptide bond.
inline constexpr double ca_ca_distance = 3.80209737096;
/// C-N bond between residues: [0] in general, [1] when the next residue is proline.
inline constexpr double peptide_bond_length[2] = {1.329, 1.341};
inline constexpr double peptide_bond_length_stddev[2] = {0.014, 0.016};
/// Cosines of the angles at the peptide bond: {mean, standard deviation}.
inline constexpr double peptide_cos_angle_c_n_ca[2] = {-0.5203, 0.0353};
inline constexpr double peptide_cos_angle_ca_c_n[2] = {-0.4473, 0.0311};

namespace detail {
constexpr bool same_text(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) ++a, ++b;
  return *a == *b;
}
constexpr bool same_atoms(const bond_length& a, const bond_length& b) {
  return same_text(a.first, b.first) && same_text(a.second, b.second);
}
constexpr bool same_atoms(const bond_angle& a, const bond_angle& b) {
  return same_text(a.first, b.first) && same_text(a.vertex, b.vertex) && same_text(a.third, b.third);
}
template <class Row, int N, class Function>
constexpr void for_each_row(const Row (&rows)[N], char residue, Function&& f) {
  if (residue == 'X') return;
  for (const Row& row : rows) {
    if (row.residue == residue) f(row);
    if (row.residue != '*') continue;
    bool overridden = false;
    for (const Row& other : rows) overridden = overridden || (other.residue == residue && same_atoms(other, row));
    if (!overridden) f(row);
  }
}
}  // namespace detail

/// Calls f(bond_length) for every bond within a residue of the given letter; X has none.
template <class Function>
constexpr void for_each_bond(char residue, Function&& f) {
  detail::for_each_row(bond_lengths, residue, f);
}
/// Calls f(bond_angle) for every bond angle within a residue of the given letter; X has none.
template <class Function>
constexpr void for_each_angle(char residue, Function&& f) {
  detail::for_each_row(bond_angles, residue, f);
}

}  // namespace fathom
