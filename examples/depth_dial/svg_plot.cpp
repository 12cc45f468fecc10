// SPDX-License-Identifier: Apache-2.0
#include "svg_plot.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "svg_figure.hpp"

namespace {

/// Whole powers of ten around positive values.
struct decades {
  int low = 0, high = 1;

  explicit decades(const std::vector<double>& values) {
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    if (values.empty()) return;
    low = static_cast<int>(std::floor(std::log10(*least)));
    high = std::max(low + 1, static_cast<int>(std::ceil(std::log10(*most))));
  }
  /// 0 at the low end, 1 at the high one.
  double at(double x) const { return (std::log10(x) - low) / (high - low); }
};

void axes(figure& f, const rectangle& r, const decades& x, const decades& y, const std::string& label) {
  const char* const grid = "stroke='#dddddd'";
  for (int d = x.low; d <= x.high; ++d) {
    const double at = r.left + r.width * (d - x.low) / (x.high - x.low);
    f.line(at, r.top, at, r.top + r.height, grid);
    f.text(at, r.top + r.height + 16, "1e" + std::to_string(d));
  }
  for (int d = y.low; d <= y.high; ++d) {
    const double at = r.top + r.height * (1 - static_cast<double>(d - y.low) / (y.high - y.low));
    f.line(r.left, at, r.left + r.width, at, grid);
    f.text(r.left - 6, at + 4, "1e" + std::to_string(d), "end");
  }
  f.text(r.left + r.width / 2, r.top + r.height + 36, label);
}

}  // namespace

std::string svg_plot(const std::string& title, const std::vector<dial_point>& all, double floor) {
  std::vector<dial_point> points;
  std::vector<double> errors;
  std::vector<std::string> solvers;
  for (const auto& point : all) {
    if (!point.failure.empty() || !(point.error.largest() > 0)) continue;
    points.push_back(point);
    errors.push_back(point.error.largest());
    if (std::find(solvers.begin(), solvers.end(), point.solver) == solvers.end()) solvers.push_back(point.solver);
  }
  if (floor > 0) errors.push_back(floor);

  figure f(1140, 430);
  f.text(570, 24, title, "middle", "font-size='15'");
  const struct {
    const char* label;
    std::function<double(const dial_point&)> value;
  } panels[] = {{"evaluations of the field", [](const dial_point& p) { return static_cast<double>(p.evaluations); }},
                {"seconds", [](const dial_point& p) { return std::max(p.seconds, 1e-6); }},
                {"bytes (peak of the solve)",
                 [](const dial_point& p) { return static_cast<double>(std::max<std::int64_t>(p.bytes, 1)); }}};
  const decades y(errors);
  double left = 70;
  for (const auto& panel : panels) {
    const rectangle r{left, 50, 290, 280};
    std::vector<double> values;
    for (const auto& point : points) values.push_back(panel.value(point));
    const decades x(values);
    axes(f, r, x, y, panel.label);
    const auto height = [&](double error) { return r.top + r.height * (1 - y.at(error)); };
    if (floor > 0)
      f.line(r.left, height(floor), r.left + r.width, height(floor), "stroke='#888888' stroke-dasharray='5 4'");
    for (std::size_t n = 0; n < solvers.size(); ++n) {
      std::vector<std::pair<double, double>> curve;
      for (const auto& point : points)
        if (point.solver == solvers[n])
          curve.emplace_back(r.left + r.width * x.at(panel.value(point)), height(point.error.largest()));
      f.curve(curve, color(n));
    }
    left += 360;
  }
  f.text(20, 190, "error relative to the displacement, worst leaf", "middle", "transform='rotate(-90 20 190)'");
  double at = 80;
  for (std::size_t n = 0; n < solvers.size(); ++n, at += 150) {
    f.curve({{at, 405}, {at + 24, 405}}, color(n));
    f.text(at + 32, 409, solvers[n], "start");
  }
  if (floor > 0) {
    f.line(at, 405, at + 24, 405, "stroke='#888888' stroke-dasharray='5 4'");
    f.text(at + 32, 409, "reference's own", "start");
  }
  return f.finished();
}
