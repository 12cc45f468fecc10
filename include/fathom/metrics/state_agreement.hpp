// SPDX-License-Identifier: Apache-2.0
// How well strings of secondary structure agree, state by state.
#pragma once

#include <cstddef>
#include <string>

#include <fathom/core/error.hpp>

namespace fathom::metrics {

/// Residues in one state; sums of two are the counts of both chains together.
struct state_agreement {
  double both = 0, predicted = 0, real = 0;
  /// 2 both / (predicted + real); 1 where neither has the state.
  double f1() const { return predicted + real > 0 ? 2 * both / (predicted + real) : 1; }
  state_agreement& operator+=(const state_agreement& other) {
    both += other.both;
    predicted += other.predicted;
    real += other.real;
    return *this;
  }
};

/// Counts `state` over the residues that were seen in the experiment ('.' in `truth` marks the others). Throws
/// shape_error for strings of different length.
inline state_agreement compare_states(const std::string& model, const std::string& truth, char state) {
  if (model.size() != truth.size())
    throw shape_error(fathom::detail::concat("compare_states: ", model.size(), " predicted and ", truth.size(),
                                             " experimental states"));
  state_agreement count;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    if (truth[i] == '.') continue;
    count.both += model[i] == state && truth[i] == state ? 1 : 0;
    count.predicted += model[i] == state ? 1 : 0;
    count.real += truth[i] == state ? 1 : 0;
  }
  return count;
}

}  // namespace fathom::metrics
