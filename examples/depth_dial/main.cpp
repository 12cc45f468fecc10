// SPDX-License-Identifier: Apache-2.0
// depth_dial: what accuracy in depth costs. Solves one target's trunk by several methods and tolerances, measures
// error, evaluations, seconds and bytes against a tight reference, and tests whether the model is an ODE at all. Of a
// trained compact model also what matters in the end: lDDT-CA on chains of known structure.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include <CLI/CLI.hpp>

#include <fathom/core/error.hpp>
#include <fathom/io/atomic_file.hpp>
#include <fathom/model/solver_choice.hpp>

#include "model_dial.hpp"
#include "model_report.hpp"
#include "problems.hpp"
#include "svg_plot.hpp"

namespace {

struct dial_arguments : problem_arguments {
  bool paper = false;
  long reference_steps = 0;
  std::string swap_solver;
  long swap_steps = 0;
  std::string output = "depth_dial.svg";
  std::string targets, split, adaptive = "bosh3";
  long limit = 0;
};

void write(const std::filesystem::path& path, const std::string& text) {
  try {
    fathom::io::write_file(path, text);
  } catch (const fathom::io_error& problem) {
    throw fathom::resource_error(problem.what());
  }
}

void print_point(const dial_point& p) {
  if (!p.failure.empty()) {
    std::printf("%-17s %-10s  no result: %s\n", p.solver.c_str(), p.setting.c_str(), p.failure.c_str());
  } else {
    std::printf("%-17s %-10s %6ld %5ld/%-4ld %9.3f %9.1f   %9.2e %9.2e %9.2e\n", p.solver.c_str(), p.setting.c_str(),
                p.evaluations, p.accepted, p.rejected, p.seconds, static_cast<double>(p.bytes) / 1e6, p.error.m,
                p.error.z, p.error.first_row);
  }
  std::fflush(stdout);
}

void print_model_point(const model_point& p) {
  if (!p.failure.empty())
    std::printf("%-10s %-10s  no result: %s\n", p.solver.c_str(), p.setting.c_str(), p.failure.c_str());
  else
    std::printf("%-10s %-10s %8.4f %9.3f %7.1f %9.1f%s\n", p.solver.c_str(), p.setting.c_str(), p.lddt_ca, p.seconds,
                p.evaluations, p.rejected, p.shipped ? "  shipped" : "");
  std::fflush(stdout);
}

int dial_model(const dial_arguments& a) {
  if (!fathom::is_adaptive(fathom::solver_named(a.adaptive)))
    throw fathom::error("--adaptive " + a.adaptive +
                        " does not estimate its error; take bosh3, tsit5, dopri5 or dopri8");
  const auto model = open_model({a.model, a.targets, a.split, a.limit, a.threads});
  model_report report;
  report.file = a.model;
  report.text = model->text();
  report.source = a.targets.empty() ? "examples/data/chains" : a.targets;
  for (const auto& c : model->targets()) report.targets.push_back(c.name);
  std::printf("%s, %s; %zu targets of %s\n\n", a.model.c_str(), report.text.c_str(), report.targets.size(),
              report.source.c_str());
  std::printf("%-10s %-10s %8s %9s %7s %9s\n", "solver", "setting", "lDDT-CA", "seconds", "evals", "rejected");
  report.points = turn_model(*model, a.adaptive, print_model_point);
  report.swap_solver = a.swap_solver.empty() ? model->solver() : a.swap_solver;
  report.swap_steps = a.swap_steps > 0 ? a.swap_steps : model->steps();
  report.swap = model->swap(report.swap_solver, report.swap_steps);
  const auto &mean = report.swap.mean, &worst = report.swap.worst;
  std::printf("\nsolver swap |Y_h - Y_(h/8)| / |Y_(h/8) - Y_0|, %ld steps of %s\n", report.swap_steps,
              report.swap_solver.c_str());
  std::printf("  mean of the targets: m %.4f, z %.4f, first row %.4f: %s\n", mean.m, mean.z, mean.first_row,
              mean.largest() <= 0.05 ? "the solver may be swapped (at most 0.05)"
                                     : "above 0.05: the answer depends on the solver");
  std::printf("  worst of them:       m %.4f, z %.4f, first row %.4f\n", worst.m, worst.z, worst.first_row);
  const std::filesystem::path plot = a.output;
  const auto beside = [&](const char* ending) { return std::filesystem::path(plot).replace_extension(ending); };
  write(plot, model_plot(report));
  write(beside(".csv"), model_csv(report));
  write(beside(".json"), model_json(report));
  std::printf("plot: %s, table: %s, all: %s\n", plot.c_str(), beside(".csv").c_str(), beside(".json").c_str());
  return 0;
}

int dial(dial_arguments a) {
  const bool compact = !a.paper && !a.model.empty() && is_compact_file(a.model);
  if (!a.targets.empty() && (a.paper || !a.target.empty()))
    throw fathom::error(
        "--targets is for a compact model on chains of known structure, without an alignment or --paper");
  if (!a.targets.empty() && a.model.empty())
    throw fathom::error("--targets needs --model, weights that train has saved");
  if (!a.targets.empty() || (compact && a.target.empty())) return dial_model(a);
  compact_choice choice;
  if (a.target.empty()) a.target = FATHOM_SOURCE_DIR "/examples/data/1a3a.a3m";
  const auto problem = a.paper ? paper_problem(a) : compact ? compact_problem(a, choice) : target_problem(a);
  // What the paper trained: one step of the 3/8 rule. The small model folds by two steps of rk4, a compact one as its
  // weights say.
  if (compact && a.swap_solver.empty()) {
    a.swap_solver = choice.solver;
    if (a.swap_steps == 0) a.swap_steps = choice.steps;
  }
  if (a.swap_solver.empty()) a.swap_solver = a.paper ? "rk4_38" : "rk4";
  if (a.swap_steps == 0) a.swap_steps = a.paper ? 1 : 2;
  if (a.reference_steps == 0) a.reference_steps = a.paper ? 512 : 64;
  std::printf("%s\n", problem.title.c_str());
  const auto reference = solve_reference(problem, a.reference_steps);
  const auto& u = reference.uncertainty;
  std::printf("reference: %ld steps of rk4; half of them differ by %.1e (m), %.1e (z), %.1e (first row)\n\n",
              reference.steps, u.m, u.z, u.first_row);
  std::printf("%-17s %-10s %6s %10s %9s %9s   %9s %9s %9s\n", "solver", "setting", "evals", "acc/rej", "seconds", "MB",
              "error m", "error z", "first row");
  const auto points = turn_dial(problem, reference, print_point);
  const auto score = swap_score(problem, a.swap_solver, a.swap_steps);
  std::printf("\nsolver swap |Y_h - Y_(h/8)| / |Y_(h/8) - Y_0|, %ld steps of %s: m %.3f, z %.3f, first row %.3f: %s\n",
              a.swap_steps, a.swap_solver.c_str(), score.m, score.z, score.first_row,
              score.largest() <= 0.01 ? "an ODE (at most 0.01)" : "not resolved: the answer depends on the solver");
  std::ofstream file(a.output);
  file << svg_plot(problem.title, points, u.largest());
  file.close();
  if (!file) throw fathom::resource_error("cannot write '" + a.output + "'");
  std::printf("plot: %s\n", a.output.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  dial_arguments a;
  CLI::App app{
      "Error of a continuous-depth trunk against evaluations, seconds and bytes, for several solvers; with the weights "
      "of a\n"
      "compact model and no alignment, its lDDT-CA on chains of known structure."};
  app.add_option("target", a.target, "alignment (default: examples/data/1a3a.a3m)");
  app.add_flag("--paper", a.paper, "the paper's trained field on a synthetic state instead of a target");
  app.add_option(
      "--model", a.model,
      "weights: of a compact model (train has saved them), of the small model, or with --paper of the paper's field");
  app.add_option(
      "--targets", a.targets,
      "for a compact model: folder of PDB and mmCIF files or of packed chains, or one packed X.safetensors with "
      "X.tsv (default: the shipped few)");
  app.add_option("--split", a.split,
                 "rows of packed chains whose column split says so (default: valid; of the shipped few all)");
  app.add_option("--limit", a.limit, "only the first so many targets by name; 0: all")->check(CLI::NonNegativeNumber);
  app.add_option("--adaptive", a.adaptive, "for a compact model: method of the adaptive settings")
      ->capture_default_str();
  app.add_option("--clusters", a.clusters, "rows of the clustered alignment")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--extra", a.extra, "rows of the extra alignment")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--depth", a.depth, "length of the depth axis")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--final-scale", a.final_scale, "random weights: strength of the last layer of every branch")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--sequences", a.sequences, "of the synthetic state")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--residues", a.residues, "of the synthetic state")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--scale", a.state_scale, "standard deviation of the synthetic state")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--reference-steps", a.reference_steps, "of rk4 for the tight solution (64; with --paper 512)")
      ->check(CLI::PositiveNumber);
  app.add_option("--swap-solver", a.swap_solver, "method of the solver-swap score: " + fathom::known_solvers());
  app.add_option("--swap-steps", a.swap_steps, "its number of steps")->check(CLI::PositiveNumber);
  app.add_option("--seed", a.seed, "of everything that is drawn")->capture_default_str();
  app.add_option("--threads", a.threads, "0: all of the machine")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("-o,--output", a.output, "SVG file; of a compact model also .csv and .json beside it")
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& wrong) {
    return app.exit(wrong) == 0 ? 0 : 1;
  }
  try {
    // Before any work: what it finds in minutes must have a place.
    if (const auto folder = std::filesystem::path(a.output).parent_path(); !folder.empty()) {
      std::error_code failed;
      std::filesystem::create_directories(folder, failed);
      if (failed) throw fathom::resource_error("cannot make the folder '" + folder.string() + "': " + failed.message());
    }
    return dial(std::move(a));
  } catch (const fathom::resource_error& problem) {
    std::fprintf(stderr, "depth_dial: %s\n", problem.what());
    return 4;
  } catch (const fathom::numerical_error& problem) {
    std::fprintf(stderr, "depth_dial: %s\n", problem.what());
    return 3;
  } catch (const fathom::error& problem) {
    std::fprintf(stderr, "depth_dial: %s\n", problem.what());
    return 2;
  }
}
