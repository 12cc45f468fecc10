// SPDX-License-Identifier: Apache-2.0
// One line on the terminal that says how far a run is; a plain line now and then where there is no terminal.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include <fathom/train/trainer.hpp>

/// Shows step, loss and its terms, lDDT-CA, seconds for each step and the time left.
class progress {
 public:
  explicit progress(fathom::index_t steps) : terminal_(isatty(STDERR_FILENO) != 0), steps_(steps) {}
  ~progress() { clear(); }

  void operator()(const fathom::train::step_report& r) {
    pace_ = pace_ == 0 ? r.seconds : 0.95 * pace_ + 0.05 * r.seconds;
    if (!terminal_ && r.step % 10 != 0) return;
    const auto step = static_cast<std::ptrdiff_t>(r.step), all = static_cast<std::ptrdiff_t>(steps_);
    const double left = pace_ * static_cast<double>(all - step);
    std::string text;
    append(text, "step %td/%td  loss %.3f  lDDT-CA %.3f", step, all, r.loss, r.lddt);
    for (const auto& [name, value] : r.terms)
      if (name != "loss" && name != "unscaled_loss") append(text, "  %s %.3f", name.c_str(), value);
    append(text, "  |g| %.3f  %.2f s/step  %.0f h %02.0f min left", r.gradient_norm, pace_, std::floor(left / 3600),
           std::floor(std::fmod(left, 3600) / 60));
    if (!terminal_) {
      std::fprintf(stderr, "%s\n", text.c_str());
      return;
    }
    constexpr int width = 16;
    std::string drawn;
    for (int i = 0; i < width; ++i) drawn += static_cast<std::ptrdiff_t>(i) * all < width * step ? "█" : "░";
    std::fprintf(stderr, "\r\033[K%s %s", drawn.c_str(), text.c_str());
    std::fflush(stderr);
    drawn_ = true;
  }
  /// A line that stays.
  void say(const std::string& text) {
    clear();
    std::fprintf(stderr, "%s\n", text.c_str());
  }
  void clear() {
    if (drawn_) std::fprintf(stderr, "\r\033[K");
    std::fflush(stderr);
    drawn_ = false;
  }

 private:
  template <class... Values>
  static void append(std::string& text, const char* format, Values... values) {
    char buffer[256];
    std::snprintf(buffer, sizeof buffer, format, values...);
    text += buffer;
  }
  bool terminal_, drawn_ = false;
  fathom::index_t steps_;
  double pace_ = 0;
};
