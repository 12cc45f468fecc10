// SPDX-License-Identifier: Apache-2.0
// A peer (a PyTorch program) in a process of its own that is timed in turn with our code: it reads one line per
// measurement and answers with seconds.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace fathom::bench {

/// Starts `python script arguments...`; PEER_PYTHON names the interpreter (default: python3).
class peer {
 public:
  explicit peer(const std::vector<std::string>& command) {
    int to[2], from[2];
    if (pipe(to) != 0 || pipe(from) != 0) return;
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

/// The peer that runs `script` where the environment variable `checkout` names its source; else one that cannot start.
inline std::unique_ptr<peer> peer_of(const char* checkout, const std::string& script, int threads) {
  const char* const python = std::getenv("PEER_PYTHON");
  return std::make_unique<peer>(
      std::getenv(checkout) != nullptr
          ? std::vector<std::string>{python != nullptr ? python : "python3", script, std::to_string(threads)}
          : std::vector<std::string>{"false"});
}

}  // namespace fathom::bench
