// Plots: the track along the sequence, maps of residue pairs, steps along the depth.
const svgns = 'http://www.w3.org/2000/svg';
function element(kind, attributes, parent, text) {
  const made = document.createElementNS(svgns, kind);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.appendChild(made);
  return made;
}
function newSvg(host, width, height) {
  host.textContent = '';
  return element('svg', { viewBox: `0 0 ${width} ${height}`, width, height, role: 'img' }, host);
}
// Multiples of 1, 2, 5 x 10^k that divide [0, n] into about `parts`.
function ticks(n, parts) {
  const raw = n / Math.max(1, parts), power = 10 ** Math.floor(Math.log10(Math.max(raw, 1e-12)));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= raw);
  const found = [];
  for (let x = step; x <= n * (1 + 1e-9); x += step) found.push(+x.toPrecision(12));
  return found;
}
const confidenceColor = (v) => (v >= 90 ? 'var(--best)' : v >= 70 ? 'var(--good)' : v >= 50 ? 'var(--low)' : 'var(--poor)');

// Helices as rounded bars, strands as arrows, the rest as a line.
function strip(svg, ss, x, y, h) {
  for (let i = 0; i < ss.length;) {
    let j = i;
    while (j < ss.length && ss[j] === ss[i]) ++j;
    const [a, b] = [x(i), x(j)];
    if (ss[i] === 'H') element('rect', { x: a, y, width: Math.max(1.5, b - a), height: h, rx: Math.min(h / 2, (b - a) / 2), fill: 'var(--helix)' }, svg);
    else if (ss[i] === 'E') {
      const head = Math.min(8, (b - a) * 0.6), t = h * 0.22;
      element('path', { d: `M${a},${y + t}H${b - head}V${y - 1}L${b},${y + h / 2}L${b - head},${y + h + 1}V${y + h - t}H${a}Z`, fill: 'var(--strand)' }, svg);
    } else if (ss[i] !== '.') element('rect', { x: a, y: y + h / 2 - 1, width: b - a, height: 2, fill: 'var(--coil)' }, svg);
    i = j;
  }
}

function drawTrack(host, data, mark) {
  const n = data.sequence.length, width = Math.max(host.clientWidth, 300), left = 78, right = 8;
  const top = 8, plot = 120, row = 22, strips = data.experiment ? 2 : 1;
  const letters = (width - left - right) / n >= 8.5, base = top + plot + 14, height = base + row * strips + (letters ? 18 : 4) + 20;
  const svg = newSvg(host, width, height), x = (i) => left + (width - left - right) * i / n, y = (v) => top + plot * (1 - v / 100);
  svg.setAttribute('aria-label', 'pLDDT and secondary structure of every residue');
  for (const v of [0, 50, 70, 90, 100]) {
    element('line', { class: 'grid', x1: left, x2: width - right, y1: y(v), y2: y(v) }, svg);
    if (v !== 100 ) element('text', { x: left - 8, y: y(v) + 4, 'text-anchor': 'end' }, svg, v);
  }
  element('text', { x: 0, y: top + 10 }, svg, 'pLDDT');
  data.plddt.forEach((v, i) => element('rect', { x: x(i), y: y(v), width: Math.max(0.6, x(i + 1) - x(i) - (x(1) - x(0) > 4 ? 1 : 0)), height: Math.max(0.5, y(0) - y(v)), fill: confidenceColor(v), opacity: 0.9 }, svg));
  if (data.experiment) {
    let d = '';
    data.experiment.lddt.forEach((v, i) => { d += v === null ? '' : `${i && data.experiment.lddt[i - 1] !== null ? 'L' : 'M'}${(x(i) + x(i + 1)) / 2},${y(100 * v)}`; });
    element('path', { d, fill: 'none', stroke: 'var(--panel)', 'stroke-width': 4, 'stroke-linejoin': 'round' }, svg);
    element('path', { d, fill: 'none', stroke: 'var(--ink)', 'stroke-width': 1.7, 'stroke-linejoin': 'round' }, svg);
  }
  element('text', { x: 0, y: base + 11 }, svg, 'predicted');
  strip(svg, data.predicted.ss, x, base, 13);
  if (data.experiment) {
    element('text', { x: 0, y: base + row + 11 }, svg, 'experiment');
    strip(svg, data.experiment.ss, x, base + row, 13);
  }
  const below = base + row * strips + 10;
  if (letters) [...data.sequence].forEach((c, i) => element('text', { x: (x(i) + x(i + 1)) / 2, y: below, 'text-anchor': 'middle', style: 'font-size:10px;font-family:ui-monospace,monospace' }, svg, c));
  for (const t of [1, ...ticks(n, width / 90)]) element('text', { x: (x(t - 1) + x(t)) / 2, y: height - 4, 'text-anchor': 'middle' }, svg, t);
  const cursor = element('line', { class: 'cursor', y1: top, y2: height - 18, visibility: 'hidden' }, svg);
  svg.addEventListener('pointermove', (e) => {
    const i = Math.floor((e.clientX - svg.getBoundingClientRect().left - left) / (width - left - right) * n);
    mark(i >= 0 && i < n ? i : -1, e);
  });
  svg.addEventListener('pointerleave', () => mark(-1));
  return (i) => {
    cursor.setAttribute('visibility', i < 0 ? 'hidden' : 'visible');
    if (i >= 0) for (const end of ['x1', 'x2']) cursor.setAttribute(end, (x(i) + x(i + 1)) / 2);
  };
}

