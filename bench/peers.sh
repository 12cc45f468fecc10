#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fetches what bench/run.sh block and bench/run.sh field compare with, into a folder (default build/peers): checkouts of
# OpenFold, of the paper's repository and of torchdiffeq, a virtual environment with PyTorch for the processor, and where
# Debian's PyTorch (python3-torch) and oneDNN (libdnnl-dev) are installed, a second peer: that PyTorch with its products
# by oneDNN. Prints the settings.
#
#   bench/peers.sh [folder]        what is there already stays
#   eval "$(bench/peers.sh)" && bench/run.sh block
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
folder="${1:-$root/build/peers}"
mkdir -p "$folder"
folder="$(cd "$folder" && pwd)"

checkout() {
  local name="$1" address="$2"
  [[ -e "$folder/$name/.git" ]] && return
  echo "bench/peers.sh: fetching $address" >&2
  if ! git clone --quiet --depth 1 --filter=blob:limit=1m "$address" "$folder/$name.part" >&2; then
    rm -rf "$folder/$name.part"
    echo "bench/peers.sh: $address cannot be fetched; set ${3} to a checkout of your own" >&2
    return 1
  fi
  mv "$folder/$name.part" "$folder/$name"
}
status=0
checkout openfold "${PEER_OPENFOLD_URL:-https://github.com/aqlaboratory/openfold}" PEER_OPENFOLD || status=1
checkout odefold "${PEER_ODE_URL:-https://github.com/ariellesanford/openFoldODE}" PEER_ODE || status=1
checkout torchdiffeq "${PEER_TORCHDIFFEQ_URL:-https://github.com/rtqichen/torchdiffeq}" PEER_TORCHDIFFEQ || status=1

python="$folder/venv/bin/python"
if ! "$python" -c 'import torch, numpy' 2>/dev/null; then
  echo "bench/peers.sh: installing PyTorch in $folder/venv" >&2
  python3 -m venv "$folder/venv"
  if ! "$folder/venv/bin/pip" install --quiet numpy torch --extra-index-url https://download.pytorch.org/whl/cpu >&2; then
    echo "bench/peers.sh: PyTorch cannot be installed; set PEER_PYTHON to an interpreter that has it" >&2
    status=1
  fi
fi

system="${PEER_SYSTEM_PYTHON:-/usr/bin/python3}"
shim="$folder/libsgemm_by_onednn.so"
if [[ ! -e "$shim" ]] && "$system" -c 'import torch' 2>/dev/null; then
  "${CXX:-g++}" -O2 -shared -fPIC "$root/bench/peers/sgemm_by_onednn.cpp" -o "$shim" -ldnnl 2>/dev/null ||
    echo "bench/peers.sh: the second peer needs oneDNN (libdnnl-dev): left out" >&2
fi
[[ -e "$folder/openfold/.git" ]] && echo "export PEER_OPENFOLD=$folder/openfold"
[[ -e "$folder/odefold/.git" ]] && echo "export PEER_ODE=$folder/odefold"
[[ -e "$folder/torchdiffeq/.git" ]] && echo "export PEER_TORCHDIFFEQ=$folder/torchdiffeq"
[[ -x "$python" ]] && echo "export PEER_PYTHON=$python"
[[ -e "$shim" ]] && printf 'export PEER_PYTHON_2=%s PEER_PRELOAD_2=%s\n' "$system" "$shim"
exit "$status"
