#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds and runs benchmarks:
#   bench/run.sh [block|compile_time|depth|field|kernels|memory|scaling|solve|solver|train]... [-- args]
# Without names: all there are. What follows -- goes to the programs. Each also writes build/bench/results/NAME.json, which
# bench/plot draws. The lines RESULT name value goal pass|fail come last once more, and one that says fail makes the exit
# code 1.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../cmake/build.sh"

names=()
while (($# > 0)); do
  case "$1" in
    --)
      shift
      break
      ;;
    *) names+=("$1") ;;
  esac
  shift
done

known=()
for source in "$fathom_root"/bench/bench_*.cpp; do
  [[ -e "$source" ]] || continue
  name="$(basename "$source" .cpp)"
  known+=("${name#bench_}")
done
known+=(compile_time)
((${#names[@]} > 0)) || names=("${known[@]}")
targets=()
for name in "${names[@]}"; do
  if [[ " ${known[*]} " != *" $name "* ]]; then
    echo "bench/run.sh: there is no benchmark '$name'; there are: ${known[*]}" >&2
    exit 2
  fi
  [[ "$name" == compile_time ]] || targets+=("bench_$name")
done

"$fathom_root/cmake/install_dependencies.sh" bench
if ((${#targets[@]} > 0)); then
  fathom_configure bench -DCMAKE_BUILD_TYPE=Release -DFATHOM_NATIVE=ON \
    -DFATHOM_BUILD_TESTS=OFF -DFATHOM_BUILD_EXAMPLES=OFF -DFATHOM_BUILD_BENCH=ON
  fathom_build bench "${targets[@]}"
fi

log="$(mktemp)"
trap 'rm -f "$log"' EXIT
status=0
results="$fathom_root/build/bench/results"
mkdir -p "$results"
for name in "${names[@]}"; do
  echo "== $name"
  export FATHOM_BENCH_JSON="$results/$name.json"
  if [[ "$name" == compile_time ]]; then
    "$fathom_root/bench/compile_time" | tee -a "$log" || status=1
  else
    "$fathom_root/build/bench/bench/bench_$name" "$@" | tee -a "$log" || status=1
  fi
done

if ((${#names[@]} > 1)) && grep -q '^RESULT ' "$log"; then
  echo "== results"
  grep '^RESULT ' "$log"
fi
if grep -qE '^RESULT .* fail$' "$log"; then
  status=1
fi
exit "$status"
