// SPDX-License-Identifier: Apache-2.0
// Everything at once. Programs that care about compile time include the rooms they use: fathom/evoformer/evoformer.hpp,
// fathom/ode/ode.hpp, fathom/model/fold_model.hpp, ...
#pragma once

#include <fathom/autodiff/gradient.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/continuous/continuous_evoformer.hpp>
#include <fathom/evoformer/evoformer.hpp>
#include <fathom/features/featurize.hpp>
#include <fathom/io/alignment.hpp>
#include <fathom/io/parameters.hpp>
#include <fathom/io/structure.hpp>
#include <fathom/model/fold_model.hpp>
#include <fathom/model/memory_estimate.hpp>
#include <fathom/ode/ode.hpp>
#include <fathom/op/dropout.hpp>
#include <fathom/structure/structure_module.hpp>
#include <fathom/version.hpp>
