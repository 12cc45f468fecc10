// SPDX-License-Identifier: Apache-2.0
// The program fold from outside: exit codes, messages, the files it leaves.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include <fathom/backend/cpu.hpp>
#include <fathom/io/atomic_file.hpp>
#include <fathom/io/parameters.hpp>
#include <fathom/io/structure.hpp>
#include <fathom/io/text_file.hpp>
#include <fathom/metrics/geometry_check.hpp>
#include <fathom/metrics/points.hpp>
#include <fathom/model/compact_checkpoint.hpp>
#include <nlohmann/json.hpp>

#include "support/program.hpp"

#ifdef FATHOM_FOLD

namespace fs = std::filesystem;

namespace {

using testing::folder;
using testing::run;

/// Runs fold with these arguments and collects what it says. `shipped` stands for the model that ships.
run fold(const std::string& arguments, const std::string& shipped = "") {
  const std::string environment = shipped.empty() ? "" : "FATHOM_DEFAULT_MODEL=" + shipped + " ";
  return testing::run_program(environment + FATHOM_FOLD + " " + arguments);
}

std::set<std::string> files_in(const fs::path& path) {
  std::set<std::string> names;
  if (fs::exists(path))
    for (const auto& entry : fs::directory_iterator(path)) names.insert(entry.path().filename().string());
  return names;
}

std::string write(const fs::path& path, const std::string& text) {
  fathom::io::write_file(path, text);
  return path.string();
}

const std::string quick = "--dims small --clusters 8 --extra 8 --recycles 1 --solver euler --steps 1 --threads 2 ";
const std::string alignment = ">query\nMKVLAXGWYRHE\n>one\nMKVLA-GWYRHD\n>two\nMRVLAaGGWY-HE\n>three\nMKILASGWFRHE\n";

}  // namespace

TEST_CASE("model: fold writes a structure and a summary that agree with each other") {
  folder at;
  const auto target = write(at.path / "t.a3m", alignment);
  const auto out = at.path / "out";
  const auto r = fold(target + " " + quick + "-o " + out.string());
  INFO(r.text);
  REQUIRE(r.code == 0);
  // No pae.json: this model has no head for aligned errors, and the summary says so.
  CHECK(files_in(out) ==
        std::set<std::string>{"plddt.json", "ranked_0.cif", "ranked_0.pdb", "report.html", "summary.json"});
  CHECK(r.text.find("means nothing") != std::string::npos);

  const auto summary = nlohmann::json::parse(fathom::io::read_text(out / "summary.json"));
  CHECK(summary["residues"] == 12);
  CHECK(summary["solver"]["evaluations"] == 2);
  CHECK(summary["pae"].get<std::string>().find("no head") != std::string::npos);
  for (const char* what : {"m", "z", "frames"}) CHECK(summary["rms_displacement"][what].get<double>() > 0);

  for (const char* name : {"ranked_0.pdb", "ranked_0.cif"}) {
    CAPTURE(name);
    const auto chain = fathom::io::read_structure(out / name);
    CHECK(chain.sequence() == "MKVLAXGWYRHE");
    const auto report = fathom::metrics::geometry_check(chain);
    CHECK(report.not_finite == 0);
    CHECK(report.missing_atoms == 0);
    CHECK(report.within(0.02, 2.0));
    // X is written as UNK with N CA C O.
    for (int column = 0; column < fathom::atom37_count; ++column)
      CHECK(chain.has(5, column) == (column < 3 || column == 4));
  }
}

