// SPDX-License-Identifier: Apache-2.0
#include "gpu_run_impl.hpp"

fold_outcome run_gpu_tf32(const fold_arguments& a, const fathom::features& query,
                          const std::function<void(const fathom::fold_progress&)>& progress) {
  return run_gpu<fathom::tf32_mixed>(a, query, progress);
}
