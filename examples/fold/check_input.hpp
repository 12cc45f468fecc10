// SPDX-License-Identifier: Apache-2.0
// fold --check: read, validate, say what is there.
#pragma once

#include <filesystem>

/// Prints what an alignment or a structure holds; throws fathom::io_error as the readers do.
void check_input(const std::filesystem::path& path);
