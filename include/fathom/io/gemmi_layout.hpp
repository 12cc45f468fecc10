// SPDX-License-Identifier: Apache-2.0
// Where observed residues stand in the sequence of a file, and which of the twenty amino acids each is.
#pragma once

#include <cctype>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fathom/geometry/residue_types.hpp>
#include <fathom/io/gemmi.hpp>
#include <fathom/io/structure.hpp>

namespace fathom::io::detail {

/// Three letter names that modelling programs use for the twenty, and parents that a file itself declares.
class parent_table {
 public:
  explicit parent_table(std::map<std::string, std::string> declared) : declared_(std::move(declared)) {}

  /// Residue index 0..20; 20 for what has no parent among the twenty. B Z U J O count as in the HHblits alphabet.
  int restype(const std::string& name) const {
    if (const int known = restype_index(name); known >= 0) return known;
    static const std::map<std::string, char> aliases = {
        {"HID", 'H'}, {"HIE", 'H'}, {"HIP", 'H'}, {"HSD", 'H'}, {"HSE", 'H'}, {"HSP", 'H'}, {"CYX", 'C'}, {"CYM", 'C'},
        {"ASH", 'D'}, {"GLH", 'E'}, {"LYN", 'K'}, {"PYL", 'X'}, {"CRO", 'X'}, {"CR2", 'X'}, {"CRQ", 'X'}, {"CFY", 'X'}};
    if (const auto alias = aliases.find(name); alias != aliases.end()) return restype_index(alias->second);
    const gemmi::ResidueInfo info = gemmi::find_tabulated_residue(name);
    if (info.is_amino_acid()) {
      const int code = hhblits_index(static_cast<char>(std::toupper(static_cast<unsigned char>(info.one_letter_code))));
      if (code >= 0) return hhblits_to_restype[static_cast<std::size_t>(code)];
    }
    const auto parent = declared_.find(name);
    const int index = parent == declared_.end() ? -1 : restype_index(parent->second);
    return index >= 0 ? index : restype_unknown;
  }