TEST_CASE("model: fold's report holds what the other files say, with the steps of every pass") {
  folder at;
  const std::string data = std::string(FATHOM_SOURCE_DIR) + "/examples/data/1a3a";
  const auto out = at.path / "out";
  const auto r = fold(data + ".a3m --reference " + data + ".pdb --dims compact --clusters 1 --solver heun --steps 3 " +
                      "--recycles 1 --drift --threads 2 -o " + out.string());
  INFO(r.text);
  REQUIRE(r.code == 0);
  const auto page = fathom::io::read_text(out / "report.html");
  const std::string opening = "<script type=\"application/json\" id=\"data\">";
  const auto from = page.find(opening) + opening.size();
  const auto shown = nlohmann::json::parse(page.substr(from, page.find("</script>", from) - from));
  const auto summary = nlohmann::json::parse(fathom::io::read_text(out / "summary.json"));
  const auto confidence = nlohmann::json::parse(fathom::io::read_text(out / "plddt.json"));
  CHECK(shown["sequence"] == summary["sequence"]);
  CHECK(shown["plddt"] == confidence["confidenceScore"]);
  CHECK(confidence["residueNumber"].size() == 145);
  CHECK(shown["warning"].get<std::string>().find("means nothing") != std::string::npos);

  // Coordinates: those of the PDB file, moved as one body onto the experiment.
  const auto chain = fathom::io::read_structure(out / "ranked_0.pdb");
  const auto ca = fathom::metrics::ca_trace(chain);
  const auto& predicted = shown["predicted"]["ca"];
  REQUIRE(predicted.size() == 145);
  const auto point = [&](std::size_t i) {
    return fathom::metrics::point{predicted[i][0].get<double>(), predicted[i][1].get<double>(),
                                  predicted[i][2].get<double>()};
  };
  for (std::size_t i = 0; i + 7 < 145; i += 5)
    CHECK(fathom::metrics::distance(point(i), point(i + 7)) ==
          doctest::Approx(fathom::metrics::distance(ca.at[i], ca.at[i + 7])).epsilon(0.01));
  CHECK(shown["experiment"]["ss"].get<std::string>().find("HHHHHHHH") != std::string::npos);
  CHECK(shown["experiment"]["ss"].get<std::string>().find("EEEEE") != std::string::npos);

  // Three steps in each of two passes; the comparison with six steps is of the last pass only.
  const auto& steps = shown["depth"]["steps"];
  REQUIRE(steps.size() == 6);
  for (std::size_t k = 0; k < 6; ++k) {
    CHECK(steps[k]["cycle"] == k / 3);
    CHECK(steps[k]["t1"].get<double>() == doctest::Approx(static_cast<double>(k % 3 + 1) / 3));
    CHECK(steps[k]["change"].get<double>() > 0);
    CHECK(steps[k]["error"].is_null());
    CHECK(steps[k]["drift"].is_null() == (k < 3));
  }
  CHECK(summary["solver"]["evaluations"] == 12);
}

TEST_CASE("model: fold takes the shipped model where nothing else is asked for, and says so") {
  folder at;
  const auto target = write(at.path / "t.a3m", alignment);
  const auto shipped = at.path / "shipped.safetensors";
  using B = fathom::cpu<float>;
  fathom::io::save(
      shipped, fathom::initialise(fathom::compact_fold_model<B, fathom::compact>(B{}), {.seed = 3, .final_scale = 0.5}),
      {{"model", "compact_fold_model"}, {"depth", "continuous"}, {"config.solvers", "heun:2,rk4:1"}, {"step", "1234"}});
  const auto summary_of = [](const fs::path& out) {
    return nlohmann::json::parse(fathom::io::read_text(out / "summary.json"));
  };

  const auto r = fold(target + " --threads 2 -o " + (at.path / "out").string(), shipped.string());
  INFO(r.text);
  REQUIRE(r.code == 0);
  CHECK(r.text.find("fold: the shipped model shipped.safetensors of compact dims, trained for 1234 steps\n") !=
        std::string::npos);
  CHECK(r.text.find("means nothing") == std::string::npos);
  const auto summary = summary_of(at.path / "out");
  CHECK(summary["weights"] == shipped.string());
  CHECK(summary["trained_steps"] == "1234");
  CHECK(summary["dims"] == "compact");
  // As the weights say: two steps of heun, no recycling, the query alone.
  CHECK(summary["solver"]["name"] == "heun");
  CHECK(summary["solver"]["evaluations"] == 4);
  CHECK(summary["recycles"] == 0);
  CHECK(summary["clusters"] == 1);
  CHECK(fathom::io::read_text(at.path / "out" / "report.html").find("shipped.safetensors, step 1234") !=
        std::string::npos);

  // Asked for by name it is the same model, and the other options still win.
  const auto named =
      fold(target + " --model " + shipped.string() + " --steps 3 --threads 2 -o " + (at.path / "named").string());
  INFO(named.text);
  REQUIRE(named.code == 0);
  CHECK(named.text.find("fold: shipped.safetensors of compact dims, trained for 1234 steps\n") != std::string::npos);
  CHECK(summary_of(at.path / "named")["solver"]["evaluations"] == 6);

  // Sizes alone mean a model drawn from the seed, whatever ships.
  const auto drawn = fold(target + " " + quick + "-o " + (at.path / "drawn").string(), shipped.string());
  INFO(drawn.text);
  REQUIRE(drawn.code == 0);
  CHECK(drawn.text.find("fold: a model of small dims, drawn at random from seed 0\n") != std::string::npos);
  CHECK(summary_of(at.path / "drawn")["weights"] == "random");
}

