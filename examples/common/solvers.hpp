// SPDX-License-Identifier: Apache-2.0
// Every solver over (m, z) in float32 is compiled once for all examples, in solvers.cpp.
#pragma once

#include <fathom/backend/cpu.hpp>
#include <fathom/core/instantiate.hpp>
#include <fathom/evoformer/state.hpp>
#include <fathom/model/solver_choice.hpp>

FATHOM_EXTERN(fathom::chosen_solver<fathom::msa_pair<fathom::cpu<float>>>);
