// SPDX-License-Identifier: Apache-2.0
// fold: an alignment in, a structure out.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <new>

#include <fathom/features/featurize.hpp>
#include <fathom/io/alignment.hpp>
#include <fathom/io/atomic_file.hpp>
#include <fathom/io/structure.hpp>

#include "check_input.hpp"
#include "progress_bar.hpp"
#include "report.hpp"
#include "run_gpu.hpp"

namespace {

enum exit_code { done = 0, bad_input = 2, numerical_failure = 3, out_of_resources = 4, interrupted = 130 };

struct interruption {};
std::atomic<bool> stop{false};

/// The first Ctrl-C stops at the next evaluation; a second one at once. Neither leaves a half-written file.
extern "C" void on_interrupt(int) {
  if (stop.exchange(true)) {
    fathom::io::unlink_unfinished();
    std::_Exit(interrupted);
  }
}

std::string megabytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

int fold(fold_arguments arguments) {
  const bool shipped = arguments.target.empty();
  if (shipped) {
    arguments.target = FATHOM_SOURCE_DIR "/examples/data/1a3a.a3m";
    if (arguments.reference.empty()) arguments.reference = FATHOM_SOURCE_DIR "/examples/data/1a3a.pdb";
  }
  if (arguments.check) {
    check_input(arguments.target);
    if (!arguments.reference.empty() && !shipped) check_input(arguments.reference);
    return done;
  }
  const bool gpu = arguments.device == "cuda";
  if (gpu) require_gpu_build();
  complete_arguments(arguments);
  std::fprintf(stderr, "fold: %s\n", arguments.described.c_str());
  // Everything that can be wrong with the input shows before the work begins.
  const auto alignment = fathom::io::read_alignment(arguments.target);
  const auto query = fathom::featurize(
      alignment, {.seed = arguments.seed, .clusters = *arguments.clusters, .extra = *arguments.extra});
  std::optional<fathom::io::protein> reference;
  if (!arguments.reference.empty()) {
    reference = fathom::io::read_structure(arguments.reference);
    pair_residues(query.sequence(), reference->sequence());
  }
  const bool large = arguments.dims == "alphafold2", compact = arguments.dims == "compact";
  const std::int64_t needed = (large     ? estimate_alphafold2
                               : compact ? estimate_compact
                                         : estimate_small)(arguments, query);
  std::fprintf(stderr, "fold: %s, %td residues, %zu sequences; about %s of memory\n", arguments.target.c_str(),
               static_cast<std::ptrdiff_t>(query.sequence().size()), alignment.rows.size(), megabytes(needed).c_str());
  if (!gpu && arguments.memory > 0 && needed > static_cast<std::int64_t>(arguments.memory))
    throw fathom::resource_error("this fold needs about " + megabytes(needed) + " of memory, --memory allows " +
                                 megabytes(static_cast<std::int64_t>(arguments.memory)) +
                                 ": use fewer --clusters and --extra rows, or a solver with fewer stages");

  fold_outcome outcome;
  {
    progress_bar bar;
    outcome = (gpu       ? run_on_gpu
               : large   ? run_alphafold2
               : compact ? run_compact
                         : run_small)(arguments, query, [&](const fathom::fold_progress& p) {
      if (stop) throw interruption{};
      bar(p);
    });
  }
  outcome.prediction.structure.name = std::filesystem::path(arguments.target).stem().string();
  std::optional<fold_scores> scores;
  if (reference) scores = score_against(outcome.prediction.structure, *reference);
  try {
    write_results(arguments, alignment, outcome, reference, scores);
  } catch (const fathom::io_error& problem) {
    throw fathom::resource_error(problem.what());  // the input was good; the disk is not
  }
  print_results(arguments, outcome, scores);
  return done;
}

}  // namespace

int main(int argc, char** argv) {
  fold_arguments arguments;
  if (const auto code = parse_arguments(argc, argv, arguments)) return *code;
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  const auto report = [](const char* text, int code) {
    std::fprintf(stderr, "fold: %s\n", text);
    return code;
  };
  try {
    return fold(arguments);
  } catch (const interruption&) {
    return report("interrupted; nothing was written", interrupted);
  } catch (const fathom::resource_error& problem) {
    return report(problem.what(), out_of_resources);
  } catch (const std::bad_alloc&) {
    return report("the system has no memory left; use fewer --clusters and --extra rows", out_of_resources);
  } catch (const fathom::numerical_error& problem) {
    return report(problem.what(), numerical_failure);
  } catch (const fathom::error& problem) {
    return report(problem.what(), bad_input);
  }
}
