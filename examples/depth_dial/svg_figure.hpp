// SPDX-License-Identifier: Apache-2.0
// The few elements of SVG that the plots are made of.
#pragma once

#include <cstddef>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

struct rectangle {
  double left, top, width, height;
};

/// The n-th color of a plot.
inline const char* color(std::size_t n) {
  static const char* const palette[] = {"#1b6ca8", "#c8553d", "#588b3a", "#7a4fa3", "#b8860b", "#2a9d8f", "#444444"};
  return palette[n % std::size(palette)];
}

/// A white page that is drawn on and then read.
class figure {
 public:
  figure(double width, double height) : width_(width), height_(height) {}

  void text(double x, double y, const std::string& what, const char* anchor = "middle", const char* more = "") {
    body_ << "<text x='" << x << "' y='" << y << "' text-anchor='" << anchor << "' " << more << ">" << escaped(what)
          << "</text>\n";
  }
  void line(double x1, double y1, double x2, double y2, const char* style) {
    body_ << "<line x1='" << x1 << "' y1='" << y1 << "' x2='" << x2 << "' y2='" << y2 << "' " << style << "/>\n";
  }
  void ring(double x, double y, const char* stroke) {
    body_ << "<circle cx='" << x << "' cy='" << y << "' r='7' fill='none' stroke-width='1.5' stroke='" << stroke
          << "'/>\n";
  }
  void curve(const std::vector<std::pair<double, double>>& points, const char* stroke) {
    body_ << "<polyline fill='none' stroke-width='1.5' stroke='" << stroke << "' points='";
    for (const auto& [x, y] : points) body_ << x << ',' << y << ' ';
    body_ << "'/>\n";
    for (const auto& [x, y] : points)
      body_ << "<circle cx='" << x << "' cy='" << y << "' r='3' fill='" << stroke << "'/>\n";
  }
  std::string finished() const {
    std::ostringstream out;
    out << "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 " << width_ << ' ' << height_
        << "' font-family='sans-serif' font-size='12'>\n<rect width='100%' height='100%' fill='white'/>\n"
        << body_.str() << "</svg>\n";
    return out.str();
  }

 private:
  static std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
    return out;
  }

  double width_, height_;
  std::ostringstream body_;
};
