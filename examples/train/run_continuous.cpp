// SPDX-License-Identifier: Apache-2.0
#include <fathom/backend/cpu.hpp>

#include "common/solvers.hpp"
#include "run_impl.hpp"

int run_continuous(const train_arguments& arguments, stop_request& stop, fathom::train::process_group* group) {
  return run_training<fathom::continuous_depth>(
      arguments, stop, group, [](int threads) { return fathom::cpu<float>(fathom::cpu_options{.threads = threads}); });
}