TEST_CASE("model: fold --dims alphafold2, and fold without a shipped model, go the whole way of a large model") {
  folder at;
  const auto target = write(at.path / "t.a3m", alignment);
  const auto nothing = (at.path / "no_model.safetensors").string();
  // The full dims cost seconds even on twelve residues, so only one of the two is folded to the end.
  const auto out = at.path / "out";
  const auto r = fold(target + " --dims alphafold2 --threads 2 -o " + out.string(), nothing);
  INFO(r.text);
  REQUIRE(r.code == 0);
  CHECK(r.text.find("fold: a model of alphafold2 dims, drawn at random from seed 0\n") != std::string::npos);
  const auto summary = nlohmann::json::parse(fathom::io::read_text(out / "summary.json"));
  CHECK(summary["dims"] == "alphafold2");
  CHECK(summary["weights"] == "random");
  CHECK(summary["clusters"] == 128);
  CHECK(summary["extra"] == 1024);
  CHECK(summary["recycles"] == 1);
  // Two steps of rk4 in each of two passes.
  CHECK(summary["solver"]["name"] == "rk4");
  CHECK(summary["solver"]["evaluations"] == 16);

  const auto refused = fold(target + " --memory 1MB -o " + (at.path / "refused").string(), nothing);
  CHECK(refused.code == 4);
  CHECK(refused.text.find("fold: a model of alphafold2 dims, drawn at random from seed 0\n") != std::string::npos);
}

TEST_CASE("model: fold --no-report leaves the page out; a name cannot end the page's data") {
  folder at;
  const auto target = write(at.path / "t.a3m", alignment);
  const auto r = fold(target + " " + quick + "--no-report -o " + (at.path / "out").string());
  INFO(r.text);
  REQUIRE(r.code == 0);
  CHECK(files_in(at.path / "out").count("report.html") == 0);

  const auto odd = write(at.path / "<!--<script>a.a3m", alignment);
  REQUIRE(fold("'" + odd + "' " + quick + "-o " + (at.path / "odd").string()).code == 0);
  const auto page = fathom::io::read_text(at.path / "odd" / "report.html");
  CHECK(page.find("<!--<script>") == std::string::npos);
  CHECK(page.find("\\u003c!--<script>a") != std::string::npos);
}

TEST_CASE("model: fold gives the same bytes for any number of threads") {
  folder at;
  const auto target = write(at.path / "t.a3m", alignment);
  std::string first;
  for (const char* threads : {"1", "2", "3"}) {
    const auto out = at.path / threads;
    const auto r = fold(target + " --dims small --clusters 8 --extra 8 --solver heun --steps 1 --threads " + threads +
                        " -o " + out.string());
    INFO(r.text);
    REQUIRE(r.code == 0);
    const auto text = fathom::io::read_text(out / "ranked_0.pdb");
    if (first.empty()) first = text;
    CHECK(text == first);
  }
}

TEST_CASE("model: fold refuses bad input with exit code 2, a reason, and no output") {
  folder at;
  const auto good = write(at.path / "good.a3m", alignment);
  const struct {
    std::string name, arguments, says;
  } cases[] = {
      {"absent", (at.path / "absent.a3m").string(), "absent.a3m"},
      {"empty", write(at.path / "empty.a3m", ""), "empty.a3m"},
      {"ragged", write(at.path / "ragged.a3m", ">q\nMKVL\n>r\nMKV\n"), "ragged.a3m"},
      {"letter", write(at.path / "letter.a3m", ">q\nMK1L\n"), "letter.a3m"},
      {"magic", good + " --model " + write(at.path / "w.safetensors", "this is no weight file"), "w.safetensors"},
      {"truncated", good + " --model " + write(at.path / "t.safetensors", std::string("\xff\0\0\0\0\0\0\0{", 9)),
       "t.safetensors"},
      {"reference", good + " --reference " + write(at.path / "ref.pdb", "nothing here\n"), "ref.pdb"},
      {"solver", good + " --solver nonsense", "euler, midpoint"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.name);
    const auto out = at.path / ("out_" + one.name);
    const auto r = fold(one.arguments + " " + (one.name == "solver" ? "--dims small" : quick) + " -o " + out.string());
    INFO(r.text);
    CHECK(r.code == 2);
    CHECK(r.text.find(one.says) != std::string::npos);
    CHECK(files_in(out).empty());
  }
}

