// SPDX-License-Identifier: Apache-2.0
// Stockholm alignments as Pfam, HMMER and jackhmmer write them, in one block or interleaved.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fathom/core/error.hpp>
#include <fathom/io/alignment_rows.hpp>
#include <fathom/io/text_file.hpp>

namespace fathom::io {

namespace detail {

/// Adds a piece of aligned sequence to a row; every gap character of the format becomes '-'.
inline void append_columns(raw_row& row, std::string_view piece, const std::string& source, std::size_t line) {
  for (const char c : piece) {
    const bool gap = c == '-' || c == '.' || c == '_' || c == '~';
    if (!gap && !is_letter(c))
      throw input_error(concat("'", source, "', line ", line, ": ", shown(c), " is no residue code (row '",
                               row.description, "', column ", row.text.size() + 1,
                               "); letters, '-', '.', '_' and '~' are expected"));
    row.text += gap ? '-' : c;
  }
}

}  // namespace detail

/// A Stockholm text; the query is its first row. Columns in which the query has a gap count as deletions. Markup (#=GF,
/// #=GC, #=GR) is left out, #=GS DE lines are added to the descriptions.
/// Throws input_error naming `source`, line and row: no header, no sequence, ragged rows, a character that is no
/// residue code, more than one alignment.
inline alignment parse_stockholm(std::string_view text, const std::string& source = "Stockholm text",
                                 const alignment_options& options = {}) {
  using namespace detail;
  std::vector<raw_row> rows;
  std::map<std::string, std::size_t, std::less<>> row_of;
  std::map<std::string, std::string, std::less<>> described;
  bool headed = false, ended = false;
  line_reader lines(text);
  while (lines.next()) {
    std::string_view line = trimmed(lines.line());
    if (line.empty()) continue;
    if (!headed) {
      if (line.substr(0, 11) != "# STOCKHOLM")
        throw input_error(concat("'", source, "', line ", lines.number(), ": '# STOCKHOLM 1.0' expected"));
      headed = true;
      continue;
    }
    if (ended)
      throw input_error(concat("'", source, "', line ", lines.number(),
                               ": text after the '//' that ends the alignment; one alignment per file is expected"));
    if (line == "//") {
      ended = true;
    } else if (line.substr(0, 4) == "#=GS") {
      take_word(line);
      const std::string_view name = take_word(line);
      if (take_word(line) == "DE") described[std::string(name)] += std::string(" ").append(line);
    } else if (line.front() != '#') {
      const std::string_view name = take_word(line);
      if (line.empty())
        throw input_error(concat("'", source, "', line ", lines.number(), ": row '", name, "' has no sequence"));
      const auto [at, is_new] = row_of.try_emplace(std::string(name), rows.size());
      if (is_new) rows.push_back({std::string(name), "", lines.number()});
      append_columns(rows[at->second], line, source, lines.number());
    }
  }
  if (rows.empty()) throw input_error(concat("'", source, "': the file is empty: no sequence in it"));
  check_same_length(
      rows, source, [](const raw_row& row) { return row.text.size(); }, "columns");
  for (auto& row : rows)
    if (const auto found = described.find(row.description); found != described.end()) row.description += found->second;
  return finished(from_columns(rows), options, source);
}

}  // namespace fathom::io
