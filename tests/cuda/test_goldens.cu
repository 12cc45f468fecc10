// SPDX-License-Identifier: Apache-2.0
// The golden cases of modules, fields and losses on a GPU in float32: values to 1e-5 of a tensor's largest, gradients
// to 1e-4. The runners are those of tests/golden/cases, compiled for this backend. Without a GPU they compile and link.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "device.hpp"
#include "support/golden_registry.hpp"

using namespace fathom;

TEST_CASE("cuda: golden cases in float32, forward and gradients") {
  REQUIRE(golden::registry::entries().size() > 30);
  if (!has_gpu()) return;
  namespace fs = std::filesystem;
  const char* const given = std::getenv("FATHOM_GOLDENS");
  const fs::path where =
      given != nullptr && *given != '\0' ? fs::path(given) : fs::path(FATHOM_SOURCE_DIR) / "tests" / "data" / "goldens";
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(where))
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  int passed = 0, failed = 0;
  for (const auto& path : files) {
    const golden::case_file file(path);
    const auto* const entry = golden::registry::find(file.name);
    // Cases of host functions and whole networks have no runner here.
    if (entry == nullptr || entry->runners.empty()) continue;
    const auto problems = entry->run(file);
    ++(problems.empty() ? passed : failed);
    std::string text;
    for (const auto& line : problems) text += "\n    " + line;
    CHECK_MESSAGE(problems.empty(), path.filename().string(), text);
  }
  std::printf("goldens: %d passed, %d failed\n", passed, failed);
  CHECK(passed > 30);
}
