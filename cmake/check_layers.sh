#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks the includes of every public header against cmake/layers.txt: rooms include only the rooms below them, other
# libraries stay behind their wall, no header includes the umbrella, and headers do not include each other in a circle.
#   cmake/check_layers.sh [include directory [table]]
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
include="${1:-$root/include}"
table="${2:-$root/cmake/layers.txt}"

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
cd "$include/fathom"

# file <tab> line <tab> what is included
find . -type f \( -name '*.hpp' -o -name '*.cuh' -o -name '*.h' \) -printf '%P\n' | LC_ALL=C sort >"$scratch/files"
xargs -r -a "$scratch/files" awk '
  match($0, /^[ \t]*#[ \t]*include[ \t]*[<"][^>"]+[>"]/) {
    included = substr($0, RSTART, RLENGTH)
    quoted = included ~ /"/
    sub(/^[^<"]*[<"]/, "", included); sub(/[>"]$/, "", included)
    print FILENAME "\t" FNR "\t" (quoted ? "\"" : "") included
  }' >"$scratch/includes"

awk -F '\t' -v table="$table" '
  function fail(text) { print "include/fathom/" file ":" line ": " text; failed = 1 }
  BEGIN {
    while ((status = (getline row < table)) > 0) {
      sub(/#.*/, "", row); gsub(/[ \t]+$/, "", row)
      if (row == "") continue
      colon = match(row, /:[^:]*$/)
      key = substr(row, 1, colon - 1); values = substr(row, colon + 1); gsub(/^[ \t]+/, "", values)
      if (key ~ /^extern /) { pattern[++patterns] = substr(key, 8); places[patterns] = values }
      else { known[key] = 1; allowed[key] = " " key " " values " " }
    }
    if (status < 0) { print "cannot read " table; failed = 1; exit }
    # The table itself: every room named is a room, and no room is, through others, above itself.
    for (room in known) {
      count = split(allowed[room], names, /[ \t]+/)
      for (i = 1; i <= count; ++i)
        if (names[i] != "" && !(names[i] in known)) { print table ": " room " names the unknown room " names[i]; failed = 1 }
      for (other in known)
        if (other != room && index(allowed[room], " " other " ") && index(allowed[other], " " room " ")) {
          print table ": " room " and " other " allow each other"; failed = 1
        }
    }
  }
  {
    file = $1; line = $2; included = $3
    room = file; if (!sub(/\/.*/, "", room)) room = ""
    if (room != "" && !(room in known)) { fail("the room \"" room "\" is not in cmake/layers.txt"); next }
    if (included ~ /^"/) { fail("includes " included "\": write <fathom/room/thing.hpp>"); next }
    for (i = 1; i <= patterns; ++i) if (included ~ pattern[i]) {
      permitted = 0; count = split(places[i], place, /[ \t]+/)
      for (j = 1; j <= count; ++j) if (place[j] != "" && index(file, place[j]) == 1) permitted = 1
      if (!permitted) fail("<" included "> may be included " (places[i] == "" ? "nowhere in include/" : "only below " places[i]))
    }
    if (included !~ /^fathom\//) next
    target = substr(included, 8)
    if (target == "fathom.hpp") { fail("the umbrella <fathom/fathom.hpp> is for users"); next }
    other = target; if (!sub(/\/.*/, "", other)) other = ""
    if (room == "" || other == "") next
    if (!(other in known)) { if (other != "cuda") fail("<" included ">: the room \"" other "\" is not in cmake/layers.txt"); next }
    if (!index(allowed[room], " " other " ")) fail("the room \"" room "\" may not include <" included ">")
  }
  END { exit failed }
' "$scratch/includes" || failed=1

# Circles: #pragma once hides them from the compiler until somebody includes the other one first.
awk -F '\t' '$3 ~ /^fathom\// { print $1, substr($3, 8) }' "$scratch/includes" >"$scratch/edges"
if ! tsort "$scratch/edges" >/dev/null 2>"$scratch/circle"; then
  echo "headers include each other in a circle:"
  sed 's/^tsort: /  /' "$scratch/circle"
  failed=1
fi

if [[ "${failed:-0}" == 1 ]]; then
  exit 1
fi
echo "layers hold: $(wc -l <"$scratch/files") headers, $(wc -l <"$scratch/edges") includes between them"
