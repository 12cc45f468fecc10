// SPDX-License-Identifier: Apache-2.0
// Protein structures from PDB and mmCIF files and back. Cheap to include: the readers are compiled in one place, from
// structure_gemmi.hpp, which the target fathom::io does.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <fathom/io/protein.hpp>
#include <fathom/io/structure_writer.hpp>

namespace fathom::io {

/// What becomes of residues that the file lists in its sequence but has no coordinates for.
enum class unobserved {
  drop,      ///< observed residues only
  internal,  ///< those between observed residues are kept with mask 0, terminal ones dropped
  all        ///< the whole sequence, so that it equals SEQRES / entity_poly_seq
};

struct structure_options {
  std::string chain;  ///< author's chain name; "": the first chain that holds amino acids
  int model = 1;      ///< counted from 1 in the order of the file
  unobserved missing = unobserved::internal;
  /// Without a sequence record, a chain break whose numbers jump by up to this many residues is filled with that many X
  /// of mask 0 (not with unobserved::drop). 0 turns it off.
  int longest_gap = 12;
};

/// Reads one chain of a PDB or mmCIF file (told by content; gzip seen through).
///
/// Of alternative locations the one with the highest occupancy in its residue is taken, of two residues at one position
/// the first. Modified residues become their parent (MSE -> MET with SE as SD; D amino acids their mirror image),
/// others X with N CA C O; chromophores such as CRO are X. Hydrogens, OXT, ligands, water and nucleic acids are
/// dropped. Missing residues come from SEQRES or entity_poly_seq. CA-only entries and files from before 1996 are read.
/// Throws input_error naming file, line or record, and reason: damaged text, number that is none, wrong counts in an
/// mmCIF loop, no such chain or model, no amino acid, or a format that is not supported (BinaryCIF, mmJSON, MMTF).
protein read_structure(const std::filesystem::path& path, const structure_options& options = {});

/// All chains of one model that hold amino acids; `options.chain` selects by name when it is not empty.
/// A residue number that comes again starts another chain of the same name. Errors as read_structure.
std::vector<protein> read_chains(const std::filesystem::path& path, const structure_options& options = {});

/// As read_chains, from text in memory; `source` names it in messages.
std::vector<protein> parse_chains(const std::string& text, const std::string& source,
                                  const structure_options& options = {});

}  // namespace fathom::io
