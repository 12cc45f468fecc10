// SPDX-License-Identifier: Apache-2.0
// Run-time settings shared by the masked attentions of the trunk.
#pragma once

namespace fathom {

/// Keys whose mask is 0 get the additive bias inf (mask - 1).
struct attention_options {
  double inf = 1e9;
};

}  // namespace fathom
