// SPDX-License-Identifier: Apache-2.0
#include "processes.hpp"

#include <string>

#include <fathom/train/mpi.hpp>

std::unique_ptr<fathom::train::process_group> join_processes() {
  const int launched = fathom::train::launched_processes();
  if (launched == 1) return nullptr;
#ifdef FATHOM_WITH_MPI
  return std::make_unique<fathom::train::mpi_group>();
#else
  throw fathom::error("this is one of " + std::to_string(launched) +
                      " processes, but train was built without MPI (libopenmpi-dev), so they cannot train together");
#endif
}

void abandon(fathom::train::process_group* group, int code) {
#ifdef FATHOM_WITH_MPI
  if (auto* const processes = dynamic_cast<fathom::train::mpi_group*>(group)) processes->abort(code);
#endif
  static_cast<void>(group);
  static_cast<void>(code);
}
