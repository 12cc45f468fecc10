// SPDX-License-Identifier: Apache-2.0
#include <fathom/core/error.hpp>

#include "run.hpp"

#ifdef FATHOM_WITH_CUDA

void require_gpu_build() {}

int run_on_gpu(const train_arguments& a, stop_request& stop, fathom::train::process_group* group) {
  const bool discrete = a.config.discrete;
  training_run* run = discrete ? run_gpu_float32_discrete : run_gpu_float32;
  if (a.precision == "tf32") run = discrete ? run_gpu_tf32_discrete : run_gpu_tf32;
  if (a.precision == "bf16") run = discrete ? run_gpu_bf16_discrete : run_gpu_bf16;
  return run(a, stop, group);
}

#else

void require_gpu_build() {
  throw fathom::input_error(
      "--device cuda: this program was built for the processor alone. With the CUDA Toolkit (nvcc 12.8 or newer): "
      "cmake --preset cuda && cmake --build build/cuda --target train, then build/cuda/examples/train --device cuda");
}

int run_on_gpu(const train_arguments&, stop_request&, fathom::train::process_group*) {
  require_gpu_build();
  return bad_input;
}

#endif
