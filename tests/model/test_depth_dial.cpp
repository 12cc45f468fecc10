// SPDX-License-Identifier: Apache-2.0
// The program depth_dial from outside: its table, its plot, its solver-swap score, its exit codes.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <fathom/io/atomic_file.hpp>
#include <fathom/io/text_file.hpp>

#ifdef FATHOM_DEPTH_DIAL

namespace fs = std::filesystem;

namespace {

struct folder {
  fs::path path;
  folder() {
    std::string name = (fs::temp_directory_path() / "fathom_dial_XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

struct run {
  int code = -1;
  std::string text;
};

run dial(const std::string& arguments) {
  run result;
  std::FILE* pipe = popen((std::string(FATHOM_DEPTH_DIAL) + " " + arguments + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) result.text.append(buffer, n);
  const int status = pclose(pipe);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

/// Rows of the table: for every solver, in order, evaluations, seconds, megabytes and the error of m.
struct row {
  long evaluations;
  double seconds, megabytes, error_m, error_z, error_row;
};
std::map<std::string, std::vector<row>> table(const std::string& text) {
  std::map<std::string, std::vector<row>> rows;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    char solver[32], first[16], second[16];
    long evaluations = 0, accepted = 0, rejected = 0;
    row r{};
    if (std::sscanf(line.c_str(), "%31s %15s %15s %ld %ld/%ld %lf %lf %lf %lf %lf", solver, first, second, &evaluations,
                    &accepted, &rejected, &r.seconds, &r.megabytes, &r.error_m, &r.error_z, &r.error_row) != 11)
      continue;
    r.evaluations = evaluations;
    rows[solver].push_back(r);
  }
  return rows;
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t n = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

const std::string alignment = ">query\nMKVLAXGWYRHE\n>one\nMKVLA-GWYRHD\n>two\nMRVLAaGGWY-HE\n>three\nMKILASGWFRHE\n";

}  // namespace

TEST_CASE("model: depth_dial prints error against cost for several solvers, and plots it") {
  folder at;
  const auto target = (at.path / "t.a3m").string(), plot = (at.path / "dial.svg").string();
  fathom::io::write_file(target, alignment);
  const auto r = dial(target + " --clusters 4 --extra 4 --reference-steps 32 --threads 1 -o " + plot);
  INFO(r.text);
  REQUIRE(r.code == 0);
  CHECK(r.text.find("t.a3m, 12 residues") == 0);
  CHECK(r.text.find("reference: 32 steps of rk4") != std::string::npos);

  const auto rows = table(r.text);
  REQUIRE(rows.size() == 6);
  for (const char* solver : {"euler", "heun", "rk4", "adams_bashforth2", "bosh3", "dopri5"}) {
    CAPTURE(solver);
    REQUIRE(rows.count(solver) == 1);
    const auto& points = rows.at(solver);
    REQUIRE(points.size() >= 4);
    CHECK(points.back().evaluations > points.front().evaluations);
    CHECK(points.back().error_m < points.front().error_m);
    CHECK(points.back().error_z < points.front().error_z);
    CHECK(points.back().error_row < points.front().error_row);
    for (const auto& p : points) CHECK(p.megabytes > 0);
  }
  // Eight steps of rk4 beat eight of Euler's method by far.
  CHECK(rows.at("rk4").back().error_m < 0.05 * rows.at("euler")[3].error_m);

  const auto swap = r.text.find("solver swap |Y_h - Y_(h/8)| / |Y_(h/8) - Y_0|, 2 steps of rk4: m ");
  REQUIRE(swap != std::string::npos);
  double m = -1, z = -1, first = -1;
  CHECK(std::sscanf(r.text.c_str() + r.text.find(": m ", swap), ": m %lf, z %lf, first row %lf", &m, &z, &first) == 3);
  for (const double score : {m, z, first}) {
    CHECK(score >= 0);
    CHECK(score < 1);
  }

  const auto svg = fathom::io::read_text(plot);
  CHECK(svg.find("<svg xmlns='http://www.w3.org/2000/svg'") == 0);
  CHECK(svg.rfind("</svg>") > svg.size() - 10);
  // Three panels, a curve of each solver in every one, and six in the legend.
  CHECK(count(svg, "<polyline") == 4 * 6);
  for (const char* label : {"evaluations of the field", "seconds", "bytes (peak of the solve)", "dopri5"})
    CHECK(svg.find(label) != std::string::npos);
  CHECK(svg.find("nan") == std::string::npos);
  CHECK(svg.find("inf") == std::string::npos);
}

TEST_CASE("model: depth_dial turns the paper's field too, and finds that it is no ODE") {
  folder at;
  const auto plot = (at.path / "dial.svg").string();
  const auto r = dial("--paper --sequences 2 --residues 4 --reference-steps 8 --threads 1 -o " + plot);
  INFO(r.text);
  REQUIRE(r.code == 0);
  CHECK(r.text.find("the paper's trained field on a synthetic state, 4 residues, 2 sequences") == 0);
  CHECK(r.text.find("1 steps of rk4_38") != std::string::npos);
  CHECK(r.text.find("not resolved: the answer depends on the solver") != std::string::npos);
  CHECK(fs::exists(plot));
}

TEST_CASE("model: depth_dial says what is wrong with its arguments") {
  folder at;
  const auto missing = dial((at.path / "no.a3m").string());
  CHECK(missing.code == 2);
  CHECK(missing.text.find("depth_dial: ") == 0);
  CHECK(missing.text.find("no.a3m") != std::string::npos);
  CHECK(dial("--reference-steps 0").code == 1);
  const auto target = (at.path / "t.a3m").string();
  fathom::io::write_file(target, alignment);
  const auto unknown = dial(target + " --clusters 2 --extra 2 --reference-steps 2 --swap-solver leapfrog -o " +
                            (at.path / "x").string());
  CHECK(unknown.code == 2);
  CHECK(unknown.text.find("leapfrog") != std::string::npos);
}

#else

TEST_CASE("model: depth_dial") { MESSAGE("skipped: the program was not built (CLI11 is missing)"); }

#endif