 private:
  std::map<std::string, std::string> declared_;
};

/// True when the peptide bond between two residues is too long, or their CA atoms are too far apart, to be one.
inline bool is_broken(const gemmi::Residue& before, const gemmi::Residue& after) {
  const gemmi::Atom* c = before.get_c();
  const gemmi::Atom* n = after.get_n();
  if (c != nullptr && n != nullptr) return c->pos.dist(n->pos) > 2.5;
  const gemmi::Atom* first = before.get_ca();
  const gemmi::Atom* second = after.get_ca();
  return first == nullptr || second == nullptr || first->pos.dist(second->pos) > 4.5;
}

/// A position of the chain: an observed residue, one of the file's sequence that was not observed, or both.
struct chain_slot {
  const gemmi::Residue* residue = nullptr;
  int restype = restype_unknown;
};

/// Places of observed residues in the sequence by label_seq_id, or by their numbers where those agree with it:
/// ascending, in range, the names equal but for single substitutions. Empty when neither fits.
inline std::vector<std::size_t> places_by_number(const std::vector<const gemmi::Residue*>& observed,
                                                 const std::vector<chain_slot>& slots, const parent_table& parents) {
  const int length = static_cast<int>(slots.size());
  const auto ascending = [&](auto&& place) {
    std::vector<std::size_t> places;
    for (const gemmi::Residue* residue : observed) {
      const int at = place(*residue);
      if (at < 0 || at >= length || (!places.empty() && static_cast<std::size_t>(at) <= places.back()))
        return std::vector<std::size_t>();
      places.push_back(static_cast<std::size_t>(at));
    }
    return places;
  };
  auto labelled = ascending([](const gemmi::Residue& r) { return r.label_seq ? *r.label_seq - 1 : -1; });
  if (!labelled.empty()) return labelled;
  const int first = *observed.front()->seqid.num;
  std::vector<std::size_t> best;
  std::size_t fewest = observed.size() / 10 + 1;
  // Numbers that count the sequence from 1 are tried before all other offsets.
  for (int start = -1; start < length && (best.empty() || fewest > 0); ++start) {
    const int offset = start < 0 ? -1 : start - first;
    auto places = ascending([&](const gemmi::Residue& r) { return r.seqid.icode == ' ' ? *r.seqid.num + offset : -1; });
    std::size_t wrong = places.empty() ? fewest : 0;
    bool before = false;
    for (std::size_t i = 0; i < places.size() && wrong < fewest; ++i) {
      const bool differs = slots[places[i]].restype != parents.restype(observed[i]->name);
      wrong += differs ? 1 : 0;
      if (differs && before) wrong = fewest;
      before = differs;
    }
    if (wrong < fewest) best = std::move(places), fewest = wrong;
  }
  return best;
}

/// Lays observed residues along the sequence of the file: by number where that fits, else by an alignment in which gaps
/// at chain breaks cost nothing.
inline std::vector<chain_slot> lay_along(const std::vector<const gemmi::Residue*>& observed,
                                         const std::vector<std::string>& sequence, const parent_table& parents) {
  std::vector<chain_slot> slots(sequence.size());
  for (std::size_t i = 0; i < sequence.size(); ++i)
    slots[i].restype = parents.restype(gemmi::Entity::first_mon(sequence[i]));
  const auto place = [&](chain_slot& slot, const gemmi::Residue* residue) {
    slot = {residue, parents.restype(residue->name)};
  };
  const auto places = places_by_number(observed, slots, parents);
  if (!places.empty()) {
    for (std::size_t i = 0; i < observed.size(); ++i) place(slots[places[i]], observed[i]);
    return slots;
  }
  std::vector<std::uint8_t> query, target;
  for (const chain_slot& slot : slots) query.push_back(static_cast<std::uint8_t>(slot.restype));
  std::vector<bool> free_gap = {true};
  for (std::size_t i = 0; i < observed.size(); ++i) {
    target.push_back(static_cast<std::uint8_t>(parents.restype(observed[i]->name)));
    if (i > 0) free_gap.push_back(is_broken(*observed[i - 1], *observed[i]));
  }
  free_gap.push_back(true);
  const gemmi::AlignmentResult alignment =
      gemmi::align_sequences(query, target, free_gap, restype_count_with_x, gemmi::AlignmentScoring());
  std::vector<chain_slot> merged;
  std::size_t at_sequence = 0, at_observed = 0;
  for (const auto item : alignment.cigar)
    for (std::uint32_t k = 0; k < item.len(); ++k) {
      merged.push_back(item.op() == 'D' ? chain_slot{} : slots[at_sequence++]);
      if (item.op() != 'I') place(merged.back(), observed[at_observed++]);
    }
  return merged;
}

/// Without a sequence record: a break with a jump in numbering holds that many unknown residues.
inline std::vector<chain_slot> lay_by_number(const std::vector<const gemmi::Residue*>& observed, int longest_gap,
                                             const parent_table& parents) {
  std::vector<chain_slot> slots;
  for (std::size_t i = 0; i < observed.size(); ++i) {
    if (i > 0) {
      const int missing = *observed[i]->seqid.num - *observed[i - 1]->seqid.num - 1;
      if (missing >= 1 && missing <= longest_gap && is_broken(*observed[i - 1], *observed[i]))
        slots.resize(slots.size() + static_cast<std::size_t>(missing));
    }
    slots.push_back({observed[i], parents.restype(observed[i]->name)});
  }
  return slots;
}

inline void trim(std::vector<chain_slot>& slots, unobserved missing) {
  if (missing == unobserved::all) return;
  if (missing == unobserved::drop) {
    std::erase_if(slots, [](const chain_slot& slot) { return slot.residue == nullptr; });
    return;
  }
  while (!slots.empty() && slots.back().residue == nullptr) slots.pop_back();
  std::size_t first = 0;
  while (first < slots.size() && slots[first].residue == nullptr) ++first;
  slots.erase(slots.begin(), slots.begin() + static_cast<std::ptrdiff_t>(first));
}

/// Unobserved residues are numbered on from the one before, at the start backwards from the first observed one.
inline void number_residues(protein& chain, const std::vector<chain_slot>& slots) {
  std::size_t first = 0;
  while (first < slots.size() && slots[first].residue == nullptr) ++first;
  for (std::size_t i = first; i < slots.size(); ++i) {
    const gemmi::Residue* residue = slots[i].residue;
    chain.residue_number[i] = residue != nullptr ? *residue->seqid.num : chain.residue_number[i - 1] + 1;
    chain.insertion_code[i] = residue != nullptr ? residue->seqid.icode : ' ';
  }
  for (std::size_t i = first; i-- > 0;) chain.residue_number[i] = chain.residue_number[i + 1] - 1;
}

}  // namespace fathom::io::detail
