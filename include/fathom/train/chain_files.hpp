// SPDX-License-Identifier: Apache-2.0
// Chains from disk: folders of PDB and mmCIF files, and the packed format (one safetensors file and one table of rows).
#pragma once

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <fathom/io/alignment.hpp>
#include <fathom/io/safetensors.hpp>
#include <fathom/io/structure.hpp>
#include <fathom/train/chain.hpp>

namespace fathom::train {

/// Which part of a data set: rows of the tables whose column `split` says so.
struct chain_options {
  std::string split = "train";
  index_t shortest = 20, longest = 100000;
  /// Chains with a larger share of one residue type are left out (AF2 Suppl. 1.2.5).
  double most_of_one_type = 0.8;
};

namespace detail {

using fathom::detail::concat;

/// A table with a header line, its cells by column name.
struct text_table {
  std::map<std::string, std::size_t> column;
  std::vector<std::vector<std::string>> rows;
  std::string path;

  explicit text_table(const std::filesystem::path& file) : path(file.string()) {
    std::ifstream in(file);
    if (!in) throw io_error(concat("cannot read '", path, "'"));
    std::string line;
    while (std::getline(in, line)) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (line.empty()) continue;
      std::vector<std::string> cells;
      std::istringstream text(line);
      for (std::string cell; std::getline(text, cell, '\t');) cells.push_back(cell);
      if (column.empty()) {
        for (std::size_t k = 0; k < cells.size(); ++k) column[cells[k]] = k;
      } else {
        if (cells.size() != column.size())
          throw io_error(concat("'", path, "', line ", rows.size() + 2, ": ", cells.size(), " cells, the header has ",
                                column.size()));
        rows.push_back(std::move(cells));
      }
    }
    for (const char* name : {"id", "split", "cluster30"})
      if (column.count(name) == 0) throw io_error(concat("'", path, "': the header has no column '", name, "'"));
  }
  const std::string& cell(std::size_t row, const std::string& name) const { return rows[row][column.at(name)]; }
  double number(std::size_t row, const std::string& name, double otherwise) const {
    const auto found = column.find(name);
    if (found == column.end()) return otherwise;
    const std::string& text = rows[row][found->second];
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    return end == text.c_str() ? otherwise : value;
  }
};

inline bool is_structure_file(const std::filesystem::path& path) {
  auto name = path.filename();
  if (name.extension() == ".gz") name = name.stem();
  const auto ending = name.extension().string();
  return ending == ".pdb" || ending == ".ent" || ending == ".cif" || ending == ".mmcif";
}
/// File name without its endings.
inline std::string entry_name(const std::filesystem::path& path) {
  auto name = path.filename();
  if (name.extension() == ".gz") name = name.stem();
  return name.stem().string();
}

/// All structure files below a folder by entry name, in the order of their paths.
inline std::map<std::string, std::filesystem::path> structure_files(const std::filesystem::path& folder) {
  std::map<std::string, std::filesystem::path> files;
  namespace fs = std::filesystem;
  for (fs::recursive_directory_iterator at(folder, fs::directory_options::follow_directory_symlink), end; at != end;
       ++at)
    if (at->is_regular_file() && is_structure_file(at->path())) {
      auto& place = files[entry_name(at->path())];
      if (place.empty() || at->path() < place) place = at->path();
    }
  return files;
}

inline bool is_wanted(const chain& c, const chain_options& options) {
  if (c.size() < options.shortest || c.size() > options.longest) return false;
  std::array<index_t, restype_count_with_x> count{};
  for (const auto type : c.aatype) ++count[type];
  return static_cast<double>(*std::max_element(count.begin(), count.end())) <=
         options.most_of_one_type * static_cast<double>(c.size());
}

}  // namespace detail

