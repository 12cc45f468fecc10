// The structure: backbone ribbons as one triangle mesh, drawn with WebGL, or with canvas 2D where there is no WebGL.
const vec = {
  add: (a, b, s = 1) => [a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]],
  dot: (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2],
  cross: (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]],
  unit: (a) => { const n = Math.hypot(a[0], a[1], a[2]) || 1; return [a[0] / n, a[1] / n, a[2] / n]; },
};

// Segments [from, to) of residues that are present one after the other.
function segments(chain) {
  const found = [];
  for (let i = 0; i < chain.ca.length; ++i) {
    if (!chain.ca[i]) continue;
    if (found.length && found[found.length - 1][1] === i) found[found.length - 1][1] = i + 1;
    else found.push([i, i + 1]);
  }
  return found;
}

// Half width and half thickness of the ribbon at position u in [0, 1) of residue i, in Angstrom.
function profile(ss, i, u) {
  const kind = (k) => (ss[k] === 'H' || ss[k] === 'E' ? ss[k] : 'C');
  const size = { H: [1.3, 0.22], E: [1.05, 0.24], C: [0.3, 0.3] };
  const here = kind(i), next = kind(i + 1), before = kind(i - 1);
  if (here === 'E' && next !== 'E') return [1.85 * (1 - u) + 0.28 * u, 0.24];  // arrow head
  const blend = (a, b, s) => { s = s * s * (3 - 2 * s); return [0, 1].map((k) => size[a][k] * (1 - s) + size[b][k] * s); };
  if (here !== next && here !== 'E' && u > 0.5 && here === 'H') return blend(here, next, (u - 0.5) * 2);
  if (here !== before && before !== 'E' && here !== 'C' && u < 0.5) return blend('C', here, u * 2);
  return size[here];
}

