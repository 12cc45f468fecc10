// SPDX-License-Identifier: Apache-2.0
// --device cpu|cuda of a benchmark. What runs on a GPU is compiled in a .cu file of its own, where the build has
// FATHOM_CUDA.
#pragma once

#include <cstdio>
#include <exception>
#include <optional>
#include <string>

namespace fathom::bench {

#ifdef FATHOM_WITH_CUDA
/// bench/block_on_gpu.cu; the exit code.
int block_on_gpu();
#endif

/// Takes --device out of the arguments; the exit code of `run` where it says cuda, nothing where this is for the CPU.
template <class Run>
std::optional<int> run_on_gpu(int& argc, char** argv, const Run& run) {
  std::string device = "cpu";
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--device" && i + 1 < argc)
      device = argv[++i];
    else if (word.rfind("--device=", 0) == 0)
      device = word.substr(9);
    else
      argv[kept++] = argv[i];
  }
  argc = kept;
  if (device == "cpu") return std::nullopt;
  if (device != "cuda") {
    std::fprintf(stderr, "--device %s: cpu or cuda was expected\n", device.c_str());
    return 2;
  }
  try {
    return run();
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "--device cuda: %s\n", problem.what());
    return 2;
  }
}

/// The same for bench_block.
inline std::optional<int> block_device(int& argc, char** argv) {
  return run_on_gpu(argc, argv, [] {
#ifdef FATHOM_WITH_CUDA
    return block_on_gpu();
#else
    std::fprintf(stderr,
                 "--device cuda: this benchmark was built for the processor alone. With the CUDA Toolkit (nvcc 12.8 or "
                 "newer): cmake --preset cuda && cmake --build build/cuda --target bench_block, then "
                 "build/cuda/bench/bench_block --device cuda\n");
    return 2;
#endif
  });
}

}  // namespace fathom::bench
