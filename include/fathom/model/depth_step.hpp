// SPDX-License-Identifier: Apache-2.0
// One step of a trunk's solve: where, how long, how much the state moved, what error was estimated.
#pragma once

#include <limits>

#include <fathom/core/config.hpp>

namespace fathom {

/// One trial step of a solve. Sizes are shares of the pair representation: rms(.) / rms(z).
struct depth_step {
  index_t cycle = 0;  ///< recycling pass, from 0
  double t0 = 0, t1 = 0;
  bool accepted = true;
  double change = 0;                                        ///< rms(z(t1) - z(t0)) / rms(z(t1))
  double error = std::numeric_limits<double>::quiet_NaN();  ///< the method's estimate; NaN where it makes none
  double drift = std::numeric_limits<double>::quiet_NaN();  ///< z(t1) against a solve of twice the steps; NaN unless asked
};

}  // namespace fathom