// Vertices [x y z nx ny nz residue] and triangles of a chain: { ca: [[x, y, z] or null], o: the same, ss: "HEC..." }.
function ribbon(chain, mesh, thin) {
  const around = thin ? 8 : 14, along = 9;
  for (const [from, to] of segments(chain)) {
    const n = to - from;
    if (n < 2) continue;
    const p = [], wide = [];
    for (let i = from; i < to; ++i) {
      let at = chain.ca[i];
      // The pleat of a strand is smoothed away.
      if (chain.ss[i] === 'E' && i > from && i + 1 < to) {
        const mid = vec.add(chain.ca[i - 1], chain.ca[i + 1]);
        at = [0, 1, 2].map((k) => 0.5 * at[k] + 0.25 * mid[k]);
      }
      p.push(at);
    }
    for (let k = 0; k < n; ++k) {
      const t = vec.unit(vec.add(p[Math.min(k + 1, n - 1)], p[Math.max(k - 1, 0)], -1));
      const o = chain.o && chain.o[from + k];
      let side = o ? vec.add(o, chain.ca[from + k], -1)
                   : vec.cross(t, vec.add(p[Math.min(k + 2, n - 1)], p[Math.max(k - 2, 0)], -1));
      side = vec.add(side, t, -vec.dot(side, t));
      if (Math.hypot(...side) < 1e-3) side = vec.cross(t, Math.abs(t[0]) < 0.9 ? [1, 0, 0] : [0, 1, 0]);
      side = vec.unit(side);
      if (k > 0 && vec.dot(side, wide[k - 1]) < 0) side = side.map((x) => -x);
      wide.push(side);
    }
    // Sides follow their neighbours, so that helices do not flutter.
    const smooth = wide.map((s, k) => vec.unit(vec.add(vec.add(s.map((x) => 2 * x), wide[Math.max(k - 1, 0)]), wide[Math.min(k + 1, n - 1)])));
    const cubic = (a, b, c, d, u) => [0, 1, 2].map((k) => 0.5 * (2 * b[k] + (c[k] - a[k]) * u + (2 * a[k] - 5 * b[k] + 4 * c[k] - d[k]) * u * u + (3 * b[k] - a[k] - 3 * c[k] + d[k]) * u * u * u));
    const at = (k) => p[Math.max(0, Math.min(n - 1, k))];
    const point = (k, u) => cubic(at(k - 1), at(k), at(k + 1), at(k + 2), u);
    const first = mesh.position.length / 3;
    let rings = 0;
    for (let k = 0; k + 1 < n; ++k)
      for (let s = 0; s <= along; ++s) {
        const arrow = chain.ss[from + k] === 'E' && chain.ss[from + k + 1] !== 'E';
        // A ring is doubled where an arrow head begins.
        if (s === along && k + 2 < n) continue;
        const u = s / along, c = point(k, u);
        const t = vec.unit(vec.add(point(k, Math.min(1, u + 0.05)), point(k, Math.max(0, u - 0.05)), -1));
        let x = vec.add(smooth[k].map((v) => v * (1 - u)), smooth[k + 1], u);
        x = vec.unit(vec.add(x, t, -vec.dot(x, t)));
        const y = vec.cross(t, x);
        const turns = s === 0 && arrow ? [profile(chain.ss, from + k - 1, 0.3), profile(chain.ss, from + k, 0)] : [profile(chain.ss, from + k, u)];
        for (let [w, h] of turns) {
          if (thin) { w *= 0.72; h *= 0.8; }
          for (let a = 0; a < around; ++a) {
            const cos = Math.cos(2 * Math.PI * a / around), sin = Math.sin(2 * Math.PI * a / around);
            const normal = vec.unit(vec.add(x.map((v) => v * cos / w), y, sin / h));
            mesh.position.push(...vec.add(vec.add(c, x, w * cos), y, h * sin));
            mesh.normal.push(...normal);
            mesh.residue.push(from + k + (u < 0.5 ? 0 : 1));
            mesh.chain.push(thin ? 1 : 0);
          }
          ++rings;
        }
      }
    const ring = (r) => first + r * around;
    for (let r = 0; r + 1 < rings; ++r)
      for (let a = 0; a < around; ++a) {
        const b = (a + 1) % around;
        mesh.index.push(ring(r) + a, ring(r) + b, ring(r + 1) + a, ring(r) + b, ring(r + 1) + b, ring(r + 1) + a);
      }
    for (const [r, flip] of [[0, true], [rings - 1, false]])
      for (let a = 1; a + 1 < around; ++a)
        mesh.index.push(ring(r), ring(r) + (flip ? a + 1 : a), ring(r) + (flip ? a : a + 1));
  }
}

// Rows of a rotation that lays the points' longest extent along x and their shortest along the line of sight.
function principalAxes(points, centre) {
  const c = [[0, 0, 0], [0, 0, 0], [0, 0, 0]];
  for (const p of points) { const d = vec.add(p, centre, -1); for (let i = 0; i < 3; ++i) for (let j = 0; j < 3; ++j) c[i][j] += d[i] * d[j]; }
  const leading = (start, without) => {
    let v = vec.unit(start);
    for (let k = 0; k < 200; ++k) {
      if (without) v = vec.add(v, without, -vec.dot(v, without));
      v = vec.unit(c.map((row) => vec.dot(row, v)));
    }
    return without ? vec.unit(vec.add(v, without, -vec.dot(v, without))) : v;
  };
  const x = leading([1, 0.31, 0.17]), y = leading(Math.abs(x[0]) < 0.9 ? [1, 0.2, 0.1] : [0.1, 1, 0.2], x);
  return [x, y, vec.cross(x, y)];
}

