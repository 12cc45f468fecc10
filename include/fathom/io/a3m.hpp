// SPDX-License-Identifier: Apache-2.0
// a3m alignments (and aligned FASTA, which is a3m without insertions): lower case letters are insertions.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fathom/core/error.hpp>
#include <fathom/io/alignment_rows.hpp>
#include <fathom/io/fasta.hpp>

namespace fathom::io {

namespace detail {

inline std::size_t match_columns(const raw_row& row) {
  return static_cast<std::size_t>(
      std::count_if(row.text.begin(), row.text.end(), [](char c) { return is_upper(c) || c == '-'; }));
}

/// Lower case letters become deletions in front of the next column, '.' is nothing. Where the query itself has '-',
/// the column goes and residues in it count as insertions, too.
inline alignment from_insertions(const std::vector<raw_row>& rows) {
  std::string query;
  for (const char c : rows.front().text)
    if (is_upper(c) || c == '-') query += c;
  alignment result;
  for (const auto& row : rows) {
    std::string aligned;
    std::vector<int> deletions;
    std::size_t column = 0;
    int pending = 0;
    for (const char c : row.text) {
      if (c == '.') continue;
      if (is_lower(c)) {
        ++pending;
        continue;
      }
      if (query[column++] == '-') {
        pending += c != '-' ? 1 : 0;
        continue;
      }
      aligned += c;
      deletions.push_back(pending);
      pending = 0;
    }
    result.descriptions.push_back(row.description);
    result.rows.push_back(std::move(aligned));
    result.deletions.push_back(std::move(deletions));
  }
  return result;
}

}  // namespace detail

/// An a3m or aligned FASTA text; a single FASTA record is an alignment of one row, whatever its case. Rows that are
/// equally long as they stand, but not as a3m, are aligned FASTA in which case has no meaning.
/// Throws input_error naming `source`, row and line: no sequence, ragged rows, a character that is no residue code.
inline alignment parse_a3m(std::string_view text, const std::string& source = "a3m text",
                           const alignment_options& options = {}) {
  using namespace detail;
  const auto rows = parse_fasta_rows(text, source);
  const auto same = [&rows](auto length) {
    return std::all_of(rows.begin(), rows.end(), [&](const raw_row& row) { return length(row) == length(rows[0]); });
  };
  const auto columns = [](const raw_row& row) { return row.text.size(); };
  const auto& query = rows.front().text;
  const bool query_inserts = std::any_of(query.begin(), query.end(), is_lower);
  if (same(columns) && (query_inserts || !same(match_columns))) return finished(from_columns(rows), options, source);
  if (query_inserts)
    throw input_error(
        concat("'", source, "': the query, ", row_label(rows[0], 0),
               ", has lower case letters, which mark insertions against the query; write it in upper case"));
  check_same_length(rows, source, match_columns, "aligned columns (upper case letters and '-')");
  return finished(from_insertions(rows), options, source);
}

}  // namespace fathom::io
