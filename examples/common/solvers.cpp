// SPDX-License-Identifier: Apache-2.0
#include "solvers.hpp"

FATHOM_INSTANTIATE(fathom::chosen_solver<fathom::msa_pair<fathom::cpu<float>>>);
