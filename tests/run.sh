#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds and runs every test. Arguments go to ctest: tests/run.sh -R golden
# FATHOM_GOLDENS=DIR: the golden tests read every case in DIR instead of the set in the repository.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/build.sh"

if [[ -n "${FATHOM_GOLDENS:-}" ]]; then
  export FATHOM_GOLDENS="$(realpath -m -- "$FATHOM_GOLDENS")"
fi
"$fathom_root/cmake/install_dependencies.sh" tests
fathom_configure release -DCMAKE_BUILD_TYPE=Release -DFATHOM_NATIVE=ON -DFATHOM_BUILD_BENCH=OFF \
  -DFATHOM_EXAMPLE_OPTIMIZATION=-O1
fathom_build release

status=0
ctest --test-dir "$fathom_root/build/release" --output-on-failure -j "$(nproc)" "$@" || status=$?

# ctest hides what passing tests print; what the golden tests counted is the answer to -R golden, so it comes last.
log="$fathom_root/build/release/Testing/Temporary/LastTest.log"
if [[ -r "$log" ]]; then
  { grep -E '^NOT COVERED' "$log" || true; grep -E '^goldens: ' "$log" || true; }
fi
exit "$status"