// A colour of a ramp of [place, r, g, b] stops.
function ramp(stops, v) {
  let k = 1;
  while (k + 1 < stops.length && stops[k][0] < v) ++k;
  const [a, b] = [stops[k - 1], stops[k]], u = Math.max(0, Math.min(1, (v - a[0]) / (b[0] - a[0])));
  return [1, 2, 3].map((c) => a[c] + u * (b[c] - a[c]));
}
const ramps = {
  near: { light: [[0, 11, 24, 66], [6, 24, 62, 160], [12, 84, 142, 226], [20, 190, 214, 240], [32, 246, 248, 251]],
          dark: [[0, 240, 246, 255], [6, 128, 172, 255], [12, 56, 98, 204], [20, 30, 52, 104], [32, 20, 25, 33]] },
  off: { light: [[0, 248, 248, 249], [2, 253, 221, 190], [8, 226, 100, 74], [16, 120, 20, 60]],
         dark: [[0, 22, 26, 33], [2, 84, 44, 40], [8, 214, 94, 74], [16, 255, 214, 170]] },
  pae: { light: [[0, 8, 74, 50], [6, 42, 140, 90], [15, 150, 206, 160], [31.75, 247, 251, 247]],
         dark: [[0, 214, 255, 226], [6, 90, 200, 140], [15, 32, 104, 72], [31.75, 18, 24, 24]] },
};
const isDark = () => matchMedia('(prefers-color-scheme: dark)').matches;

// value(i, j) in Angstrom or null; row i downwards.
function drawMap(canvas, n, value, stops, mark, split) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2), side = canvas.clientWidth, w = Math.round(side * ratio);
  canvas.width = canvas.height = w;
  const c = canvas.getContext('2d'), left = 34 * ratio, bottom = 22 * ratio, size = w - left - 4 * ratio, top = w - bottom - size;
  const image = new ImageData(n, n);
  let filled = 0;
  for (let i = 0; i < n; ++i)
    for (let j = 0; j < n; ++j) {
      const v = value(i, j), [r, g, b] = v === null ? (isDark() ? [38, 43, 52] : [228, 231, 236]) : ramp(stops, v);
      if (v !== null) ++filled;
      image.data.set([r, g, b, 255], 4 * (i * n + j));
    }
  const small = document.createElement('canvas');
  small.width = small.height = n;
  small.getContext('2d').putImageData(image, 0, 0);
  const style = getComputedStyle(document.documentElement), ink = style.getPropertyValue('--ink'), quiet = style.getPropertyValue('--quiet');
  const paint = (i, j) => {
    c.clearRect(0, 0, w, w);
    c.imageSmoothingEnabled = false;
    c.drawImage(small, left, top, size, size);
    c.strokeStyle = quiet;
    c.globalAlpha = 0.5;
    c.lineWidth = ratio;
    c.strokeRect(left, top, size, size);
    if (split) { c.beginPath(); c.moveTo(left, top); c.lineTo(left + size, top + size); c.stroke(); }
    c.globalAlpha = 1;
    c.fillStyle = quiet;
    c.font = `${11.5 * ratio}px system-ui, sans-serif`;
    for (const t of ticks(n, 5)) {
      const at = (t - 0.5) / n * size;
      c.textAlign = 'center';
      c.fillText(t, left + at, w - 5 * ratio);
      c.textAlign = 'right';
      c.fillText(t, left - 6 * ratio, top + at + 4 * ratio);
    }
    if (i === undefined || i < 0) return;
    c.strokeStyle = ink;
    c.globalAlpha = 0.6;
    c.beginPath();
    for (const [k, vertical] of [[j, true], [i, false]]) {
      if (k === undefined || k < 0) continue;
      const at = (k + 0.5) / n * size;
      if (vertical) { c.moveTo(left + at, top); c.lineTo(left + at, top + size); } else { c.moveTo(left, top + at); c.lineTo(left + size, top + at); }
    }
    c.stroke();
    c.globalAlpha = 1;
  };
  paint();
  canvas.onpointermove = (e) => {
    const box = canvas.getBoundingClientRect();
    const j = Math.floor(((e.clientX - box.left) * ratio - left) / size * n), i = Math.floor(((e.clientY - box.top) * ratio - top) / size * n);
    if (i >= 0 && j >= 0 && i < n && j < n) mark(i, j, e); else mark(-1, -1);
  };
  canvas.onpointerleave = () => mark(-1, -1);
  return { paint, filled };
}

