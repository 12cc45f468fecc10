// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include <fathom/geometry/residue_constants.hpp>
#include <fathom/io/structure.hpp>

#ifndef FATHOM_SHARED_DIR
#define FATHOM_SHARED_DIR ""
#endif

namespace {

namespace fs = std::filesystem;
using namespace fathom;

struct atom_line {
  const char* record = "ATOM";
  const char* atom;
  char altloc = ' ';
  const char* residue;
  int number;
  char icode = ' ';
  double x = 0, y = 0, z = 0, occupancy = 1, b = 10;
  const char* element = "C";
};

std::string pdb_line(const atom_line& a, int serial = 1) {
  char text[128];
  std::snprintf(text, sizeof text, "%-6s%5d  %-3s%c%-3s A%4d%c   %8.3f%8.3f%8.3f%6.2f%6.2f          %2s  \n", a.record,
                serial, a.atom, a.altloc, a.residue, a.number, a.icode, a.x, a.y, a.z, a.occupancy, a.b, a.element);
  return text;
}

/// N, CA, C, O of a residue on a line along x, one residue every 3.3 Angstrom, C-N 1.4 apart.
std::string backbone(const char* residue, int number, double x0, char icode = ' ', const char* record = "ATOM") {
  const auto line = [&](const char* atom, double x, double y, const char* element) {
    return pdb_line({record, atom, ' ', residue, number, icode, x, y, 0.0, 1.0, 10.0, element});
  };
  return line("N", x0, 0, "N") + line("CA", x0 + 1.0, 1, "C") + line("C", x0 + 2.0, 0, "C") +
         line("O", x0 + 2, -1.2, "O");
}

io::protein parse(const std::string& text, const io::structure_options& options = {}) {
  return io::parse_chains(text, "inline.pdb", options).front();
}

std::string refusal(const std::string& text, const io::structure_options& options = {}) {
  try {
    static_cast<void>(io::parse_chains(text, "inline.pdb", options));
  } catch (const input_error& problem) {
    return problem.what();
  }
  return "";
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

index_t atoms_in(const io::protein& chain) {
  index_t atoms = 0;
  for (const double m : chain.mask.data) atoms += m > 0.5 ? 1 : 0;
  return atoms;
}

/// A complete chain of all residue types (all side chain atoms at made-up places) and a UNK.
io::protein made_up_chain() {
  const std::string letters = "ARNDCQEGHILKMFPSTWYVX";
  const auto& tables = residue_tables(unknown_residue::backbone);
  host_tensor<double> positions({21, 37, 3}), mask({21, 37});
  std::vector<double> plddt;
  for (index_t i = 0; i < 21; ++i) {
    plddt.push_back(4.5 * static_cast<double>(i));
    for (index_t a = 0; a < 37; ++a) {
      mask(i, a) = tables.restype_atom37_mask(i, a);
      for (index_t k = 0; k < 3; ++k)
        positions(i, a, k) = mask(i, a) * (static_cast<double>((7 * i + 3 * a + 11 * k) % 100) - 41.7);
    }
  }
  return io::make_protein(letters, positions, mask, plddt);
}

void check_same(const io::protein& a, const io::protein& b, double tolerance) {
  REQUIRE(a.size() == b.size());
  CHECK(a.aatype == b.aatype);
  CHECK(a.residue_number == b.residue_number);
  CHECK(a.insertion_code == b.insertion_code);
  CHECK(a.mask.data == b.mask.data);
  double worst = 0, worst_b = 0;
  for (index_t i = 0; i < a.size(); ++i)
    for (index_t c = 0; c < 37; ++c) {
      if (!a.has(i, static_cast<int>(c))) continue;
      for (index_t k = 0; k < 3; ++k) worst = std::max(worst, std::abs(a.positions(i, c, k) - b.positions(i, c, k)));
      worst_b = std::max(worst_b, std::abs(a.b_factor(i, c) - b.b_factor(i, c)));
    }
  CHECK(worst <= tolerance);
  CHECK(worst_b <= 0.00501);
}

struct temporary_folder {
  fs::path path = fs::temp_directory_path() / ("fathom_structure_" + std::to_string(::getpid()));
  temporary_folder() { fs::create_directories(path); }
  ~temporary_folder() { fs::remove_all(path); }
};

}  // namespace

TEST_CASE("io: a written PDB file is read back with every atom, B factor and number") {
  const temporary_folder folder;
  io::protein chain = made_up_chain();
  chain.residue_number[3] = -12;
  chain.insertion_code[4] = 'B';
  io::write_pdb(folder.path / "a.pdb", chain);
  const io::protein back = io::read_structure(folder.path / "a.pdb");
  check_same(chain, back, 5.01e-4);
  CHECK(back.sequence() == "ARNDCQEGHILKMFPSTWYVX");
  CHECK(back.chain_id == "A");
  std::ifstream in(folder.path / "a.pdb");
  std::string line, last, before_last;
  int serial = 0;
  while (std::getline(in, line)) {
    CHECK(line.size() == 80);
    if (holds(line.substr(0, 6), "ATOM")) CHECK(std::stoi(line.substr(6, 5)) == ++serial);
    before_last = last, last = line;
  }
  CHECK(serial == atoms_in(chain));
  CHECK(before_last.substr(0, 3) == "TER");
  CHECK(std::stoi(before_last.substr(6, 5)) == serial + 1);
  CHECK(last.substr(0, 6) == "END   ");
}

TEST_CASE("io: a written mmCIF file is read back and states pLDDT") {
  const temporary_folder folder;
  io::protein chain = made_up_chain();
  chain.name = "two words";
  chain.chain_id = "long name";
  chain.residue_number[5] = 12345;
  io::write_mmcif(folder.path / "a.cif", chain);
  const io::protein back = io::read_structure(folder.path / "a.cif");
  check_same(chain, back, 5.01e-4);
  CHECK(back.chain_id == "long name");
  std::stringstream text;
  text << std::ifstream(folder.path / "a.cif").rdbuf();
  CHECK(holds(text.str(), "_ma_qa_metric_global.metric_value 45.00"));
  CHECK(holds(text.str(), "\n21 1 2 A UNK 21 90.00\n"));
  chain.b_factor_is_plddt = false;
  CHECK_FALSE(holds(io::mmcif_text(chain), "_ma_qa"));
}

TEST_CASE("io: unobserved residues survive both formats through the sequence records") {
  io::protein chain = made_up_chain();
  for (const index_t gone : {0, 7, 8, 20})
    for (index_t a = 0; a < 37; ++a) chain.mask(gone, a) = 0;
  for (const auto& text : {io::pdb_text(chain), io::mmcif_text(chain)}) {
    const auto whole = parse(text, {"", 1, io::unobserved::all, 12});
    check_same(chain, whole, 5.01e-4);
    CHECK(parse(text).sequence() == "RNDCQEGHILKMFPSTWYV");
    CHECK(parse(text, {"", 1, io::unobserved::drop, 12}).sequence() == "RNDCQEILKMFPSTWYV");
  }
}

TEST_CASE("io: observed residues find their place in SEQRES by number, or by alignment where numbers mislead") {
  // Torn apart, so that geometry says nothing: of four equal residues the second is missing, as its number tells.
  std::string text = "SEQRES   1 A    6  ALA ALA ALA ALA GLY TRP\n";
  for (const int number : {1, 3, 4}) text += backbone("ALA", number, 40.0 * number);
  text += backbone("GLY", 5, 300.0) + backbone("TRP", 6, 340.0);
  const io::protein chain = parse(text);
  CHECK(chain.sequence() == "AAAAGW");
  CHECK(chain.has(0, 1));
  CHECK_FALSE(chain.has(1, 1));
  CHECK(chain.has(2, 1));
  // Numbers 11.. and a jump of 50 without missing residues: only the sequence helps.
  std::string jump = "SEQRES   1 A    7  MET LYS VAL SER GLY TRP HIS\n";
  jump += backbone("LYS", 11, 0.0) + backbone("VAL", 12, 3.3) + backbone("SER", 62, 6.6) + backbone("TRP", 64, 30.0);
  const io::protein aligned = parse(jump, {"", 1, io::unobserved::all, 12});
  CHECK(aligned.sequence() == "MKVSGWH");
  CHECK(aligned.residue_number == std::vector<int>{10, 11, 12, 62, 63, 64, 65});
  CHECK_FALSE(aligned.has(4, 1));
}

TEST_CASE("io: long chains get hybrid-36 numbers in PDB") {
  CHECK(io::detail::hybrid36(5, 99999) == "99999");
  CHECK(io::detail::hybrid36(5, 100000) == "A0000");
  CHECK(io::detail::hybrid36(4, 10000) == "A000");
  CHECK(io::detail::hybrid36(4, 10035) == "A00Z");
  CHECK(io::detail::hybrid36(4, -999) == "-999");
  CHECK_THROWS_AS(io::detail::hybrid36(4, -1000), input_error);
  io::protein chain = made_up_chain();
  chain.residue_number.back() = 10005;
  CHECK(parse(io::pdb_text(chain)).residue_number.back() == 10005);
}

TEST_CASE("io: coordinates that cannot be written are refused and leave no file") {
  const temporary_folder folder;
  io::protein chain = made_up_chain();
  chain.positions(2, 1, 1) = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(io::write_pdb(folder.path / "a.pdb", chain), numerical_error);
  CHECK_THROWS_AS(io::write_mmcif(folder.path / "a.cif", chain), numerical_error);
  chain.positions(2, 1, 1) = 10000.0;
  CHECK_THROWS_WITH_AS(io::write_pdb(folder.path / "a.pdb", chain), doctest::Contains("write mmCIF"), numerical_error);
  CHECK(fs::is_empty(folder.path));
  CHECK_THROWS_AS(io::write_pdb(folder.path / "none" / "a.pdb", chain), error);
  chain.mask = host_tensor<double>({20, 37});
  CHECK_THROWS_AS(io::write_mmcif(folder.path / "a.cif", chain), shape_error);
  CHECK_THROWS_AS(io::make_protein("AZ", host_tensor<double>({2, 37, 3}), host_tensor<double>({2, 37})), input_error);
}

TEST_CASE("io: alternative locations, modified residues, hydrogens, ligands and water") {
  std::string text = backbone("MSE", 1, 0.0, ' ', "HETATM");
  text += pdb_line({"HETATM", "SE", ' ', "MSE", 1, ' ', 1, 2, 3, 1, 5, "SE"});
  text += pdb_line({"ATOM", "H", ' ', "MSE", 1, ' ', 1, 2, 4, 1, 5, "H"});
  text += backbone("SER", 2, 3.3);
  text += pdb_line({"ATOM", "CB", 'A', "SER", 2, ' ', 7, 7, 7, 0.3, 5, "C"});
  text += pdb_line({"ATOM", "CB", 'B', "SER", 2, ' ', 8, 8, 8, 0.7, 6, "C"});
  text += pdb_line({"ATOM", "OG", 'A', "SER", 2, ' ', 9, 9, 9, 0.9, 6, "O"});
  text += backbone("PRO", 3, 6.6);
  text += backbone("THR", 3, 6.7);  // microheterogeneity: the first residue counts
  text += backbone("DAL", 4, 9.9, ' ', "HETATM");
  text += pdb_line({"ATOM", "OXT", ' ', "DAL", 4, ' ', 1, 2, 4, 1, 5, "O"});
  text += "TER\n" + pdb_line({"HETATM", "O", ' ', "HOH", 5, ' ', 1, 1, 1, 1, 5, "O"});
  text += pdb_line({"HETATM", "CA", ' ', " CA", 6, ' ', 1, 1, 1, 1, 5, "CA"});
  const io::protein chain = parse(text);
  CHECK(chain.sequence() == "MSPA");
  CHECK(chain.residue_number == std::vector<int>{1, 2, 3, 4});
  const int sd = atom37_index("SD"), cb = atom37_index("CB"), og = atom37_index("OG");
  CHECK(chain.has(0, sd));
  CHECK(chain.positions(0, sd, 2) == 3.0);
  // Summed over the residue A has 1.2 and B 0.7: A is taken for every atom.
  CHECK(chain.positions(1, cb, 0) == 7.0);
  CHECK(chain.positions(1, og, 0) == 9.0);
  CHECK(chain.positions(2, atom37_index("N"), 0) == doctest::Approx(6.6));
  CHECK_FALSE(chain.has(3, atom37_index("OXT")));
  CHECK(atoms_in(chain) == 4 * 4 + 1 + 2);
}

TEST_CASE("io: insertion codes and negative numbers keep the order of the file") {
  const std::string text = backbone("GLY", -1, 0.0) + backbone("ALA", 0, 3.3) + backbone("VAL", 0, 6.6, 'B') +
                           backbone("LEU", 0, 9.9, 'A') + backbone("TRP", 1, 13.2);
  const io::protein chain = parse(text);
  CHECK(chain.sequence() == "GAVLW");
  CHECK(chain.residue_number == std::vector<int>{-1, 0, 0, 0, 1});
  CHECK(std::string(chain.insertion_code.begin(), chain.insertion_code.end()) == "  BA ");
}

TEST_CASE("io: gaps are filled from numbers where the file has no sequence") {
  const std::string broken = backbone("GLY", 1, 0.0) + backbone("ALA", 5, 30.0);
  CHECK(parse(broken).sequence() == "GXXXA");
  CHECK(parse(broken).residue_number == std::vector<int>{1, 2, 3, 4, 5});
  CHECK(parse(broken, {"", 1, io::unobserved::internal, 2}).sequence() == "GA");
  CHECK(parse(broken, {"", 1, io::unobserved::drop, 12}).sequence() == "GA");
  // A jump of the numbers without a break of the chain is no gap.
  CHECK(parse(backbone("GLY", 1, 0.0) + backbone("ALA", 5, 3.4)).sequence() == "GA");
}

TEST_CASE("io: chains and models are chosen by name and number") {
  const std::string first = "MODEL        1\n" + backbone("GLY", 1, 0.0) + "ENDMDL\n";
  const std::string second = "MODEL        2\n" + backbone("ALA", 1, 0.0) + "ENDMDL\n";
  CHECK(parse(first + second).sequence() == "G");
  CHECK(parse(first + second, {"", 2, io::unobserved::internal, 12}).sequence() == "A");
  CHECK(holds(refusal(first + second, {"", 3, io::unobserved::internal, 12}), "holds 2"));
  CHECK(holds(refusal(first, {"Q", 1, io::unobserved::internal, 12}), "'Q'"));
  CHECK(holds(refusal(first, {"Q", 1, io::unobserved::internal, 12}), "holds: A"));
}

TEST_CASE("io: damaged structure files are refused with file, line and reason") {
  const std::string good = backbone("GLY", 1, 0.0);
  CHECK(parse(good).size() == 1);
  const std::string cut = good + "ATOM      5  CA  GLY A   2      1.0";
  CHECK(holds(refusal(cut), "inline.pdb"));
  CHECK(holds(refusal(cut), "line 5"));
  std::string letter = good;
  letter.replace(letter.find("   1.000") + 3, 5, "1.0a0");
  CHECK(holds(refusal(letter), "line 2: X coordinate"));
  std::string number = good;
  number.replace(number.find("A   1") + 2, 3, "1.5");
  CHECK(holds(refusal(number), "line 1: residue number"));
  CHECK(holds(refusal(""), "empty"));
  CHECK(holds(refusal("hello world\n"), "neither mmCIF"));
  CHECK(holds(refusal("{\"data_1ABC\": {}}"), "JSON"));
  CHECK(holds(refusal(std::string("ATOM\0\0\0", 7)), "binary"));
  CHECK(holds(refusal(pdb_line({"HETATM", "O", ' ', "HOH", 5, ' ', 1, 1, 1, 1, 5, "O"})),
              "no chain holds an amino acid"));
  const std::string cif = io::mmcif_text(made_up_chain());
  CHECK(holds(refusal(cif.substr(0, cif.size() / 2)), "inline.pdb:"));
  std::string cif_letter = cif;
  cif_letter.replace(cif_letter.find("1.00 0.00") - 8, 4, "x?.1");
  CHECK(holds(refusal(cif_letter), "not a number"));
  CHECK(holds(refusal("data_x\n_entry.id x\n"), "no block has _atom_site"));
  CHECK_THROWS_WITH_AS(io::read_structure("/nowhere/a.pdb"), doctest::Contains("/nowhere/a.pdb"), io_error);
}

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
    check_same(chain, parse(io::pdb_text(chain), {"", 1, io::unobserved::all, 12}), 1e-9);
  }
}
