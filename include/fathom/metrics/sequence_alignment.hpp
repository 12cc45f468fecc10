// SPDX-License-Identifier: Apache-2.0
// The best alignment of two sequences with free ends, by BLOSUM62 and affine gaps.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <fathom/core/error.hpp>

namespace fathom::metrics {

/// Scores of amino acids in half bits (Henikoff and Henikoff 1992), columns in the order ARNDCQEGHILKMFPSTWYV; X and other
/// letters score -1.
inline int blosum62(char a, char b) {
  constexpr std::string_view letters = "ARNDCQEGHILKMFPSTWYV";
  // Lower triangle, row by row.
  constexpr std::array<signed char, 210> table = {
      4,                                                                     // A
      -1, 5,                                                                 // R
      -2, 0,  6,                                                             // N
      -2, -2, 1,  6,                                                         // D
      0,  -3, -3, -3, 9,                                                     // C
      -1, 1,  0,  0,  -3, 5,                                                 // Q
      -1, 0,  0,  2,  -4, 2,  5,                                             // E
      0,  -2, 0,  -1, -3, -2, -2, 6,                                         // G
      -2, 0,  1,  -1, -3, 0,  0,  -2, 8,                                     // H
      -1, -3, -3, -3, -1, -3, -3, -4, -3, 4,                                 // I
      -1, -2, -3, -4, -1, -2, -3, -4, -3, 2,  4,                             // L
      -1, 2,  0,  -1, -3, 1,  1,  -2, -1, -3, -2, 5,                         // K
      -1, -1, -2, -3, -1, 0,  -2, -3, -2, 1,  2,  -1, 5,                     // M
      -2, -3, -3, -3, -2, -3, -3, -3, -1, 0,  0,  -3, 0,  6,                 // F
      -1, -2, -2, -1, -3, -1, -1, -2, -2, -3, -3, -1, -2, -4, 7,             // P
      1,  -1, 1,  0,  -1, 0,  0,  0,  -1, -2, -2, 0,  -1, -2, -1, 4,         // S
      0,  -1, 0,  -1, -1, -1, -1, -2, -2, -1, -1, -1, -1, -2, -1, 1,  5,     // T
      -3, -3, -4, -4, -2, -2, -3, -2, -2, -3, -2, -3, -1, 1,  -4, -3, -2, 11,  // W
      -2, -2, -2, -3, -2, -1, -2, -3, 2,  -1, -1, -2, -1, 3,  -3, -2, -2, 2,  7,   // Y
      0,  -3, -3, -3, -1, -2, -2, -3, -3, 3,  1,  -2, 1,  -1, -2, -2, 0,  -3, -1, 4};  // V
  auto i = letters.find(a), j = letters.find(b);
  if (i == std::string_view::npos || j == std::string_view::npos) return -1;
  if (i < j) std::swap(i, j);
  return table[i * (i + 1) / 2 + j];
}

struct alignment_options {
  int open = 11, extend = 1;  ///< a gap of k residues costs open + (k - 1) extend; gaps at the ends are free
};

struct sequence_match {
  int score = 0;
  std::vector<long> partner;  ///< [first] place in the second sequence, -1 where there is none
  double identity = 0;        ///< of the aligned pairs
  double coverage = 0;        ///< aligned pairs over the first sequence's length
};

namespace detail {

/// Scores of pairs of letters, looked up by byte.
inline const std::array<std::array<signed char, 128>, 128>& blosum62_by_letter() {
  static const auto table = [] {
    std::array<std::array<signed char, 128>, 128> made{};
    for (std::size_t a = 0; a < 128; ++a)
      for (std::size_t b = 0; b < 128; ++b)
        made[a][b] = static_cast<signed char>(blosum62(static_cast<char>(a), static_cast<char>(b)));
    return made;
  }();
  return table;
}

/// Runs the recursion of Gotoh (1982); `keep(i, j, state)` hears where each of the three states came from.
template <class Keep>
int align_scores(std::string_view a, std::string_view b, const alignment_options& options, const Keep& keep,
                 std::size_t& end_a, std::size_t& end_b) {
  constexpr int never = -1000000;
  const auto& score = blosum62_by_letter();
  std::vector<int> match(b.size() + 1, 0), gap_a(b.size() + 1, never);  // gap_a: a residue of `a` without partner
  int best = never;
  end_a = a.size(), end_b = b.size();
  for (std::size_t i = 1; i <= a.size(); ++i) {
    int diagonal = match[0], gap_b = never;
    const auto& row = score[static_cast<unsigned char>(a[i - 1]) & 127];
    match[0] = 0;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool extends_a = gap_a[j] - options.extend > match[j] - options.open;
      gap_a[j] = extends_a ? gap_a[j] - options.extend : match[j] - options.open;
      const bool extends_b = gap_b - options.extend > match[j - 1] - options.open;
      gap_b = extends_b ? gap_b - options.extend : match[j - 1] - options.open;
      const int paired = diagonal + row[static_cast<unsigned char>(b[j - 1]) & 127];
      diagonal = match[j];
      const int from = paired >= gap_a[j] && paired >= gap_b ? 0 : gap_a[j] >= gap_b ? 1 : 2;
      match[j] = from == 0 ? paired : from == 1 ? gap_a[j] : gap_b;
      keep(i, j, static_cast<unsigned char>(from | (extends_a ? 4 : 0) | (extends_b ? 8 : 0)));
      if ((i == a.size() || j == b.size()) && match[j] > best) best = match[j], end_a = i, end_b = j;
    }
  }
  return best;
}

}  // namespace detail

/// The score alone.
inline int alignment_score(std::string_view a, std::string_view b, const alignment_options& options = {}) {
  std::size_t i = 0, j = 0;
  return detail::align_scores(a, b, options, [](std::size_t, std::size_t, unsigned char) {}, i, j);
}

/// The best alignment of two sequences with free ends.
inline sequence_match align_sequences(std::string_view a, std::string_view b, const alignment_options& options = {}) {
  sequence_match match;
  match.partner.assign(a.size(), -1);
  if (a.empty() || b.empty()) return match;
  std::vector<unsigned char> from((a.size() + 1) * (b.size() + 1));
  const auto at = [&](std::size_t i, std::size_t j) -> unsigned char& { return from[i * (b.size() + 1) + j]; };
  std::size_t i = 0, j = 0;
  match.score = detail::align_scores(
      a, b, options, [&](std::size_t k, std::size_t l, unsigned char state) { at(k, l) = state; }, i, j);
  double same = 0, pairs = 0;
  int state = 0;
  while (i > 0 && j > 0) {
    const unsigned char here = at(i, j);
    if (state == 0) state = here & 3;
    if (state == 0) {
      match.partner[i - 1] = static_cast<long>(j - 1);
      same += a[i - 1] == b[j - 1] ? 1 : 0;
      pairs += 1;
      --i, --j;
    } else if (state == 1) {
      state = (here & 4) != 0 ? 1 : 0;
      --i;
    } else {
      state = (here & 8) != 0 ? 2 : 0;
      --j;
    }
  }
  match.identity = pairs > 0 ? same / pairs : 0;
  match.coverage = pairs / static_cast<double>(a.size());
  return match;
}

}  // namespace fathom::metrics
