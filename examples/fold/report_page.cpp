// SPDX-License-Identifier: Apache-2.0
#include "report_page.hpp"

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <numeric>

#include <fathom/metrics/lddt.hpp>
#include <fathom/metrics/secondary_structure.hpp>
#include <fathom/metrics/tm_score.hpp>
#include <fathom/version.hpp>
#include <nlohmann/json.hpp>

#include "page.hpp"

namespace metrics = fathom::metrics;
using json = nlohmann::ordered_json;

namespace {

template <class... Values>
std::string text(const char* format, Values... values) {
  char buffer[256];
  std::snprintf(buffer, sizeof buffer, format, values...);
  return buffer;
}

double rounded(double value, double unit) { return std::round(value / unit) * unit; }

/// A number of the page; null for what is none. Two decimals unless the value asks for more.
json number(double value, double unit = 0.01) {
  if (!std::isfinite(value)) return nullptr;
  return std::stod(text("%.6g", rounded(value, unit)));
}

/// [[x, y, z] or null, ...]
json coordinates(const metrics::masked_points& points) {
  json list = json::array();
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (points.has(i))
      list.push_back({number(points.at[i][0]), number(points.at[i][1]), number(points.at[i][2])});
    else
      list.push_back(nullptr);
  }
  return list;
}

metrics::masked_points moved(metrics::masked_points points, const metrics::superposition& fit) {
  for (auto& x : points.at) x = fit(x);
  return points;
}

/// Points of residues [from, from + n) of a chain at [to, to + n) of a longer one of which nothing else is known.
metrics::masked_points within(const metrics::masked_points& part, std::size_t to, std::size_t length) {
  metrics::masked_points whole{std::vector<metrics::point>(length), std::vector<double>(length, 0.0)};
  for (std::size_t i = 0; i < part.size(); ++i) whole.at[to + i] = part.at[i], whole.mask[to + i] = part.mask[i];
  return whole;
}

json depth_of(const fold_arguments& arguments, const fold_outcome& outcome) {
  json depth;
  depth["span"] = outcome.depth;
  depth["steps"] = json::array();
  bool estimates = false, drift = false;
  for (const auto& step : outcome.prediction.solution.steps) {
    // Sizes over many decades: significant digits, not decimals.
    const auto share = [](double value) {
      return std::isfinite(value) ? json(std::stod(text("%.4g", value))) : json(nullptr);
    };
    depth["steps"].push_back({{"cycle", step.cycle},
                              {"t0", step.t0},
                              {"t1", step.t1},
                              {"accepted", step.accepted},
                              {"change", share(step.change)},
                              {"error", share(step.error)},
                              {"drift", share(step.drift)}});
    estimates = estimates || std::isfinite(step.error);
    drift = drift || std::isfinite(step.drift);
  }
  const auto& stats = outcome.prediction.solution.stats;
  if (depth["steps"].empty()) {
    depth["note"] = "This model is a stack of blocks: its depth is not integrated.";
    return depth;
  }
  const long passes = *arguments.recycles + 1;
  std::string note = text("%ld evaluations of the field in %ld %s, %ld steps of %s", stats.evaluations, passes,
                          passes == 1 ? "pass" : "passes", stats.accepted, arguments.solver->c_str());
  if (stats.rejected > 0) note += text(" and %ld rejected ones (crosses)", stats.rejected);
  note += ". Blue: how far a step moves the pair representation, as a share of its size.";
  if (estimates) note += " Red: the error that the method estimates for the step.";
  if (drift) note += " Yellow: distance from a solve of the last pass with twice the steps.";
  if (!estimates && !drift)
    note += " Fixed steps estimate no error; --drift compares with twice the steps, --rtol 1e-2 steps by the error.";
  if (*arguments.recycles > 0) note += " Faint: earlier passes.";
  depth["note"] = note;
  return depth;
}

json settings_of(const fold_arguments& arguments, const fathom::io::alignment& alignment, const fold_outcome& outcome) {
  json rows = json::array();
  const auto row = [&](const char* name, const std::string& value) { rows.push_back({name, value}); };
  const auto file = [](const std::string& path) { return std::filesystem::path(path).filename().string(); };
  row("Weights",
      arguments.model.empty()
          ? text("random, seed %llu", static_cast<unsigned long long>(arguments.seed))
          : file(arguments.model) + (arguments.trained_steps.empty() ? "" : ", step " + arguments.trained_steps));
  row("Model",
      text("%s, %.2f million parameters", arguments.dims.c_str(), static_cast<double>(outcome.parameters) / 1e6));
  if (outcome.prediction.solution.steps.empty())
    row("Solver", "none: a stack of blocks");
  else
    row("Solver", arguments.rtol ? text("%s, relative tolerance %g", arguments.solver->c_str(), *arguments.rtol)
                                 : text("%s, %ld fixed steps", arguments.solver->c_str(), *arguments.steps));
  row("Passes", std::to_string(*arguments.recycles + 1));
  row("Alignment", text("%zu sequences; %ld clustered, %ld extra rows at most", alignment.rows.size(),
                        *arguments.clusters, *arguments.extra));
  row("Seed", std::to_string(arguments.seed));
  row("Peak memory", text("%.0f MB", static_cast<double>(outcome.peak_bytes) / 1e6));
  const auto& d = outcome.prediction.displacement;
  row("Moved along the depth", text("m %.3g, z %.3g (rms)", d.m, d.z));
  row("Target", file(arguments.target));
  if (!arguments.reference.empty()) row("Experiment", file(arguments.reference));
  return rows;
}

