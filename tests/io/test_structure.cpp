// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <fathom/io/structure.hpp>

#include "support/structure_samples.hpp"

namespace {

namespace fs = std::filesystem;
using namespace fathom;
using namespace fathom::test;

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
  std::string far_number = cif;
  far_number.replace(far_number.find(" 1 A 1\n") + 1, 1, "-2147483648");
  CHECK(holds(refusal(far_number), "has the number -2147483648"));
  std::string unprintable = good;
  unprintable[unprintable.find("1.000") + 1] = '\x01';
  CHECK(holds(refusal(unprintable), "'   1?000'"));
  CHECK(holds(refusal("data_x\n_entry.id x\n"), "no block has _atom_site"));
  CHECK_THROWS_WITH_AS(io::read_structure("/nowhere/a.pdb"), doctest::Contains("/nowhere/a.pdb"), io_error);
}

TEST_CASE("io: a structure file damaged anywhere is read or refused, never worse") {
  std::mt19937 dice(5);
  int read = 0, refused = 0;
  for (const std::string& whole : {io::pdb_text(made_up_chain()), io::mmcif_text(made_up_chain())})
    for (int round = 0; round < 200; ++round) {
      std::string text = whole;
      const std::size_t at = dice() % text.size(), length = dice() % 200;
      if (round % 4 == 0) text[at] = static_cast<char>(dice() % 256);
      if (round % 4 == 1) text.erase(at, length);
      if (round % 4 == 2) text.insert(at, text.substr(dice() % text.size(), length));
      if (round % 4 == 3) text.resize(at);
      try {
        for (const auto& chain : io::parse_chains(text, "damaged")) CHECK_NOTHROW(chain.check());
        ++read;
      } catch (const input_error& problem) {
        CHECK(holds(problem.what(), "damaged"));
        ++refused;
      }
    }
  CHECK(read > 20);
  CHECK(refused > 20);
}
