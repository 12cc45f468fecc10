// SPDX-License-Identifier: Apache-2.0
#include "gpu_run_impl.hpp"

int run_gpu_bf16_discrete(const train_arguments& arguments, stop_request& stop, fathom::train::process_group* group) {
  return run_gpu<fathom::bf16_mixed, fathom::discrete_depth>(arguments, stop, group);
}