const shaders = {
  vertex: `attribute vec3 position, normal, color; attribute float residue;
    uniform mat3 turn; uniform vec3 centre; uniform vec2 scale, pan; uniform float depth, marked;
    varying vec3 n, tint; varying float z, mark;
    void main() {
      vec3 p = turn * (position - centre); n = turn * normal; tint = color; z = p.z / depth;
      mark = abs(residue - marked) < 0.5 ? 1.0 : 0.0;
      float w = 1.0 - 0.16 * z;
      gl_Position = vec4((p.xy * scale + pan * w), -0.5 * z * w, w);
    }`,
  fragment: `precision mediump float; varying vec3 n, tint; varying float z, mark; uniform vec3 ground, ink;
    void main() {
      vec3 m = normalize(n); if (!gl_FrontFacing) m = -m;
      vec3 light = normalize(vec3(0.35, 0.55, 0.9));
      float lit = 0.46 + 0.54 * max(dot(m, light), 0.0) + 0.10 * max(dot(m, vec3(-0.7, -0.2, 0.4)), 0.0);
      float shine = 0.22 * pow(max(dot(m, normalize(light + vec3(0.0, 0.0, 1.0))), 0.0), 34.0);
      float edge = smoothstep(0.0, 0.38, abs(m.z));
      vec3 c = mix(tint, ink, 0.75 * mark) * lit * mix(0.62, 1.0, edge) + shine;
      gl_FragColor = vec4(mix(c, ground, clamp(0.34 - 0.62 * z, 0.0, 0.72)), 1.0);
    }`,
};

