// SPDX-License-Identifier: Apache-2.0
#include "check_input.hpp"

#include <cstdio>
#include <set>
#include <string>

#include <fathom/features/featurize.hpp>
#include <fathom/io/alignment.hpp>
#include <fathom/io/structure.hpp>

namespace {

bool looks_like_structure(const std::filesystem::path& path) {
  static const std::set<std::string> endings = {".pdb", ".ent", ".cif", ".mmcif", ".bcif"};
  auto name = path;
  if (name.extension() == ".gz") name = name.stem();
  return endings.count(name.extension().string()) != 0;
}

void describe(const fathom::io::protein& chain) {
  long atoms = 0, observed = 0;
  for (fathom::index_t i = 0; i < chain.size(); ++i) {
    long here = 0;
    for (int column = 0; column < fathom::atom37_count; ++column) here += chain.has(i, column);
    atoms += here;
    observed += here > 0;
  }
  std::printf("  chain %s: %td residues, %ld with coordinates, %ld heavy atoms\n    %s\n", chain.chain_id.c_str(),
              chain.size(), observed, atoms, chain.sequence().c_str());
}

}  // namespace

void check_input(const std::filesystem::path& path) {
  if (looks_like_structure(path)) {
    const auto chains = fathom::io::read_chains(path);
    std::printf("%s: a structure with %zu protein chain%s\n", path.c_str(), chains.size(), chains.size() == 1 ? "" : "s");
    for (const auto& chain : chains) describe(chain);
    return;
  }
  const auto alignment = fathom::io::read_alignment(path);
  const auto query = fathom::featurize(alignment, {});
  std::size_t gaps = 0, letters = 0;
  for (const auto& row : alignment.rows) {
    letters += row.size();
    for (const char c : row) gaps += c == '-';
  }
  std::printf("%s: an alignment of %zu sequences over %zu residues, %.0f %% gaps\n    %s\n", path.c_str(),
              alignment.rows.size(), query.sequence().size(), 100.0 * static_cast<double>(gaps) / static_cast<double>(letters),
              query.sequence().c_str());
}
