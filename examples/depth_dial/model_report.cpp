// SPDX-License-Identifier: Apache-2.0
#include "model_report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>

#include <nlohmann/json.hpp>

#include "svg_figure.hpp"

namespace {

using json = nlohmann::ordered_json;

template <class... Values>
std::string printed(const char* format, Values... values) {
  char text[160];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

json to_json(const leaf_values& v) { return {{"m", v.m}, {"z", v.z}, {"first_row", v.first_row}}; }

/// A logarithmic axis with ticks at 1, 2 and 5 times powers of ten.
struct log_axis {
  double low, high;
  std::vector<double> ticks{};

  explicit log_axis(const std::vector<double>& values) {
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    low = values.empty() ? 1 : *least / 1.3;
    high = values.empty() ? 10 : *most * 1.3;
    for (int d = -9; d <= 9; ++d)
      for (const double digit : {1.0, 2.0, 5.0})
        if (const double tick = digit * std::pow(10.0, d); tick >= low && tick <= high) ticks.push_back(tick);
  }
  double at(double x) const { return std::log(x / low) / std::log(high / low); }
};

/// Round numbers around the values.
struct score_axis {
  double low = 0, high = 1, tick = 0.05;

  explicit score_axis(const std::vector<double>& values) {
    if (values.empty()) return;
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    if (*most - *least < 0.06) tick = 0.01;
    low = tick * std::floor(*least / tick - 1);
    high = tick * std::ceil(*most / tick + 1);
    low = std::max(low, 0.0);
  }
  double at(double x) const { return (x - low) / (high - low); }
};

}  // namespace

std::string model_csv(const model_report& report) {
  std::string text = "solver,setting,steps,rtol,lddt_ca,seconds,evaluations,rejected,shipped\n";
  for (const auto& p : report.points) {
    text += p.solver + "," + p.setting + "," + (p.steps > 0 ? std::to_string(p.steps) : "") + "," +
            (p.rtol > 0 ? printed("%g", p.rtol) : "") + ",";
    text += p.failure.empty() ? printed("%.5f,%.4f,%g,%g,%d\n", p.lddt_ca, p.seconds, p.evaluations, p.rejected,
                                        static_cast<int>(p.shipped))
                              : printed(",,,,%d\n", static_cast<int>(p.shipped));
  }
  return text;
}

std::string model_json(const model_report& report) {
  json all;
  all["model"] = {{"file", report.file}, {"settings", report.text}};
  all["source"] = report.source;
  all["targets"] = report.targets;
  all["points"] = json::array();
  for (const auto& p : report.points) {
    json one = {{"solver", p.solver}, {"setting", p.setting}, {"shipped", p.shipped}};
    if (p.steps > 0) one["steps"] = p.steps;
    if (p.rtol > 0) one["rtol"] = p.rtol;
    if (p.failure.empty()) {
      one["lddt_ca"] = p.lddt_ca;
      one["seconds"] = p.seconds;
      one["evaluations"] = p.evaluations;
      one["rejected"] = p.rejected;
      one["lddt_ca_of_targets"] = p.of_targets;
    } else {
      one["failure"] = p.failure;
    }
    all["points"].push_back(one);
  }
  all["solver_swap"] = {{"solver", report.swap_solver},
                        {"steps", report.swap_steps},
                        {"mean", to_json(report.swap.mean)},
                        {"worst", to_json(report.swap.worst)},
                        {"targets", json::array()}};
  for (const auto& s : report.swap.of_targets) all["solver_swap"]["targets"].push_back(to_json(s));
  return all.dump(2) + "\n";
}

std::string model_plot(const model_report& report) {
  std::vector<model_point> points;
  std::vector<double> scores;
  std::vector<std::string> solvers;
  for (const auto& p : report.points) {
    if (!p.failure.empty()) continue;
    points.push_back(p);
    scores.push_back(p.lddt_ca);
    if (std::find(solvers.begin(), solvers.end(), p.solver) == solvers.end()) solvers.push_back(p.solver);
  }
  figure f(860, 430);
  f.text(430, 24, printed("lDDT-CA against cost, mean over %zu targets", report.targets.size()), "middle",
         "font-size='15'");
  const struct {
    const char* label;
    std::function<double(const model_point&)> value;
  } panels[] = {{"evaluations of the field", [](const model_point& p) { return std::max(p.evaluations, 1.0); }},
                {"seconds for a target, one thread", [](const model_point& p) { return std::max(p.seconds, 1e-6); }}};
  const score_axis y(scores);
  const char* const grid = "stroke='#dddddd'";
  double left = 70;
  for (const auto& panel : panels) {
    const rectangle r{left, 50, 340, 280};
    std::vector<double> values;
    for (const auto& p : points) values.push_back(panel.value(p));
    const log_axis x(values);
    const auto across = [&](double v) { return r.left + r.width * x.at(v); };
    const auto up = [&](double v) { return r.top + r.height * (1 - y.at(v)); };
    for (const double tick : x.ticks) {
      f.line(across(tick), r.top, across(tick), r.top + r.height, grid);
      f.text(across(tick), r.top + r.height + 16, printed("%g", tick));
    }
    for (int n = 0; y.low + y.tick * n <= y.high + 1e-9; ++n) {
      const double tick = y.low + y.tick * n;
      f.line(r.left, up(tick), r.left + r.width, up(tick), grid);
      f.text(r.left - 6, up(tick) + 4, printed("%.2f", tick), "end");
    }
    f.text(r.left + r.width / 2, r.top + r.height + 36, panel.label);
    for (std::size_t n = 0; n < solvers.size(); ++n) {
      std::vector<std::pair<double, double>> curve;
      for (const auto& p : points) {
        if (p.solver != solvers[n]) continue;
        curve.emplace_back(across(panel.value(p)), up(p.lddt_ca));
        if (p.shipped) f.ring(curve.back().first, curve.back().second, color(n));
        f.text(curve.back().first, curve.back().second + (n % 2 == 0 ? -10 : 18),
               p.steps > 0 ? std::to_string(p.steps) : printed("%.0e", p.rtol), "middle", "font-size='10'");
      }
      f.curve(curve, color(n));
    }
    left += 420;
  }
  f.text(20, 190, "lDDT-CA", "middle", "transform='rotate(-90 20 190)'");
  double at = 80;
  for (std::size_t n = 0; n < solvers.size(); ++n, at += 240) {
    const bool fixed =
        std::any_of(points.begin(), points.end(), [&](const auto& p) { return p.solver == solvers[n] && p.steps > 0; });
    f.curve({{at, 405}, {at + 24, 405}}, color(n));
    f.text(at + 32, 409, solvers[n] + (fixed ? ", by number of steps" : ", by tolerance"), "start");
  }
  f.ring(at + 12, 405, "#444444");
  f.text(at + 32, 409, "shipped setting", "start");
  return f.finished();
}
