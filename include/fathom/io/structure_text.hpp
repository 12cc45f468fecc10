// SPDX-License-Identifier: Apache-2.0
// First look at structure files: which format it is, and a strict check of PDB records, which readers tend to wave
// past.
#pragma once

#include <cctype>
#include <charconv>
#include <map>
#include <string>
#include <string_view>

#include <fathom/core/error.hpp>
#include <fathom/io/text_file.hpp>

namespace fathom::io::detail {

enum class structure_format { pdb, mmcif };

/// Format by content. Throws input_error naming formats that are known but not supported, and for empty or binary
/// files.
inline structure_format tell_structure_format(std::string_view text, const std::string& source) {
  const auto failure = [&source](const auto&... parts) {
    return input_error(fathom::detail::concat("cannot read structure '", source, "': ", parts...));
  };
  const std::string_view head = text.substr(0, 4096);
  const auto has = [head](std::string_view word) { return head.find(word) != std::string_view::npos; };
  if (!head.empty() && static_cast<unsigned char>(head.front()) >= 0x80 && head.substr(0, 3) != "\xEF\xBB\xBF") {
    if (has("dataBlocks") || has("encoder"))
      throw failure("this is BinaryCIF, which is not supported; convert it to text mmCIF (.cif) or PDB");
    if (has("mmtfVersion"))
      throw failure("this is MMTF, which is not supported; convert it to text mmCIF (.cif) or PDB");
  }
  if (has(std::string_view("\0", 1))) throw failure("this is a binary file, not PDB or mmCIF text");
  for (line_reader lines(text); lines.next();) {
    std::string_view line = trimmed(lines.line());
    if (line.empty() || line.front() == '#') continue;
    if (line.front() == '{')
      throw failure("this is JSON (mmJSON?), which is not supported; convert it to mmCIF or PDB");
    if (line.front() == '<') throw failure("this is XML (PDBML?), which is not supported; convert it to mmCIF or PDB");
    std::string start(line.substr(0, 5));
    for (char& c : start) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return start == "data_" ? structure_format::mmcif : structure_format::pdb;
  }
  throw failure("the file is empty");
}

/// PDB text with only what matters, line by line in the place it had, and the parents that MODRES declares.
struct checked_pdb {
  std::string text;
  std::map<std::string, std::string> parents;
};

/// A whole field as a number; false when it is blank or holds anything else.
template <class Number>
bool parse_field(std::string_view field, Number& value) {
  field = trimmed(field);
  if (!field.empty() && field.front() == '+') field.remove_prefix(1);
  const auto [end, problem] = std::from_chars(field.data(), field.data() + field.size(), value);
  return !field.empty() && problem == std::errc() && end == field.data() + field.size();
}

/// Text of a damaged file as it may stand in a message: bytes that are not printable ASCII become '?'.
inline std::string printable(std::string text) {
  for (char& c : text)
    if (c < ' ' || c > '~') c = '?';
  return text;
}

/// Checks every ATOM and HETATM record: complete, with a residue number and three finite coordinates. Columns 73-80 are
/// kept only where they hold a segment name and an element: before 1996 they held the entry's code and a line number.
/// Throws input_error naming file, line, column and text of the first bad field, or when there is no such record.
inline checked_pdb check_pdb(std::string_view text, const std::string& source) {
  checked_pdb checked;
  bool any_atom = false, ended = false;
  for (line_reader lines(text); lines.next();) {
    std::string line(lines.line());
    const auto failure = [&](const auto&... parts) {
      return input_error(
          fathom::detail::concat("cannot read structure '", source, "': line ", lines.number(), ": ",
                                 printable(fathom::detail::concat(parts..., " in \"", line.substr(0, 66), "\""))));
    };
    const std::string record(trimmed(std::string_view(line).substr(0, 6)));
    if (record == "ATOM" || record == "HETATM") {
      if (line.size() < 54) throw failure(record, " record is cut off before its coordinates end (column 54)");
      int number = 0;
      const std::string_view field = std::string_view(line).substr(22, 4);
      const bool hybrid = field.front() >= 'A';
      if (!hybrid && !parse_field(field, number))
        throw failure("residue number '", field, "' (columns 23-26) is no number");
      for (std::size_t k = 0; k < 3; ++k) {
        double coordinate = 0;
        const std::string_view digits = std::string_view(line).substr(30 + 8 * k, 8);
        if (!parse_field(digits, coordinate) || !(coordinate > -1e8 && coordinate < 1e8))
          throw failure("XYZ"[k], " coordinate '", digits, "' (columns ", 31 + 8 * k, "-", 38 + 8 * k,
                        ") is no number");
      }
      line.resize(78, ' ');
      bool element = true;
      for (const char c : {line[76], line[77]})
        element = element && (c == ' ' || std::isalpha(static_cast<unsigned char>(c)));
      if (!element) line.resize(72);
      any_atom = true;
    } else if (record == "MODRES" && line.size() >= 27) {
      checked.parents[std::string(trimmed(std::string_view(line).substr(12, 3)))] =
          std::string(trimmed(std::string_view(line).substr(24, 3)));
      line.clear();
    } else if (record == "END") {
      ended = true;
    } else if (record == "HEADER") {
      // Before 1996 the line number stood in columns 73-80.
      line = line.substr(0, 66);
    } else if (record == "SEQRES") {
      line = line.substr(0, 70);
      line.resize(80, ' ');
    } else if (record != "TER" && record != "MODEL" && record != "ENDMDL") {
      line.clear();
    }
    if (!ended) checked.text += line;
    checked.text += '\n';
    if (ended) break;
  }
  if (!any_atom)
    throw input_error(fathom::detail::concat("cannot read structure '", source,
                                             "': neither mmCIF (no data_ block) nor PDB (no ATOM or HETATM record)"));
  return checked;
}

}  // namespace fathom::io::detail