function drawDepth(host, depth, tell) {
  const width = Math.max(host.clientWidth, 280), height = 246, left = 52, right = 10, top = 10, bottom = 42;
  const svg = newSvg(host, width, height), steps = depth.steps, span = depth.span || 1;
  svg.setAttribute('aria-label', 'Change and error of every solver step along the depth');
  const marks = ['change', 'error', 'drift'], values = steps.flatMap((s) => marks.map((m) => s[m])).filter((v) => v > 0);
  const low = Math.floor(Math.log10(Math.min(...values, 1e-2)) - 0.1), high = Math.ceil(Math.log10(Math.max(...values, 1e-2)) + 0.05);
  const x = (t) => left + (width - left - right) * t / span, y = (v) => top + (height - top - bottom) * (high - Math.log10(Math.max(v, 10 ** low))) / (high - low);
  const every = Math.ceil((high - low) / 6);
  for (let k = low; k <= high; k += every) {
    element('line', { class: 'grid', x1: left, x2: width - right, y1: y(10 ** k), y2: y(10 ** k) }, svg);
    const label = element('text', { x: left - 8, y: y(10 ** k) + 4, 'text-anchor': 'end' }, svg, '10');
    element('tspan', { dy: -4, style: 'font-size:9px' }, label, k);
  }
  for (const t of [0, ...ticks(span, 5)]) element('text', { x: x(t), y: height - 22, 'text-anchor': 'middle' }, svg, t);
  element('text', { x: (left + width - right) / 2, y: height - 5, 'text-anchor': 'middle' }, svg, 'depth t');
  const tint = { change: 'var(--accent)', error: 'var(--helix)', drift: 'var(--strand)' };
  const last = Math.max(...steps.map((s) => s.cycle));
  for (const s of steps) {
    const opacity = s.cycle === last ? 1 : 0.28, tell_it = (e) => tell(e, describe(s));
    const group = element('g', { opacity }, svg);
    if (s.accepted) {
      if (s.cycle === last) for (const t of [s.t0, s.t1]) element('line', { x1: x(t), x2: x(t), y1: height - bottom, y2: height - bottom + 5, stroke: 'var(--quiet)' }, group);
      for (const m of marks) {
        if (!(s[m] > 0)) continue;
        const end = m === 'drift' ? s.t1 : (s.t0 + s.t1) / 2;
        if (m !== 'drift') element('line', { x1: x(s.t0) + 1, x2: x(s.t1) - 1, y1: y(s[m]), y2: y(s[m]), stroke: tint[m], 'stroke-width': 3, 'stroke-linecap': 'round' }, group);
        else element('circle', { cx: x(end), cy: y(s[m]), r: 4, fill: tint[m] }, group);
      }
      const target = element('rect', { x: x(s.t0), y: top, width: Math.max(1, x(s.t1) - x(s.t0)), height: height - top - bottom, fill: 'transparent' }, group);
      if (s.cycle === last) { target.addEventListener('pointermove', tell_it); target.addEventListener('pointerleave', () => tell(null)); }
    } else if (s.error > 0) {
      const [a, b] = [x(s.t0), y(s.error)];
      element('path', { d: `M${a - 4},${b - 4}l8,8m0,-8l-8,8`, stroke: 'var(--helix)', 'stroke-width': 1.6 }, group);
    }
  }
  function describe(s) {
    const show = (v) => (v >= 1e-3 ? v.toPrecision(3) : v.toExponential(1));
    return `t ${show(s.t0)} to ${show(s.t1)}, step ${show(s.t1 - s.t0)}\nz moved by ${show(s.change)} of its size` +
      (s.error > 0 ? `\nestimated error ${show(s.error)}` : '') + (s.drift > 0 ? `\noff a solve of twice the steps by ${show(s.drift)}` : '');
  }
}
