// SPDX-License-Identifier: Apache-2.0
// An experimental chain as training keeps it in memory: 182 bytes for each residue.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <fathom/io/alignment_rows.hpp>
#include <fathom/io/protein.hpp>

namespace fathom::train {

/// A chain of n residues in the atom14 layout, Angstrom; 0 with mask 0 where an atom was not seen.
struct chain {
  std::string name, cluster;
  std::vector<std::uint8_t> aatype;  ///< [n] index into restype_letters
  host_tensor<float> positions{{0, 14, 3}};
  host_tensor<std::uint8_t> mask{{0, 14}};
  double resolution = 2.0;  ///< Angstrom; where the source does not say, a usual one
  io::alignment alignment;  ///< its rows' first is the chain; empty: the sequence alone

  index_t size() const { return static_cast<index_t>(aatype.size()); }
  std::string sequence() const {
    std::string letters;
    for (const auto type : aatype) letters += restype_letter(type);
    return letters;
  }
  /// True where an atom beyond CB was seen.
  bool has_side_chains() const {
    for (index_t i = 0; i < size(); ++i)
      for (index_t column = 5; column < atom14_count; ++column)
        if (mask(i, column) != 0) return true;
    return false;
  }
};

/// Atoms that the residue's type does not have are left out.
inline chain make_chain(const io::protein& from, std::string name, std::string cluster = {}) {
  chain c;
  c.name = std::move(name);
  c.cluster = cluster.empty() ? c.name : std::move(cluster);
  const index_t n = from.size();
  c.positions = host_tensor<float>({n, atom14_count, 3});
  c.mask = host_tensor<std::uint8_t>({n, atom14_count});
  for (index_t i = 0; i < n; ++i) {
    const int type = from.aatype[static_cast<std::size_t>(i)];
    c.aatype.push_back(static_cast<std::uint8_t>(type));
    for (int column = 0; column < atom14_count; ++column) {
      const auto atom = atom14_name(type, column);
      const int at = atom.empty() ? -1 : atom37_index(atom);
      if (at < 0 || !from.has(i, at)) continue;
      c.mask(i, column) = 1;
      for (index_t x = 0; x < 3; ++x) c.positions(i, column, x) = static_cast<float>(from.positions(i, at, x));
    }
  }
  return c;
}

/// Residues [from, from + n) in the atom37 layout, for metrics and writers.
inline io::protein to_protein(const chain& c, index_t from, index_t n) {
  io::protein out(n);
  out.name = c.name;
  for (index_t i = 0; i < n; ++i) {
    const int type = c.aatype[static_cast<std::size_t>(from + i)];
    out.aatype[static_cast<std::size_t>(i)] = type;
    for (int column = 0; column < atom14_count; ++column) {
      if (c.mask(from + i, column) == 0) continue;
      const int at = atom37_index(atom14_name(type, column));
      out.mask(i, at) = 1;
      for (index_t x = 0; x < 3; ++x) out.positions(i, at, x) = static_cast<double>(c.positions(from + i, column, x));
    }
  }
  return out;
}
inline io::protein to_protein(const chain& c) { return to_protein(c, 0, c.size()); }

}  // namespace fathom::train
