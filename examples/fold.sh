#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds and runs examples/fold; arguments go to fold. Without arguments it folds the shipped
# target into build/fold/output.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/build.sh"

"$fathom_root/cmake/install_dependencies.sh" fold
fathom_configure fold -DCMAKE_BUILD_TYPE=Release -DFATHOM_NATIVE=ON \
  -DFATHOM_BUILD_TESTS=OFF -DFATHOM_BUILD_BENCH=OFF -DFATHOM_BUILD_EXAMPLES=ON
fathom_build fold fold
(($# > 0)) || set -- -o "$fathom_root/build/fold/output"
exec "$fathom_root/build/fold/examples/fold" "$@"
