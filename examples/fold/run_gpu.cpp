// SPDX-License-Identifier: Apache-2.0
#include "run_gpu.hpp"

#include <fathom/core/error.hpp>

#ifdef FATHOM_WITH_CUDA

void require_gpu_build() {}

fold_outcome run_on_gpu(const fold_arguments& a, const fathom::features& query,
                        const std::function<void(const fathom::fold_progress&)>& progress) {
  return (a.precision == "bf16"   ? run_gpu_bf16
          : a.precision == "tf32" ? run_gpu_tf32
                                  : run_gpu_float32)(a, query, progress);
}

#else

void require_gpu_build() {
  throw fathom::input_error(
      "--device cuda: this program was built for the processor alone. With the CUDA Toolkit (nvcc 12.8 or newer): "
      "cmake --preset cuda && cmake --build build/cuda --target fold, then build/cuda/examples/fold --device cuda");
}

fold_outcome run_on_gpu(const fold_arguments&, const fathom::features&,
                        const std::function<void(const fathom::fold_progress&)>&) {
  require_gpu_build();
  return {};
}

#endif
