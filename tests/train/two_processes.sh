#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# two_processes.sh <train> <chains>: mpirun -n 2 with batch=2 against one process with batch=4: the same weights, bitwise,
# after a resume too, one set of files. Exit code 77 where there is no mpirun, or train was built without MPI.
set -euo pipefail
train=$1 chains=$2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "FAILED: $*" >&2
  exit 1
}

if ! command -v mpirun > /dev/null; then
  echo "skipped: no mpirun (apt-get install libopenmpi-dev openmpi-bin)"
  exit 77
fi
# MPI libraries keep memory until the process ends; leaks of train itself show in every other test of it.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
launch=(mpirun -n 2)
# MPICH's mpirun knows neither of these.
if mpirun --version 2>&1 | grep -qi 'open'; then launch=(mpirun --oversubscribe --bind-to none -n 2); fi

small=(--data "$chains" --threads 1 --set crop=12 --set structure_blocks=1 --set solvers=euler:1 --set validation_chains=0
  --set 'phases=0: fape=1')
"$train" "${small[@]}" --set batch=4 --steps 4 --out "$work/one" 2> "$work/one.log" || { cat "$work/one.log" && fail "alone"; }

code=0
"${launch[@]}" "$train" "${small[@]}" --set batch=2 --steps 2 --out "$work/two" > "$work/two.log" 2>&1 || code=$?
if grep -q 'built without MPI' "$work/two.log"; then
  echo "skipped: train was built without MPI (libopenmpi-dev)"
  exit 77
fi
if ((code != 0)); then cat "$work/two.log" && fail "mpirun -n 2"; fi
grep -q '2 processes of 1 x 1 threads' "$work/two.log" || { cat "$work/two.log" && fail "there are no two processes"; }
[[ $(grep -c 'chains,' "$work/two.log") == 1 ]] || fail "more than one process reports"
"${launch[@]}" "$train" --data "$chains" --threads 1 --resume --steps 4 --out "$work/two" >> "$work/two.log" 2>&1 ||
  { cat "$work/two.log" && fail "mpirun -n 2, resumed"; }

# The files differ in one character, the batch among their settings.
for file in model checkpoint; do
  one=$work/one/$file.safetensors two=$work/two/$file.safetensors
  [[ $(stat -c %s "$one") == "$(stat -c %s "$two")" ]] || fail "$file.safetensors differ in size"
  different=$(cmp -l "$one" "$two" | wc -l) || true
  [[ $different == 1 ]] || fail "$file.safetensors differ in $different bytes"
done
# step, loss, lDDT-CA, norm, learning rate; then the seconds.
cut -d , -f 1-5 "$work/one/log.csv" > "$work/one.csv"
cut -d , -f 1-5 "$work/two/log.csv" > "$work/two.csv"
diff "$work/one.csv" "$work/two.csv" || fail "log.csv"
[[ $(wc -l < "$work/two.csv") == 5 ]] || fail "log.csv has another number of rows"

# What is wrong is said, and nobody waits for ever.
code=0
timeout 60 "${launch[@]}" "$train" "${small[@]}" --set batch=2 --steps 2 --out "$work/two" > "$work/again.log" 2>&1 || code=$?
[[ $code != 0 && $code != 124 ]] || fail "training into a folder with a checkpoint ended with $code"
grep -q 'go on with --resume' "$work/again.log" || { cat "$work/again.log" && fail "no reason is given"; }
echo "two processes train as one"
