// SPDX-License-Identifier: Apache-2.0
#include "gpu_run_impl.hpp"

int run_gpu_float32(const train_arguments& arguments, stop_request& stop, fathom::train::process_group* group) {
  return run_gpu<float, fathom::continuous_depth>(arguments, stop, group);
}
