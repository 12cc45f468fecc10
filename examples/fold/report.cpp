// SPDX-License-Identifier: Apache-2.0
#include "report.hpp"

#include <cstdio>
#include <filesystem>
#include <numeric>

#include <fathom/io/atomic_file.hpp>
#include <fathom/io/confidence_json.hpp>
#include <fathom/io/structure.hpp>
#include <fathom/metrics/geometry_check.hpp>
#include <nlohmann/json.hpp>

#include "report_page.hpp"

namespace metrics = fathom::metrics;

namespace {

const char* const meaningless = "the weights were drawn at random (no --model was given): the structure means nothing";

double mean(const std::vector<double>& values) {
  return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

void write_results(const fold_arguments& arguments, const fathom::io::alignment& alignment, const fold_outcome& outcome,
                   const std::optional<fathom::io::protein>& reference, const std::optional<fold_scores>& scores) {
  namespace fs = std::filesystem;
  const fs::path folder = arguments.output;
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw fathom::io_error("cannot make the folder '" + folder.string() + "': " + failed.message());

  const auto& p = outcome.prediction;
  const auto& stats = p.solution.stats;
  const auto geometry = metrics::geometry_check(p.structure);
  nlohmann::ordered_json summary;
  summary["target"] = arguments.target;
  summary["residues"] = p.structure.size();
  summary["sequence"] = p.structure.sequence();
  summary["sequences_in_alignment"] = alignment.rows.size();
  summary["weights"] = arguments.model.empty() ? "random" : arguments.model;
  if (!arguments.trained_steps.empty()) summary["trained_steps"] = arguments.trained_steps;
  if (arguments.model.empty()) summary["warning"] = meaningless;
  summary["dims"] = arguments.dims;
  summary["parameters"] = outcome.parameters;
  summary["seed"] = arguments.seed;
  summary["clusters"] = *arguments.clusters;
  summary["extra"] = *arguments.extra;
  summary["recycles"] = *arguments.recycles;
  summary["solver"] = {{"name", *arguments.solver},
                       {"evaluations", stats.evaluations},
                       {"accepted", stats.accepted},
                       {"rejected", stats.rejected},
                       {"smallest_step", stats.accepted > 0 ? stats.smallest_step : 0.0},
                       {"largest_step", stats.largest_step}};
  if (arguments.rtol) summary["solver"]["rtol"] = *arguments.rtol;
  summary["rms_displacement"] = {{"m", p.displacement.m}, {"z", p.displacement.z}, {"frames", p.displacement.frames}};
  summary["plddt"] = mean(p.plddt);
  if (p.errors)
    summary["ptm"] = p.errors->ptm;
  else
    summary["pae"] = "not predicted: the model has no head for aligned errors";
  summary["geometry"] = {{"worst_bond_deviation_angstrom", geometry.worst_bond.deviation},
                         {"worst_angle_deviation_degrees", geometry.worst_angle.deviation}};
  if (scores)
    summary["reference"] = {{"file", arguments.reference}, {"residues", scores->residues},
                            {"lddt_ca", scores->lddt_ca},  {"tm_score", scores->tm_score},
                            {"rmsd", scores->rmsd},        {"gdt_ts", scores->gdt_ts},
                            {"gdt_ha", scores->gdt_ha}};
  summary["seconds"] = {{"load", outcome.load_seconds}, {"fold", outcome.fold_seconds}};
  for (const auto& [stage, seconds] : outcome.stage_seconds) summary["seconds"]["stages"][stage] = seconds;
  summary["peak_bytes"] = outcome.peak_bytes;

  fathom::io::write_mmcif(folder / "ranked_0.cif", p);
  fathom::io::write_pdb(folder / "ranked_0.pdb", p);
  fathom::io::write_file(folder / "plddt.json", fathom::io::plddt_json(p.plddt));
  if (p.errors) fathom::io::write_file(folder / "pae.json", fathom::io::pae_json(p.errors->pae, p.errors->largest));
  if (arguments.report)
    fathom::io::write_file(folder / "report.html", report_page(arguments, alignment, outcome, reference, scores));
  fathom::io::write_file(folder / "summary.json", summary.dump(2) + "\n");
}

void print_results(const fold_arguments& arguments, const fold_outcome& outcome,
                   const std::optional<fold_scores>& scores) {
  const auto& p = outcome.prediction;
  std::printf("%td residues in %.1f s, %ld evaluations of the field, %.0f MB at most\n", p.structure.size(),
              outcome.fold_seconds, p.solution.stats.evaluations, static_cast<double>(outcome.peak_bytes) / 1e6);
  std::printf("rms displacement: m %.3g, z %.3g, frames %.3g Angstrom; mean pLDDT %.1f\n", p.displacement.m,
              p.displacement.z, p.displacement.frames, mean(p.plddt));
  if (scores)
    std::printf("against %s, %ld residues: lDDT-CA %.3f, TM-score %.3f, RMSD %.2f Angstrom, GDT-TS %.3f, GDT-HA %.3f\n",
                arguments.reference.c_str(), scores->residues, scores->lddt_ca, scores->tm_score, scores->rmsd,
                scores->gdt_ts, scores->gdt_ha);
  std::printf("wrote %s/ranked_0.pdb, ranked_0.cif, plddt.json, %ssummary.json%s\n", arguments.output.c_str(),
              p.errors ? "pae.json, " : "", arguments.report ? ", report.html" : "");
  if (arguments.model.empty()) std::printf("Note: %s.\n", meaningless);
}
