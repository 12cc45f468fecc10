// SPDX-License-Identifier: Apache-2.0
// One protein chain in host memory: residues, numbering, heavy atoms in the atom37 layout, B factors or pLDDT.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fathom/core/host_tensor.hpp>
#include <fathom/geometry/atom_names.hpp>
#include <fathom/geometry/residue_types.hpp>

namespace fathom::io {

/// A chain of N residues. Lengths in Angstrom; an atom that was not seen has mask 0 and position 0.
struct protein {
  std::string name;                  ///< entry or target
  std::string chain_id = "A";        ///< author's name of the chain, may be longer than one letter
  std::vector<int> aatype;           ///< [N] residue index, 20 = X
  std::vector<int> residue_number;   ///< [N] author's number; for unobserved residues counted on from a neighbour
  std::vector<char> insertion_code;  ///< [N] ' ' when there is none
  host_tensor<double> positions{{0, 37, 3}};
  host_tensor<double> mask{{0, 37}};
  host_tensor<double> b_factor{{0, 37}};
  bool b_factor_is_plddt = false;  ///< b_factor holds predicted lDDT, 0..100, instead of temperature factors

  protein() = default;
  /// N residues of type X without atoms, numbered from 1.
  explicit protein(index_t residues)
      : aatype(static_cast<std::size_t>(residues), restype_unknown),
        residue_number(static_cast<std::size_t>(residues)),
        insertion_code(static_cast<std::size_t>(residues), ' '),
        positions({residues, atom37_count, 3}),
        mask({residues, atom37_count}),
        b_factor({residues, atom37_count}) {
    for (std::size_t i = 0; i < residue_number.size(); ++i) residue_number[i] = static_cast<int>(i) + 1;
  }

  index_t size() const { return static_cast<index_t>(aatype.size()); }

  /// One letter codes, X for unknown residues.
  std::string sequence() const {
    std::string letters;
    letters.reserve(aatype.size());
    for (const int type : aatype) letters += restype_letter(type);
    return letters;
  }

  /// True when the atom of this atom37 column was observed or predicted.
  bool has(index_t residue, int column) const { return mask(residue, column) > 0.5; }

  /// Throws shape_error unless all members describe the same number of residues.
  void check() const {
    const index_t n = size();
    const bool good =
        static_cast<index_t>(residue_number.size()) == n && static_cast<index_t>(insertion_code.size()) == n &&
        positions.shape == std::vector<index_t>{n, atom37_count, 3} &&
        mask.shape == std::vector<index_t>{n, atom37_count} && b_factor.shape == std::vector<index_t>{n, atom37_count};
    if (!good)
      throw shape_error(fathom::detail::concat(
          "protein '", name, "': aatype has ", n, " residues, but residue_number has ", residue_number.size(),
          ", insertion_code ", insertion_code.size(), ", positions ", to_string_extents(positions.shape), ", mask ",
          to_string_extents(mask.shape), ", b_factor ", to_string_extents(b_factor.shape)));
  }
};

/// A protein from a sequence of one letter codes and atom37 arrays [N, 37, 3], [N, 37], as a model predicts them;
/// `plddt` [N] (0..100) goes to every atom's B factor when given. Throws input_error for a letter that is no residue
/// code.
inline protein make_protein(std::string_view sequence, host_tensor<double> positions, host_tensor<double> mask,
                            const std::vector<double>& plddt = {}) {
  protein chain(static_cast<index_t>(sequence.size()));
  for (std::size_t i = 0; i < sequence.size(); ++i) {
    chain.aatype[i] = restype_index(sequence[i]);
    if (chain.aatype[i] < 0)
      throw input_error(fathom::detail::concat("make_protein: letter '", sequence[i], "' at position ", i + 1,
                                               " is not one of ", restype_letters));
  }
  chain.positions = std::move(positions);
  chain.mask = std::move(mask);
  chain.check();
  if (plddt.empty()) return chain;
  if (plddt.size() != sequence.size())
    throw shape_error(
        fathom::detail::concat("make_protein: plddt needs ", sequence.size(), " values, got ", plddt.size()));
  for (index_t i = 0; i < chain.size(); ++i)
    for (int column = 0; column < atom37_count; ++column)
      chain.b_factor(i, column) = plddt[static_cast<std::size_t>(i)];
  chain.b_factor_is_plddt = true;
  return chain;
}

}  // namespace fathom::io
