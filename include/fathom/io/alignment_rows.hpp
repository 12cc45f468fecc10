// SPDX-License-Identifier: Apache-2.0
// A multiple sequence alignment seen from its query, and how the rows of any file format become one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>

namespace fathom::io {

/// Rows aligned to the query (row 0), which has no gaps. For s in [0, size()), i in [0, length()):
/// rows[s][i] is an upper case letter or '-'; deletions[s][i] counts the residues of row s that stand between the
/// query's residues i-1 and i (AF2 Suppl. 1.2.9; those after the last residue of the query are not counted).
struct alignment {
  std::vector<std::string> descriptions;
  std::vector<std::string> rows;
  std::vector<std::vector<int>> deletions;

  const std::string& query() const { return rows.at(0); }
  index_t size() const { return static_cast<index_t>(rows.size()); }
  index_t length() const { return rows.empty() ? 0 : static_cast<index_t>(rows.front().size()); }
};

/// How alignments are read.
struct alignment_options {
  bool drop_duplicates = true;  ///< keep the first of rows that are equal once their insertions are taken out
};

namespace detail {

using fathom::detail::concat;

/// A row as its file holds it: letters of either case, '-' and '.'.
struct raw_row {
  std::string description;
  std::string text;
  std::size_t line = 0;  ///< where it begins in the file, counted from 1
};

inline bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
inline bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
inline bool is_letter(char c) { return is_upper(c) || is_lower(c); }
inline char to_upper(char c) { return is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c; }

/// 'x' or a hexadecimal code for what a terminal would not show.
inline std::string shown(char c) {
  if (c >= ' ' && c <= '~') return std::string("'") + c + "'";
  char text[8];
  std::snprintf(text, sizeof(text), "0x%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
  return text;
}

inline std::string first_word(const std::string& description) {
  return description.substr(0, std::min(description.find_first_of(" \t"), description.size()));
}

/// "row 3 'UniRef90_X' (line 7)"
inline std::string row_label(const raw_row& row, std::size_t index) {
  return concat("row ", index + 1, " '", first_word(row.description), "' (line ", row.line, ")");
}

/// Throws input_error when some row is not as long as the query; `length` measures a row.
template <class Length>
void check_same_length(const std::vector<raw_row>& rows, const std::string& source, Length length, const char* unit) {
  const std::size_t expected = length(rows.front());
  for (std::size_t s = 1; s < rows.size(); ++s)
    if (length(rows[s]) != expected)
      throw input_error(concat("'", source, "': the rows are ragged: ", row_label(rows[s], s), " has ", length(rows[s]),
                               " ", unit, ", expected ", expected, " as in the query"));
}

/// From rows that are all equally long, one character a column: the columns in which the query has a residue stay,
/// residues elsewhere become deletions. Case carries no meaning here.
inline alignment from_columns(const std::vector<raw_row>& rows) {
  alignment result;
  const std::string& query = rows.front().text;
  for (const auto& row : rows) {
    std::string aligned;
    std::vector<int> deletions;
    int pending = 0;
    for (std::size_t column = 0; column < query.size(); ++column) {
      const bool residue = is_letter(row.text[column]);
      if (is_letter(query[column])) {
        aligned += residue ? to_upper(row.text[column]) : '-';
        deletions.push_back(pending);
        pending = 0;
      } else if (residue) {
        ++pending;
      }
    }
    result.descriptions.push_back(row.description);
    result.rows.push_back(std::move(aligned));
    result.deletions.push_back(std::move(deletions));
  }
  return result;
}

/// Last steps common to all formats: refuses an empty query, drops repeated rows.
inline alignment finished(alignment rows, const alignment_options& options, const std::string& source) {
  if (rows.rows.empty() || rows.query().empty())
    throw input_error(concat("'", source, "': the alignment is empty: the query has no residue"));
  if (!options.drop_duplicates) return rows;
  alignment kept;
  std::unordered_set<std::string_view> seen;
  for (std::size_t s = 0; s < rows.rows.size(); ++s) {
    if (!seen.insert(rows.rows[s]).second) continue;
    kept.descriptions.push_back(rows.descriptions[s]);
    kept.rows.push_back(rows.rows[s]);
    kept.deletions.push_back(std::move(rows.deletions[s]));
  }
  return kept;
}

}  // namespace detail

}  // namespace fathom::io
