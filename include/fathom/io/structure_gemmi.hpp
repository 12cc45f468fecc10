// SPDX-License-Identifier: Apache-2.0
// Definitions of the structure readers, by gemmi. Compile this in one translation unit only (fathom::io brings one): it
// takes half a minute. They are weak, so that two libraries that both carry them still link.
#pragma once

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fathom/io/gemmi.hpp>
#include <fathom/io/gemmi_layout.hpp>
#include <fathom/io/structure.hpp>
#include <fathom/io/structure_text.hpp>
#include <fathom/io/text_file.hpp>

namespace fathom::io::detail {

/// The file as gemmi sees it, with what it does not tell: where parents of modified residues are declared.
struct parsed_structure {
  gemmi::Structure structure;
  parent_table parents{{}};
  bool is_pdb = false;
};

inline parsed_structure parse_mmcif(const std::string& text, const std::string& source) {
  parsed_structure parsed;
  gemmi::cif::Document document = gemmi::cif::read_memory(text.data(), text.size(), source.c_str());
  std::map<std::string, std::string> declared;
  for (gemmi::cif::Block& block : document.blocks)
    for (const auto row : block.find("_pdbx_struct_mod_residue.", {"label_comp_id", "parent_comp_id"}))
      declared[row.str(0)] = row.str(1);
  const auto has_atoms = [](gemmi::cif::Block& block) { return block.has_tag("_atom_site.Cartn_x"); };
  for (gemmi::cif::Block& block : document.blocks)
    if (has_atoms(block)) {
      parsed.structure = gemmi::make_structure_from_block(block);
      parsed.parents = parent_table(std::move(declared));
      return parsed;
    }
  throw input_error(fathom::detail::concat("cannot read structure '", source, "': no block has _atom_site.Cartn_x"));
}

inline parsed_structure parse_pdb(const std::string& text, const std::string& source) {
  checked_pdb checked = check_pdb(text, source);
  parsed_structure parsed;
  parsed.structure = gemmi::read_pdb_string(checked.text, source);
  parsed.parents = parent_table(std::move(checked.parents));
  parsed.is_pdb = true;
  return parsed;
}

/// Reads text of either format; gemmi's messages come out as input_error with the file's name.
inline parsed_structure parse_structure(const std::string& text, const std::string& source) {
  const structure_format format = tell_structure_format(text, source);
  try {
    return format == structure_format::mmcif ? parse_mmcif(text, source) : parse_pdb(text, source);
  } catch (const error&) {
    throw;
  } catch (const std::exception& problem) {
    const std::string reason = problem.what();
    // gemmi's mmCIF messages begin with the file's name, those of PDB do not.
    const bool named = reason.find(source) != std::string::npos;
    throw input_error(named ? "cannot read structure " + reason
                            : fathom::detail::concat("cannot read structure '", source, "': ", reason));
  }
}

inline bool has_atom(const gemmi::Residue& residue, const char* name) {
  for (const gemmi::Atom& atom : residue.atoms)
    if (atom.name == name) return true;
  return false;
}

/// True for a residue that belongs to a protein chain: what the file calls polymer and is no nucleotide, or, where the
/// file does not say, an amino acid or something with a peptide backbone. `before` is the last one taken, or null.
inline bool is_protein_residue(const gemmi::Residue& residue, const gemmi::Residue* before, bool is_pdb) {
  const gemmi::ResidueInfo info = gemmi::find_tabulated_residue(residue.name);
  if (info.is_nucleic_acid() || residue.is_water()) return false;
  const bool amino_acid = info.is_amino_acid() || restype_index(residue.name) >= 0;
  const bool backbone = has_atom(residue, "CA") && (amino_acid || (has_atom(residue, "N") && has_atom(residue, "C")));
  if (residue.entity_type == gemmi::EntityType::Polymer) return amino_acid || backbone;
  if (residue.entity_type == gemmi::EntityType::Unknown) return backbone;
  // Some programs write TER inside a chain; what follows it and is bound to the chain still belongs to it.
  const bool bound = before != nullptr && !is_broken(*before, residue);
  return is_pdb && backbone && (bound || (residue.het_flag == 'A' && amino_acid));
}

/// Highest summed occupancy wins; the first one on a tie. '\0' when the residue has no alternatives.
inline char best_altloc(const gemmi::Residue& residue) {
  std::vector<std::pair<char, double>> totals;
  for (const gemmi::Atom& atom : residue.atoms) {
    if (atom.altloc == '\0') continue;
    auto entry = totals.begin();
    while (entry != totals.end() && entry->first != atom.altloc) ++entry;
    if (entry == totals.end()) entry = totals.insert(entry, {atom.altloc, 0.0});
    entry->second += static_cast<double>(atom.occ);
  }
  char best = '\0';
  double most = -1;
  for (const auto& [altloc, total] : totals)
    if (total > most + 1e-6) best = altloc, most = total;
  return best;
}

/// Column of an atom, by the names of the parent residue; -1 for what the parent does not have.
inline int parent_column(int restype, const gemmi::Residue& residue, const gemmi::Atom& atom) {
  std::string_view name = atom.name;
  const char parent = restype_letter(restype);
  if (parent == 'M' && name == "SE") name = "SD";
  if (parent == 'C' && name == "SE") name = "SG";
  if (parent == 'I' && name == "CD" && !has_atom(residue, "CD1")) name = "CD1";
  if (atom.element == gemmi::El::H || atom.element == gemmi::El::D) return -1;
  return atom14_index(restype, name) >= 0 ? atom37_index(name) : -1;
}

/// Copies the atoms of one residue into row i.
inline void fill_residue(protein& chain, index_t i, const gemmi::Residue& residue, const std::string& source) {
  const int type = chain.aatype[static_cast<std::size_t>(i)];
  const char chosen = best_altloc(residue);
  double occupancy[atom37_count] = {};
  for (const gemmi::Atom& atom : residue.atoms) {
    const int column = parent_column(type, residue, atom);
    if (column < 0) continue;
    // Atoms of the chosen location first; another location only stands in for an atom that it lacks.
    const double rank = (atom.altloc == '\0' || atom.altloc == chosen ? 2.0 : 0.0) + static_cast<double>(atom.occ);
    if (chain.has(i, column) && rank <= occupancy[column]) continue;
    const double xyz[3] = {atom.pos.x, atom.pos.y, atom.pos.z};
    for (int k = 0; k < 3; ++k) {
      if (!std::isfinite(xyz[k]))
        throw input_error(fathom::detail::concat("cannot read structure '", source, "': atom ", atom.name, " of ",
                                                 residue.str(), " in chain ", chain.chain_id,
                                                 " has a coordinate that is not a number"));
      chain.positions(i, column, k) = xyz[k];
    }
    occupancy[column] = rank;
    chain.mask(i, column) = 1.0;
    chain.b_factor(i, column) = static_cast<double>(atom.b_iso);
  }
}

/// The residues of one author chain that belong to proteins, cut where a number comes again.
inline std::vector<std::vector<const gemmi::Residue*>> protein_parts(const gemmi::Chain& chain, bool is_pdb,
                                                                     const std::string& source) {
  std::vector<std::vector<const gemmi::Residue*>> parts;
  std::set<std::pair<int, char>> seen;
  for (const gemmi::Residue& residue : chain.first_conformer()) {
    const gemmi::Residue* before = parts.empty() ? nullptr : parts.back().back();
    if (!is_protein_residue(residue, before, is_pdb) || !residue.seqid.num) continue;
    if (std::abs(static_cast<double>(*residue.seqid.num)) > 1e8)
      throw input_error(fathom::detail::concat("cannot read structure '", source, "': residue ", residue.name,
                                               " of chain ", chain.name, " has the number ", *residue.seqid.num,
                                               ", expected one between -1e8 and 1e8"));
    const bool again = !seen.insert({*residue.seqid.num, residue.seqid.icode}).second;
    if (parts.empty() || again) parts.emplace_back();
    if (again) seen = {{*residue.seqid.num, residue.seqid.icode}};
    parts.back().push_back(&residue);
  }
  return parts;
}

/// The file's sequence of the entity that an observed residue belongs to; empty when there is none.
inline std::vector<std::string> full_sequence(const gemmi::Structure& structure, const gemmi::Chain& chain,
                                              const gemmi::Residue& residue, bool is_pdb) {
  for (const gemmi::Entity& entity : structure.entities) {
    bool mine = is_pdb && entity.name == chain.name;
    for (const std::string& subchain : entity.subchains) mine = mine || (!is_pdb && subchain == residue.subchain);
    if (mine) return entity.full_sequence;
  }
  return {};
}

}  // namespace fathom::io::detail

