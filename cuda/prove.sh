#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The whole proof of the CUDA backend on a machine with an NVIDIA GPU, in one command under ten minutes:
#
#   cuda/prove.sh [--packages FILE] [--minutes N] [--jobs N] [--build FOLDER]
#   cuda/prove.sh --compile-only [--packages FILE] [--jobs N] [--build FOLDER]     builds and links everything, no GPU
#
# Builds for this GPU, runs the .cu tests (conformance, gradients, goldens, graphs, kernels), compute-sanitizer on small
# cases, the programs with --device cuda, and the benchmark, with PyTorch's OpenFold block beside it where PEER_OPENFOLD
# (or build/peers, see bench/peers.sh) and a PyTorch with CUDA are there. A table comes last: name, value, goal,
# pass|fail|not run. Exit codes: 0 all that ran passed, 1 something failed, 2 no GPU or wrong arguments, 3 not buildable.
#
# --packages FILE: headers and libraries this machine lacks and cannot fetch, from cuda/pack.sh on a machine that has
# them. Without it missing packages come from apt-get.
set -uo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"

compile_only=0 packages="${FATHOM_PACKAGES:-}" minutes=9.5 jobs="" build="$root/build/cuda"
usage() { sed -n '4,5p' "$root/cuda/prove.sh" | cut -c5- >&2; exit 2; }
while (($# > 0)); do
  case "$1" in
    --compile-only) compile_only=1 ;;
    --packages | --minutes | --jobs | --build)
      (($# > 1)) || usage
      declare "${1#--}=$2"
      shift
      ;;
    *) usage ;;
  esac
  shift
done
say() { echo "cuda/prove.sh: $*" >&2; }

if ((!compile_only)) && ! nvidia-smi -L 2>/dev/null | grep -q GPU; then
  say "this machine has no NVIDIA GPU that nvidia-smi finds; cuda/prove.sh --compile-only builds and links everything without one"
  exit 2
fi
PATH="$PATH:${CUDA_HOME:-/usr/local/cuda}/bin"
for tool in nvcc cmake ninja; do
  if ! command -v "$tool" >/dev/null; then
    say "$tool was not found; install it (nvcc comes with the CUDA Toolkit, or set CUDA_HOME)"
    exit 3
  fi
done

began=$SECONDS
left() { awk -v all="$minutes" -v gone=$((SECONDS - began)) 'BEGIN { s = int(all * 60 - gone); print (s > 0 ? s : 0) }'; }
mkdir -p "$build/prove"
build="$(cd "$build" && pwd)"
out="$build/prove"
rows="$out/rows"
: >"$rows"
# row NAME VALUE GOAL pass|fail|"not run ..."
row() { printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" >>"$rows"; }
at_most() { awk -v a="$1" -v b="$2" 'BEGIN { print (a + 0 <= b + 0 ? "pass" : "fail") }'; }
at_least() { awk -v a="$1" -v b="$2" 'BEGIN { print (a + 0 >= b + 0 ? "pass" : "fail") }'; }

# What it is built from.
if [[ -n "$packages" ]]; then
  if [[ ! -r "$packages" ]]; then
    say "$packages cannot be read"
    exit 2
  fi
  rm -rf "$out/packages"
  mkdir -p "$out/packages"
  tar -xzf "$packages" -C "$out/packages" || exit 3
  export CMAKE_PREFIX_PATH="$out/packages${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}"
  libraries="$(dirname "$(find "$out/packages/lib" -name 'libopenblas.so' | head -n 1)")"
  export CMAKE_LIBRARY_PATH="$libraries${CMAKE_LIBRARY_PATH:+:$CMAKE_LIBRARY_PATH}"
  export CPATH="$out/packages/include${CPATH:+:$CPATH}"
  export LIBRARY_PATH="$libraries${LIBRARY_PATH:+:$LIBRARY_PATH}"
  export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  [[ -d "$out/packages/peers/openfold" ]] && : "${PEER_OPENFOLD:=$out/packages/peers/openfold}"
elif ! cmake/install_dependencies.sh tests bench; then
  say "packages are missing and cannot be installed here: run cuda/pack.sh FILE where they are, and give --packages FILE"
  exit 3
fi

# One build with all cores: a file that does not compile leaves the rest.
source cmake/build.sh
jobs="${jobs:-$(fathom_jobs)}"
architectures=native
((compile_only)) && architectures="${CUDAARCHS:-80;90}"
say "configuring $build for $architectures"
if ! cmake -S . -B "$build" --preset cuda "-DCMAKE_CUDA_ARCHITECTURES=$architectures" -DFATHOM_BUILD_BENCH=ON \
  -DFATHOM_NATIVE=OFF -DFATHOM_CHECKS=OFF >"$out/configure.log" 2>&1; then
  tail -n 30 "$out/configure.log" >&2
  say "cmake failed; all of its output is in $out/configure.log"
  exit 3
fi
say "building with $jobs jobs"
built_from=$SECONDS
limit=86400
((compile_only)) || limit="$(awk -v s="$(left)" 'BEGIN { print int(s * 0.7) }')"
status=0
timeout "$limit" cmake --build "$build" --parallel "$jobs" --target cuda_programs -- -k 0 >"$out/build.log" 2>&1 || status=$?
if ((status != 0)); then
  grep -E 'error|FAILED|fatal' "$out/build.log" | head -n 40 >&2
  say "not everything could be built (exit code $status); all of the output is in $out/build.log"
fi
row build "$((SECONDS - built_from)) s" "everything" "$( ((status == 0)) && echo pass || echo fail)"

finish() {
  echo
  nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader 2>/dev/null
  nvcc --version | sed -n 's/.*release/nvcc/p'
  awk -F '\t' '
    { name[NR] = $1; value[NR] = $2; goal[NR] = $3; verdict[NR] = $4
      if (length($1) > a) a = length($1); if (length($2) > b) b = length($2); if (length($3) > c) c = length($3) }
    END { for (i = 1; i <= NR; ++i) printf "%-*s  %-*s  %-*s  %s\n", a, name[i], b, value[i], c, goal[i], verdict[i] }
  ' <(printf 'name\tvalue\tgoal\tverdict\n'; cat "$rows")
  if grep -q $'\tfail$' "$rows"; then exit 1; fi
  exit 0
}
((compile_only)) && finish

programs="$build/tests/bin"
# The .cu tests, one after the other: every one may use the whole GPU.
for source in tests/cuda/test_*.cu; do
  name="$(basename "$source" .cu)"
  program="$programs/${name/test_/test_cuda_}_cuda"
  label="${name#test_}"
  if [[ ! -x "$program" ]]; then
    row "tests: $label" "" "0 failed" "not run (not built)"
    continue
  fi
  if (($(left) < 20)); then
    row "tests: $label" "" "0 failed" "not run (time is up)"
    continue
  fi
  status=0
  timeout "$(left)" "$program" >"$out/$name.log" 2>&1 || status=$?
  failed="$(sed -n 's/.*test cases:.*| *\([0-9]*\) failed.*/\1/p' "$out/$name.log" | tail -n 1)"
  checks="$(sed -n 's/.*assertions: *\([0-9]*\).*/\1/p' "$out/$name.log" | tail -n 1)"
  summary="$(sed -n 's/^goldens: //p' "$out/$name.log" | tail -n 1)"
  if grep -q SKIPPED "$out/$name.log"; then
    row "tests: $label" "skipped" "0 failed" fail
  elif ((status == 0)); then
    row "tests: $label" "${summary:-0 failed of $checks checks}" "0 failed" pass
  else
    row "tests: $label" "${failed:-crashed} failed, $out/$name.log" "0 failed" fail
    grep -vE '^\s*$' "$out/$name.log" | grep -E 'ERROR|error|values:|FAILED' | head -n 12 >&2
  fi
done

# The programs: the shipped example on both processors, and a step of training.
examples="$build/examples"
if [[ -x "$examples/fold" ]] && (($(left) > 60)); then
  status=0
  for device in cuda cpu; do
    timeout "$(left)" "$examples/fold" --device "$device" --no-report -o "$out/fold_$device" >"$out/fold_$device.log" 2>&1 ||
      status=$?
  done
  # read NAME of a summary
  of_summary() { python3 -c "import json,sys; d=json.load(open(sys.argv[1]))
for k in sys.argv[2].split('.'): d=d[k]
print(d)" "$out/fold_$1/summary.json" "$2" 2>/dev/null; }
  if ((status == 0)); then
    far="$(python3 cuda/compare_structures.py "$out/fold_cuda/ranked_0.pdb" "$out/fold_cpu/ranked_0.pdb")"
    row "fold --device cuda, largest distance to cpu" "$far A" "<=0.05 A" "$(at_most "$far" 0.05)"
    fast="$(awk -v a="$(of_summary cpu seconds.fold)" -v b="$(of_summary cuda seconds.fold)" 'BEGIN { if (b > 0) printf "%.3g", a / b; else print 0 }')"
    row "fold --device cuda, speed over cpu" "$fast" ">=1" "$(at_least "$fast" 1)"
  else
    tail -n 3 "$out/fold_cuda.log" "$out/fold_cpu.log" >&2
    row "fold --device cuda" "failed, $out/fold_cuda.log" "runs" fail
  fi
else
  row "fold --device cuda" "" "runs" "not run"
fi
if [[ -x "$examples/train" ]] && (($(left) > 90)); then
  pace() { # seconds for each step from the third on
    rm -rf "$out/train_$1"
    timeout "$(left)" "$examples/train" --device "$1" --threads 4 --steps "$2" --set validation_chains=0 \
      -o "$out/train_$1" >"$out/train_$1.log" 2>&1 || return 1
    awk -F, 'NR == 1 { for (i = 1; i <= NF; ++i) if ($i == "seconds") c = i; next }
      NR > 3 { s += $c; ++n } END { if (n > 0) printf "%.4g", s / n; else exit 1 }' "$out/train_$1/log.csv"
  }
  if on_gpu="$(pace cuda 12)" && on_cpu="$(pace cpu 5)"; then
    fast="$(awk -v a="$on_cpu" -v b="$on_gpu" 'BEGIN { printf "%.3g", a / b }')"
    row "training step, speed over 4 cores" "$fast ($on_gpu s)" ">=20" "$(at_least "$fast" 20)"
  else
    tail -n 3 "$out"/train_*.log >&2
    row "training step" "failed, $out/train_cuda.log" "runs" fail
  fi
else
  row "training step, speed over 4 cores" "" ">=20" "not run"
fi

# The benchmark, with its peer.
if [[ -x "$build/bench/bench_block" ]] && (($(left) > 60)); then
  : "${PEER_PYTHON:=$([[ -x build/peers/venv/bin/python ]] && echo "$root/build/peers/venv/bin/python" || echo python3)}"
  [[ -z "${PEER_OPENFOLD:-}" && -d build/peers/openfold ]] && PEER_OPENFOLD="$root/build/peers/openfold"
  peer="no peer: PEER_OPENFOLD is no checkout of OpenFold"
  if [[ -n "${PEER_OPENFOLD:-}" ]]; then
    peer="no peer: $PEER_PYTHON has no PyTorch that sees the GPU"
    if "$PEER_PYTHON" -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
      export PEER_OPENFOLD PEER_PYTHON
      peer=""
    fi
  fi
  if [[ -n "$peer" ]]; then
    say "$peer"
    unset PEER_OPENFOLD
  fi
  # A minute is kept for what follows.
  timeout "$(($(left) - 45))" "$build/bench/bench_block" --device cuda >"$out/bench.log" 2>&1
  status=$?
  grep -v '^RESULT ' "$out/bench.log"
  grep '^RESULT ' "$out/bench.log" | while read -r _ name value goal verdict; do row "$name" "$value" "$goal" "$verdict"; done
  ((status == 124)) && row "bench_block --device cuda" "" "ends" "not run (time is up)"
  grep -q '^RESULT ' "$out/bench.log" || row "bench_block --device cuda" "$out/bench.log" "runs" fail
  [[ -n "$peer" ]] && row "PyTorch's OpenFold block" "$peer" ">=3 times" "not run"
else
  row "bench_block --device cuda" "" "" "not run"
fi
# compute-sanitizer on the smallest cases.
for tool in memcheck racecheck; do
  if ! command -v compute-sanitizer >/dev/null; then
    row "compute-sanitizer $tool" "" "0 errors" "not run (there is no compute-sanitizer)"
    continue
  fi
  for name in test_cuda_conformance_cuda test_cuda_kernels_cuda test_cuda_graph_cuda; do
    program="$programs/$name"
    [[ -x "$program" ]] || continue
    only=()
    [[ "$name" == test_cuda_conformance_cuda ]] && only=(-tc="cuda: kernels of gpu<float>")
    label="$tool: ${name#test_cuda_}"
    if (($(left) < 60)); then
      row "${label%_cuda}" "" "0 errors" "not run (time is up)"
      continue
    fi
    status=0
    timeout 55 compute-sanitizer --tool "$tool" --error-exitcode 9 "$program" "${only[@]}" >"$out/$tool.$name.log" 2>&1 ||
      status=$?
    found="$(sed -n 's/.*ERROR SUMMARY: \([0-9]*\) error.*/\1/p; s/.*RACECHECK SUMMARY: \([0-9]*\) hazard.*/\1/p' \
      "$out/$tool.$name.log" | tail -n 1)"
    if ((status == 124)); then
      row "${label%_cuda}" "more than 55 s" "0 errors" "not run (time is up)"
    elif grep -qE 'Device not supported|Unable to|not supported on this' "$out/$tool.$name.log"; then
      row "${label%_cuda}" "$(grep -m 1 -oE 'Device not supported.*|Unable to.*' "$out/$tool.$name.log")" "0 errors" "not run"
    else
      row "${label%_cuda}" "${found:-?} errors" "0 errors" "$( ((status == 0)) && echo pass || echo fail)"
    fi
  done
done

finish
