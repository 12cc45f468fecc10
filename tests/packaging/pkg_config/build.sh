#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build.sh PKGCONFIG_DIRECTORY BUILD_DIRECTORY COMPILER: the consumer without CMake, from what pkg-config says.
set -euo pipefail
export PKG_CONFIG_PATH="$1"
build="$2" compiler="$3"
consumer="$(cd "$(dirname "${BASH_SOURCE[0]}")/../consumer" && pwd)"
if ! command -v pkg-config >/dev/null; then
  echo "SKIPPED: pkg-config is not installed"
  exit 77
fi
mkdir -p "$build"
warnings=(-std=c++20 -Wall -Wextra -Werror)

read -ra flags < <(pkg-config --cflags --libs fathom)
"$compiler" "${warnings[@]}" "$consumer/core.cpp" "${flags[@]}" -o "$build/core"
"$build/core"

read -ra flags < <(pkg-config --cflags --libs fathom-io)
structure_source="$(pkg-config --variable=structure_source fathom-io)"
"$compiler" "${warnings[@]}" "$consumer/files.cpp" "$structure_source" "${flags[@]}" -o "$build/files"
"$build/files"
