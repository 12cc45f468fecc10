// SPDX-License-Identifier: Apache-2.0
// Reads a multiple sequence alignment: a3m, FASTA or Stockholm, plain or gzip, told apart by content.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include <fathom/core/error.hpp>
#include <fathom/io/a3m.hpp>
#include <fathom/io/alignment_rows.hpp>
#include <fathom/io/stockholm.hpp>
#include <fathom/io/text_file.hpp>

namespace fathom::io {

/// The alignment in `text`; `source` names it in messages. Throws input_error, see parse_a3m and parse_stockholm.
inline alignment parse_alignment(std::string_view text, const std::string& source,
                                 const alignment_options& options = {}) {
  line_reader lines(text);
  while (lines.next()) {
    const std::string_view line = detail::trimmed(lines.line());
    if (line.empty()) continue;
    if (line.substr(0, 11) == "# STOCKHOLM") return parse_stockholm(text, source, options);
    if (line.front() == '>') return parse_a3m(text, source, options);
    if (line.front() == ';' || line.front() == '#') continue;
    throw input_error(detail::concat("'", source, "', line ", lines.number(),
                                     ": no alignment: an a3m or FASTA file has '>' lines, a Stockholm file begins with "
                                     "'# STOCKHOLM 1.0'"));
  }
  throw input_error(detail::concat("'", source, "': the file is empty: no sequence in it"));
}

/// Reads an alignment file. Throws io_error when it cannot be opened or unpacked, input_error naming file, line or row
/// and reason when it makes no sense.
///
///     const auto alignment = io::read_alignment("1a3a.a3m");
inline alignment read_alignment(const std::filesystem::path& path, const alignment_options& options = {}) {
  return parse_alignment(read_text(path), path.string(), options);
}

}  // namespace fathom::io
