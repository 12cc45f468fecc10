// SPDX-License-Identifier: Apache-2.0
// The one translation unit that compiles gemmi; comes with the target fathom::io.
#include <fathom/io/structure_gemmi.hpp>
