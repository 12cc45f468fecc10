#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check.sh SOURCE COMPILER FLAGS...: SOURCE must not compile, and the compiler must say every sentence the source names:
#   // expect: the sentence a user reads
# With -DFATHOM_WITHOUT_MISTAKE it must compile: so it fails for its one mistake only, not for a broken header.
set -euo pipefail
source="$1"
shift

mapfile -t sentences < <(sed -n 's|^[[:space:]]*// expect: *||p' "$source")
if ((${#sentences[@]} == 0)); then
  echo "$source has no line '// expect: <sentence>'"
  exit 1
fi
if output="$("$@" -fsyntax-only -fdiagnostics-color=never "$source" 2>&1)"; then
  echo "$source compiles, it should not"
  exit 1
fi
failed=0
for sentence in "${sentences[@]}"; do
  if ! grep -qF -- "$sentence" <<<"$output"; then
    echo "the compiler does not say: $sentence"
    failed=1
  fi
done
if ! grep -qF FATHOM_WITHOUT_MISTAKE "$source"; then
  echo "$source has no part under FATHOM_WITHOUT_MISTAKE, the same without its mistake"
  failed=1
elif ! correct="$("$@" -DFATHOM_WITHOUT_MISTAKE -fsyntax-only "$source" 2>&1)"; then
  echo "without its mistake the source does not compile either:"
  echo "$correct"
  failed=1
fi
if ((failed)); then
  echo "what it says:"
  head -n 60 <<<"$output"
fi
exit "$failed"
