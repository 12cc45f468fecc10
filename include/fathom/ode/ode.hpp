// SPDX-License-Identifier: Apache-2.0
// The whole ODE room.
#pragma once

#include <fathom/ode/adams.hpp>
#include <fathom/ode/adjoint.hpp>
#include <fathom/ode/backsolve.hpp>
#include <fathom/ode/batch.hpp>
#include <fathom/ode/batch_axis.hpp>
#include <fathom/ode/batch_gradient.hpp>
#include <fathom/ode/control.hpp>
#include <fathom/ode/differenced_field.hpp>
#include <fathom/ode/dual_field.hpp>
#include <fathom/ode/explicit_rk.hpp>
#include <fathom/ode/field.hpp>
#include <fathom/ode/implicit_rk.hpp>
#include <fathom/ode/options.hpp>
#include <fathom/ode/recorded_solve.hpp>
#include <fathom/ode/regularisers.hpp>
#include <fathom/ode/reversible_methods.hpp>
#include <fathom/ode/solution.hpp>
#include <fathom/ode/solve.hpp>
#include <fathom/ode/splitting.hpp>
#include <fathom/ode/state.hpp>
#include <fathom/ode/tableau.hpp>
#include <fathom/ode/tableau_dopri8.hpp>
#include <fathom/ode/tableaus.hpp>
#include <fathom/ode/tangent.hpp>
#include <fathom/ode/torchdiffeq.hpp>
#include <fathom/ode/tree_state.hpp>
