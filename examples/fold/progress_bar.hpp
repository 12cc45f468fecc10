// SPDX-License-Identifier: Apache-2.0
// One line on the terminal that says how far a fold is; plain lines, one for each stage, where there is no terminal.
#pragma once

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

#include <fathom/model/fold_progress.hpp>

/// Shows residues, recycle, stage, ODE time t, evaluations and the time left.
class progress_bar {
 public:
  progress_bar() : terminal_(isatty(STDERR_FILENO) != 0), start_(clock::now()), last_(start_) {}
  ~progress_bar() { clear(); }

  void operator()(const fathom::fold_progress& p) {
    const auto now = clock::now();
    const bool new_stage = p.stage != stage_ || p.cycle != cycle_;
    stage_ = p.stage;
    cycle_ = p.cycle;
    if (!terminal_) {
      if (new_stage) std::fprintf(stderr, "fold: pass %td of %td, %s\n", p.cycle + 1, p.cycles, p.stage);
      return;
    }
    if (!new_stage && now - last_ < std::chrono::milliseconds(50)) return;
    last_ = now;
    const double done = std::clamp(p.fraction, 0.0, 1.0);
    const double seconds = std::chrono::duration<double>(now - start_).count();
    std::string bar;
    constexpr int width = 24;
    for (int i = 0; i < width; ++i) bar += i < static_cast<int>(done * width) ? "█" : "░";
    std::string text;
    append(text, " %td residues  pass %td/%td  %s  t=%.3f  %ld evaluations", p.residues, p.cycle + 1, p.cycles, p.stage,
           p.t, p.evaluations);
    if (done > 0.02) append(text, "  %.0f s left", seconds * (1 - done) / done);
    winsize size{};
    const int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > width + 1 ? size.ws_col : 100;
    text.resize(std::min(text.size(), static_cast<std::size_t>(columns - width - 1)));
    std::fprintf(stderr, "\r\033[K%s%s", bar.c_str(), text.c_str());
    std::fflush(stderr);
    drawn_ = true;
  }
  /// Takes the line away, before anything else is printed.
  void clear() {
    if (drawn_) std::fprintf(stderr, "\r\033[K");
    std::fflush(stderr);
    drawn_ = false;
  }

 private:
  using clock = std::chrono::steady_clock;
  template <class... Values>
  static void append(std::string& text, const char* format, Values... values) {
    char buffer[256];
    std::snprintf(buffer, sizeof buffer, format, values...);
    text += buffer;
  }
  bool terminal_, drawn_ = false;
  clock::time_point start_, last_;
  const char* stage_ = nullptr;
  fathom::index_t cycle_ = -1;
};
