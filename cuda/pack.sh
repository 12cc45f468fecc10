#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# cuda/pack.sh FILE: what cuda/prove.sh needs beside the CUDA Toolkit, CMake, Ninja and a compiler, as one tar.gz for a
# machine that can fetch nothing: headers, OpenBLAS, and OpenFold's Python sources where PEER_OPENFOLD or build/peers has
# a checkout. Runs on Debian or Ubuntu, where cmake/install_dependencies.sh tests bench has installed them.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
if (($# != 1)); then
  echo "usage: cuda/pack.sh FILE.tar.gz" >&2
  exit 2
fi
"$root/cmake/install_dependencies.sh" tests bench
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
architecture="$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch)"

# Headers, with the package configurations that CMake looks for. Not Thrust: the CUDA Toolkit has its own.
for package in libxtensor-dev libxtensor-blas-dev libxtl-dev xtl-dev libxsimd-dev gemmi-dev tao-pegtl-dev libstb-dev \
  nlohmann-json3-dev zlib1g-dev libcli11-dev doctest-dev libbenchmark-dev libopenblas-pthread-dev; do
  dpkg -s "$package" >/dev/null 2>&1 || continue
  dpkg -L "$package" | while read -r file; do
    [[ -f "$file" && "$file" != /usr/share/doc/* && "$file" != /usr/share/man/* ]] || continue
    case "$file" in
      */libbenchmark*.a) to="${file#/usr/}" ;;
      *.a | */openblas-pthread/lib* | */openblas-pthread/cmake/* | */pkgconfig/*) continue ;;
      */openblas-pthread/*) to="include/$(basename "$file")" ;;
      /usr/*) to="${file#/usr/}" ;;
      *) continue ;;
    esac
    mkdir -p "$folder/$(dirname "$to")"
    cp -a "$file" "$folder/$to"
  done
done

# Libraries with the links that lead to them, also under the name that linkers look for.
mkdir -p "$folder/lib/$architecture"
library() { # NAME, of libNAME.so
  local found
  found="$(ldconfig -p | awk -v name="lib$1.so" 'index($1, name) == 1 && !seen++ { print $NF }')"
  [[ -n "$found" ]] || return 0
  local file="$folder/lib/$architecture/$(basename "$(readlink -f "$found")")"
  cp -L "$found" "$file"
  for name in "$(basename "$found")" "lib$1.so"; do
    [[ "$name" == "$(basename "$file")" ]] || ln -sf "$(basename "$file")" "$folder/lib/$architecture/$name"
  done
}
for name in openblas gfortran quadmath z benchmark; do library "$name"; done
for name in benchmark; do # its package configuration names the file with all digits
  for file in "/usr/lib/$architecture/lib$name".so*; do cp -a "$file" "$folder/lib/$architecture/"; done
done

checkout="${PEER_OPENFOLD:-$root/build/peers/openfold}"
if [[ -d "$checkout/openfold/model" ]]; then
  for part in model utils; do
    (cd "$checkout" && find "openfold/$part" -name '*.py' -print0 | xargs -0 cp --parents -t "$(mkdir -p "$folder/peers/openfold" && cd "$folder/peers/openfold" && pwd)")
  done
else
  echo "cuda/pack.sh: no checkout of OpenFold (PEER_OPENFOLD, bench/peers.sh): the benchmark will have no peer" >&2
fi
tar -czf "$1" -C "$folder" .
echo "cuda/pack.sh: $1 holds $(find "$folder" -type f | wc -l) files, $(du -h "$1" | cut -f1)"
