// SPDX-License-Identifier: Apache-2.0
// depth_dial: what accuracy in depth costs. Solves one target's trunk by several methods and tolerances, measures error,
// evaluations, seconds and bytes against a tight reference, and tests whether the model is an ODE at all.
#include <cstdio>
#include <fstream>

#include <CLI/CLI.hpp>

#include <fathom/core/error.hpp>
#include <fathom/model/solver_choice.hpp>

#include "problems.hpp"
#include "svg_plot.hpp"

namespace {

struct dial_arguments : problem_arguments {
  bool paper = false;
  long reference_steps = 0;
  std::string swap_solver;
  long swap_steps = 0;
  std::string output = "depth_dial.svg";
};

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

int dial(dial_arguments a) {
  if (a.target.empty()) a.target = FATHOM_SOURCE_DIR "/examples/data/1a3a.a3m";
  // What the paper trained: one step of the 3/8 rule. The small model folds by two steps of rk4.
  if (a.swap_solver.empty()) a.swap_solver = a.paper ? "rk4_38" : "rk4";
  if (a.swap_steps == 0) a.swap_steps = a.paper ? 1 : 2;
  if (a.reference_steps == 0) a.reference_steps = a.paper ? 512 : 64;
  const auto problem = a.paper ? paper_problem(a) : target_problem(a);
  std::printf("%s\n", problem.title.c_str());
  const auto reference = solve_reference(problem, a.reference_steps);
  const auto& u = reference.uncertainty;
  std::printf("reference: %ld steps of rk4; half of them differ by %.1e (m), %.1e (z), %.1e (first row)\n\n",
              reference.steps, u.m, u.z, u.first_row);
  std::printf("%-17s %-10s %6s %10s %9s %9s   %9s %9s %9s\n", "solver", "setting", "evals", "acc/rej", "seconds",
              "MB", "error m", "error z", "first row");
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
  CLI::App app{"Error of a continuous-depth trunk against evaluations, seconds and bytes, for several solvers."};
  app.add_option("target", a.target, "alignment (default: examples/data/1a3a.a3m)");
  app.add_flag("--paper", a.paper, "the paper's trained field on a synthetic state instead of a target");
  app.add_option("--model", a.model, "weights (safetensors or npz) of the small model, or with --paper of the paper's field");
  app.add_option("--clusters", a.clusters, "rows of the clustered alignment")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--extra", a.extra, "rows of the extra alignment")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--depth", a.depth, "length of the depth axis")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--final-scale", a.final_scale, "random weights: strength of the last layer of every branch")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--sequences", a.sequences, "of the synthetic state")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--residues", a.residues, "of the synthetic state")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--scale", a.state_scale, "standard deviation of the synthetic state")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--reference-steps", a.reference_steps, "of rk4 for the tight solution (64; with --paper 512)")
      ->check(CLI::PositiveNumber);
  app.add_option("--swap-solver", a.swap_solver, "method of the solver-swap score: " + fathom::known_solvers());
  app.add_option("--swap-steps", a.swap_steps, "its number of steps")->check(CLI::PositiveNumber);
  app.add_option("--seed", a.seed, "of everything that is drawn")->capture_default_str();
  app.add_option("--threads", a.threads, "0: all of the machine")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("-o,--output", a.output, "SVG file")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& wrong) {
    return app.exit(wrong) == 0 ? 0 : 1;
  }
  try {
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
