// SPDX-License-Identifier: Apache-2.0
// A run with one kind of trunk; each is compiled in a translation unit of its own.
#pragma once

#include <fathom/train/process_group.hpp>

#include "arguments.hpp"

enum exit_code { done = 0, bad_input = 2, numerical_failure = 3, out_of_resources = 4, missed = 5, interrupted = 130 };

/// True once the user wants to stop: the run saves and returns `interrupted`.
using stop_request = bool();

/// `group`: the processes that train together; null where this one is alone.
using training_run = int(const train_arguments& arguments, stop_request& stop, fathom::train::process_group* group);
training_run run_continuous, run_discrete;

/// Either trunk on an NVIDIA GPU, with the precision that was asked for; several processes talk over NCCL where the
/// build has it.
training_run run_on_gpu;
/// What it chooses from, each compiled in a .cu file of its own.
training_run run_gpu_float32, run_gpu_tf32, run_gpu_bf16;
training_run run_gpu_float32_discrete, run_gpu_tf32_discrete, run_gpu_bf16_discrete;

/// Throws input_error, before any work, where this program was built without them.
void require_gpu_build();
