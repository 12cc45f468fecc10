// SPDX-License-Identifier: Apache-2.0
#include "arguments.hpp"

#include <CLI/CLI.hpp>

std::optional<int> parse_arguments(int argc, char** argv, evaluate_arguments& a) {
  CLI::App app{"Scores a trained model on chains of known structure, beside predictions that know less."};
  app.footer(
      "Prints a table and writes summary.json into the output folder.\n"
      "Exit codes: 0 done, 1 wrong command line, 2 bad input, 3 numerical failure, 4 resources.");
  app.add_option("--model", a.model, "weights that train has saved")->required();
  app.add_option("--targets", a.targets,
                 "folder of PDB and mmCIF files or of packed chains, or one packed X.safetensors with X.tsv beside it")
      ->required();
  app.add_option("--split", a.split, "rows of packed chains whose column split says so")->capture_default_str();
  app.add_option("--msa", a.alignments, "folder of alignments NAME.a3m; without it the input is the sequence alone");
  app.add_option("--train", a.training,
                 "chains that the model learnt from: for the baselines of the nearest chain and of median distances");
  app.add_option("-o,--out", a.output, "output folder")->capture_default_str();
  app.add_option("--solver", a.solver, "NAME:STEPS, such as heun:3 (default: what the weights say)");
  app.add_option("--recycles", a.recycles, "passes after the first one (default: what the weights say)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--clusters", a.clusters, "rows of the clustered alignment (default: what the weights say)")
      ->check(CLI::PositiveNumber);
  app.add_option("--limit", a.limit, "only the first so many targets by name; 0: all")->check(CLI::NonNegativeNumber);
  app.add_option("--seed", a.seed, "of the shuffled sequences")->capture_default_str();
  app.add_option("--threads", a.threads, "0: all of the machine; results do not depend on it")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_flag("!--no-baselines", a.baselines, "score the model alone");
  app.add_flag("--structures", a.structures, "write every prediction as NAME.pdb into the output folder");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& wrong) {
    return app.exit(wrong) == 0 ? 0 : 1;
  }
  return std::nullopt;
}
