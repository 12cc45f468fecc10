// SPDX-License-Identifier: Apache-2.0
// The CPU backend, cpu<float> or cpu<double>, with the operations that it computes by kernels of its own. Results never
// depend on the number of threads.
#pragma once

#include <fathom/backend/cpu/handle.hpp>
// Whoever sees the handle must see the overrides too, or two translation units would disagree about an operation.
#include <fathom/backend/cpu/ops.hpp>
#include <fathom/backend/cpu/pair_ops.hpp>
