// SPDX-License-Identifier: Apache-2.0
// Every solver over (m, z) in float32 is compiled once, for the examples; tests link it, too, where there are examples.
#pragma once

#if defined(FATHOM_COMPILED_SOLVERS)
#include "../../examples/common/solvers.hpp"
#endif
