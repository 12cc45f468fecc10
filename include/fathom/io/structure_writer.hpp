// SPDX-License-Identifier: Apache-2.0
// PDB and mmCIF text of a protein chain, and files that appear whole or not at all.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <fathom/core/error.hpp>
#include <fathom/io/atomic_file.hpp>
#include <fathom/io/protein.hpp>

namespace fathom::io {

namespace detail {

/// One line per atom that is written: columns of the residue's own type, N CA C O for X; never OXT.
template <class Function>
void for_each_written_atom(const protein& chain, const char* caller, Function&& f) {
  chain.check();
  int serial = 0;
  for (index_t i = 0; i < chain.size(); ++i) {
    const int type = chain.aatype[static_cast<std::size_t>(i)];
    const int known = type >= 0 && type < restype_count ? type : restype_unknown;
    for (int column14 = 0; column14 < atom14_count; ++column14) {
      const std::string_view name = atom14_name(known, column14);
      const int column = name.empty() ? -1 : atom37_index(name);
      if (column < 0 || !chain.has(i, column)) continue;
      for (int k = 0; k < 3; ++k)
        if (!std::isfinite(chain.positions(i, column, k)))
          throw numerical_error(fathom::detail::concat(caller, ": atom ", name, " of residue ", i + 1, " (",
                                                       restype_name(known), ") of chain '", chain.name,
                                                       "' has a coordinate that is not finite"));
      f(++serial, i, column, name, restype_name(known));
    }
  }
}

template <class... Value>
std::string formatted(const char* format, Value... value) {
  char buffer[160];
  const int length = std::snprintf(buffer, sizeof buffer, format, value...);
  return std::string(buffer, static_cast<std::size_t>(length));
}

/// Number in a fixed width: decimal as long as it fits, then the base 36 numbers of hybrid-36 ("A000" after 9999).
inline std::string hybrid36(int width, int number) {
  int limit = 1, letters = 10, low = 1;
  for (int k = 0; k < width; ++k) limit *= 10;
  for (int k = 1; k < width; ++k) letters *= 36, low *= 10;
  if (number < limit && number > -low) return formatted("%*d", width, number);
  if (number < 0)
    throw input_error(fathom::detail::concat("pdb_text: number ", number, " does not fit ", width, " columns"));
  std::string text(static_cast<std::size_t>(width), '0');
  long long rest = static_cast<long long>(number) - limit + letters;
  for (int k = width - 1; k >= 0; --k, rest /= 36)
    text[static_cast<std::size_t>(k)] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[rest % 36];
  return text;
}

/// Turns -0.0001 into 0: "-0.000" reads badly and differs from run to run.
inline double tidy(double value, double half_unit) { return std::abs(value) < half_unit ? 0.0 : value; }

/// A value of a CIF item; quoted when it holds what CIF would misread.
inline std::string cif_value(std::string_view text) {
  if (text.empty()) return "?";
  bool plain = text.front() != '_' && text.front() != '#' && text.front() != '$' && text.front() != '[' &&
               text.front() != ';' && text != "." && text != "?";
  std::string safe;
  for (const char c : text) {
    plain = plain && c > ' ' && c != '\'' && c != '"';
    safe += c >= ' ' && c != '\'' && c < 127 ? c : '_';
  }
  for (const char* word : {"data_", "loop_", "save_", "stop_", "global_"}) plain = plain && safe.rfind(word, 0) != 0;
  return plain ? safe : "'" + safe + "'";
}

}  // namespace detail

/// PDB text: SEQRES, one MODEL-less chain, TER, END; occupancy 1, B factors (pLDDT) in columns 61-66. Chain names
/// longer than one letter become A. Unknown residues are UNK with N CA C O, OXT is never written. Throws
/// numerical_error for coordinates that are not finite or do not fit eight columns.
inline std::string pdb_text(const protein& chain) {
  using detail::formatted;
  const char id = chain.chain_id.size() == 1 ? chain.chain_id.front() : 'A';
  std::string text;
  for (index_t begin = 0, line = 1; begin < chain.size(); begin += 13, ++line) {
    std::string record =
        formatted("SEQRES %3d %c %4d ", static_cast<int>(line % 1000), id, static_cast<int>(chain.size() % 10000));
    for (index_t i = begin; i < chain.size() && i < begin + 13; ++i)
      record.append(1, ' ').append(restype_name(chain.aatype[static_cast<std::size_t>(i)]));
    record.resize(80, ' ');
    text += record + "\n";
  }
  int last = 0;
  std::string tail;
  detail::for_each_written_atom(
      chain, "pdb_text", [&](int serial, index_t i, int column, std::string_view name, std::string_view residue) {
        const auto at = static_cast<std::size_t>(i);
        double xyz[3];
        for (int k = 0; k < 3; ++k) {
          xyz[k] = detail::tidy(chain.positions(i, column, k), 5e-4);
          if (xyz[k] >= 9999.9995 || xyz[k] <= -999.9995)
            throw numerical_error(fathom::detail::concat("pdb_text: coordinate ", xyz[k], " of atom ", name,
                                                         " of residue ", i + 1,
                                                         " does not fit the PDB format; write mmCIF"));
        }
        const double b = std::min(std::max(detail::tidy(chain.b_factor(i, column), 5e-3), -99.99), 999.99);
        tail = formatted("%s %c%s%c", std::string(residue).c_str(), id,
                         detail::hybrid36(4, chain.residue_number[at]).c_str(), chain.insertion_code[at]);
        // One-letter elements start in column 14.
        text += formatted("ATOM  %s  %-3s %s   %8.3f%8.3f%8.3f%6.2f%6.2f          %2c  \n",
                          detail::hybrid36(5, serial).c_str(), std::string(name).c_str(), tail.c_str(), xyz[0], xyz[1],
                          xyz[2], 1.0, b, atom37_element(column));
        last = serial;
      });
  std::string ter = formatted("TER   %s      %s", detail::hybrid36(5, last + 1).c_str(), tail.c_str());
  ter.resize(80, ' ');
  return text + (last > 0 ? ter + "\n" : "") + "END" + std::string(77, ' ') + "\n";
}

/// mmCIF text: entity, polymer sequence, _atom_site; with `b_factor_is_plddt` also the ModelCIF items _ma_qa_metric*
/// (local pLDDT of each residue and their mean), as AlphaFold's database has them.
/// Throws numerical_error for coordinates that are not finite.
inline std::string mmcif_text(const protein& chain) {
  using detail::formatted;
  const std::string entry = detail::cif_value(chain.name.empty() ? "model" : chain.name);
  const std::string author = detail::cif_value(chain.chain_id.empty() ? "A" : chain.chain_id);
  std::string block;
  for (const char c : chain.name) block += c > ' ' && c < 127 ? c : '_';
  std::string text = "data_" + (block.empty() ? "model" : block) + "\n#\n_entry.id " + entry + "\n#\n";
  text += "_entity.id 1\n_entity.type polymer\n#\n_entity_poly.entity_id 1\n_entity_poly.type polypeptide(L)\n";
  text += "_entity_poly.pdbx_strand_id " + author + "\n_struct_asym.id A\n_struct_asym.entity_id 1\n#\n";
  text += "loop_\n_entity_poly_seq.entity_id\n_entity_poly_seq.num\n_entity_poly_seq.mon_id\n_entity_poly_seq.hetero\n";
  for (index_t i = 0; i < chain.size(); ++i)
    text += formatted("1 %d %s n\n", static_cast<int>(i + 1),
                      std::string(restype_name(chain.aatype[static_cast<std::size_t>(i)])).c_str());
  text += "#\nloop_\n";
  for (const char* item :
       {"group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id", "label_comp_id", "label_asym_id",
        "label_entity_id", "label_seq_id", "pdbx_PDB_ins_code", "Cartn_x", "Cartn_y", "Cartn_z", "occupancy",
        "B_iso_or_equiv", "auth_seq_id", "auth_asym_id", "pdbx_PDB_model_num"})
    text += std::string("_atom_site.") + item + "\n";
  std::vector<double> plddt(chain.aatype.size(), std::nan(""));
  detail::for_each_written_atom(
      chain, "mmcif_text", [&](int serial, index_t i, int column, std::string_view name, std::string_view residue) {
        const auto at = static_cast<std::size_t>(i);
        const char code = chain.insertion_code[at] == ' ' ? '?' : chain.insertion_code[at];
        const double b = detail::tidy(chain.b_factor(i, column), 5e-3);
        if (std::isnan(plddt[at]) || name == "CA") plddt[at] = b;
        text += formatted("ATOM %d %c %s . %s A 1 %d %c ", serial, atom37_element(column), std::string(name).c_str(),
                          std::string(residue).c_str(), static_cast<int>(i + 1), code);
        text += formatted("%.3f %.3f %.3f 1.00 %.2f ", detail::tidy(chain.positions(i, column, 0), 5e-4),
                          detail::tidy(chain.positions(i, column, 1), 5e-4),
                          detail::tidy(chain.positions(i, column, 2), 5e-4), b);
        text += formatted("%d ", chain.residue_number[at]) + author + " 1\n";
      });
  if (!chain.b_factor_is_plddt) return text + "#\n";
  double sum = 0;
  int count = 0;
  for (const double value : plddt)
    if (!std::isnan(value)) sum += value, ++count;
  text += "#\nloop_\n_ma_qa_metric.id\n_ma_qa_metric.mode\n_ma_qa_metric.name\n_ma_qa_metric.type\n";
  text += "1 global pLDDT pLDDT\n2 local pLDDT pLDDT\n#\n";
  text += "_ma_qa_metric_global.ordinal_id 1\n_ma_qa_metric_global.model_id 1\n_ma_qa_metric_global.metric_id 1\n";
  text += formatted("_ma_qa_metric_global.metric_value %.2f\n#\nloop_\n", count > 0 ? sum / count : 0.0);
  for (const char* item :
       {"ordinal_id", "model_id", "metric_id", "label_asym_id", "label_comp_id", "label_seq_id", "metric_value"})
    text += std::string("_ma_qa_metric_local.") + item + "\n";
  int ordinal = 0;
  for (std::size_t i = 0; i < plddt.size(); ++i)
    if (!std::isnan(plddt[i]))
      text += formatted("%d 1 2 A %s %d %.2f\n", ++ordinal, std::string(restype_name(chain.aatype[i])).c_str(),
                        static_cast<int>(i + 1), plddt[i]);
  return text + "#\n";
}

/// Writes pdb_text to a file, whole or not at all. Throws io_error naming the path and the system's reason.
inline void write_pdb(const std::filesystem::path& path, const protein& chain) { write_file(path, pdb_text(chain)); }

/// Writes mmcif_text to a file, whole or not at all. Throws io_error naming the path and the system's reason.
inline void write_mmcif(const std::filesystem::path& path, const protein& chain) {
  write_file(path, mmcif_text(chain));
}

}  // namespace fathom::io
