// SPDX-License-Identifier: Apache-2.0
// Amino acid alphabets: the model's residue order, one and three letter names, the HHblits alphabet of alignments.
#pragma once

#include <array>
#include <string_view>

namespace fathom {

/// The 20 amino acids in the order of the model's `aatype` index (three letter codes sorted), then X (unknown).
inline constexpr std::string_view restype_letters = "ARNDCQEGHILKMFPSTWYVX";
/// Number of amino acids; also the index of X.
inline constexpr int restype_count = 20;
inline constexpr int restype_unknown = restype_count;
/// Amino acids and X: the number of rows of every per-residue-type table.
inline constexpr int restype_count_with_x = restype_count + 1;

/// Three letter names in the order of `restype_letters`.
inline constexpr std::array<std::string_view, restype_count_with_x> restype_names = {
    "ALA", "ARG", "ASN", "ASP", "CYS", "GLN", "GLU", "GLY", "HIS", "ILE", "LEU",
    "LYS", "MET", "PHE", "PRO", "SER", "THR", "TRP", "TYR", "VAL", "UNK"};

/// Residue index of an upper case letter; -1 when the letter is none of `restype_letters`.
constexpr int restype_index(char letter) {
  const auto at = restype_letters.find(letter);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

/// Residue index of a three letter name ("MET"); -1 when the name is neither one of the twenty nor UNK.
constexpr int restype_index(std::string_view name) {
  for (int i = 0; i < restype_count_with_x; ++i)
    if (restype_names[static_cast<std::size_t>(i)] == name) return i;
  return -1;
}

/// Letter of a residue index, 'X' for anything outside 0..19.
constexpr char restype_letter(int index) {
  return index >= 0 && index < restype_count ? restype_letters[static_cast<std::size_t>(index)] : 'X';
}

/// Three letter name of a residue index, "UNK" for anything outside 0..19.
constexpr std::string_view restype_name(int index) {
  return restype_names[static_cast<std::size_t>(index >= 0 && index < restype_count ? index : restype_unknown)];
}

/// Alphabet of alignment rows (HHblits): amino acids by letter, X, gap.
inline constexpr std::string_view hhblits_letters = "ACDEFGHIKLMNPQRSTVWYX-";

/// HHblits index of an upper case letter or '-': B counts as D, Z as E, U as C, J and O as X; -1 for anything else.
constexpr int hhblits_index(char letter) {
  switch (letter) {
    case 'B':
      letter = 'D';
      break;
    case 'Z':
      letter = 'E';
      break;
    case 'U':
      letter = 'C';
      break;
    case 'J':
    case 'O':
      letter = 'X';
      break;
    default:
      break;
  }
  const auto at = hhblits_letters.find(letter);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

/// HHblits index -> residue index; X stays 20, the gap becomes 21.
inline constexpr std::array<int, 22> hhblits_to_restype = [] {
  std::array<int, 22> map{};
  for (std::size_t i = 0; i < 21; ++i) map[i] = restype_index(hhblits_letters[i]);
  map[21] = 21;
  return map;
}();

}  // namespace fathom
