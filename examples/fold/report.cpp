// SPDX-License-Identifier: Apache-2.0
#include "report.hpp"

#include <cstdio>
#include <filesystem>
#include <numeric>

#include <fathom/io/atomic_file.hpp>
#include <fathom/io/structure.hpp>
#include <fathom/metrics/chain_check.hpp>
#include <fathom/metrics/gdt.hpp>
#include <fathom/metrics/geometry_check.hpp>
#include <fathom/metrics/lddt.hpp>
#include <fathom/metrics/superpose.hpp>
#include <nlohmann/json.hpp>

namespace metrics = fathom::metrics;

namespace {

const char* const meaningless =
    "the weights were drawn at random (no --model was given): the structure means nothing";

double mean(const std::vector<double>& values) {
  return values.empty() ? 0 : std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// CA positions of `chain`, those of residues [from, from + n) of it.
metrics::masked_points trace(const fathom::io::protein& chain, std::size_t from, std::size_t n) {
  auto all = metrics::atom_trace(chain.positions, chain.mask, "CA");
  const auto first = static_cast<std::ptrdiff_t>(from), last = static_cast<std::ptrdiff_t>(from + n);
  return {{all.at.begin() + first, all.at.begin() + last}, {all.mask.begin() + first, all.mask.begin() + last}};
}

}  // namespace

residue_pairing pair_residues(const std::string& query, const std::string& reference) {
  const std::size_t n = std::min(query.size(), reference.size());
  if (query.size() == reference.size()) {
    std::size_t same = 0;
    for (std::size_t i = 0; i < n; ++i) same += query[i] == reference[i] || query[i] == 'X' || reference[i] == 'X';
    if (same * 10 >= n * 9) return {0, 0, n};
    throw fathom::input_error("the reference has as many residues as the query, but fewer than 90 % are the same");
  }
  if (const auto at = query.find(reference); at != std::string::npos) return {at, 0, n};
  if (const auto at = reference.find(query); at != std::string::npos) return {0, at, n};
  throw fathom::input_error(fathom::detail::concat("the reference's sequence (", reference.size(),
                                                   " residues) and the query (", query.size(),
                                                   " residues) do not match: neither contains the other"));
}

fold_scores score_against(const fathom::io::protein& predicted, const fathom::io::protein& reference) {
  const auto [from_query, from_reference, n] = pair_residues(predicted.sequence(), reference.sequence());
  const auto model = trace(predicted, from_query, n), native = trace(reference, from_reference, n);
  fold_scores scores;
  for (std::size_t i = 0; i < n; ++i) scores.residues += model.has(i) && native.has(i);
  scores.lddt_ca = metrics::lddt(model, native).mean;
  scores.rmsd = metrics::rmsd(model, native);
  scores.gdt_ts = metrics::gdt_ts(model, native);
  scores.gdt_ha = metrics::gdt_ha(model, native);
  return scores;
}

void write_results(const fold_arguments& arguments, const fathom::io::alignment& alignment,
                   const fold_outcome& outcome, const std::optional<fold_scores>& scores) {
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
  if (arguments.model.empty()) summary["warning"] = meaningless;
  summary["dims"] = arguments.dims;
  summary["parameters"] = outcome.parameters;
  summary["seed"] = arguments.seed;
  summary["clusters"] = arguments.clusters;
  summary["extra"] = arguments.extra;
  summary["recycles"] = arguments.recycles;
  summary["solver"] = {{"name", arguments.solver},
                       {"evaluations", stats.evaluations},
                       {"accepted", stats.accepted},
                       {"rejected", stats.rejected},
                       {"smallest_step", stats.smallest_step},
                       {"largest_step", stats.largest_step}};
  if (arguments.rtol) summary["solver"]["rtol"] = *arguments.rtol;
  summary["rms_displacement"] = {{"m", p.displacement.m}, {"z", p.displacement.z}, {"frames", p.displacement.frames}};
  summary["plddt"] = mean(p.plddt);
  summary["geometry"] = {{"worst_bond_deviation_angstrom", geometry.worst_bond.deviation},
                         {"worst_angle_deviation_degrees", geometry.worst_angle.deviation}};
  if (scores)
    summary["reference"] = {{"file", arguments.reference}, {"residues", scores->residues}, {"lddt_ca", scores->lddt_ca},
                            {"rmsd", scores->rmsd},        {"gdt_ts", scores->gdt_ts},     {"gdt_ha", scores->gdt_ha}};
  summary["seconds"] = {{"load", outcome.load_seconds}, {"fold", outcome.fold_seconds}};
  summary["peak_bytes"] = outcome.peak_bytes;

  fathom::io::write_mmcif(folder / "ranked_0.cif", p);
  fathom::io::write_pdb(folder / "ranked_0.pdb", p);
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
    std::printf("against %s, %ld residues: lDDT-CA %.3f, RMSD %.2f Angstrom, GDT-TS %.3f, GDT-HA %.3f\n",
                arguments.reference.c_str(), scores->residues, scores->lddt_ca, scores->rmsd, scores->gdt_ts,
                scores->gdt_ha);
  std::printf("wrote %s/ranked_0.pdb, ranked_0.cif, summary.json\n", arguments.output.c_str());
  if (arguments.model.empty()) std::printf("Note: %s.\n", meaningless);
}