namespace fathom::io {

[[gnu::weak]] std::vector<protein> parse_chains(const std::string& text, const std::string& source,
                                                const structure_options& options) {
  detail::parsed_structure parsed = detail::parse_structure(text, source);
  gemmi::Structure& structure = parsed.structure;
  const auto failure = [&source](const auto&... parts) {
    return input_error(fathom::detail::concat("cannot read structure '", source, "': ", parts...));
  };
  structure.merge_chain_parts();
  const int models = static_cast<int>(structure.models.size());
  if (options.model < 1 || options.model > models)
    throw failure("there is no model ", options.model, ", the file holds ", models, " (counted from 1)");
  std::vector<protein> chains;
  std::string names, protein_names;
  for (const gemmi::Chain& chain : structure.models[static_cast<std::size_t>(options.model - 1)].chains) {
    names += " " + chain.name;
    const auto parts = detail::protein_parts(chain, parsed.is_pdb, source);
    if (!parts.empty()) protein_names += " " + chain.name;
    if (!options.chain.empty() && chain.name != options.chain) continue;
    for (const auto& observed : parts) {
      const auto sequence = detail::full_sequence(structure, chain, *observed.front(), parsed.is_pdb);
      auto slots = !sequence.empty() ? detail::lay_along(observed, sequence, parsed.parents)
                                     : detail::lay_by_number(observed, options.longest_gap, parsed.parents);
      detail::trim(slots, options.missing);
      protein result(static_cast<index_t>(slots.size()));
      const auto entry = structure.info.find("_entry.id");
      result.name = entry != structure.info.end() && !entry->second.empty() ? entry->second : structure.name;
      result.chain_id = chain.name;
      detail::number_residues(result, slots);
      for (std::size_t i = 0; i < slots.size(); ++i) {
        result.aatype[i] = slots[i].restype;
        if (slots[i].residue != nullptr)
          detail::fill_residue(result, static_cast<index_t>(i), *slots[i].residue, source);
      }
      chains.push_back(std::move(result));
    }
  }
  if (!chains.empty()) return chains;
  if (options.chain.empty()) throw failure("no chain holds an amino acid; chains:", names.empty() ? " none" : names);
  throw failure("there is no protein chain '", options.chain,
                "', the file holds:", protein_names.empty() ? " none" : protein_names);
}

[[gnu::weak]] std::vector<protein> read_chains(const std::filesystem::path& path, const structure_options& options) {
  return parse_chains(read_text(path), path.string(), options);
}

[[gnu::weak]] protein read_structure(const std::filesystem::path& path, const structure_options& options) {
  return std::move(read_chains(path, options).front());
}

}  // namespace fathom::io
