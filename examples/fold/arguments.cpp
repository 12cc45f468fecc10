// SPDX-License-Identifier: Apache-2.0
#include "arguments.hpp"

#include <CLI/CLI.hpp>

#include <fathom/model/solver_choice.hpp>

std::optional<int> parse_arguments(int argc, char** argv, fold_arguments& a) {
  CLI::App app{"Folds a protein from an alignment with a continuous-depth Evoformer."};
  app.footer(
      "Writes ranked_0.pdb, ranked_0.cif, plddt.json, pae.json (where the model predicts aligned errors), "
      "summary.json\n"
      "and report.html, which any browser shows without a network, into the output folder.\n"
      "Exit codes: 0 done, 1 wrong command line, 2 bad input, 3 numerical failure, 4 resources, 130 interrupted.");
  app.add_option(
      "target", a.target,
      "alignment: a3m, Stockholm or FASTA, gzip too (default: examples/data/1a3a.a3m); with --check also PDB or "
      "mmCIF");
  app.add_option(
      "--model", a.model,
      "weights (safetensors or npz; default: the shipped model, or, with --dims alone, drawn from the seed;\n"
      "FATHOM_DEFAULT_MODEL stands for another shipped one)");
  app.add_option("--dims", a.dims, "sizes of the model: alphafold2, small or compact (default: what the weights say)")
      ->check(CLI::IsMember({"alphafold2", "small", "compact"}));
  app.add_option("--solver", a.solver,
                 "ODE method (default: what the weights say, or rk4): " + fathom::known_solvers());
  auto* steps = app.add_option("--steps", a.steps, "fixed steps of the solver (default: what the weights say, or 2)")
                    ->check(CLI::PositiveNumber);
  auto* rtol =
      app.add_option("--rtol", a.rtol, "adaptive steps to this relative tolerance")->check(CLI::PositiveNumber);
  app.add_option("--atol", a.atol, "absolute tolerance of adaptive steps (default: rtol / 100)")
      ->check(CLI::PositiveNumber)
      ->needs(rtol);
  steps->excludes(rtol);
  app.add_option("--recycles", a.recycles, "passes after the first one (default: what the weights say, or 1)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--clusters", a.clusters, "rows of the clustered alignment (default: what the weights say, or 128)")
      ->check(CLI::PositiveNumber);
  app.add_option("--extra", a.extra, "rows of the extra alignment (default: 1024; a compact model uses none)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--seed", a.seed, "of everything that is drawn")->capture_default_str();
  app.add_option("--threads", a.threads, "0: all of the machine; results do not depend on it")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  auto* device = app.add_option("--device", a.device, "cpu or cuda, an NVIDIA GPU (needs a build with FATHOM_CUDA)")
                     ->check(CLI::IsMember({"cpu", "cuda"}))
                     ->capture_default_str();
  app.add_option("--precision", a.precision, "what products on a GPU read: float32, tf32 or bf16")
      ->check(CLI::IsMember({"float32", "tf32", "bf16"}))
      ->needs(device)
      ->capture_default_str();
  app.add_option("--reference", a.reference, "experimental structure (PDB, mmCIF) to score the prediction against");
  app.add_flag("--drift", a.drift,
               "for the report: solve the last pass again with twice the steps and show the difference along the depth")
      ->excludes(rtol);
  app.add_flag("!--no-report", a.report, "write no report.html");
  app.add_flag("--check", a.check, "only read and validate the input, and say what it holds");
  app.add_option("--memory", a.memory, "bytes that may be used (suffixes KB, MB, GB); refuses before it starts")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("-o,--output", a.output, "output folder")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& wrong) {
    return app.exit(wrong) == 0 ? 0 : 1;
  }
  return std::nullopt;
}
