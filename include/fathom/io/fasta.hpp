// SPDX-License-Identifier: Apache-2.0
// FASTA records: '>' lines and the sequence lines below them, as they stand in the file.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fathom/core/error.hpp>
#include <fathom/io/alignment_rows.hpp>
#include <fathom/io/text_file.hpp>

namespace fathom::io {

namespace detail {

/// Rows that hh-suite puts among the sequences: predicted or known secondary structure, solvent access, confidence.
inline bool is_annotation_row(std::string_view description) {
  for (const std::string_view name :
       {"ss_pred", "ss_conf", "ss_dssp", "sa_pred", "sa_conf", "sa_dssp", "aa_pred", "aa_conf", "aa_dssp"}) {
    if (description.substr(0, name.size()) != name) continue;
    if (description.size() == name.size()) return true;
    const char next = description[name.size()];
    if (!is_letter(next) && !(next >= '0' && next <= '9')) return true;
  }
  return false;
}

/// Records of a FASTA or a3m text. Blank lines and lines that begin with ';' or '#' are comments; hh-suite's annotation
/// rows are left out. Throws input_error naming line and record for a character that is no residue code or gap.
inline std::vector<raw_row> parse_fasta_rows(std::string_view text, const std::string& source) {
  std::vector<raw_row> rows;
  bool in_annotation = false, started = false;
  line_reader lines(text);
  while (lines.next()) {
    const std::string_view line = lines.line();
    if (trimmed(line).empty() || line.front() == ';' || line.front() == '#') continue;
    if (line.front() == '>') {
      started = true;
      const std::string_view description = trimmed(line.substr(1));
      in_annotation = is_annotation_row(description);
      if (!in_annotation) rows.push_back({std::string(description), "", lines.number()});
      continue;
    }
    if (!started)
      throw input_error(concat("'", source, "', line ", lines.number(), ": a '>' line expected before any sequence"));
    if (in_annotation) continue;
    auto& row = rows.back();
    for (std::size_t column = 0; column < line.size(); ++column) {
      const char c = line[column];
      if (is_blank(c)) continue;
      if (!is_letter(c) && c != '-' && c != '.')
        throw input_error(concat("'", source, "', line ", lines.number(), ", column ", column + 1, ": ", shown(c),
                                 " is no residue code (", row_label(row, rows.size() - 1), ", position ",
                                 row.text.size() + 1, "); letters, '-' and '.' are expected"));
      row.text += c;
    }
  }
  if (rows.empty()) throw input_error(concat("'", source, "': the file is empty: no sequence in it"));
  return rows;
}

}  // namespace detail

/// One sequence and its name.
struct sequence {
  std::string description;
  std::string residues;  ///< upper case letters, no gaps
};

/// The sequences of a FASTA text, each on its own: gaps are taken out, letters made upper case. Throws input_error for
/// a record without residues.
inline std::vector<sequence> parse_fasta(std::string_view text, const std::string& source = "fasta text") {
  std::vector<sequence> result;
  for (const auto& row : detail::parse_fasta_rows(text, source)) {
    std::string residues;
    for (const char c : row.text)
      if (detail::is_letter(c)) residues += detail::to_upper(c);
    if (residues.empty())
      throw input_error(detail::concat("'", source, "': ", detail::row_label(row, result.size()), " has no residue"));
    result.push_back({row.description, std::move(residues)});
  }
  return result;
}

/// The sequences of a FASTA file (gzip too).
inline std::vector<sequence> read_fasta(const std::filesystem::path& path) {
  return parse_fasta(read_text(path), path.string());
}

}  // namespace fathom::io
