// SPDX-License-Identifier: Apache-2.0
// train: chains of known structure in, weights out.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>

#include <fathom/core/error.hpp>
#include <fathom/io/atomic_file.hpp>

#include "run.hpp"

namespace {

std::atomic<bool> stop{false};
bool stop_wanted() { return stop; }

/// The first Ctrl-C stops after the step, saving; a second one at once.
extern "C" void on_interrupt(int) {
  if (stop.exchange(true)) {
    fathom::io::unlink_unfinished();
    std::_Exit(interrupted);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto report = [](const char* text, int code) {
    std::fprintf(stderr, "train: %s\n", text);
    return code;
  };
  train_arguments arguments;
  try {
    if (const auto code = parse_arguments(argc, argv, arguments)) return *code;
    std::signal(SIGINT, on_interrupt);
    std::signal(SIGTERM, on_interrupt);
    return (arguments.config.discrete ? run_discrete : run_continuous)(arguments, stop_wanted);
  } catch (const fathom::resource_error& problem) {
    return report(problem.what(), out_of_resources);
  } catch (const std::bad_alloc&) {
    return report("the system has no memory left; use fewer --threads or a shorter crop", out_of_resources);
  } catch (const fathom::numerical_error& problem) {
    return report(problem.what(), numerical_failure);
  } catch (const fathom::error& problem) {
    return report(problem.what(), bad_input);
  }
}
