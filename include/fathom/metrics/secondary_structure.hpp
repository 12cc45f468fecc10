// SPDX-License-Identifier: Apache-2.0
// Secondary structure from backbone hydrogen bonds (Kabsch and Sander 1983), eight and three states.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fathom/metrics/hydrogen_bonds.hpp>
#include <fathom/metrics/points.hpp>

namespace fathom::metrics {

namespace detail {

/// A row of bridges between two strands: partners i[k] and j[k].
struct ladder {
  bool parallel = true;
  std::vector<int> i, j;  ///< both ascending; antiparallel partners are j read backwards
};

/// 'p' parallel, 'a' antiparallel bridge between residues i and j, ' ' none (patterns of Kabsch and Sander, section
/// "bridges", from the bonds N-H(x) -> O(y)).
inline char bridge_between(const backbone_chain& chain, int i, int j) {
  if (!chain.connected(i - 1, i + 1) || !chain.connected(j - 1, j + 1)) return ' ';
  const auto bond = [&](int donor, int acceptor) { return chain.bonded(donor, acceptor); };
  if ((bond(i + 1, j) && bond(j, i - 1)) || (bond(j + 1, i) && bond(i, j - 1))) return 'p';
  if ((bond(i + 1, j - 1) && bond(j + 1, i - 1)) || (bond(j, i) && bond(i, j))) return 'a';
  return ' ';
}

/// Consecutive bridges of one kind, in the order of their first residue.
inline std::vector<ladder> find_ladders(const backbone_chain& chain) {
  std::vector<ladder> ladders;
  const int n = chain.size();
  for (int i = 1; i + 4 < n; ++i)
    for (int j = i + 3; j + 1 < n; ++j) {
      const char kind = bridge_between(chain, i, j);
      if (kind == ' ') continue;
      const bool parallel = kind == 'p';
      bool grown = false;
      for (ladder& row : ladders) {
        if (row.parallel != parallel || row.i.back() + 1 != i) continue;
        if (parallel && row.j.back() + 1 == j) {
          row.i.push_back(i), row.j.push_back(j);
          grown = true;
          break;
        }
        if (!parallel && row.j.front() - 1 == j) {
          row.i.push_back(i), row.j.insert(row.j.begin(), j);
          grown = true;
          break;
        }
      }
      if (!grown) ladders.push_back({parallel, {i}, {j}});
    }
  return ladders;
}

/// Joins ladders across bulges: at most one extra residue on one strand and four on the other.
inline void join_bulges(const backbone_chain& chain, std::vector<ladder>& ladders) {
  for (std::size_t a = 0; a < ladders.size(); ++a)
    for (std::size_t b = a + 1; b < ladders.size(); ++b) {
      ladder& first = ladders[a];
      const ladder& second = ladders[b];
      const int i0 = first.i.front(), i1 = first.i.back(), j0 = first.j.front(), j1 = first.j.back();
      const int k0 = second.i.front(), k1 = second.i.back(), l0 = second.j.front(), l1 = second.j.back();
      if (first.parallel != second.parallel || !chain.connected(std::min(i0, k0), std::max(i1, k1)) ||
          !chain.connected(std::min(j0, l0), std::max(j1, l1)))
        continue;
      // Both strands must go on in the direction of the ladder.
      const int step = k0 - i1, gap = first.parallel ? l0 - j1 : j0 - l1;
      if (step < 0 || step >= 6 || gap < 0 || !((gap < 6 && step < 3) || gap < 3)) continue;
      first.i.insert(first.i.end(), second.i.begin(), second.i.end());
      first.j.insert(first.parallel ? first.j.end() : first.j.begin(), second.j.begin(), second.j.end());
      ladders.erase(ladders.begin() + static_cast<std::ptrdiff_t>(b));
      --b;
    }
}

inline void mark_sheets(const backbone_chain& chain, std::string& states) {
  std::vector<ladder> ladders = find_ladders(chain);
  join_bulges(chain, ladders);
  for (const ladder& row : ladders) {
    const char state = row.i.size() > 1 ? 'E' : 'B';
    for (const auto* strand : {&row.i, &row.j})
      for (int k = strand->front(); k <= strand->back(); ++k)
        if (states[static_cast<std::size_t>(k)] != 'E') states[static_cast<std::size_t>(k)] = state;
  }
}

/// Helices need two turns in a row; alpha helices take precedence over strands, pi helices over alpha helices, 3-10
/// helices over nothing. Then turns and bends for what is left.
inline void mark_helices(const backbone_chain& chain, std::string& states) {
  const int n = chain.size();
  const auto turn_at = [&](int i, int stride) {
    return i >= 0 && i + stride < n && chain.connected(i, i + stride) && chain.bonded(i + stride, i);
  };
  const auto starts = [&](int i, int stride) { return turn_at(i, stride) && turn_at(i - 1, stride); };
  const auto mark = [&](int stride, char state, std::string_view over) {
    for (int i = 1; i + stride < n; ++i) {
      if (!starts(i, stride)) continue;
      const std::string_view here(&states[static_cast<std::size_t>(i)], static_cast<std::size_t>(stride));
      if (!over.empty() && here.find_first_not_of(over) != std::string_view::npos) continue;
      for (int k = 0; k < stride; ++k) states[static_cast<std::size_t>(i + k)] = state;
    }
  };
  mark(4, 'H', "");
  mark(3, 'G', "-G");
  mark(5, 'I', "-IH");
  for (int i = 1; i + 1 < n; ++i) {
    char& state = states[static_cast<std::size_t>(i)];
    if (state != '-') continue;
    bool turn = false;
    for (const int stride : {3, 4, 5})
      for (int k = 1; k < stride; ++k) turn = turn || turn_at(i - k, stride);
    if (turn)
      state = 'T';
    else if (chain.bend(i) > 70)
      state = 'S';
  }
}

/// Three residues in a row near phi -75, psi 145 (+- 29) that nothing else claims: polyproline helix.
inline void mark_polyproline(const backbone_chain& chain, std::string& states) {
  const auto inside = [&](int i) {
    const auto [phi, psi] = chain.phi_psi(i);
    return std::abs(phi + 75) <= 29 && std::abs(psi - 145) <= 29;
  };
  for (int i = 1; i + 3 < chain.size(); ++i) {
    if (!(inside(i) && inside(i + 1) && inside(i + 2))) continue;
    for (int k = i; k < i + 3; ++k)
      if (states[static_cast<std::size_t>(k)] == '-') states[static_cast<std::size_t>(k)] = 'P';
  }
}

}  // namespace detail

/// One letter per residue: H alpha helix, G 3-10 helix, I pi helix, E strand, B lone bridge, T turn, S bend, P
/// polyproline helix, - none of these, '.' without a complete backbone (N, CA, C, O). The rules are those of the
/// program DSSP 4. `Protein` has aatype [N], positions [N, 37, 3] in Angstrom and mask [N, 37], such as io::protein.
template <class Protein>
std::string secondary_structure(const Protein& chain) {
  const backbone_chain backbone = make_backbone_chain(chain);
  std::string states(static_cast<std::size_t>(backbone.size()), '-');
  detail::mark_sheets(backbone, states);
  detail::mark_helices(backbone, states);
  detail::mark_polyproline(backbone, states);
  std::string all(chain.aatype.size(), '.');
  for (int i = 0; i < backbone.size(); ++i)
    all[static_cast<std::size_t>(backbone.residues[static_cast<std::size_t>(i)].row)] =
        states[static_cast<std::size_t>(i)];
  return all;
}

/// Eight states to three: H, G, I -> H; E, B -> E; the rest C; '.' stays.
inline std::string three_states(std::string states) {
  for (char& state : states) {
    if (state == 'G' || state == 'I') state = 'H';
    if (state == 'B') state = 'E';
    if (state != 'H' && state != 'E' && state != '.') state = 'C';
  }
  return states;
}

}  // namespace fathom::metrics