TEST_CASE("model: fold lists every weight that does not fit, and refuses NaN") {
  folder at;
  const auto target = write(at.path / "t.a3m", alignment);
  fathom::host_tensor<float> odd({2, 3}, 1.0f);
  fathom::io::write_safetensors(at.path / "w.safetensors",
                                {fathom::io::named_tensor::own("input_embedder.linear_tf_m.weight", odd),
                                 fathom::io::named_tensor::own("nobody.asked", odd)});
  const auto r = fold(target + " " + quick + "--model " + (at.path / "w.safetensors").string() + " -o " +
                      (at.path / "out").string());
  INFO(r.text);
  CHECK(r.code == 2);
  CHECK(r.text.find("unexpected: nobody.asked") != std::string::npos);
  CHECK(r.text.find("wrong shape: input_embedder.linear_tf_m.weight") != std::string::npos);
  CHECK(r.text.find("missing: structure_module.ipa.head_weights") != std::string::npos);
  CHECK(files_in(at.path / "out").empty());
}

TEST_CASE("model: fold refuses a budget of memory that is too small, before it starts") {
  folder at;
  const auto target = write(at.path / "t.a3m", alignment);
  const auto r = fold(target + " " + quick + "--memory 1MB -o " + (at.path / "out").string());
  INFO(r.text);
  CHECK(r.code == 4);
  CHECK(r.text.find("--memory allows") != std::string::npos);
  CHECK(files_in(at.path / "out").empty());
}

TEST_CASE("model: fold says so when it cannot write, and leaves nothing behind") {
  folder at;
  const auto target = write(at.path / "t.a3m", alignment);
  const auto blocked = write(at.path / "file", "a file where the folder should be");
  const auto r = fold(target + " " + quick + "-o " + blocked + "/out");
  INFO(r.text);
  CHECK(r.code == 4);
  CHECK(r.text.find("file") != std::string::npos);
}

TEST_CASE("model: fold --check describes alignments and structures without folding") {
  folder at;
  const auto target = write(at.path / "t.a3m", alignment);
  const auto a = fold(target + " --check");
  INFO(a.text);
  CHECK(a.code == 0);
  CHECK(a.text.find("4 sequences over 12 residues") != std::string::npos);
  const auto s = fold(std::string(FATHOM_SOURCE_DIR) + "/examples/data/1a3a.pdb --check");
  INFO(s.text);
  CHECK(s.code == 0);
  CHECK(s.text.find("145 residues") != std::string::npos);
  CHECK(fold(write(at.path / "bad.pdb", "ATOM  nonsense\n") + " --check").code == 2);
}

TEST_CASE("model: Ctrl-C stops fold with code 130 and leaves no file") {
  folder at;
  const auto target = write(at.path / "t.a3m", alignment);
  const auto out = (at.path / "out").string();
  int report[2];
  REQUIRE(pipe(report) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(report[1], 2);
    close(report[0]);
    // Far more steps than anyone waits for.
    execl(FATHOM_FOLD, FATHOM_FOLD, target.c_str(), "--dims", "small", "--clusters", "8", "--extra", "8", "--solver",
          "euler", "--steps", "100000", "--threads", "1", "-o", out.c_str(), static_cast<char*>(nullptr));
    _exit(127);
  }
  close(report[1]);
  std::string text;
  char c;
  while (text.find("trunk") == std::string::npos && read(report[0], &c, 1) == 1) text += c;
  kill(child, SIGINT);
  int status = 0;
  waitpid(child, &status, 0);
  close(report[0]);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 130);
  CHECK(files_in(out).empty());
}

TEST_CASE("model: fold says what --device cuda needs where there is no GPU or no build for one") {
  folder at;
  const auto target = write(at.path / "t.a3m", alignment);
  const auto out = at.path / "out";
  const auto r = testing::run_program("CUDA_VISIBLE_DEVICES= " FATHOM_FOLD " " + target + " " + quick +
                                      "--device cuda --precision bf16 -o " + out.string());
  INFO(r.text);
  CHECK(r.code == 2);
  const bool built_without = r.text.find("cmake --preset cuda") != std::string::npos;
  const bool no_gpu = r.text.find("this needs an NVIDIA GPU") != std::string::npos;
  CHECK((built_without || no_gpu));
  CHECK(files_in(out).empty());
  CHECK(fold(target + " --precision bf16").code == 1);
  CHECK(fold(target + " --device tpu").code == 1);
}

#else

TEST_CASE("model: the program fold is not built here") { MESSAGE("skipped: FATHOM_BUILD_EXAMPLES is off"); }

#endif
