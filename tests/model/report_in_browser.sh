#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# report_in_browser.sh <fold> <examples/data>: folds, opens the report in a headless Chromium, with WebGL and without, and
# checks that it is complete, draws and reports no error. Exit code 77 where there is no Chromium.
set -euo pipefail
fold=$1 data=$2

browser=""
for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
  if [[ -n $name ]] && command -v "$name" > /dev/null; then browser=$name && break; fi
done
if [[ -z $browser ]]; then
  echo "skipped: no Chromium (apt-get install chromium, or set CHROMIUM)"
  exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
  echo "FAILED: $*" >&2
  exit 1
}

"$fold" "$data/1a3a.a3m" --reference "$data/1a3a.pdb" --dims small --clusters 2 --extra 2 --recycles 0 --solver bosh3 \
  --rtol 0.5 --threads 2 -o "$work/out" > "$work/fold.log" 2>&1 || { cat "$work/fold.log" && fail "fold"; }
page=$work/out/report.html
[[ -s $page ]] || fail "there is no report.html"
# Nothing is fetched: no address in an attribute, an import or a style.
if grep -nE '(src|href)="[^d]|@import|url\(|fetch\(|XMLHttpRequest' "$page"; then fail "the page refers to other files"; fi

# open_page <name> <flags...>: the page's DOM after its scripts have run, in $work/<name>.html
open_page() {
  local name=$1
  shift
  timeout 120 "$browser" --headless=new --no-sandbox --no-first-run --disable-extensions --user-data-dir="$work/profile" \
    --window-size=1280,1400 --virtual-time-budget=5000 --enable-logging=stderr --v=0 "$@" --dump-dom "file://$page" \
    > "$work/$name.html" 2> "$work/$name.log" || { tail -5 "$work/$name.log" && fail "$name: the browser"; }
  if grep "CONSOLE" "$work/$name.log"; then fail "$name: messages on the console"; fi
  grep -q 'data-ready="true"' "$work/$name.html" || fail "$name: the page's script did not come to its end"
  value() { grep -o "data-$1=\"[^\"]*\"" "$work/$name.html" | head -1 | cut -d '"' -f 2; }
  echo "$name: renderer $(value renderer), $(value drawn) pixels of the structure, $(value map) cells of the map, $(value bars) bars"
  (($(value drawn) > 10000)) || fail "$name: the structure is blank"
  (($(value map) > 20000)) || fail "$name: the map is blank"
  (($(value bars) > 145)) || fail "$name: the track is blank"
  grep -q "this structure means nothing" "$work/$name.html" || fail "$name: no warning that the weights are random"
}

open_page default --use-angle=swiftshader --enable-unsafe-swiftshader
open_page without_webgl --disable-3d-apis
grep -q 'data-renderer="canvas"' "$work/without_webgl.html" || fail "the page drew with WebGL although there is none"
open_page dark --use-angle=swiftshader --enable-unsafe-swiftshader --blink-settings=preferredColorScheme=0
echo "passed"
