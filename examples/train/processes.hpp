// SPDX-License-Identifier: Apache-2.0
// The processes that mpirun has started to train together.
#pragma once

#include <memory>

#include <fathom/train/process_group.hpp>

/// Null where this process is alone. Throws error where it is not and train was built without MPI: every process would
/// write the same files.
std::unique_ptr<fathom::train::process_group> join_processes();

/// Ends the others too: they wait for this one. Does nothing for null.
void abandon(fathom::train::process_group* group, int code);
