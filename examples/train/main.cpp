// SPDX-License-Identifier: Apache-2.0
// train: chains of known structure in, weights out.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <thread>

#include <fathom/core/error.hpp>
#include <fathom/io/atomic_file.hpp>

#include "processes.hpp"
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
  std::unique_ptr<fathom::train::process_group> group;
  const auto report = [&](const char* text, int code) {
    if (group)
      std::fprintf(stderr, "train, process %d: %s\n", group->rank(), text);
    else
      std::fprintf(stderr, "train: %s\n", text);
    abandon(group.get(), code);
    return code;
  };
  train_arguments arguments;
  try {
    if (const auto code = parse_arguments(argc, argv, arguments)) return *code;
    const bool gpu = arguments.device == "cuda";
    if (gpu) require_gpu_build();
    group = join_processes();
    if (arguments.threads == 0) {
      const int here = group ? group->neighbours() : 1;
      arguments.threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / here);
    }
    std::signal(SIGINT, on_interrupt);
    std::signal(SIGTERM, on_interrupt);
    return (gpu                         ? run_on_gpu
            : arguments.config.discrete ? run_discrete
                                        : run_continuous)(arguments, stop_wanted, group.get());
  } catch (const fathom::train::process_stopped&) {
    return numerical_failure;  // the other process says why, and ends this one
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
