// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <fathom/io/alignment.hpp>

namespace {

namespace fs = std::filesystem;
using namespace fathom;
using rows = std::vector<std::string>;
using counts = std::vector<std::vector<int>>;

std::string refusal(const std::string& text) {
  try {
    static_cast<void>(io::parse_alignment(text, "bad.a3m"));
  } catch (const input_error& problem) {
    return problem.what();
  }
  return "";
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string gzipped(const std::string& text) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(text.size() + 1000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

/// Every row as long as the query, upper case or gap, one count per residue, no gap in the query, no row twice.
void check_sound(const io::alignment& found) {
  REQUIRE(found.size() > 0);
  CHECK(found.descriptions.size() == found.rows.size());
  CHECK(found.deletions.size() == found.rows.size());
  CHECK(found.query().find('-') == std::string::npos);
  std::size_t bad = 0;
  for (std::size_t s = 0; s < found.rows.size(); ++s) {
    bad += found.rows[s].size() != found.query().size() || found.deletions[s].size() != found.query().size();
    for (const char c : found.rows[s]) bad += !((c >= 'A' && c <= 'Z') || c == '-');
    for (const int n : found.deletions[s]) bad += n < 0;
  }
  CHECK(bad == 0);
  CHECK(std::set<std::string>(found.rows.begin(), found.rows.end()).size() == found.rows.size());
}

}  // namespace

TEST_CASE("io: a3m insertions become deletion counts") {
  const auto found = io::parse_a3m(
      "#A3M#\n; a comment\n>ss_pred something\nCCHH\n>ss_conf\n9876\n>q the query\nMK\nVL\n"
      ">a\nabM-cVLxyz\n>b\n.M.KdeV-.\n\n>ss_pred\nCCCC\n>c\n----\n");
  CHECK(found.rows == rows{"MKVL", "M-VL", "MKV-", "----"});
  CHECK(found.deletions == counts{{0, 0, 0, 0}, {2, 0, 1, 0}, {0, 0, 2, 0}, {0, 0, 0, 0}});
  CHECK(found.descriptions == rows{"q the query", "a", "b", "c"});
  CHECK(found.query() == "MKVL");
  CHECK(found.length() == 4);
}

TEST_CASE("io: line endings, byte order mark, blanks and case do not matter") {
  const auto plain = io::parse_alignment(">q\nMKVL\n>a\nM-aVL", "x");
  for (const std::string text : {">q\r\nMKVL\r\n>a\r\nM-aVL\r\n", ">q\rMKVL\r>a\rM-aVL",
                                 "\xEF\xBB\xBF>q\nMKVL\n>a\nM-aVL\n", ">q\n MK VL\n>a\nM-aV\tL\n"}) {
    const auto found = io::parse_alignment(text, "x");
    CHECK(found.rows == plain.rows);
    CHECK(found.deletions == plain.deletions);
    CHECK(found.descriptions == plain.descriptions);
  }
  CHECK(io::parse_alignment(">q\nmkvl\n", "x").rows == rows{"MKVL"});         // one sequence, soft-masked
  CHECK(io::parse_alignment(">q\nMKVL\n>a\nmkAl\n", "x").rows[1] == "MKAL");  // aligned FASTA, soft-masked
  CHECK(io::parse_alignment(">q\nmk..VL\n>a\nMKaaVL\n", "x").rows == rows{"MKVL"});
  CHECK(io::parse_alignment(">q\nMXBZUJO\n", "x").query() == "MXBZUJO");
}

TEST_CASE("io: gaps in the query take their column out") {
  const auto found = io::parse_alignment(">q\nM-KV-\n>a\nMAK-W\n>b\n-aWc-V-\n", "x");
  CHECK(found.rows == rows{"MKV", "MK-", "--V"});
  CHECK(found.deletions == counts{{0, 0, 0}, {0, 1, 0}, {0, 3, 0}});
}

TEST_CASE("io: repeated rows are dropped on demand, the first stays") {
  const std::string text = ">q\nMKVL\n>a\nMKV-\n>q2\nMKVL\n>a2\nMKVa-\n";
  CHECK(io::parse_alignment(text, "x").descriptions == rows{"q", "a"});
  CHECK(io::parse_alignment(text, "x", {.drop_duplicates = false}).rows == rows{"MKVL", "MKV-", "MKVL", "MKV-"});
}

TEST_CASE("io: Stockholm in blocks, with markup and a query with gaps") {
  const auto found = io::parse_stockholm(
      "# STOCKHOLM 1.0\n#=GF ID   x\n#=GS hit/1-9 DE a thing\n#=GS hit/1-9 AC P1\n\n"
      "query   MK--\n#=GR query PP 9999\nhit/1-9 M.aW\nother   ~KA-\n#=GC RF  xx..\n\n"
      "query   -VL\nhit/1-9 sVl\nother   _V.\n//\n\n");
  CHECK(found.rows == rows{"MKVL", "M-VL", "-KV-"});
  CHECK(found.deletions == counts{{0, 0, 0, 0}, {0, 0, 3, 0}, {0, 0, 1, 0}});
  CHECK(found.descriptions == rows{"query", "hit/1-9 a thing", "other"});
}

TEST_CASE("io: alignments that make no sense are refused by name, line and reason") {
  CHECK(holds(refusal(""), "'bad.a3m': the file is empty"));
  CHECK(holds(refusal("\n \n# only a comment\n"), "the file is empty"));
  CHECK(holds(refusal(">ss_pred\nCCC\n"), "the file is empty"));
  CHECK(holds(refusal(">q\n"), "the alignment is empty"));
  CHECK(holds(refusal(">q\n---\n>a\nMKV\n"), "the alignment is empty"));
  CHECK(holds(refusal("MKV\n"), "line 1: no alignment"));
  CHECK(holds(refusal("CLUSTAL W (1.83)\n"), "line 1: no alignment"));
  CHECK(holds(refusal("; comment\nMKV\n>q\n"), "line 2: no alignment"));

  const auto ragged = refusal(">q\nMKVL\n>a first\nMKVL\n>b second\nMKkkV\n>c\nMKVLL\n");
  CHECK(holds(ragged, "row 3 'b' (line 5) has 3 aligned columns"));
  CHECK(holds(ragged, "expected 4"));
  CHECK(holds(refusal(">q\nMKVL\n>a\n"), "row 2 'a' (line 3) has 0"));
  CHECK(holds(refusal(">q\nMkVL\n>a\nMVLL-\n"), "lower case"));

  const auto letter = refusal(">q\nMKVL\n>a hit\nMK\nV*\n");
  CHECK(holds(letter, "line 5, column 2: '*' is no residue code"));
  CHECK(holds(letter, "row 2 'a' (line 3), position 4"));
  CHECK(holds(refusal(">q\nMK1L\n"), "'1' is no residue code"));
  CHECK(holds(refusal(std::string(">q\nM\0KL\n", 8)), "0x00 is no residue code"));
  CHECK(holds(refusal(">q\nM\xC3\x84L\n"), "0xC3 is no residue code"));

  CHECK(holds(refusal("# STOCKHOLM 1.0\n//\n"), "the file is empty"));
  CHECK(holds(refusal("# STOCKHOLM 1.0\nq MKV\na MK\n//\n"), "row 2 'a' (line 3) has 2 columns, expected 3"));
  CHECK(holds(refusal("# STOCKHOLM 1.0\nq MKV\na\n//\n"), "line 3: row 'a' has no sequence"));
  CHECK(holds(refusal("# STOCKHOLM 1.0\nq MKV\na M K\n//\n"), "' ' is no residue code"));
  CHECK(holds(refusal("# STOCKHOLM 1.0\nq MKV\na M7V\n//\n"), "line 3: '7' is no residue code"));
  CHECK(holds(refusal("# STOCKHOLM 1.0\nq MKV\n//\n# STOCKHOLM 1.0\nq MKV\n//\n"), "one alignment per file"));
  CHECK(holds(refusal("# STOCKHOLM 1.0\nq ---\na MKV\n//\n"), "the alignment is empty"));
}

TEST_CASE("io: gzip is seen through, and a damaged stream is told") {
  const fs::path path = fs::temp_directory_path() / ("fathom_alignment_" + std::to_string(::getpid()) + ".gz");
  const auto put = [&](const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; };
  const std::string text = ">q\nMKVL\n>a\nM-VL\n", packed = gzipped(text);
  put(packed);
  CHECK(io::read_alignment(path).rows == rows{"MKVL", "M-VL"});
  put(gzipped(">q\nMK") + gzipped("VL\n>a\nM-VL\n"));  // two members
  CHECK(io::read_alignment(path).rows == rows{"MKVL", "M-VL"});
  put(packed.substr(0, packed.size() - 9));
  CHECK_THROWS_WITH_AS(io::read_alignment(path), doctest::Contains("cut off"), io_error);
  std::string broken = packed;
  broken[packed.size() - 6] = static_cast<char>(broken[packed.size() - 6] ^ 1);  // the checksum
  put(broken);
  CHECK_THROWS_WITH_AS(io::read_alignment(path), doctest::Contains("damaged"), io_error);
  put(gzipped(std::string(1 << 20, 'A')));
  CHECK_THROWS_WITH_AS(io::read_text(path, 1 << 16), doctest::Contains("more than 65536 bytes when unpacked"),
                       io_error);
  put("");
  CHECK_THROWS_WITH_AS(io::read_alignment(path), doctest::Contains("the file is empty"), input_error);
  fs::remove(path);
  CHECK_THROWS_WITH_AS(io::read_alignment(path), doctest::Contains("No such file"), io_error);
  CHECK_THROWS_WITH_AS(io::read_alignment(fs::temp_directory_path()), doctest::Contains("it is a folder"), io_error);
}

TEST_CASE("io: FASTA sequences") {
  const auto found = io::parse_fasta(">a one\nmk-vl\n>b\nAXU\n");
  REQUIRE(found.size() == 2);
  CHECK(found[0].residues == "MKVL");
  CHECK(found[0].description == "a one");
  CHECK(found[1].residues == "AXU");
  CHECK_THROWS_WITH_AS(io::parse_fasta(">a\n\n>b\nAA\n"), doctest::Contains("row 1 'a' (line 1) has no residue"),
                       input_error);
}

TEST_CASE("io: the awkward alignments are read as their manifest says") {
  const fs::path folder = fs::path(FATHOM_SHARED_DIR) / "data" / "nasty";
  if (std::string(FATHOM_SHARED_DIR).empty() || !fs::exists(folder)) {
    MESSAGE("SKIPPED: no shared/data/nasty beside the source tree");
    return;
  }
  std::ifstream manifest(folder / "MANIFEST.tsv");
  int seen = 0;
  for (std::string line; std::getline(manifest, line);) {
    std::istringstream fields(line);
    std::string file, source, why, expected;
    std::getline(fields, file, '\t');
    std::getline(fields, source, '\t');
    std::getline(fields, why, '\t');
    std::getline(fields, expected, '\t');
    if (!holds(file, ".a3m") && !holds(file, ".sto") && !holds(file, ".fasta")) continue;
    CAPTURE(file);
    ++seen;
    bool read = false;
    try {
      check_sound(io::read_alignment(folder / file));
      read = true;
    } catch (const io_error& problem) {
      MESSAGE(problem.what());
    }
    if (expected != "either") CHECK(read == (expected == "read"));
  }
  CHECK(seen == 9);
  CHECK(io::read_alignment(folder / "rosettafold_ss2.a3m").descriptions[0].substr(0, 5) == "T1078");
  CHECK(io::read_alignment(folder / "boltz_seq2.a3m").query()[18] == 'X');
  CHECK(io::read_alignment(folder / "openfold_mgnify_hits.sto").query() ==
        "MAAHKGAEHHHKAAEHHEQAAKHHHAAAEHHEKGEHEQAAHHADTAYAHHKHAEEHAAQAAKHDAEHHAPKPH");
}

TEST_CASE("io: every shipped target alignment is sound") {
  const fs::path folder = fs::path(FATHOM_SHARED_DIR) / "data" / "msa_targets";
  if (std::string(FATHOM_SHARED_DIR).empty() || !fs::exists(folder)) {
    MESSAGE("SKIPPED: no shared/data/msa_targets beside the source tree");
    return;
  }
  int seen = 0;
  for (const auto& item : fs::directory_iterator(folder)) {
    const std::string name = item.path().filename().string();
    if (!holds(name, ".a3m") && !holds(name, ".sto") && !holds(name, ".fasta")) continue;
    CAPTURE(name);
    check_sound(io::read_alignment(item.path()));
    ++seen;
  }
  CHECK(seen > 28);
}
