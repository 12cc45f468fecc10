#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# odr.sh DIRECTORY COMPILER FLAGS... -- LIBRARIES...: compiles first.cpp and second.cpp at once, links and runs them.
set -euo pipefail
directory="$1" compiler="$2"
shift 2
flags=()
while [[ "$1" != -- ]]; do
  flags+=("$1")
  shift
done
shift
cd "$directory"
"$compiler" "${flags[@]}" -O0 -c first.cpp -o first.o &
"$compiler" "${flags[@]}" -O0 -c second.cpp -o second.o
wait $!
"$compiler" first.o second.o "${flags[@]}" "$@" -o both
if ! ./both; then
  echo "an inline variable has two addresses"
  exit 1
fi
