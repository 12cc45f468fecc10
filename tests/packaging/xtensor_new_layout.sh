#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# xtensor_new_layout.sh SOURCE BUILD COMPILER [ROOT]: fathom against a checkout of xtensor 0.26 or newer, whose headers
# have other paths. The checkout comes from the CMake variable or the environment variable FATHOM_XTENSOR_ROOT.
set -euo pipefail
source="$1" build="$2" compiler="$3"
checkout="${4:-${FATHOM_XTENSOR_ROOT:-}}"
if [[ -z "$checkout" ]]; then
  echo "SKIPPED: FATHOM_XTENSOR_ROOT names no checkout of xtensor 0.26 or newer"
  exit 77
fi
if ! compgen -G "$checkout/include/xtensor/containers/xtensor.hpp" >/dev/null &&
  ! compgen -G "$checkout/xtensor/include/xtensor/containers/xtensor.hpp" >/dev/null; then
  echo "FATHOM_XTENSOR_ROOT=$checkout has no xtensor/containers/xtensor.hpp: this is not xtensor 0.26 or newer"
  exit 1
fi
cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release "-DCMAKE_CXX_COMPILER=$compiler" \
  "-DFATHOM_XTENSOR_ROOT=$checkout" -DFATHOM_BUILD_TESTS=ON -DFATHOM_BUILD_EXAMPLES=OFF -DFATHOM_BUILD_BENCH=OFF \
  -DFATHOM_CHECKS=OFF -DFATHOM_INSTALL=OFF -DFATHOM_TEST_OPTIMIZATION=-O0
cmake --build "$build" --parallel 2 --target xtensor_tests
ctest --test-dir "$build" --output-on-failure -L '^xtensor$' --no-tests=error
