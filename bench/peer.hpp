// SPDX-License-Identifier: Apache-2.0
// A peer (a PyTorch program) in a process of its own that is timed in turn with our code: it reads one line per
// measurement and answers with seconds.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "report.hpp"

namespace fathom::bench {

/// Starts `command`, a program with its arguments.
class peer {
 public:
  explicit peer(const std::vector<std::string>& command) {
    int to[2], from[2];
    if (pipe(to) != 0 || pipe(from) != 0) return;
    // Our ends: a peer that starts later must not hold them open.
    fcntl(to[1], F_SETFD, FD_CLOEXEC);
    fcntl(from[0], F_SETFD, FD_CLOEXEC);
    child_ = fork();
    if (child_ == 0) {
      dup2(to[0], 0);
      dup2(from[1], 1);
      close(to[1]);
      close(from[0]);
      setenv("OMP_WAIT_POLICY", "passive", 1);  // waiting threads must not take time from the other side
      std::vector<char*> argv;
      for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
      argv.push_back(nullptr);
      execvp(argv[0], argv.data());
      _exit(127);
    }
    close(to[0]);
    close(from[1]);
    in_ = fdopen(to[1], "w");
    out_ = fdopen(from[0], "r");
    char line[512];
    if (child_ > 0 && std::fgets(line, sizeof line, out_) != nullptr) name_ = trimmed(line);
  }
  peer(const peer&) = delete;
  peer& operator=(const peer&) = delete;
  ~peer() {
    if (in_ != nullptr) std::fclose(in_);
    if (out_ != nullptr) std::fclose(out_);
    if (child_ > 0) waitpid(child_, nullptr, 0);
  }

  /// What the peer says it is; empty when it could not start.
  const std::string& name() const { return name_; }

  /// Seconds of one run of `work`, or nothing when the peer cannot do it.
  std::optional<double> measure(const std::string& work) {
    if (name_.empty()) return std::nullopt;
    std::fprintf(in_, "%s\n", work.c_str());
    std::fflush(in_);
    char line[512];
    if (std::fgets(line, sizeof line, out_) == nullptr) return std::nullopt;
    char* end = nullptr;
    const double seconds = std::strtod(line, &end);
    return end == line ? std::nullopt : std::optional<double>(seconds);
  }

 private:
  static std::string trimmed(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
    return text;
  }
  pid_t child_ = -1;
  std::FILE* in_ = nullptr;
  std::FILE* out_ = nullptr;
  std::string name_;
};

/// The peers that run `script` where the environment variable `checkout` names its source: one in PEER_PYTHON (default:
/// python3), and, where PEER_PYTHON_2 names another interpreter, one in that, with the library PEER_PRELOAD_2 loaded
/// first (bench/peers.sh makes both).
class peers {
 public:
  peers(const char* checkout, const std::string& script, int threads) {
    if (std::getenv(checkout) == nullptr) return;
    const char* const python = std::getenv("PEER_PYTHON");
    add({python != nullptr ? python : "python3", script, std::to_string(threads)});
    if (const char* second = std::getenv("PEER_PYTHON_2")) {
      std::vector<std::string> command{"env", "ATEN_CPU_CAPABILITY=avx512", "OPENBLAS_NUM_THREADS=1"};
      if (const char* preload = std::getenv("PEER_PRELOAD_2")) command.push_back(std::string("LD_PRELOAD=") + preload);
      command.insert(command.end(), {second, script, std::to_string(threads)});
      add(command);
    }
  }

  bool empty() const { return all_.empty(); }
  /// What they say they are.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& each : all_) names.push_back(each->name());
    return names;
  }
  /// Forgets what was measured, and has every peer run `work` once.
  void warm(const std::string& work) {
    seconds_.assign(all_.size(), {});
    for (const auto& each : all_) each->measure(work);
  }
  /// One more measurement of each.
  void measure(const std::string& work) {
    for (std::size_t i = 0; i < all_.size(); ++i)
      if (const auto took = all_[i]->measure(work)) seconds_[i].push_back(*took);
  }
  /// Median seconds of peer i since warm(), 0 without any.
  double seconds(std::size_t i) const {
    if (i >= seconds_.size() || seconds_[i].empty()) return 0;
    auto sorted = seconds_[i];
    std::sort(sorted.begin(), sorted.end());
    const std::size_t n = sorted.size();
    return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
  }
  /// That of the fastest.
  double best() const {
    double least = 0;
    for (std::size_t i = 0; i < all_.size(); ++i)
      if (const double own = seconds(i); own > 0 && (least == 0 || own < least)) least = own;
    return least;
  }
  /// Prints and notes who they are.
  void introduce(const char* advice) const {
    if (empty()) std::printf("peer: none (%s)\n", advice);
    for (std::size_t i = 0; i < all_.size(); ++i) {
      std::printf("peer %zu: %s\n", i + 1, all_[i]->name().c_str());
      report::of_this_run().note("peer " + std::to_string(i + 1), all_[i]->name());
    }
  }

 private:
  void add(const std::vector<std::string>& command) {
    auto one = std::make_unique<peer>(command);
    if (one->name().empty())
      std::fprintf(stderr, "bench: the peer '%s' does not start\n", command.front().c_str());
    else
      all_.push_back(std::move(one));
    seconds_.resize(all_.size());
  }
  std::vector<std::unique_ptr<peer>> all_;
  std::vector<std::vector<double>> seconds_;
};

}  // namespace fathom::bench
