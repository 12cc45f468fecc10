// SPDX-License-Identifier: Apache-2.0
// The backbone of a chain with its hydrogen bonds, by the electrostatic energy of Kabsch and Sander (1983).
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

#include <fathom/geometry/residue_types.hpp>
#include <fathom/metrics/points.hpp>

namespace fathom::metrics {

/// Residues with a complete backbone, in chain order, and the two strongest bonds of each amide.
struct backbone_chain {
  struct bond {
    int acceptor = -1;
    double energy = 0;  ///< kcal/mol
  };
  struct residue {
    point n, ca, c, o, h;       ///< h equals n where the amide has no hydrogen to place
    index_t row = 0;            ///< in the chain it came from
    int segment = 0;            ///< counts chain breaks
    bool donates = true;        ///< proline does not
    std::array<bond, 2> bonds;  ///< strongest first
  };
  std::vector<residue> residues;

  /// Bonds weaker than this do not count.
  static constexpr double weakest = -0.5;

  int size() const { return static_cast<int>(residues.size()); }
  const residue& at(int i) const { return residues[static_cast<std::size_t>(i)]; }
  /// Residues first..last exist and no chain break lies between them.
  bool connected(int first, int last) const {
    return first >= 0 && last < size() && at(first).segment == at(last).segment;
  }
  /// N-H of `donor` is bonded to C=O of `acceptor`.
  bool bonded(int donor, int acceptor) const {
    for (const bond& one : at(donor).bonds)
      if (one.acceptor == acceptor && one.energy < weakest) return true;
    return false;
  }
  /// Angle between CA(i-2)->CA(i) and CA(i)->CA(i+2) in degrees; 0 at chain ends.
  double bend(int i) const {
    if (!connected(i - 2, i + 2)) return 0;
    return 180 - angle(at(i - 2).ca, at(i).ca, at(i + 2).ca);
  }
  /// Torsions in degrees; 360 where a neighbour is missing.
  std::pair<double, double> phi_psi(int i) const {
    const double phi = connected(i - 1, i) ? torsion(at(i - 1).c, at(i).n, at(i).ca, at(i).c) : 360;
    const double psi = connected(i, i + 1) ? torsion(at(i).n, at(i).ca, at(i).c, at(i + 1).n) : 360;
    return {phi, psi};
  }
};

/// Energy 27.888 (1/r_NO + 1/r_CH - 1/r_HO - 1/r_CN) with opposite sign, in kcal/mol: q1 q2 f = 0.42 * 0.20 * 332.
/// Rounded to 0.001 as the original program does; -9.9 when atoms coincide.
inline double hydrogen_bond_energy(const backbone_chain::residue& donor, const backbone_chain::residue& acceptor) {
  if (!donor.donates) return 0;
  constexpr double strongest = -9.9, coupling = -27.888, closest = 0.5;
  const double ho = distance(donor.h, acceptor.o), hc = distance(donor.h, acceptor.c);
  const double nc = distance(donor.n, acceptor.c), no = distance(donor.n, acceptor.o);
  if (ho < closest || hc < closest || nc < closest || no < closest) return strongest;
  const double energy = coupling / ho - coupling / hc + coupling / nc - coupling / no;
  return std::max(std::round(energy * 1000) / 1000, strongest);
}

namespace detail {

inline void offer_bond(backbone_chain& chain, int donor, int acceptor) {
  auto& bonds = chain.residues[static_cast<std::size_t>(donor)].bonds;
  const backbone_chain::bond one{acceptor, hydrogen_bond_energy(chain.at(donor), chain.at(acceptor))};
  if (one.energy < bonds[0].energy) {
    bonds[1] = bonds[0];
    bonds[0] = one;
  } else if (one.energy < bonds[1].energy) {
    bonds[1] = one;
  }
}

}  // namespace detail

/// Collects residues with N, CA, C and O, finds chain breaks (C-N longer than 2.5 Angstrom), places amide hydrogens
/// opposite the previous C=O and keeps the two best acceptors of each amide among residues within 9 Angstrom (CA).
template <class Protein>
backbone_chain make_backbone_chain(const Protein& source) {
  backbone_chain chain;
  const auto n = static_cast<index_t>(source.aatype.size());
  for (index_t i = 0; i < n; ++i) {
    backbone_chain::residue residue;
    const std::array<std::pair<point*, int>, 4> wanted = {{{&residue.n, atom37_index("N")},
                                                           {&residue.ca, atom37_index("CA")},
                                                           {&residue.c, atom37_index("C")},
                                                           {&residue.o, atom37_index("O")}}};
    bool complete = true;
    for (const auto& [place, column] : wanted) {
      complete = complete && source.mask(i, column) > 0.5;
      for (std::size_t k = 0; k < 3; ++k) (*place)[k] = source.positions(i, column, k);
    }
    if (!complete) continue;
    residue.row = i;
    residue.h = residue.n;
    residue.donates = restype_letter(static_cast<int>(source.aatype[static_cast<std::size_t>(i)])) != 'P';
    if (!chain.residues.empty()) {
      const auto& before = chain.residues.back();
      const bool broken = distance(before.c, residue.n) > 2.5;
      residue.segment = before.segment + (broken ? 1 : 0);
      if (!broken && residue.donates) {
        const point opposite = before.c - before.o;
        residue.h = residue.n + (1 / norm(opposite)) * opposite;
      }
    }
    chain.residues.push_back(residue);
  }
  for (int i = 0; i < chain.size(); ++i)
    for (int j = i + 1; j < chain.size(); ++j) {
      if (distance(chain.at(i).ca, chain.at(j).ca) > 9.0) continue;
      detail::offer_bond(chain, i, j);
      if (j != i + 1) detail::offer_bond(chain, j, i);
    }
  return chain;
}

}  // namespace fathom::metrics
