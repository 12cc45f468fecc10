# SPDX-License-Identifier: Apache-2.0
# Sourced by tests/run.sh, examples/fold.sh, bench/run.sh and .ci/run: configure and build, quietly, in build/<name>.
fathom_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# As many compilers as there are cores, but each may take 2 GB of memory. FATHOM_JOBS overrides.
fathom_jobs() {
  local cores memory limit file
  cores="$(nproc)"
  memory="$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo 2>/dev/null || true)"
  for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
    if [[ -r "$file" ]] && limit="$(<"$file")" && [[ "$limit" =~ ^[0-9]{1,15}$ ]]; then
      limit=$((limit / 1048576))
      ((limit < ${memory:-limit + 1})) && memory="$limit"
    fi
  done
  if [[ -n "$memory" ]] && ((memory / 2000 < cores)); then
    cores=$((memory / 2000 > 0 ? memory / 2000 : 1))
  fi
  echo "${FATHOM_JOBS:-$cores}"
}

# fathom_configure NAME [cmake arguments]: only when something asks for it; its output is shown when it fails.
fathom_configure() {
  local name="$1" directory="$fathom_root/build/$1" log
  shift
  mkdir -p "$directory"
  log="$directory/configure.log"
  echo "fathom: configuring build/$name" >&2
  if ! cmake -S "$fathom_root" -B "$directory" -G Ninja "$@" >"$log" 2>&1; then
    cat "$log" >&2
    echo "fathom: cmake failed; the lines above are in $log" >&2
    return 1
  fi
  grep -E 'left out|not available|cannot be linked' "$log" >&2 || true
}

# fathom_build NAME [targets]
fathom_build() {
  local name="$1" jobs
  shift
  jobs="$(fathom_jobs)"
  echo "fathom: building build/$name with $jobs jobs" >&2
  cmake --build "$fathom_root/build/$name" --parallel "$jobs" ${1:+--target "$@"}
}
