// Puts the run's data on the page, links the panels, and says in data-* attributes of <body> what has been drawn.
const data = JSON.parse(document.getElementById('data').textContent);
const byId = (id) => document.getElementById(id);
const make = (kind, parent, text, className) => {
  const e = document.createElement(kind);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  parent.appendChild(e);
  return e;
};
const fixed = (v, digits) => (v === null || v === undefined || !isFinite(v) ? '–' : v.toFixed(digits));
const cssColor = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// '#rrggbb' or the name of a variable -> [r, g, b] in 0..1
const rgb = (name) => {
  const hex = name.startsWith('--') ? cssColor(name) : name;
  return [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16) / 255);
};
const n = data.sequence.length, experiment = data.experiment;

document.title = `${data.title} – fathom`;
byId('title').textContent = data.title;
byId('subtitle').textContent = data.subtitle;
if (data.warning) { byId('warning').hidden = false; byId('warning').textContent = data.warning; }
for (const [name, value, unit] of data.figures) {
  const box = make('div', byId('figures'));
  make('dt', box, name);
  const figure = make('dd', box, value);
  if (unit) make('small', figure, unit);
}

// Panels tell each other which residue is looked at.
const listeners = [];
let looked = -1;
const tip = byId('tip');
function tell(event, text) {
  tip.hidden = !event || !text;
  if (tip.hidden) return;
  tip.textContent = text;
  const box = tip.getBoundingClientRect(), x = event.clientX + 16, y = event.clientY + 14;
  tip.style.left = `${Math.min(x, innerWidth - box.width - 8)}px`;
  tip.style.top = `${y + box.height > innerHeight ? event.clientY - box.height - 12 : y}px`;
}
function mark(i, event, j) {
  tell(event, i >= 0 ? describe(i, j) : '');
  if (i === looked && j === undefined) return;
  looked = i;
  for (const f of listeners) f(i, j);
}
const names = { H: 'helix', E: 'strand', C: 'coil', '.': 'not seen' };
function describe(i, j) {
  const label = (k) => `${data.sequence[k]}${k + 1}`;
  if (j !== undefined && j !== i) return `${label(i)} – ${label(j)}\n${mapText(i, j)}`;
  let text = `${label(i)}\npLDDT ${fixed(data.plddt[i], 0)}, ${names[data.predicted.ss[i]]}`;
  if (experiment && experiment.lddt[i] !== null)
    text += `\nlDDT ${fixed(100 * experiment.lddt[i], 0)}, ${names[experiment.ss[i]]} in the experiment\n${fixed(experiment.distance[i], 1)} Å from its place`;
  return text;
}

// --- structure
const viridis = [[0, 68, 1, 84], [0.25, 59, 82, 139], [0.5, 33, 145, 140], [0.75, 94, 201, 98], [1, 253, 231, 37]];
const colorings = {
  Confidence: { of: (i) => { const v = data.plddt[i]; return rgb(v >= 90 ? '--best' : v >= 70 ? '--good' : v >= 50 ? '--low' : '--poor'); },
    legend: [['--best', 'pLDDT 90+'], ['--good', '70–90'], ['--low', '50–70'], ['--poor', 'below 50']] },
  'Secondary structure': { of: (i) => rgb({ H: '--helix', E: '--strand' }[data.predicted.ss[i]] || '--loop'),
    legend: [['--helix', 'helix'], ['--strand', 'strand'], ['--loop', 'coil']] },
  Sequence: { of: (i) => ramp(viridis, i / Math.max(1, n - 1)).map((x) => x / 255), legend: [['#440154', 'N terminus'], ['#fde725', 'C terminus']] },
};
if (experiment)
  colorings.Deviation = { of: (i) => (experiment.distance[i] === null ? rgb('--coil') : ramp([[0, 47, 107, 214], [4, 226, 226, 226], [10, 204, 52, 66]], experiment.distance[i]).map((x) => x / 255)),
    legend: [['#2f6bd6', 'on the experiment'], ['#e2e2e2', '4 Å'], ['#cc3442', '10 Å and more']] };
let coloring = data.warning ? 'Secondary structure' : 'Confidence';

const canvas = byId('view');
const viewer = createViewer(canvas, [data.predicted, experiment], (chain, i) => (chain ? rgb('--experiment') : colorings[coloring].of(i)), rgb);
const chosen = (host, options, current, pick) => {
  const group = make('div', host, undefined, 'segments');
  group.setAttribute('role', 'group');
  for (const option of options) {
    const button = make('button', group, option);
    button.type = 'button';
    button.setAttribute('aria-pressed', option === current);
    button.onclick = () => { for (const b of group.children) b.setAttribute('aria-pressed', b === button); pick(option); };
  }
};
const toggle = (host, name, on, flip) => {
  const button = make('button', host, name, 'toggle');
  button.type = 'button';
  button.setAttribute('aria-pressed', on);
  button.onclick = () => { on = !on; button.setAttribute('aria-pressed', on); flip(on); };
};
function structureLegend() {
  const host = byId('legend');
  host.textContent = '';
  const rows = colorings[coloring].legend.concat(experiment && viewer.view.shown[1] ? [['--experiment', 'experiment']] : []);
  for (const [color, name] of rows) {
    const item = make('span', host);
    make('i', item).style.background = color.startsWith('--') ? `var(${color})` : color;
    item.append(name);
  }
}
chosen(byId('controls'), Object.keys(colorings), coloring, (name) => { coloring = name; viewer.paint(); structureLegend(); });
if (experiment)
  ['Prediction', 'Experiment'].forEach((name, k) => toggle(byId('controls'), name, true, (on) => { viewer.view.shown[k] = on; viewer.request(); structureLegend(); }));
