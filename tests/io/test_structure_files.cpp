// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <fathom/io/structure.hpp>

#include "support/structure_samples.hpp"

#ifndef FATHOM_SHARED_DIR
#define FATHOM_SHARED_DIR ""
#endif

namespace {

namespace fs = std::filesystem;
using namespace fathom;
using namespace fathom::test;

}  // namespace

TEST_CASE("io: awkward real structure files are read or refused as their manifest says") {
  const fs::path folder = fs::path(FATHOM_SHARED_DIR) / "data" / "nasty";
  std::ifstream manifest(folder / "MANIFEST.tsv");
  if (std::string(FATHOM_SHARED_DIR).empty() || !manifest) {
    MESSAGE("SKIPPED: no files under '" << folder.string() << "'");
    return;
  }
  int seen = 0;
  std::string line;
  std::getline(manifest, line);
  while (std::getline(manifest, line)) {
    std::stringstream fields(line);
    std::string file, source, why, expected;
    std::getline(fields, file, '\t'), std::getline(fields, source, '\t');
    std::getline(fields, why, '\t'), std::getline(fields, expected, '\t');
    const bool structure = holds(file, ".pdb") || holds(file, "cif") || holds(file, ".ent");
    if (!structure) continue;
    ++seen;
    INFO(file, ": ", why);
    std::string message;
    try {
      for (const auto& chain : io::read_chains(folder / file)) {
        CHECK(chain.size() > 0);
        CHECK(atoms_in(chain) > 0);
        for (const double value : chain.positions.data) REQUIRE(std::isfinite(value));
        // What was read can be written and read again.
        const auto again = io::parse_chains(io::mmcif_text(chain), "again").front();
        CHECK(again.sequence() == chain.sequence());
      }
    } catch (const input_error& problem) {
      message = problem.what();
      CHECK(holds(message, file));
    }
    if (expected == "read") CHECK(message == "");
    if (expected == "refuse") CHECK(message != "");
  }
  CHECK(seen >= 22);
}

TEST_CASE("io: well-known details of awkward files come out right") {
  const fs::path folder = fs::path(FATHOM_SHARED_DIR) / "data" / "nasty";
  if (!fs::exists(folder / "mse_1A8O.cif")) {
    MESSAGE("SKIPPED: no files under '" << folder.string() << "'");
    return;
  }
  const auto cif = io::read_structure(folder / "mse_1A8O.cif"), pdb = io::read_structure(folder / "mse_1A8O.pdb");
  CHECK(cif.sequence() == pdb.sequence());
  CHECK(cif.sequence().substr(0, 10) == "MDIRQGPKEP");
  check_same(cif, pdb, 1e-9);
  CHECK(pdb.has(0, atom37_index("SD")));
  const auto gfp = io::read_structure(folder / "chromophore_mse_1ema.cif");
  CHECK(holds(gfp.sequence(), "TFXVQCF"));  // T65 S65-Y66-G67 as CRO
  CHECK(gfp.size() == 226);
  const auto phospho = io::read_structure(folder / "gz_phospho_2jdt.pdb.gz");
  CHECK(holds(phospho.sequence(), "GRTWTLCGTPEY"));  // TPO 197, behind a TER inside the chain
  const auto old = io::read_structure(folder / "old_format_1gdr.ent");
  CHECK(atoms_in(old) == 105);  // CA only
  const auto crambin = io::read_structure(folder / "altloc_microhet_1ejg.pdb");
  CHECK(crambin.sequence() == "TTCCPSIVARSNFNVCRLPGTPEALCATYTGCIIIPGATCPGDYAN");
  const auto mirror = io::read_structure(folder / "dpeptide_5gob.pdb", {"B", 1, io::unobserved::internal, 12});
  CHECK(mirror.sequence().substr(0, 12) == "XQIFVKTLTGKT");
  CHECK(io::read_chains(folder / "mse_multichain_2rbg.pdb").size() == 2);
  try {
    static_cast<void>(io::read_structure(folder / "broken_loop_3eiy.cif"));
    FAIL("a loop with a wrong number of values was read");
  } catch (const input_error& problem) {
    CHECK(holds(problem.what(), "broken_loop_3eiy.cif:"));
    CHECK(holds(problem.what(), "Wrong number of values in the loop"));
  }
}

TEST_CASE("io: chains of the targets equal their sequences") {
  const fs::path folder = fs::path(FATHOM_SHARED_DIR) / "data" / "msa_targets";
  if (!fs::exists(folder)) {
    MESSAGE("SKIPPED: no files under '" << folder.string() << "'");
    return;
  }
  for (const char* id : {"1a3a", "6kwc", "5zyh", "T1034"}) {
    INFO(id);
    std::ifstream fasta(folder / (std::string(id) + ".fasta"));
    std::string line, query;
    while (std::getline(fasta, line))
      if (line.front() != '>') query += line;
    const auto chain = io::read_structure(folder / (std::string(id) + ".pdb"), {"", 1, io::unobserved::all, 12});
    REQUIRE(chain.size() == static_cast<index_t>(query.size()));
    int differences = 0;
    for (std::size_t i = 0; i < query.size(); ++i) {
      CHECK(chain.residue_number[i] == static_cast<int>(i) + 1);
      differences += query[i] != chain.sequence()[i];
    }
    CHECK(differences <= 3);
    check_same(chain, io::parse_chains(io::pdb_text(chain), "again", {"", 1, io::unobserved::all, 12}).front(), 1e-9);
  }
}
