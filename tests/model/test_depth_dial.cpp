// SPDX-License-Identifier: Apache-2.0
// The program depth_dial from outside: its table, its plot, its solver-swap score, its exit codes.
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <fathom/backend/cpu.hpp>
#include <fathom/io/atomic_file.hpp>
#include <fathom/io/structure.hpp>
#include <fathom/io/text_file.hpp>
#include <fathom/model/compact_checkpoint.hpp>
#include <nlohmann/json.hpp>

#include "support/program.hpp"

#ifdef FATHOM_DEPTH_DIAL

namespace fs = std::filesystem;

namespace {

using testing::folder;
using testing::run;

run dial(const std::string& arguments) {
  return testing::run_program(std::string(FATHOM_DEPTH_DIAL) + " " + arguments);
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

/// A compact model that has not learnt anything, but whose every layer does work.
std::string write_model(const fs::path& path, bool discrete = false) {
  using B = fathom::cpu<float>;
  std::map<std::string, std::string> metadata = {{"model", "compact_fold_model"},    {"depth", "continuous"},
                                                 {"config.solvers", "heun:2,rk4:1"}, {"config.recycles", "1"},
                                                 {"config.structure_blocks", "2"},   {"step", "77"}};
  if (discrete) metadata["depth"] = "discrete";
  const auto model =
      fathom::initialise(fathom::compact_fold_model<B, fathom::compact>(B{}), {.seed = 3, .final_scale = 0.5});
  fathom::io::save(path, model, metadata);
  return path.string();
}

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

TEST_CASE("model: depth_dial scores a compact model at every setting, and swaps its solver") {
  folder at;
  const auto model = write_model(at.path / "m.safetensors");
  fs::create_directories(at.path / "targets");
  fathom::io::write_pdb(at.path / "targets" / "first.pdb", testing::example_piece(16, 14));
  fathom::io::write_pdb(at.path / "targets" / "second.pdb", testing::example_piece(70, 12));
  const auto plot = at.path / "dial.svg";
  const auto r =
      dial("--model " + model + " --targets " + (at.path / "targets").string() + " --threads 2 -o " + plot.string());
  INFO(r.text);
  REQUIRE(r.code == 0);
  CHECK(r.text.find("heun:2, 1 recycles, step 77") != std::string::npos);
  CHECK(r.text.find("2 targets of ") != std::string::npos);

  const auto all = nlohmann::json::parse(fathom::io::read_text(at.path / "dial.json"));
  const auto& points = all["points"];
  REQUIRE(points.size() == 9);
  const long steps[] = {1, 2, 4, 8, 16};
  for (std::size_t k = 0; k < 5; ++k) {
    CAPTURE(k);
    CHECK(points[k]["solver"] == "heun");
    CHECK(points[k]["steps"] == steps[k]);
    // Two passes, two stages.
    CHECK(points[k]["evaluations"] == 4 * steps[k]);
    CHECK(points[k]["shipped"] == (steps[k] == 2));
  }
  for (std::size_t k = 5; k < 9; ++k) {
    CHECK(points[k]["solver"] == "bosh3");
    CHECK(!points[k].contains("steps"));
    if (k > 5) CHECK(points[k]["evaluations"].get<double>() >= points[k - 1]["evaluations"].get<double>());
  }
  CHECK(points[8]["evaluations"].get<double>() > points[5]["evaluations"].get<double>());
  for (const auto& p : points) {
    CHECK(p["seconds"].get<double>() > 0);
    REQUIRE(p["lddt_ca_of_targets"].size() == 2);
    CHECK(p["lddt_ca"].get<double>() ==
          doctest::Approx(0.5 * (p["lddt_ca_of_targets"][0].get<double>() + p["lddt_ca_of_targets"][1].get<double>())));
  }
  // One sequence: m is its first row. The score of two steps is larger than that of sixteen.
  const auto& swap = all["solver_swap"];
  CHECK(swap["solver"] == "heun");
  CHECK(swap["steps"] == 2);
  REQUIRE(swap["targets"].size() == 2);
  for (const char* leaf : {"m", "z", "first_row"}) {
    CHECK(swap["mean"][leaf].get<double>() > 0);
    CHECK(swap["worst"][leaf].get<double>() >= swap["mean"][leaf].get<double>());
    CHECK(swap["worst"][leaf].get<double>() < 1);
  }
  CHECK(swap["mean"]["m"] == swap["mean"]["first_row"]);
  const auto finer = dial("--model " + model + " --targets " + (at.path / "targets").string() +
                          " --limit 1 --swap-steps 16 --threads 1 -o " + (at.path / "finer.svg").string());
  REQUIRE(finer.code == 0);
  const auto resolved = nlohmann::json::parse(fathom::io::read_text(at.path / "finer.json"));
  CHECK(resolved["targets"] == nlohmann::json::array({"first"}));
  CHECK(resolved["solver_swap"]["mean"]["z"].get<double>() < swap["targets"][0]["z"].get<double>());

  const auto csv = fathom::io::read_text(at.path / "dial.csv");
  CHECK(csv.find("solver,setting,steps,rtol,lddt_ca,seconds,evaluations,rejected,shipped\nheun,1 step,1,,") == 0);
  CHECK(count(csv, "\n") == 10);
  const auto svg = fathom::io::read_text(plot);
  CHECK(svg.find("<svg xmlns='http://www.w3.org/2000/svg'") == 0);
  // Two panels and a legend, two curves in each; a ring around the shipped setting in all three.
  CHECK(count(svg, "<polyline") == 3 * 2);
  CHECK(count(svg, "r='7'") == 3);
  CHECK(svg.find("nan") == std::string::npos);
}

TEST_CASE("model: depth_dial turns a compact model's trunk on an alignment as it does others") {
  folder at;
  const auto target = (at.path / "t.a3m").string();
  fathom::io::write_file(target, alignment);
  const auto r = dial(target + " --model " + write_model(at.path / "m.safetensors") +
                      " --reference-steps 32 --threads 1 -o " + (at.path / "dial.svg").string());
  INFO(r.text);
  REQUIRE(r.code == 0);
  CHECK(r.text.find("t.a3m, 12 residues, 1 sequences, compact model") == 0);
  CHECK(r.text.find("2 steps of heun: m ") != std::string::npos);
  CHECK(table(r.text).size() == 6);
}

TEST_CASE("model: depth_dial says why weights cannot be dialled") {
  folder at;
  const auto says = [&](const std::string& arguments, const std::string& reason) {
    const auto r = dial(arguments + " -o " + (at.path / "x.svg").string());
    INFO(r.text);
    CHECK(r.code == 2);
    CHECK(r.text.find("depth_dial: ") == 0);
    CHECK(r.text.find(reason) != std::string::npos);
    CHECK(!fs::exists(at.path / "x.svg"));
  };
  const auto discrete = write_model(at.path / "d.safetensors", true), model = write_model(at.path / "m.safetensors");
  says("--model " + discrete, "d.safetensors' holds a stack of 6 blocks, which has no depth to dial");
  const std::string paper = std::string(FATHOM_SOURCE_DIR) + "/examples/models/paper_evoformer_ode.safetensors";
  const std::string chains = std::string(FATHOM_SOURCE_DIR) + "/examples/data/chains";
  says("--model " + paper + " --targets " + chains, "does not name a compact_fold_model");
  says("--model " + (at.path / "none.safetensors").string() + " --targets " + chains, "none.safetensors");
  says("--targets " + chains, "--targets needs --model");
  says("t.a3m --model " + model + " --targets " + chains, "--targets is for a compact model");
  says("--model " + model + " --targets " + (at.path / "nowhere").string(), "nowhere");
  says("--model " + model + " --targets " + chains + " --split test", "split 'test'");
  says("--model " + model + " --adaptive heun", "does not estimate its error");
}

#else

TEST_CASE("model: depth_dial") { MESSAGE("skipped: the program was not built (CLI11 is missing)"); }

#endif
