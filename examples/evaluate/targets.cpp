// SPDX-License-Identifier: Apache-2.0
#include "targets.hpp"

#include <algorithm>
#include <filesystem>

#include <fathom/core/philox.hpp>
#include <fathom/train/chain_files.hpp>

namespace fs = std::filesystem;
namespace train = fathom::train;

namespace {

std::vector<train::chain> read(const std::string& path, const train::chain_options& options) {
  if (fs::is_directory(path)) return train::read_chains(path, options);
  auto chains = train::read_packed_chains(path, options);
  if (chains.empty()) throw fathom::input_error("'" + path + "' holds no chain of split '" + options.split + "'");
  std::sort(chains.begin(), chains.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return chains;
}

}  // namespace

std::vector<train::chain> read_targets(const evaluate_arguments& a) {
  train::chain_options all;
  all.split = a.split;
  all.shortest = 4;
  all.most_of_one_type = 1;
  auto chains = read(a.targets, all);
  // An alignment beside the structures is not asked for.
  for (auto& c : chains) c.alignment = {};
  if (a.limit > 0 && chains.size() > static_cast<std::size_t>(a.limit))
    chains.resize(static_cast<std::size_t>(a.limit));
  if (a.alignments.empty()) return chains;
  if (!fs::is_directory(a.alignments)) throw fathom::io_error("'" + a.alignments + "' is no folder of alignments");
  for (auto& c : chains) {
    const auto path = fs::path(a.alignments) / (c.name + ".a3m");
    if (!fs::exists(path)) throw fathom::io_error("there is no alignment '" + path.string() + "'");
    c.alignment = fathom::io::read_alignment(path);
    if (c.alignment.length() != c.size())
      throw fathom::input_error(fathom::detail::concat("'", path.string(), "' has ", c.alignment.length(),
                                                       " columns, its target ", c.size(), " residues"));
  }
  return chains;
}

std::vector<train::chain> read_training(const evaluate_arguments& a) {
  return a.training.empty() ? std::vector<train::chain>{} : read(a.training, {});
}

train::chain with_sequence(const train::chain& target, const std::string& letters) {
  auto other = target;
  for (std::size_t i = 0; i < letters.size(); ++i) {
    const int type = fathom::restype_index(letters[i]);
    other.aatype[i] = static_cast<std::uint8_t>(type < 0 ? fathom::restype_unknown : type);
  }
  other.alignment = {};
  return other;
}

std::string shuffled_sequence(const train::chain& target, std::uint64_t seed) {
  std::string letters = target.sequence();
  std::uint64_t key = seed;
  for (const char c : target.name) key = fathom::philox_split(key, static_cast<unsigned char>(c));
  for (std::size_t i = letters.size(); i > 1; --i) {
    const auto j = static_cast<std::size_t>(fathom::philox_uniform(key, i) * static_cast<double>(i));
    std::swap(letters[i - 1], letters[std::min(j, i - 1)]);
  }
  return letters;
}
