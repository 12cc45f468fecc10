// SPDX-License-Identifier: Apache-2.0
// Where a fold is, for whoever watches it.
#pragma once

#include <fathom/core/config.hpp>

namespace fathom {

struct fold_progress {
  index_t residues = 0;
  index_t cycle = 0, cycles = 1;      ///< recycling pass, from 0
  const char* stage = "";             ///< "embedding", "extra MSA", "trunk", "structure"
  double t = 0;                       ///< ODE time of the last evaluation
  long evaluations = 0;               ///< of the field, over all passes
  double fraction = 0;                ///< of the whole work, 0..1
};

}  // namespace fathom
