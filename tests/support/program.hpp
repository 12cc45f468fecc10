// SPDX-License-Identifier: Apache-2.0
// For tests that see a program from outside: running it, a piece of the example to give
// it.
#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include <fathom/io/structure.hpp>

#include "support/folder.hpp"

namespace testing {

using fathom::testing::folder;

/// How a program ended (-1: not by itself) and what it said.
struct run {
  int code = -1;
  std::string text;
};

inline run run_program(const std::string& command) {
  run result;
  std::FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) result.text.append(buffer, n);
  const int status = pclose(pipe);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return result;
}

/// Residues [from, from + n) of the example's structure.
inline fathom::io::protein example_piece(fathom::index_t from, fathom::index_t n) {
  const auto whole = fathom::io::read_structure(std::string(FATHOM_SOURCE_DIR) + "/examples/data/1a3a.pdb");
  fathom::io::protein part(n);
  for (fathom::index_t i = 0; i < n; ++i) {
    part.aatype[static_cast<std::size_t>(i)] = whole.aatype[static_cast<std::size_t>(from + i)];
    for (int a = 0; a < fathom::atom37_count; ++a) {
      part.mask(i, a) = whole.mask(from + i, a);
      for (fathom::index_t x = 0; x < 3; ++x) part.positions(i, a, x) = whole.positions(from + i, a, x);
    }
  }
  return part;
}

}  // namespace testing
