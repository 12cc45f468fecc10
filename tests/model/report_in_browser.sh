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

# value <name> <key>: what the page says of itself
value() { grep -o "data-$2=\"[^\"]*\"" "$work/$1.html" | head -1 | cut -d '"' -f 2; }

# open_page <name> <flags...>: the DOM of $page after its scripts have run, in $work/<name>.html
open_page() {
  local name=$1
  shift
  timeout 120 "$browser" --headless=new --no-sandbox --no-first-run --disable-extensions --user-data-dir="$work/profile" \
    --window-size=1280,1400 --virtual-time-budget=5000 --enable-logging=stderr --v=0 "$@" --dump-dom "file://$page" \
    > "$work/$name.html" 2> "$work/$name.log" || { tail -5 "$work/$name.log" && fail "$name: the browser"; }
  if grep "CONSOLE" "$work/$name.log"; then fail "$name: messages on the console"; fi
  grep -q 'data-ready="true"' "$work/$name.html" || fail "$name: the page's script did not come to its end"
  echo "$name: renderer $(value "$name" renderer), $(value "$name" drawn) pixels of the structure, $(value "$name" map) cells of the map, $(value "$name" bars) bars"
  (($(value "$name" drawn) > 10000)) || fail "$name: the structure is blank"
  (($(value "$name" map) > 20000)) || fail "$name: the map is blank"
  (($(value "$name" bars) > 145)) || fail "$name: the track is blank"
  grep -q "this structure means nothing" "$work/$name.html" || fail "$name: no warning that the weights are random"
}

# A copy that is used as a reader would: every button is pressed, every panel pointed at, the structure turned and zoomed.
cat > "$work/use.js" << 'EOF_JS'
<script>
const seen = [];
const tip = document.getElementById('tip');
const at = (e, x, y) => { const b = e.getBoundingClientRect(); return { clientX: b.left + x * b.width, clientY: b.top + y * b.height, bubbles: true, pointerId: 1, buttons: 1 }; };
const fire = (e, kind, x, y, more) => e.dispatchEvent(new PointerEvent(kind, { ...at(e, x, y), ...more }));
const view = document.getElementById('view'), map = document.getElementById('map'), track = document.querySelector('#track svg');
fire(track, 'pointermove', 0.5, 0.4); seen.push(!tip.hidden && tip.textContent.includes('pLDDT'));
fire(map, 'pointermove', 0.5, 0.3); seen.push(!tip.hidden && tip.textContent.includes('experiment'));
const depth = document.querySelector('#depthplot rect'); fire(depth, 'pointermove', 0.5, 0.5); seen.push(!tip.hidden && tip.textContent.includes('step'));
let pixels = 0;
for (let k = 0; k < 400 && !pixels; ++k) { fire(view, 'pointermove', (k % 20) / 20, Math.floor(k / 20) / 20); if (tip.textContent.includes('pLDDT')) pixels = k + 1; }
seen.push(pixels > 0);
const before = view.toDataURL();
view.setPointerCapture = () => {};
fire(view, 'pointerdown', 0.5, 0.5); fire(view, 'pointermove', 0.7, 0.4); fire(view, 'pointerup', 0.7, 0.4);
view.dispatchEvent(new WheelEvent('wheel', { deltaY: -200, cancelable: true }));
view.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowLeft', cancelable: true }));
for (const b of document.querySelectorAll('button')) b.click();
setTimeout(() => { seen.push(view.toDataURL() !== before); document.body.dataset.used = seen.join(' '); }, 300);
</script>
EOF_JS
sed "/<\/html>/r $work/use.js" "$page" > "$work/out/used.html"

open_page default --use-angle=swiftshader --enable-unsafe-swiftshader
open_page without_webgl --disable-3d-apis
grep -q 'data-renderer="canvas"' "$work/without_webgl.html" || fail "the page drew with WebGL although there is none"
open_page dark --use-angle=swiftshader --enable-unsafe-swiftshader --blink-settings=preferredColorScheme=0
page=$work/out/used.html
open_page used --use-angle=swiftshader --enable-unsafe-swiftshader
echo "used: $(value used used)"
[[ $(value used used) == "true true true true true" ]] || fail "the page does not answer"
echo "passed"
