// SPDX-License-Identifier: Apache-2.0
// A whole tree as constants: inputs, targets and tables that a recorded computation reads and no gradient reaches.
#pragma once

#include <fathom/autodiff/autodiff.hpp>
#include <fathom/tree/tree.hpp>

namespace fathom {

/// x on backend b, which is x's own or autodiff of it; leaves without storage stay empty.
template <backend B, class Tree>
auto constants(const B& b, const Tree& x) {
  return tree::rebind(x, b, [&](const auto& from, auto& to) {
    if (!from.empty()) to = constant(b, from);
  });
}

}  // namespace fathom
