// SPDX-License-Identifier: Apache-2.0
// A user's first file that reads and writes: fathom::io brings zlib, JSON and the reader of structures.
#include <cstdio>
#include <filesystem>

#include <fathom/io/safetensors.hpp>
#include <fathom/version.hpp>

int main() {
  std::printf("fathom %s\n", fathom::version_string);
  return 0;
}
