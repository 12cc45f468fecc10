// SPDX-License-Identifier: Apache-2.0
// Runs every golden case found: in the directory FATHOM_GOLDENS when that is set, else the choice in the repository. The
// runners stand in golden/cases/*.cpp.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "support/golden_registry.hpp"

namespace {

namespace fs = std::filesystem;
using namespace fathom;

struct {
  int passed = 0, failed = 0, not_covered = 0;
} counted;

/// After doctest's own summary, so that it is the last line.
void print_summary() {
  std::printf("goldens: %d passed, %d failed, %d not covered\n", counted.passed, counted.failed, counted.not_covered);
}

fs::path directory() {
  const char* given = std::getenv("FATHOM_GOLDENS");
  return given != nullptr && *given != '\0' ? fs::path(given) : fs::path(FATHOM_SOURCE_DIR) / "tests" / "data" / "goldens";
}

std::vector<fs::path> files_in(const fs::path& where) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(where))
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> findings(const fs::path& path, bool& covered) {
  try {
    const golden::case_file file(path);
    const auto* entry = golden::registry::find(file.name);
    covered = entry != nullptr;
    return covered ? entry->run(file) : std::vector<std::string>{};
  } catch (const std::exception& problem) {
    return {problem.what()};
  }
}

}  // namespace

TEST_CASE("golden: every case found is reproduced, forward and gradients") {
  std::atexit(print_summary);
  std::vector<fs::path> files;
  try {
    files = files_in(directory());
  } catch (const fs::filesystem_error& problem) {
    ++counted.failed;
    FAIL("the golden files cannot be listed: " << problem.what());
  }
  if (files.empty()) {
    ++counted.failed;
    FAIL("no .safetensors file in '" << directory().string() << "'; FATHOM_GOLDENS names the directory");
  }
  for (const auto& path : files) {
    bool covered = true;
    const auto problems = findings(path, covered);
    if (!covered) {
      ++counted.not_covered;
      std::printf("NOT COVERED %s\n", path.filename().string().c_str());
      continue;
    }
    ++(problems.empty() ? counted.passed : counted.failed);
    std::printf("%s %s\n", problems.empty() ? "passed" : "FAILED", path.filename().string().c_str());
    std::fflush(stdout);
    std::string text;
    for (const auto& line : problems) text += "\n    " + line;
    CHECK_MESSAGE(problems.empty(), path.filename().string(), text);
  }
}
