// SPDX-License-Identifier: Apache-2.0
// The program evaluate from outside: what it writes, that threads do not matter, what it refuses.
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <fathom/backend/cpu.hpp>
#include <fathom/io/atomic_file.hpp>
#include <fathom/io/structure.hpp>
#include <fathom/io/text_file.hpp>
#include <fathom/model/compact_checkpoint.hpp>
#include <nlohmann/json.hpp>

#include "support/program.hpp"

#ifdef FATHOM_EVALUATE

namespace fs = std::filesystem;

namespace {

using testing::folder;
using testing::run;

run evaluate(const std::string& arguments) {
  return testing::run_program(std::string(FATHOM_EVALUATE) + " " + arguments);
}

/// A model that has not learnt anything, but whose every layer does work.
std::string write_model(const fs::path& path) {
  using B = fathom::cpu<float>;
  const auto model =
      fathom::initialise(fathom::compact_fold_model<B, fathom::compact>(B{}), {.seed = 3, .final_scale = 0.5});
  fathom::io::save(path, model,
                   {{"model", "compact_fold_model"},
                    {"depth", "continuous"},
                    {"config.solvers", "heun:2,rk4:1"},
                    {"config.recycles", "1"},
                    {"config.structure_blocks", "2"}});
  return path.string();
}

nlohmann::json without_seconds(nlohmann::json summary) {
  for (auto& t : summary["targets"]) t.erase("seconds");
  for (auto& b : summary["baselines"]) b.erase("seconds");
  summary["mean"].erase("seconds");
  return summary;
}

}  // namespace

TEST_CASE("model: evaluate scores a model and its baselines, the same for any number of threads") {
  folder at;
  const auto model = write_model(at.path / "m.safetensors");
  fs::create_directories(at.path / "targets");
  fs::create_directories(at.path / "train");
  fathom::io::write_pdb(at.path / "targets" / "first.pdb", testing::example_piece(16, 30));
  fathom::io::write_pdb(at.path / "targets" / "second.pdb", testing::example_piece(70, 24));
  // The same structures under other names: the nearest chains are the answers.
  fathom::io::write_pdb(at.path / "train" / "other_first.pdb", testing::example_piece(16, 30));
  fathom::io::write_pdb(at.path / "train" / "other_second.pdb", testing::example_piece(70, 24));
  const std::string common = "--model " + model + " --targets " + (at.path / "targets").string() + " --train " +
                             (at.path / "train").string() + " --structures";
  nlohmann::json first;
  for (const char* threads : {"1", "3"}) {
    const auto out = at.path / threads;
    const auto r = evaluate(common + " --threads " + threads + " --out " + out.string());
    INFO(r.text);
    REQUIRE(r.code == 0);
    const auto summary = without_seconds(nlohmann::json::parse(fathom::io::read_text(out / "summary.json")));
    if (first.is_null()) first = summary;
    CHECK(summary == first);
  }
  for (const char* key : {"lddt_ca", "tm_score", "gdt_ts", "gdt_ha", "helix_f1", "strand_f1", "ca_ca_ok", "clashes",
                          "helix_handedness", "evaluations", "plddt"}) {
    CAPTURE(key);
    CHECK(first["mean"].contains(key));
    for (const auto& b : first["baselines"]) CHECK(b.contains(key));
  }
  // Two passes of two steps of a method with two stages.
  CHECK(first["mean"]["evaluations"] == 8);
  REQUIRE(first["targets"].size() == 2);
  CHECK(first["targets"][0]["name"] == "first");
  CHECK(first["targets"][1]["residues"] == 24);
  CHECK(first["mean"]["lddt_ca"].get<double>() ==
        doctest::Approx(0.5 *
                        (first["targets"][0]["lddt_ca"].get<double>() + first["targets"][1]["lddt_ca"].get<double>())));

  auto& others = first["baselines"];
  CHECK(others.size() == 6);
  CHECK(others["nearest_training_chain"]["lddt_ca"].get<double>() == doctest::Approx(1));
  CHECK(others["nearest_training_chain"]["tm_score"].get<double>() == doctest::Approx(1));
  CHECK(others["nearest_training_chain"]["helix_f1"] == 1);
  CHECK(others["nearest_training_chain"]["sequence_identity"] == 1);
  CHECK(others["ideal_helix"]["helix_handedness"] == 1);
  CHECK(others["ideal_helix"]["ca_ca_ok"] == 1);
  CHECK(others["ideal_helix"]["clashes"] == 0);
  // Undrawn final layers leave every residue at the origin.
  CHECK(others["initial_weights"]["clashes"] == 1);
  CHECK(others["initial_weights"]["lddt_ca"].get<double>() < 0.1);
  CHECK(others["median_distance_embedding"]["helix_f1"] == 0);
  CHECK(others["shuffled_sequence"]["lddt_ca"] != first["mean"]["lddt_ca"]);
  CHECK(others["all_x"]["lddt_ca"] != first["mean"]["lddt_ca"]);

  // What is written is what was scored.
  const auto chain = fathom::io::read_structure(at.path / "1" / "first.pdb");
  CHECK(chain.sequence() == testing::example_piece(16, 30).sequence());
}

