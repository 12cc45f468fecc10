#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Does cmake/check_layers.sh see a breach? Small trees, each with one fault; the last is sound.
set -euo pipefail
check="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/cmake/check_layers.sh"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
failures=0

# expect NAME PATTERN: the tree in $scratch/NAME must be refused with a line that matches PATTERN.
expect() {
  local output
  if output="$("$check" "$scratch/$1" 2>&1)"; then
    echo "FAILED: $1 was accepted"
    failures=1
  elif ! grep -qE "$2" <<<"$output"; then
    printf 'FAILED: %s was refused without saying /%s/:\n%s\n' "$1" "$2" "$output"
    failures=1
  fi
}
header() { # header TREE FILE INCLUDE...
  local file="$scratch/$1/fathom/$2"
  mkdir -p "$(dirname "$file")"
  shift 2
  printf '#include %s\n' "$@" >"$file"
}

header upwards tensor/tensor.hpp '<vector>' '<fathom/nn/linear.hpp>'
expect upwards 'tensor/tensor\.hpp:2: the room "tensor" may not include <fathom/nn/linear\.hpp>'
header wall op/softmax.hpp '<xtensor/xtensor.hpp>'
expect wall 'op/softmax\.hpp:1: <xtensor/xtensor\.hpp> may be included only below backend/xtensor/'
header cuda backend/cpu.hpp '<fathom/cuda/backend.hpp>'
expect cuda 'fathom/cuda/backend\.hpp> may be included nowhere'
header umbrella nn/linear.hpp '<fathom/fathom.hpp>'
expect umbrella 'umbrella'
header room cellar/wine.hpp '<vector>'
expect room 'the room "cellar" is not in'
header quoted core/a.hpp '"b.hpp"'
expect quoted 'write <fathom/room/thing\.hpp>'
header circle core/a.hpp '<fathom/core/b.hpp>'
header circle core/b.hpp '<fathom/core/c.hpp>'
header circle core/c.hpp '<fathom/core/a.hpp>'
expect circle 'circle'
header future core/a.hpp '<ranges>'
expect future '<ranges> may be included nowhere'

header sound tensor/tensor.hpp '<vector>' '<fathom/core/config.hpp>'
header sound core/config.hpp '<cstddef>'
header sound backend/xtensor/backend.hpp '<xtensor/xtensor.hpp>' '<fathom/tensor/tensor.hpp>'
header sound fathom.hpp '<fathom/tensor/tensor.hpp>'
if ! output="$("$check" "$scratch/sound" 2>&1)"; then
  printf 'FAILED: the sound tree was refused:\n%s\n' "$output"
  failures=1
fi
exit "$failures"