// chains: [prediction, experiment or null]; color(chain, residue) -> [r, g, b] in 0..1.
function createViewer(canvas, chains, color, theme) {
  const points = chains.flatMap((c) => (c ? c.ca.filter(Boolean) : []));
  const mean = [0, 1, 2].map((k) => points.reduce((s, p) => s + p[k], 0) / points.length);
  const home = principalAxes(points, mean);
  // The middle of the box that holds everything as it is first seen, and half its sides.
  const sides = home.map((axis) => {
    const along = points.map((p) => vec.dot(axis, vec.add(p, mean, -1)));
    return [Math.min(...along), Math.max(...along)];
  });
  const centre = home.reduce((at, axis, k) => vec.add(at, axis, (sides[k][0] + sides[k][1]) / 2), mean);
  const reach = sides.map(([low, high]) => Math.max(8, (high - low) / 2) + 2);
  const size = Math.max(8, ...points.map((p) => Math.hypot(...vec.add(p, centre, -1)))) + 2;
  const view = { turn: home.map((r) => r.slice()), zoom: 1, pan: [0, 0], marked: -1, shown: chains.map(Boolean), spin: false };
  const meshes = chains.map((c, k) => {
    const mesh = { position: [], normal: [], residue: [], chain: [], index: [] };
    if (c) ribbon(c, mesh, k > 0);
    return mesh;
  });
  const gl = canvas.getContext('webgl', { antialias: true, preserveDrawingBuffer: true, alpha: false });
  const flat = gl ? null : canvas.getContext('2d');
  let buffers = [], program = null, wanted = false;

  if (gl) {
    const wide = gl.getExtension('OES_element_index_uint');
    program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, shaders.vertex], [gl.FRAGMENT_SHADER, shaders.fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.enable(gl.DEPTH_TEST);
    buffers = meshes.map((mesh) => {
      const fill = (target, data) => { const b = gl.createBuffer(); gl.bindBuffer(target, b); gl.bufferData(target, data, gl.STATIC_DRAW); return b; };
      return {
        position: fill(gl.ARRAY_BUFFER, new Float32Array(mesh.position)), normal: fill(gl.ARRAY_BUFFER, new Float32Array(mesh.normal)),
        residue: fill(gl.ARRAY_BUFFER, new Float32Array(mesh.residue)), color: gl.createBuffer(),
        index: fill(gl.ELEMENT_ARRAY_BUFFER, wide ? new Uint32Array(mesh.index) : new Uint16Array(mesh.index)),
        count: mesh.index.length, type: wide ? gl.UNSIGNED_INT : gl.UNSIGNED_SHORT,
      };
    });
  }

  function paint() {
    meshes.forEach((mesh, k) => {
      mesh.color = new Float32Array(mesh.position.length);
      for (let v = 0; v < mesh.residue.length; ++v) mesh.color.set(color(k, mesh.residue[v]), 3 * v);
      if (!gl) return;
      gl.bindBuffer(gl.ARRAY_BUFFER, buffers[k].color);
      gl.bufferData(gl.ARRAY_BUFFER, mesh.color, gl.STATIC_DRAW);
    });
    draw();
  }
  function scales() {
    const w = canvas.clientWidth || 1, h = canvas.clientHeight || 1, s = view.zoom * 0.88 * Math.min(w / reach[0], h / reach[1]);
    return [s / w, s / h];
  }
  // A point on the canvas in CSS pixels, and its depth.
  function project(p) {
    const d = vec.add(p, centre, -1), q = view.turn.map((r) => vec.dot(r, d)), z = q[2] / size, w = 1 - 0.16 * z, [sx, sy] = scales();
    return [(1 + q[0] * sx / w + view.pan[0]) * 0.5 * canvas.clientWidth, (1 - q[1] * sy / w - view.pan[1]) * 0.5 * canvas.clientHeight, z];
  }
  function draw() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const w = Math.round(canvas.clientWidth * ratio), h = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    const ground = theme('--canvas'), ink = theme('--ink');
    if (!gl) return drawFlat(w, h, ratio, ground);
    gl.viewport(0, 0, w, h);
    gl.clearColor(...ground, 1);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    const u = (name) => gl.getUniformLocation(program, name), r = view.turn;
    gl.uniformMatrix3fv(u('turn'), false, [r[0][0], r[1][0], r[2][0], r[0][1], r[1][1], r[2][1], r[0][2], r[1][2], r[2][2]]);
    gl.uniform3fv(u('centre'), centre);
    gl.uniform2fv(u('scale'), scales());
    gl.uniform2fv(u('pan'), view.pan);
    gl.uniform1f(u('depth'), size);
    gl.uniform1f(u('marked'), view.marked);
    gl.uniform3fv(u('ground'), ground);
    gl.uniform3fv(u('ink'), ink);
    buffers.forEach((b, k) => {
      if (!view.shown[k] || !b.count) return;
      for (const [name, parts] of [['position', 3], ['normal', 3], ['color', 3], ['residue', 1]]) {
        const at = gl.getAttribLocation(program, name);
        gl.bindBuffer(gl.ARRAY_BUFFER, b[name]);
        gl.enableVertexAttribArray(at);
        gl.vertexAttribPointer(at, parts, gl.FLOAT, false, 0, 0);
      }
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, b.index);
      gl.drawElements(gl.TRIANGLES, b.count, b.type, 0);
    });
  }
  function drawFlat(w, h, ratio, ground) {
    const css = (c) => `rgb(${c.map((x) => Math.round(255 * Math.max(0, Math.min(1, x)))).join(',')})`;
    flat.setTransform(1, 0, 0, 1, 0, 0);
    flat.fillStyle = css(ground);
    flat.fillRect(0, 0, w, h);
    flat.setTransform(ratio, 0, 0, ratio, 0, 0);
    const faces = [];
    meshes.forEach((mesh, k) => {
      if (!view.shown[k]) return;
      const at = [];
      for (let v = 0; v < mesh.residue.length; ++v) at.push(project(mesh.position.slice(3 * v, 3 * v + 3)));
      for (let f = 0; f < mesh.index.length; f += 3) {
        const [a, b, c] = mesh.index.slice(f, f + 3), n = mesh.normal.slice(3 * a, 3 * a + 3);
        faces.push([at[a], at[b], at[c], (at[a][2] + at[b][2] + at[c][2]) / 3, vec.dot(view.turn[2], n), mesh.color.slice(3 * a, 3 * a + 3)]);
      }
    });
    faces.sort((a, b) => a[3] - b[3]);
    for (const [a, b, c, z, facing, tint] of faces) {
      const fog = Math.max(0, Math.min(0.7, 0.3 - 0.6 * z)), lit = 0.5 + 0.5 * Math.abs(facing);
      flat.fillStyle = flat.strokeStyle = css(tint.map((x, k) => x * lit * (1 - fog) + ground[k] * fog));
      flat.beginPath();
      flat.moveTo(a[0], a[1]); flat.lineTo(b[0], b[1]); flat.lineTo(c[0], c[1]);
      flat.closePath();
      flat.fill();
      flat.stroke();
    }
  }
  // How many pixels differ from the ground.
  function drawn() {
    draw();
    const w = canvas.width, h = canvas.height;
    let pixels;
    if (gl) { pixels = new Uint8Array(4 * w * h); gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, pixels); }
    else pixels = flat.getImageData(0, 0, w, h).data;
    const ground = theme('--canvas').map((x) => 255 * x);
    let count = 0;
    for (let i = 0; i < pixels.length; i += 4)
      if (Math.abs(pixels[i] - ground[0]) + Math.abs(pixels[i + 1] - ground[1]) + Math.abs(pixels[i + 2] - ground[2]) > 24) ++count;
    return count;
  }
  function request() { if (!wanted) { wanted = true; requestAnimationFrame(() => { wanted = false; draw(); }); } }
  function rotate(dx, dy) {
    const [cx, sx, cy, sy] = [Math.cos(dx), Math.sin(dx), Math.cos(dy), Math.sin(dy)], [a, b, c] = view.turn;
    const x = [0, 1, 2].map((k) => cx * a[k] + sx * c[k]), z = [0, 1, 2].map((k) => -sx * a[k] + cx * c[k]);
    view.turn = [vec.unit(x), vec.unit(b.map((v, k) => cy * v - sy * z[k])), vec.unit(b.map((v, k) => sy * v + cy * z[k]))];
    request();
  }
  function zoom(factor) { view.zoom = Math.max(0.3, Math.min(12, view.zoom * factor)); request(); }
  function reset() { view.turn = home.map((r) => r.slice()); view.zoom = 1; view.pan = [0, 0]; request(); }

  const fingers = new Map();
  canvas.addEventListener('pointerdown', (e) => { canvas.setPointerCapture(e.pointerId); fingers.set(e.pointerId, [e.clientX, e.clientY]); });
  canvas.addEventListener('pointermove', (e) => {
    const last = fingers.get(e.pointerId);
    if (!last) return;
    const dx = e.clientX - last[0], dy = e.clientY - last[1];
    if (fingers.size === 2) {
      const other = [...fingers].find(([id]) => id !== e.pointerId)[1];
      zoom(Math.hypot(e.clientX - other[0], e.clientY - other[1]) / Math.max(1, Math.hypot(last[0] - other[0], last[1] - other[1])));
    } else if (e.shiftKey || e.buttons === 2) {
      view.pan = [view.pan[0] + 2 * dx / canvas.clientWidth, view.pan[1] - 2 * dy / canvas.clientHeight];
      request();
    } else rotate(0.009 * dx, 0.009 * dy);
    fingers.set(e.pointerId, [e.clientX, e.clientY]);
  });
  for (const end of ['pointerup', 'pointercancel']) canvas.addEventListener(end, (e) => fingers.delete(e.pointerId));
  canvas.addEventListener('contextmenu', (e) => e.preventDefault());
  canvas.addEventListener('wheel', (e) => { e.preventDefault(); zoom(Math.exp(-0.0015 * e.deltaY)); }, { passive: false });
  canvas.addEventListener('dblclick', reset);
  canvas.addEventListener('keydown', (e) => {
    const turns = { ArrowLeft: [-0.12, 0], ArrowRight: [0.12, 0], ArrowUp: [0, -0.12], ArrowDown: [0, 0.12] };
    if (turns[e.key]) { e.preventDefault(); rotate(...turns[e.key]); }
    if (e.key === '+' || e.key === '=') zoom(1.15);
    if (e.key === '-') zoom(1 / 1.15);
    if (e.key === '0') reset();
  });
  new ResizeObserver(request).observe(canvas);
  (function turn() { if (view.spin && !fingers.size) rotate(0.006, 0); requestAnimationFrame(turn); })();

  return {
    view, paint, request, drawn, dragging: () => fingers.size > 0, renderer: gl ? 'webgl' : 'canvas',
    // The residue of a shown chain whose CA lies nearest to a place on the canvas.
    pick(x, y) {
      let best = null, least = 14;
      chains.forEach((c, k) => {
        if (c && view.shown[k]) c.ca.forEach((p, i) => {
          if (!p) return;
          const q = project(p), d = Math.hypot(q[0] - x, q[1] - y) - 2 * q[2];
          if (d < least) { least = d; best = { chain: k, residue: i }; }
        });
      });
      return best;
    },
  };
}
