// SPDX-License-Identifier: Apache-2.0
// A run with one kind of trunk; each is compiled in a translation unit of its own.
#pragma once

#include <fathom/train/process_group.hpp>

#include "arguments.hpp"

enum exit_code { done = 0, bad_input = 2, numerical_failure = 3, out_of_resources = 4, missed = 5, interrupted = 130 };

/// True once the user wants to stop: the run saves and returns `interrupted`.
using stop_request = bool();

/// `group`: the processes that train together; null where this one is alone.
int run_continuous(const train_arguments& arguments, stop_request& stop, fathom::train::process_group* group);
int run_discrete(const train_arguments& arguments, stop_request& stop, fathom::train::process_group* group);
