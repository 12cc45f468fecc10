// SPDX-License-Identifier: Apache-2.0
// Folding on an NVIDIA GPU. Each precision is compiled in a .cu file of its own, where the build has them.
#pragma once

#include "fold_run.hpp"

/// Throws input_error, before any work, where this program was built without them.
void require_gpu_build();

/// Any dims, with the precision that was asked for.
fold_runner run_on_gpu;

fold_runner run_gpu_float32, run_gpu_tf32, run_gpu_bf16;
