#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fetches what bench/run.sh block and bench/run.sh field compare with, into a folder (default build/peers): checkouts of
# OpenFold and of the paper's repository, and a virtual environment with PyTorch for the processor. Prints the settings.
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

python="$folder/venv/bin/python"
if ! "$python" -c 'import torch, numpy' 2>/dev/null; then
  echo "bench/peers.sh: installing PyTorch in $folder/venv" >&2
  python3 -m venv "$folder/venv"
  if ! "$folder/venv/bin/pip" install --quiet numpy torch --extra-index-url https://download.pytorch.org/whl/cpu >&2; then
    echo "bench/peers.sh: PyTorch cannot be installed; set PEER_PYTHON to an interpreter that has it" >&2
    status=1
  fi
fi
[[ -e "$folder/openfold/.git" ]] && echo "export PEER_OPENFOLD=$folder/openfold"
[[ -e "$folder/odefold/.git" ]] && echo "export PEER_ODE=$folder/odefold"
[[ -x "$python" ]] && echo "export PEER_PYTHON=$python"
exit "$status"