json figures_of(const fold_outcome& outcome, const std::optional<fold_scores>& scores) {
  const auto& p = outcome.prediction;
  json figures = json::array();
  if (scores) {
    figures.push_back({"lDDT-CA", text("%.3f", scores->lddt_ca), ""});
    figures.push_back({"TM-score", text("%.3f", scores->tm_score), ""});
    figures.push_back({"GDT-TS", text("%.3f", scores->gdt_ts), ""});
    figures.push_back({"RMSD", text("%.1f", scores->rmsd), "Å"});
  }
  const double sum = std::accumulate(p.plddt.begin(), p.plddt.end(), 0.0);
  figures.push_back({"pLDDT", text("%.0f", sum / std::max<double>(1, static_cast<double>(p.plddt.size()))), ""});
  if (p.errors) figures.push_back({"pTM", text("%.2f", p.errors->ptm), ""});
  figures.push_back({"Time", text(outcome.fold_seconds < 10 ? "%.1f" : "%.0f", outcome.fold_seconds), "s"});
  return figures;
}

}  // namespace

std::string report_page(const fold_arguments& arguments, const fathom::io::alignment& alignment,
                        const fold_outcome& outcome, const std::optional<fathom::io::protein>& reference,
                        const std::optional<fold_scores>& scores) {
  const auto& p = outcome.prediction;
  const auto n = static_cast<std::size_t>(p.structure.size());
  auto ca = trace(p.structure, 0, n, "CA"), oxygen = trace(p.structure, 0, n, "O");
  json data;
  data["title"] = p.structure.name;
  data["subtitle"] = text("%zu residues, %zu sequences in the alignment", n, alignment.rows.size());
  data["sequence"] = p.structure.sequence();
  if (arguments.model.empty())
    data["warning"] =
        "The weights were drawn at random: this structure means nothing. Give --model to fold with trained ones.";
  else
    data["warning"] = nullptr;
  data["figures"] = figures_of(outcome, scores);
  data["plddt"] = json::array();
  for (const double v : p.plddt) data["plddt"].push_back(number(v));

  json experiment = nullptr;
  if (reference) {
    const auto [from, other, common] = pair_residues(p.structure.sequence(), reference->sequence());
    const auto native = within(trace(*reference, other, common), from, n);
    const auto fit = metrics::tm_score(ca, native).fit;
    ca = moved(ca, fit);
    oxygen = moved(oxygen, fit);
    const auto local = metrics::lddt(ca, native).residue;
    const auto states = metrics::three_states(metrics::secondary_structure(*reference));
    experiment["ca"] = coordinates(native);
    experiment["o"] = coordinates(within(trace(*reference, other, common, "O"), from, n));
    std::string ss(n, '.');
    ss.replace(from, common, states, other, common);
    experiment["ss"] = ss;
    for (std::size_t i = 0; i < n; ++i) {
      const bool both = ca.has(i) && native.has(i);
      experiment["lddt"].push_back(both ? number(local[i], 0.001) : json(nullptr));
      experiment["distance"].push_back(both ? number(metrics::distance(ca.at[i], native.at[i])) : json(nullptr));
    }
  }
  data["predicted"] = {{"ca", coordinates(ca)},
                       {"o", coordinates(oxygen)},
                       {"ss", metrics::three_states(metrics::secondary_structure(p.structure))}};
  data["experiment"] = experiment;
  data["pae"] = nullptr;
  if (p.errors) {
    data["pae"] = {{"max", p.errors->largest}, {"values", json::array()}};
    for (const double v : p.errors->pae.data) data["pae"]["values"].push_back(number(v, 0.1));
  }
  data["depth"] = depth_of(arguments, outcome);
  data["times"] = json::array({json::array({"load", number(outcome.load_seconds, 0.001)})});
  for (const auto& [stage, seconds] : outcome.stage_seconds) data["times"].push_back({stage, number(seconds, 0.001)});
  data["settings"] = settings_of(arguments, alignment, outcome);
  data["footer"] = {text("fathom %s", fathom::version_string),
                    p.errors ? "" : "The model has no head for aligned errors, so there is no PAE."};

  std::string embedded = data.dump(-1, ' ', false, json::error_handler_t::replace);
  // Nothing in the data may end the script element that it stands in.
  for (std::size_t at = 0; (at = embedded.find("</", at)) != std::string::npos; at += 3)
    embedded.replace(at, 2, "<\\/");
  for (std::size_t at = 0; (at = embedded.find("<!--", at)) != std::string::npos; at += 4)
    embedded.replace(at, 1, "\\u003c");
  std::string page = report_template;
  const std::string place = "/*DATA*/";
  return page.replace(page.find(place), place.size(), embedded);
}