/// Reads `X.safetensors` with `X.tsv` beside it: offsets [C + 1], aatype [R], bb [R, A, 3], atom_mask [R, A] for A
/// atoms N CA C O CB (A = 5) or the atom14 layout (A = 14); the table has one row for each chain, in order, with
/// columns id, split, cluster30 and, where known, resolution.
inline std::vector<chain> read_packed_chains(const std::filesystem::path& path, const chain_options& options = {}) {
  const io::safetensors file(path);
  const detail::text_table table(std::filesystem::path(path).replace_extension(".tsv"));
  const auto offsets = file.get<std::int64_t>("offsets");
  const auto aatype = file.get<std::uint8_t>("aatype");
  const auto atoms = file.get<float>("bb");
  const auto mask = file.get<std::uint8_t>("atom_mask");
  const index_t chains = offsets.size() - 1, residues = aatype.size();
  const index_t columns = atoms.rank() == 3 ? atoms.shape[1] : 0;
  if (chains != static_cast<index_t>(table.rows.size()))
    throw io_error(detail::concat("'", path.string(), "' holds ", chains, " chains, '", table.path, "' lists ",
                                  table.rows.size()));
  if ((columns != 5 && columns != 14) || atoms.shape != std::vector<index_t>{residues, columns, 3} ||
      mask.shape != std::vector<index_t>{residues, columns} || offsets(chains) != residues)
    throw io_error(detail::concat("'", path.string(), "': bb ", to_string_extents(atoms.shape), " and atom_mask ",
                                  to_string_extents(mask.shape), ", expected [", residues, ", 5 or 14, 3] and [",
                                  residues, ", 5 or 14]"));
  std::vector<chain> found;
  for (index_t k = 0; k < chains; ++k) {
    const auto row = static_cast<std::size_t>(k);
    if (table.cell(row, "split") != options.split) continue;
    chain c;
    c.name = table.cell(row, "id");
    c.cluster = table.cell(row, "cluster30");
    c.resolution = table.number(row, "resolution", c.resolution);
    const index_t from = offsets(k), n = offsets(k + 1) - from;
    c.aatype.assign(aatype.data.begin() + from, aatype.data.begin() + from + n);
    c.positions = host_tensor<float>({n, atom14_count, 3});
    c.mask = host_tensor<std::uint8_t>({n, atom14_count});
    for (index_t i = 0; i < n; ++i)
      for (index_t a = 0; a < columns; ++a) {
        // CB is column 4 of both layouts; unknown residues have none.
        if (mask(from + i, a) == 0 || atom14_name(c.aatype[static_cast<std::size_t>(i)], static_cast<int>(a)).empty())
          continue;
        c.mask(i, a) = 1;
        for (index_t x = 0; x < 3; ++x) c.positions(i, a, x) = atoms(from + i, a, x);
      }
    if (detail::is_wanted(c, options)) found.push_back(std::move(c));
  }
  return found;
}

/// All chains of a folder, sorted by name. Where packed files (X.safetensors with X.tsv) lie in it, they say which
/// chains there are, and a structure file of a chain's name anywhere below the folder adds its side chains. Without
/// them every structure file is a chain of a cluster of its own, whatever the split. NAME.a3m beside a structure file
/// or in the folder is the chain's alignment. Throws input_error where nothing is found.
inline std::vector<chain> read_chains(const std::filesystem::path& folder, const chain_options& options = {}) {
  namespace fs = std::filesystem;
  if (!fs::is_directory(folder)) throw io_error(detail::concat("'", folder.string(), "' is no folder of chains"));
  std::vector<fs::path> packed;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".safetensors" && fs::exists(fs::path(entry.path()).replace_extension(".tsv")))
      packed.push_back(entry.path());
  std::sort(packed.begin(), packed.end());
  const auto files = detail::structure_files(folder);
  std::vector<chain> all;
  std::set<std::string> names;
  for (const auto& path : packed)
    for (auto& c : read_packed_chains(path, options))
      if (names.insert(c.name).second) all.push_back(std::move(c));
  if (packed.empty()) {
    for (const auto& [name, path] : files) {
      auto c = make_chain(io::read_structure(path), name);
      if (detail::is_wanted(c, options)) all.push_back(std::move(c));
    }
  } else {
    for (auto& c : all) {
      const auto found = files.find(c.name);
      if (found == files.end()) continue;
      auto whole = make_chain(io::read_structure(found->second), c.name, c.cluster);
      if (whole.aatype != c.aatype) continue;  // another numbering of the same entry: the packed backbone is kept
      c.positions = std::move(whole.positions);
      c.mask = std::move(whole.mask);
    }
  }
  for (auto& c : all) {
    auto path = folder / (c.name + ".a3m");
    if (const auto found = files.find(c.name); !fs::exists(path) && found != files.end())
      path = found->second.parent_path() / (c.name + ".a3m");
    if (!fs::exists(path)) continue;
    c.alignment = io::read_alignment(path);
    if (c.alignment.length() != c.size())
      throw input_error(detail::concat("'", path.string(), "' has ", c.alignment.length(), " columns, its chain ",
                                       c.size(), " residues"));
  }
  if (all.empty())
    throw input_error(detail::concat("'", folder.string(), "' holds no chain of split '", options.split, "' with ",
                                     options.shortest, " to ", options.longest, " residues"));
  std::sort(all.begin(), all.end(), [](const chain& a, const chain& b) { return a.name < b.name; });
  return all;
}

}  // namespace fathom::train
