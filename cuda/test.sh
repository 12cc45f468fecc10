#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# cuda/test.sh [--require-gpu] [ctest arguments]: builds the tests written in .cu files and runs them. Without a GPU they
# say that they were skipped; with --require-gpu that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

require_gpu=0
if [[ "${1:-}" == --require-gpu ]]; then
  require_gpu=1
  shift
fi
PATH="$PATH:${CUDA_HOME:-/usr/local/cuda}/bin"
if ! command -v nvcc >/dev/null; then
  echo "cuda/test.sh: nvcc was not found; install the CUDA Toolkit or set CUDA_HOME" >&2
  exit 1
fi
if nvidia-smi -L >/dev/null 2>&1; then
  architectures=native
elif [[ "$require_gpu" == 1 ]]; then
  echo "cuda/test.sh: nvidia-smi finds no GPU" >&2
  exit 1
else
  architectures="80;90"
fi
cmake --preset cuda "-DCMAKE_CUDA_ARCHITECTURES=$architectures"
cmake --build build/cuda --target gpu_tests
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
ctest --test-dir build/cuda -L '^gpu$' --verbose --no-tests=error "$@" | tee "$log"
if [[ "$require_gpu" == 1 ]] && grep -q "SKIPPED" "$log"; then
  echo "cuda/test.sh: tests were skipped" >&2
  exit 1
fi
