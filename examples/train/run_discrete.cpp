// SPDX-License-Identifier: Apache-2.0
#include "run_impl.hpp"

int run_discrete(const train_arguments& arguments, stop_request& stop) {
  return run_training<fathom::discrete_depth>(arguments, stop);
}