toggle(byId('controls'), 'Spin', false, (on) => { viewer.view.spin = on; });
canvas.addEventListener('pointermove', (e) => {
  if (viewer.dragging()) return tell(null);
  const box = canvas.getBoundingClientRect(), found = viewer.pick(e.clientX - box.left, e.clientY - box.top);
  mark(found ? found.residue : -1, e);
});
canvas.addEventListener('pointerleave', () => mark(-1));
listeners.push((i) => { viewer.view.marked = i; viewer.request(); });

// --- maps
const distance = (chain, i, j) => {
  const a = chain.ca[i], b = chain.ca[j];
  return a && b ? Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]) : null;
};
const maps = {
  Distance: { title: 'CA distances', unit: 'Å', stops: 'near', to: 32, split: Boolean(experiment),
    value: (i, j) => distance(experiment && i > j ? experiment : data.predicted, i, j),
    note: experiment ? 'above the diagonal: predicted; below: experiment' : 'predicted' },
};
if (experiment)
  maps.Difference = { title: 'Predicted minus experimental CA distance', unit: 'Å', stops: 'off', to: 16,
    value: (i, j) => { const a = distance(data.predicted, i, j), b = distance(experiment, i, j); return a === null || b === null ? null : Math.abs(a - b); }, note: 'magnitude' };
if (data.pae)
  maps.PAE = { title: 'Predicted aligned error', unit: 'Å', stops: 'pae', to: 31.75, value: (i, j) => data.pae.values[i * n + j], note: 'row: residue aligned on; column: residue scored' };
let shownMap = 'Distance', map = null;
const mapText = (i, j) => {
  if (shownMap === 'PAE') return `predicted aligned error ${fixed(data.pae.values[i * n + j], 0)} Å`;
  return `predicted ${fixed(distance(data.predicted, i, j), 1)} Å` + (experiment ? `, experiment ${fixed(distance(experiment, i, j), 1)} Å` : '');
};
function showMap() {
  const m = maps[shownMap], stops = ramps[m.stops][isDark() ? 'dark' : 'light'];
  byId('maptitle').textContent = m.title;
  map = drawMap(byId('map'), n, m.value, stops, (i, j, e) => mark(i, e, i < 0 ? undefined : j), m.split);
  const host = byId('maplegend');
  host.textContent = '';
  const scale = make('span', host, '0');
  const bar = make('canvas', scale);
  bar.width = 130; bar.height = 1;
  for (let k = 0; k < 130; ++k) { const c = bar.getContext('2d'); c.fillStyle = `rgb(${ramp(stops, m.to * k / 129).map(Math.round)})`; c.fillRect(k, 0, 1, 1); }
  scale.append(`${m.to} ${m.unit}`);
  make('span', host, m.note);
}
if (Object.keys(maps).length > 1) chosen(byId('mapcontrols'), Object.keys(maps), shownMap, (name) => { shownMap = name; showMap(); });
listeners.push((i, j) => map.paint(i, j === undefined ? i : j));

// --- sequence, depth, run
const key = byId('seqlegend');
const entry = (color, name, rule) => { const s = make('span', key); const i = make('i', s, undefined, rule ? 'rule' : ''); i.style.background = color; s.append(name); };
entry('var(--best)', '90+'); entry('var(--good)', '70–90'); entry('var(--low)', '50–70'); entry('var(--poor)', 'below 50');
if (experiment) entry('var(--ink)', 'lDDT against the experiment', true);
entry('var(--helix)', 'helix'); entry('var(--strand)', 'strand');
let cursor = () => {};
listeners.push((i) => cursor(i));
function times() {
  const host = byId('times'), total = data.times.reduce((s, [, v]) => s + v, 0), width = Math.max(host.clientWidth, 240);
  const tints = ['var(--coil)', 'var(--strand)', 'var(--accent)', 'var(--helix)', 'var(--good)'];
  const svg = newSvg(host, width, 14);
  let x = 0;
  data.times.forEach(([, v], k) => { const w = width * v / Math.max(total, 1e-9); element('rect', { x, y: 0, width: Math.max(0, w - 1.5), height: 12, rx: 3, fill: tints[k % 5] }, svg); x += w; });
  const legend = make('div', host, undefined, 'legend');
  data.times.forEach(([name, v], k) => { const s = make('span', legend); make('i', s).style.background = tints[k % 5]; s.append(`${name} ${v < 0.095 ? fixed(1000 * v, 0) + ' ms' : fixed(v, 1) + ' s'}`); });
}
for (const [name, value] of data.settings) { const row = make('tr', byId('settings')); make('td', row, name); make('td', row, value); }
byId('depthnote').textContent = data.depth.note;
make('span', byId('footer'), data.footer[0]);
make('span', byId('footer'), data.footer[1]);

function layout() {
  showMap();
  cursor = drawTrack(byId('track'), data, (i, e) => mark(i, e));
  if (data.depth.steps.length) drawDepth(byId('depthplot'), data.depth, tell);
  times();
}
structureLegend();
layout();
viewer.paint();
let width = innerWidth;
addEventListener('resize', () => { if (innerWidth !== width) { width = innerWidth; layout(); } });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { layout(); viewer.paint(); });

Object.assign(document.body.dataset, { ready: 'true', renderer: viewer.renderer, drawn: viewer.drawn(), map: map.filled, bars: byId('track').querySelectorAll('rect').length });
