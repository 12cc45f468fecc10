// SPDX-License-Identifier: Apache-2.0
// What a benchmark found, kept beside what it prints: rows of its table, RESULT lines and the machine, written as JSON
// to the file that the environment variable FATHOM_BENCH_JSON names when the program ends. bench/plot draws it.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace fathom::bench {

/// The processor's name, its logical cores, and the instruction set that this program was compiled for.
inline std::string machine() {
  std::string name = "unknown processor";
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("model name", 0) == 0) {
      name = line.substr(line.find(':') + 2);
      break;
    }
#if defined(__AVX512F__)
  const char* const set = "AVX-512";
#elif defined(__AVX2__)
  const char* const set = "AVX2";
#else
  const char* const set = "baseline instructions";
#endif
  return name + ", " + std::to_string(std::thread::hardware_concurrency()) + " logical cores, " + set;
}

/// One per program; see the head of this file.
class report {
 public:
  using numbers = std::vector<std::pair<std::string, double>>;

  static report& of_this_run() {
    static report one;
    return one;
  }
  report(const report&) = delete;
  report& operator=(const report&) = delete;
  ~report() {
    if (const char* path = std::getenv("FATHOM_BENCH_JSON")) write(path);
  }

  /// A fact about the run: products, threads, peers.
  void note(const std::string& what, const std::string& text) { notes_.emplace_back(what, text); }
  /// A row of the table; numbers that are 0 or not finite were not measured.
  void row(const std::string& name, const numbers& values) { rows_.emplace_back(name, values); }
  /// RESULT name value goal pass|fail; `at_most` says on which side of the goal the value must lie. True when it
  /// passes.
  bool result(const std::string& name, double value, double goal, bool at_most) {
    const bool pass = at_most ? value <= goal : value >= goal;
    std::printf("RESULT %s %.4g %s%.4g %s\n", name.c_str(), value, at_most ? "<=" : ">=", goal, pass ? "pass" : "fail");
    results_.push_back({name, value, goal, at_most, pass});
    return pass;
  }

 private:
  struct verdict {
    std::string name;
    double value, goal;
    bool at_most, pass;
  };

  report() = default;
  static std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return out + '"';
  }
  static std::string number(double value) {
    if (!std::isfinite(value)) return "null";
    char text[40];
    std::snprintf(text, sizeof text, "%.9g", value);
    return text;
  }
  void write(const std::string& path) const {
    std::ofstream out(path);
    out << "{\n  \"machine\": " << quoted(machine()) << ",\n  \"compiler\": " << quoted(__VERSION__);
    for (const auto& [what, text] : notes_) out << ",\n  " << quoted(what) << ": " << quoted(text);
    out << ",\n  \"rows\": [";
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      out << (i == 0 ? "\n" : ",\n") << "    {\"name\": " << quoted(rows_[i].first);
      for (const auto& [what, value] : rows_[i].second) out << ", " << quoted(what) << ": " << number(value);
      out << "}";
    }
    out << "\n  ],\n  \"results\": [";
    for (std::size_t i = 0; i < results_.size(); ++i) {
      const auto& r = results_[i];
      out << (i == 0 ? "\n" : ",\n") << "    {\"name\": " << quoted(r.name) << ", \"value\": " << number(r.value)
          << ", \"goal\": " << number(r.goal) << ", \"at_most\": " << (r.at_most ? "true" : "false")
          << ", \"pass\": " << (r.pass ? "true" : "false") << "}";
    }
    out << "\n  ]\n}\n";
    if (!out) std::fprintf(stderr, "benchmark: '%s' cannot be written\n", path.c_str());
  }

  std::vector<std::pair<std::string, std::string>> notes_;
  std::vector<std::pair<std::string, numbers>> rows_;
  std::vector<verdict> results_;
};

}  // namespace fathom::bench
