// SPDX-License-Identifier: Apache-2.0
#include "training_log.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <fathom/io/atomic_file.hpp>

namespace {

using curve = std::vector<std::pair<double, double>>;

// New terms go to the end, so that a run may go on in a log that does not have them yet.
constexpr const char* terms[] = {"distogram",      "fape",      "plddt_loss", "masked_msa",
                                 "supervised_chi", "violation", "smooth_lddt"};

std::string steps_header() {
  std::string header = "step,loss,lddt_ca,gradient_norm,learning_rate,seconds,solver,recycles";
  for (const char* term : terms) header += std::string(",") + term;
  return header;
}
constexpr const char* validation_header = "step,lddt_ca,helix_f1,strand_f1,ca_ca_ok,ca_clashes,chains";

/// Keeps the rows of steps up to `last`, under the header.
void keep_rows(const std::filesystem::path& path, const std::string& header, fathom::index_t last) {
  std::ifstream in(path);
  if (!in) return;
  std::string kept = header + "\n", line;
  std::getline(in, line);
  while (std::getline(in, line))
    if (!line.empty() && std::atol(line.c_str()) <= static_cast<long>(last)) kept += line + "\n";
  fathom::io::write_file(path, kept);
}

/// Column `name` against the first one.
curve read_column(const std::filesystem::path& path, const std::string& name) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  std::size_t wanted = 0, at = 0;
  std::istringstream header(line);
  for (std::string cell; std::getline(header, cell, ','); ++at)
    if (cell == name) wanted = at;
  curve points;
  while (std::getline(in, line)) {
    std::istringstream cells(line);
    std::string cell;
    double x = 0;
    for (std::size_t k = 0; k <= wanted && std::getline(cells, cell, ','); ++k)
      if (k == 0) x = std::atof(cell.c_str());
    points.emplace_back(x, std::atof(cell.c_str()));
  }
  return points;
}

/// At most 400 points, each the mean of its neighbours.
curve thinned(const curve& all) {
  const std::size_t group = std::max<std::size_t>(1, all.size() / 400);
  curve means;
  for (std::size_t from = 0; from + group <= all.size(); from += group) {
    double x = 0, y = 0;
    for (std::size_t k = from; k < from + group; ++k) x += all[k].first, y += all[k].second;
    means.emplace_back(x / static_cast<double>(group), y / static_cast<double>(group));
  }
  return means;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

/// One panel with axes, at height `top`.
std::string panel(const std::string& title, const std::vector<std::pair<std::string, curve>>& curves, double top,
                  double last) {
  constexpr double left = 60, width = 600, height = 180;
  static const char* const colours[] = {"#1f5fa8", "#c8502d", "#3a8a4d"};
  double low = INFINITY, high = -INFINITY;
  for (const auto& [name, points] : curves)
    for (const auto& [x, y] : points) low = std::min(low, y), high = std::max(high, y);
  if (!(low < high)) low -= 0.5, high += 0.5;
  std::ostringstream svg;
  svg << "<text x='" << left << "' y='" << top - 8 << "' font-weight='bold'>" << title << "</text>\n<rect x='" << left
      << "' y='" << top << "' width='" << width << "' height='" << height << "' fill='none' stroke='#999'/>\n";
  for (int tick = 0; tick <= 4; ++tick) {
    const double y = top + height * (4 - tick) / 4, x = left + width * tick / 4;
    svg << "<text x='" << left - 6 << "' y='" << y + 4 << "' text-anchor='end'>"
        << number(low + (high - low) * tick / 4) << "</text><text x='" << x << "' y='" << top + height + 14
        << "' text-anchor='middle'>" << number(last * tick / 4) << "</text>\n";
  }
  std::size_t colour = 0;
  for (const auto& [name, points] : curves) {
    svg << "<polyline fill='none' stroke-width='1.5' stroke='" << colours[colour % 3] << "' points='";
    for (const auto& [x, y] : points)
      svg << number(left + width * x / std::max(last, 1.0)) << ',' << number(top + height * (high - y) / (high - low))
          << ' ';
    svg << "'/>\n<text x='" << left + width - 150 * static_cast<double>(curves.size() - 1 - colour) << "' y='"
        << top - 8 << "' text-anchor='end' fill='" << colours[colour % 3] << "'>" << name << "</text>\n";
    ++colour;
  }
  return svg.str();
}

std::FILE* open_table(const std::filesystem::path& path, const char* header) {
  const bool fresh = !std::filesystem::exists(path);
  std::FILE* file = std::fopen(path.c_str(), "a");
  if (file == nullptr) throw fathom::resource_error("cannot write '" + path.string() + "'");
  if (fresh && header != nullptr) std::fprintf(file, "%s\n", header);
  return file;
}

}  // namespace

training_log::training_log(const std::filesystem::path& folder, fathom::index_t steps_done) : folder_(folder) {
  for (const auto& [name, header] : {std::pair("log.csv", steps_header()), {"validation.csv", validation_header}}) {
    if (steps_done == 0)
      std::filesystem::remove(folder / name);
    else
      keep_rows(folder / name, header, steps_done);
  }
  validation_.reset(open_table(folder / "validation.csv", validation_header));
}

void training_log::add(const fathom::train::step_report& r) {
  if (!steps_) steps_.reset(open_table(folder_ / "log.csv", steps_header().c_str()));
  std::fprintf(steps_.get(), "%td,%.5f,%.4f,%.5f,%.3e,%.3f,%s,%td", static_cast<std::ptrdiff_t>(r.step), r.loss, r.lddt,
               r.gradient_norm, r.learning_rate, r.seconds, r.solver.c_str(), static_cast<std::ptrdiff_t>(r.recycles));
  for (const char* term : terms) {
    const auto found = std::find_if(r.terms.begin(), r.terms.end(), [&](const auto& t) { return t.first == term; });
    if (found == r.terms.end())
      std::fprintf(steps_.get(), ",");
    else
      std::fprintf(steps_.get(), ",%.5f", found->second);
  }
  std::fprintf(steps_.get(), "\n");
  std::fflush(steps_.get());
}

void training_log::add(fathom::index_t step, const fathom::train::validation_scores& v) {
  std::fprintf(validation_.get(), "%td,%.5f,%.4f,%.4f,%.4f,%.5f,%td\n", static_cast<std::ptrdiff_t>(step), v.lddt_ca,
               v.helix_f1, v.strand_f1, v.ca_ca_ok, v.ca_clashes, static_cast<std::ptrdiff_t>(v.chains));
  std::fflush(validation_.get());
}

void training_log::draw() const {
  const auto steps = folder_ / "log.csv", validation = folder_ / "validation.csv";
  const auto loss = read_column(steps, "loss");
  if (loss.empty()) return;
  const double last = loss.back().first;
  std::string svg =
      "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 690 720' font-family='sans-serif' font-size='11'>\n"
      "<rect width='690' height='720' fill='white'/>\n";
  svg += panel("training loss by step", {{"loss", thinned(loss)}}, 30, last);
  svg += panel("lDDT-CA",
               {{"training crops", thinned(read_column(steps, "lddt_ca"))},
                {"validation chains", read_column(validation, "lddt_ca")}},
               265, last);
  svg += panel("validation",
               {{"helix F1", read_column(validation, "helix_f1")},
                {"strand F1", read_column(validation, "strand_f1")},
                {"CA-CA within 3.8 +- 0.4", read_column(validation, "ca_ca_ok")}},
               500, last);
  fathom::io::write_file(folder_ / "loss.svg", svg + "</svg>\n");
}