TEST_CASE("model: evaluate takes alignments, solver and passes from the command line") {
  folder at;
  const auto model = write_model(at.path / "m.safetensors");
  fs::create_directories(at.path / "targets");
  fathom::io::write_pdb(at.path / "targets" / "t.pdb", testing::example_piece(16, 20));
  const auto letters = testing::example_piece(16, 20).sequence();
  const std::string common = "--model " + model + " --targets " + (at.path / "targets").string() +
                             " --no-baselines --solver midpoint:3 --recycles 0 --clusters 2 --threads 1 ";
  const auto mean = [&](const std::string& more) {
    const auto r = evaluate(common + more + " --out " + (at.path / "out").string());
    INFO(r.text);
    REQUIRE(r.code == 0);
    return nlohmann::json::parse(fathom::io::read_text(at.path / "out" / "summary.json"));
  };
  const auto alone = mean("");
  CHECK(alone["mean"]["evaluations"] == 6);
  CHECK(alone["baselines"].empty());
  fathom::io::write_file(at.path / "t.a3m", ">q\n" + letters + "\n>r\n" + std::string(20, 'L') + "\n");
  CHECK(mean("--msa " + at.path.string())["mean"]["plddt"] != alone["mean"]["plddt"]);
}

TEST_CASE("model: evaluate refuses what it cannot use, with a reason") {
  folder at;
  const auto model = write_model(at.path / "m.safetensors");
  fs::create_directories(at.path / "targets");
  fs::create_directories(at.path / "empty");
  fathom::io::write_pdb(at.path / "targets" / "t.pdb", testing::example_piece(16, 20));
  fathom::io::write_safetensors(at.path / "odd.safetensors",
                                {fathom::io::named_tensor::own("x", fathom::host_tensor<float>({1}, 1.0f))});
  const std::string targets = " --targets " + (at.path / "targets").string();
  const struct {
    std::string arguments, says;
    int code;
  } cases[] = {
      {"--model " + (at.path / "odd.safetensors").string() + targets, "does not name a compact_fold_model", 2},
      {"--model " + (at.path / "absent.safetensors").string() + targets, "absent.safetensors", 2},
      {"--model " + model + " --targets " + (at.path / "empty").string(), "holds no chain", 2},
      {"--model " + model + targets + " --msa " + (at.path / "empty").string(), "t.a3m", 2},
      {"--model " + model + targets + " --solver heun", "NAME:STEPS", 2},
      {"--model " + model, "--targets is required", 1},
  };
  for (const auto& one : cases) {
    CAPTURE(one.arguments);
    const auto r = evaluate(one.arguments + " --out " + (at.path / "out").string());
    INFO(r.text);
    CHECK(r.code == one.code);
    CHECK(r.text.find(one.says) != std::string::npos);
    CHECK(!fs::exists(at.path / "out" / "summary.json"));
  }
}

#else

TEST_CASE("model: the program evaluate is not built here") { MESSAGE("skipped: FATHOM_BUILD_EXAMPLES is off"); }

#endif
