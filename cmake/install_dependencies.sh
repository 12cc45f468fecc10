#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what fathom needs and this machine lacks.
#   cmake/install_dependencies.sh [fold|tests|bench|development]...
# Debian and Ubuntu: through apt-get, as root or with sudo, and only the packages that are missing. Elsewhere, or with
# FATHOM_SKIP_INSTALL=1: looks whether everything is there and, if not, says exactly what to install.
set -euo pipefail

# package | how to see that it is there: command:NAME or header:PATH | what it is
readonly core="
g++|command:c++|a C++20 compiler: g++ 12 or clang 14, or newer
cmake|command:cmake|CMake 3.25 or newer, https://cmake.org
ninja-build|command:ninja|Ninja, https://ninja-build.org
libxtensor-dev|header:xtensor/xtensor.hpp xtensor/containers/xtensor.hpp|xtensor 0.24 or newer, https://github.com/xtensor-stack/xtensor
libxtensor-blas-dev|header:xtensor-blas/xblas.hpp|xtensor-blas, https://github.com/xtensor-stack/xtensor-blas
libxsimd-dev|header:xsimd/xsimd.hpp|xsimd, https://github.com/xtensor-stack/xsimd
libopenblas-dev|header:cblas.h openblas/cblas.h|OpenBLAS with its cblas interface, https://www.openblas.net"
readonly io="
gemmi-dev|header:gemmi/mmread.hpp|gemmi 0.5 or newer (headers), https://github.com/project-gemmi/gemmi
tao-pegtl-dev|header:tao/pegtl.hpp gemmi/third_party/tao/pegtl.hpp|PEGTL, https://github.com/taocpp/PEGTL
libstb-dev|header:stb/stb_sprintf.h gemmi/third_party/stb_sprintf.h|stb, https://github.com/nothings/stb
nlohmann-json3-dev|header:nlohmann/json.hpp|nlohmann/json 3, https://github.com/nlohmann/json
zlib1g-dev|header:zlib.h|zlib, https://zlib.net
libcli11-dev|header:CLI/CLI.hpp|CLI11, https://github.com/CLIUtils/CLI11"
readonly test="
doctest-dev|header:doctest/doctest.h|doctest 2, https://github.com/doctest/doctest
pkg-config|command:pkg-config|pkg-config (a packaging test uses it)"
readonly benchmark="
libbenchmark-dev|header:benchmark/benchmark.h|Google Benchmark, https://github.com/google/benchmark"
# Without these something is left out and said so, nothing fails.
readonly optional="
libdnnl-dev|header:oneapi/dnnl/dnnl.hpp dnnl.hpp|oneDNN
libthrust-dev|header:thrust/version.h|Thrust
libcub-dev|header:cub/version.cuh|CUB
libtbb-dev|header:tbb/tbb.h|oneTBB"
readonly development="
clang-14|command:clang++-14|clang 14
clang-19|command:clang++-19|clang 19
clang-format-14|command:clang-format-14|clang-format 14
libboost-dev|header:boost/version.hpp|Boost
dssp|command:mkdssp|DSSP
tm-align|command:TMalign|TM-align
zstd|command:zstd|zstd"

required="$core"
wished=""
for set in "${@:-tests}"; do
  case "$set" in
    fold) required+="$io" wished+="$(grep dnnl <<<"$optional")"$'\n' ;;
    tests) required+="$io$test" wished+="$optional"$'\n' ;;
    bench) required+="$io$benchmark" wished+="$(grep dnnl <<<"$optional")"$'\n' ;;
    development) wished+="$development"$'\n' ;;
    *)
      echo "usage: cmake/install_dependencies.sh [fold|tests|bench|development]..." >&2
      exit 2
      ;;
  esac
done

say() { echo "fathom: $*" >&2; }

# Is one line of the tables satisfied, whatever installed it?
present() {
  local probe="$1" kind name
  kind="${probe%%:*}"
  for name in ${probe#*:}; do
    if [[ "$kind" == command ]]; then
      command -v "$name" >/dev/null && return 0
    elif command -v c++ >/dev/null; then
      echo "#include <$name>" | c++ -std=c++20 -E -x c++ - >/dev/null 2>&1 && return 0
    fi
  done
  return 1
}

lines_of() { grep '|' <<<"$1" | sort -u || true; }

check_versions() {
  local have oldest
  if command -v cmake >/dev/null; then
    have="$(cmake --version | sed -n '1s/[^0-9]*//p')"
    oldest="$(printf '%s\n3.25\n' "$have" | sort -V | head -1)"
    if [[ "$oldest" != 3.25 ]]; then
      say "CMake $have is too old, 3.25 is needed: https://cmake.org/download (Debian 12 and Ubuntu 24.04 have it)"
      exit 1
    fi
  fi
  if ! echo 'template <class T> concept c = requires(T x) { x + x; }; static_assert(c<int>);' |
    c++ -std=c++20 -fsyntax-only -x c++ - 2>/dev/null; then
    say "the compiler c++ ($(c++ --version | head -1)) does not do C++20: g++ 12 or clang 14 are needed"
    exit 1
  fi
}

if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null && [[ "${FATHOM_SKIP_INSTALL:-0}" != 1 ]]; then
  installed() { [[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]; }
  missing=()
  missing_wished=()
  while IFS='|' read -r package _; do installed "$package" || missing+=("$package"); done < <(lines_of "$required")
  while IFS='|' read -r package _; do installed "$package" || missing_wished+=("$package"); done < <(lines_of "$wished")

  if ((${#missing[@]} + ${#missing_wished[@]} > 0)); then
    as_root=()
    if [[ "$(id -u)" != 0 ]]; then
      if command -v sudo >/dev/null; then
        as_root=(sudo)
      elif ((${#missing[@]} > 0)); then
        say "packages are missing and this is neither root nor a machine with sudo. Let root run:"
        say "  apt-get update && apt-get install ${missing[*]} ${missing_wished[*]}"
        exit 1
      else
        say "optional packages are missing and cannot be installed without root: ${missing_wished[*]}"
        check_versions
        exit 0
      fi
    fi
    log="$(mktemp -t fathom-install.XXXXXX)"
    apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1; }
    fail() {
      tail -n 20 "$log" >&2
      say "$1; all of apt-get's output is in $log"
      exit 1
    }
    say "updating the package lists"
    # A machine may have a broken third-party source: what counts is whether the packages can be installed.
    apt update || say "apt-get update reported errors ($log), going on"
    available=()
    for package in "${missing_wished[@]}"; do
      if apt-cache show "$package" >/dev/null 2>&1; then
        available+=("$package")
      else
        say "optional package $package is not offered here, going on without it"
      fi
    done
    if ((${#missing[@]} > 0)); then
      say "installing ${missing[*]}"
      apt install -y --no-install-recommends "${missing[@]}" || fail "apt-get could not install ${missing[*]}"
    fi
    if ((${#available[@]} > 0)); then
      say "installing ${available[*]}"
      apt install -y --no-install-recommends "${available[@]}" ||
        say "could not install the optional ${available[*]} ($log), going on without"
    fi
    rm -f "$log"
  fi
  check_versions
  exit 0
fi

absent=""
while IFS='|' read -r package probe what; do
  present "$probe" || absent+="  $package (Debian's name): $what"$'\n'
done < <(lines_of "$required")
if [[ -n "$absent" ]]; then
  say "this machine has no apt-get (or FATHOM_SKIP_INSTALL is set), so please install by your own means:"
  printf '%s' "$absent" >&2
  exit 1
fi
check_versions
