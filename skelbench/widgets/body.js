// Bodies on a 2-D canvas: a scene's bytes back to positions, a camera, and the strokes. What every widget that draws a skeleton shares.
// No imports, no build step, no WebGL context, nothing fetched. The widgets put this file's text before their own
// (skelbench.widgets.modules), because an ES module of anywidget is one file.

const HOME = [-0.45, 0.16, 1]; // yaw, pitch (radians), zoom
const LEVELS = 8; // steps of depth shading
const THEMES = {
  light: { back: "#fafbfc", ink: "#1f2630", muted: "#5d6673", line: "#d5dae1", left: "#0072b2", middle: "#4b5563", right: "#c4500a",
    ramp: ["#c3cad4", "#e7a13a", "#a3201b"] },
  dark: { back: "#15181d", ink: "#e7eaf0", muted: "#9aa3b0", line: "#343b46", left: "#5bb8ee", middle: "#c0c7d1", right: "#f2a33c",
    ramp: ["#4d5563", "#d9862b", "#fff0bd"] },
};

// ---- pure functions, tested under node -------------------------------------------------------------------------------------

/** One IEEE half-precision number from its 16 bits. */
export function halfToFloat(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const rest = bits & 1023;
  if (exponent === 31) return rest ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + rest / 1024) : 2 ** -14 * (rest / 1024));
}

/** Bytes out of what a widget message, a typed array or base64 text holds them in. */
export function asBytes(data) {
  if (!data) return new Uint8Array(0);
  if (typeof data === "string") return Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  return data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Scene as sent -> clips with `joints` Float32Array (frames * bodies * V * 3) in units of the data; NaN where a body is absent. */
export function decode(scene) {
  const bytes = asBytes(scene?.data);
  const colours = asBytes(scene?.colours);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return (scene?.clips ?? []).map((clip) => {
    const count = clip.frames * clip.bodies * clip.joints * 3;
    const joints = new Float32Array(count);
    for (let i = 0; i < count; i++) joints[i] = halfToFloat(view.getUint16(clip.offset + 2 * i, true)) * clip.scale;
    const heat = clip.colour && colours.subarray(clip.colour.offset, clip.colour.offset + clip.colour.rows * clip.colour.bodies * clip.joints);
    return { ...clip, V: clip.joints, joints, heat };
  });
}

/** Columns and rows for n cells whose bodies are about `aspect` times as wide as high: the split with the largest bodies. */
export function grid(n, width, height, aspect = 0.8) {
  let best = { columns: 1, rows: Math.max(1, n), size: -1 };
  for (let columns = 1; columns <= n; columns++) {
    const rows = Math.ceil(n / columns);
    const size = Math.min(width / columns / aspect, height / rows - 18); // 18 px go to the title
    if (size > best.size + 0.5) best = { columns, rows, size };
  }
  return { columns: best.columns, rows: best.rows };
}

/** Where a clip's whole movement fits: distance of the eye and focal length in pixels. */
export function framing(clip, width, height, zoom) {
  const pitch = HOME[1];
  const high = clip.half[1] * Math.cos(pitch) + clip.half[0] * Math.sin(pitch);
  const eye = 3.2 * Math.max(clip.half[0], clip.half[1], 1e-6);
  const focal = (eye - 0.6 * clip.half[0]) * Math.min((0.46 * width) / Math.max(clip.half[0], 1e-6), (0.45 * height) / Math.max(high, 1e-6));
  return { eye, focal: focal * zoom };
}

/** Points (x, y, z)* -> (screen x, screen y, depth towards the eye, pixels a unit)*; the origin lands on (cx, cy). */
export function project(points, out, view) {
  const [cosY, sinY, cosP, sinP] = [Math.cos(view.yaw), Math.sin(view.yaw), Math.cos(view.pitch), Math.sin(view.pitch)];
  for (let i = 0, o = 0; i < points.length; i += 3, o += 4) {
    const x = cosY * points[i] + sinY * points[i + 2];
    const away = cosY * points[i + 2] - sinY * points[i];
    const y = cosP * points[i + 1] - sinP * away;
    const z = sinP * points[i + 1] + cosP * away;
    const scale = view.focal / Math.max(view.eye - z, 0.05 * view.eye);
    out[o] = view.cx + x * scale;
    out[o + 1] = view.cy - y * scale;
    out[o + 2] = z;
    out[o + 3] = scale;
  }
  return out;
}

/** Joints of one clip at a time in seconds, linear between frames, the last frame held. Returns true once the clip has ended. */
export function poseAt(clip, seconds, out) {
  const place = Math.max(0, seconds * clip.fps + 1e-6);
  const first = Math.min(Math.floor(place), clip.frames - 1);
  const next = Math.min(first + 1, clip.frames - 1);
  const share = next > first ? place - first : 0;
  const size = clip.bodies * clip.V * 3;
  for (let i = 0, a = first * size, b = next * size; i < size; i++, a++, b++) {
    const from = clip.joints[a];
    const to = clip.joints[b];
    out[i] = share > 1e-3 && to === to ? from + share * (to - from) : from; // NaN !== NaN: absent stays absent
  }
  return place >= clip.frames;
}

/** Bones of a pose from far to near: indices into `clip.edges`; absent ones are left out. */
export function painterOrder(clip, body, screen) {
  const from = body * clip.V;
  const depth = (e) => screen[4 * (from + e[0]) + 2] + screen[4 * (from + e[1]) + 2];
  const order = [];
  for (let i = 0; i < clip.edges.length; i++) if (depth(clip.edges[i]) === depth(clip.edges[i])) order.push(i);
  return order.sort((a, b) => depth(clip.edges[a]) - depth(clip.edges[b]));
}

/** The joint of a projected pose (x, y, depth, scale)* nearest to a place of the screen, -1 where none is within `reach` pixels. */
export function nearestJoint(screen, x, y, reach) {
  let [best, found] = [reach, -1];
  for (let j = 0; 4 * j < screen.length; j++) {
    const distance = Math.hypot(screen[4 * j] - x, screen[4 * j + 1] - y); // NaN, an absent body, is never smaller
    if (distance < best) [best, found] = [distance, j];
  }
  return found;
}

/** Some bodies of a clip, `from` up to but without `to`, as a clip of their own in the same frame of reference. */
export function bodiesOf(clip, from, to) {
  const [one, all] = [clip.V * 3, clip.bodies * clip.V * 3];
  const joints = new Float32Array(clip.frames * (to - from) * one);
  for (let t = 0; t < clip.frames; t++) joints.set(clip.joints.subarray(t * all + from * one, t * all + to * one), t * (to - from) * one);
  return { ...clip, bodies: to - from, joints, heat: null, colour: null, pose: null, screen: null };
}

/** Mix of two #rrggbb colours: 0 gives the first, 1 the second. */
export function mix(a, b, share) {
  const at = (c, i) => parseInt(c.slice(1 + 2 * i, 3 + 2 * i), 16);
  return "#" + [0, 1, 2].map((i) => Math.round(at(a, i) + share * (at(b, i) - at(a, i))).toString(16).padStart(2, "0")).join("");
}

/** Colour of a value in 0..1 on a three-stop ramp; NaN gives the first stop. */
export function ramp(stops, value) {
  const v = Math.min(Math.max(value || 0, 0), 1) * 2;
  return v < 1 ? mix(stops[0], stops[1], v) : mix(stops[1], stops[2], v - 1);
}

// ---- drawing ---------------------------------------------------------------------------------------------------------------

const looks = new Map();

/** Colours of one theme, with every depth level mixed beforehand so that the draw loop builds no strings. */
function lookOf(name) {
  if (!looks.has(name)) {
    const theme = THEMES[name];
    const shade = (colour) => Array.from({ length: LEVELS }, (_, i) => mix(colour, theme.back, 0.5 * (1 - i / (LEVELS - 1))));
    const sides = [theme.left, theme.middle, theme.right];
    const second = sides.map((c) => mix(c, theme.ink, 0.35));
    const heat = Array.from({ length: 256 }, (_, i) => ramp(theme.ramp, i / 255));
    looks.set(name, { ...theme, name, shades: [sides.map(shade), second.map(shade)], heat });
  }
  return looks.get(name);
}

function isDark(forced) {
  if (forced === "light" || forced === "dark") return forced === "dark";
  const lab = document.body?.dataset.jpThemeLight;
  if (lab) return lab === "false";
  if (/vscode-(dark|high-contrast)/.test(document.body?.className ?? "")) return true;
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function drawFloor(ctx, clip, view, look) {
  const reach = Math.ceil((1.25 * clip.half[0]) / clip.step);
  const end = reach * clip.step;
  const ends = new Float32Array(6);
  const screen = new Float32Array(8);
  ctx.lineWidth = 1;
  ctx.strokeStyle = look.line;
  for (let i = -reach; i <= reach; i++) {
    ctx.globalAlpha = 1 - 0.75 * Math.abs(i / (reach + 1));
    for (const across of [true, false]) {
      const at = i * clip.step;
      ends.set(across ? [-end, clip.floor, at, end, clip.floor, at] : [at, clip.floor, -end, at, clip.floor, end]);
      project(ends, screen, view);
      ctx.beginPath();
      ctx.moveTo(screen[0], screen[1]);
      ctx.lineTo(screen[4], screen[5]);
      ctx.stroke();
    }
  }
  ctx.globalAlpha = 1;
}

/** All bones of one body as one path: shadows and ghosts. */
function strokeBody(ctx, clip, body, screen) {
  ctx.beginPath();
  for (const [child, parent] of clip.edges) {
    const a = 4 * (body * clip.V + child);
    const b = 4 * (body * clip.V + parent);
    if (screen[a] !== screen[a] || screen[b] !== screen[b]) continue; // a canvas would leave out the move and draw the line
    ctx.moveTo(screen[a], screen[a + 1]);
    ctx.lineTo(screen[b], screen[b + 1]);
  }
  ctx.stroke();
}

function drawBody(ctx, clip, body, screen, look, heat) {
  const from = body * clip.V;
  const bright = clip.heat ? 1 : 0; // depth still tells the painter's order; colour belongs to the data
  const shades = look.shades[body % 2];
  const level = (z) => Math.min(LEVELS - 1, Math.max(0, Math.round((0.5 + (0.5 * z) / clip.depth) * (LEVELS - 1))));
  const order = painterOrder(clip, body, screen);
  const full = ctx.globalAlpha;
  for (const index of order) {
    const [child, parent] = clip.edges[index];
    const a = 4 * (from + child);
    const b = 4 * (from + parent);
    const width = Math.max(1.4, Math.min(8, 0.5 * clip.thickness * (screen[a + 3] + screen[b + 3])));
    const side = clip.side[child];
    ctx.globalAlpha = full * (clip.hidden?.[child] || clip.hidden?.[parent] ? 0.16 : 1);
    ctx.beginPath();
    ctx.moveTo(screen[a], screen[a + 1]);
    ctx.lineTo(screen[b], screen[b + 1]);
    ctx.setLineDash([]);
    ctx.strokeStyle = look.back; // a rim in the background's colour keeps crossing bones apart
    ctx.lineWidth = width + 2.5;
    ctx.stroke();
    if (side > 0) ctx.setLineDash([2.4 * width, 1.7 * width]);
    ctx.strokeStyle = bright ? look.heat[(heat[child] + heat[parent]) >> 1] : shades[side + 1][level((screen[a + 2] + screen[b + 2]) / 2)];
    ctx.lineWidth = width;
    ctx.stroke();
  }
  ctx.setLineDash([]);
  for (let j = 0; j < clip.V; j++) {
    const a = 4 * (from + j);
    if (screen[a] !== screen[a]) continue;
    ctx.globalAlpha = full * (clip.hidden?.[j] ? 0.35 : 1);
    ctx.beginPath();
    ctx.arc(screen[a], screen[a + 1], Math.max(1.3, Math.min(6, 0.62 * clip.thickness * screen[a + 3])), 0, 7);
    const colour = bright ? look.heat[heat[j]] : shades[clip.side[j] + 1][level(screen[a + 2])];
    ctx.fillStyle = body % 2 ? look.back : colour;
    ctx.fill();
    if (body % 2) {
      ctx.strokeStyle = colour;
      ctx.lineWidth = 1.2;
      ctx.stroke();
    }
  }
  ctx.globalAlpha = full * (clip.head.some((j) => clip.hidden?.[j]) ? 0.16 : 1);
  drawHead(ctx, clip, from, screen, look, bright ? look.heat[clip.head.length ? heat[clip.head[0]] : 0] : shades[1][LEVELS - 1]);
  ctx.globalAlpha = full;
}

function drawHead(ctx, clip, from, screen, look, colour) {
  let [x, y, scale] = [0, 0, 0];
  const seen = clip.head.filter((j) => screen[4 * (from + j)] === screen[4 * (from + j)]); // an ear may be hidden
  for (const j of seen) {
    x += screen[4 * (from + j)] / seen.length;
    y += screen[4 * (from + j) + 1] / seen.length;
    scale += screen[4 * (from + j) + 3] / seen.length;
  }
  if (!seen.length) return;
  ctx.beginPath();
  ctx.arc(x, y, Math.max(2.5, clip.headRadius * scale), 0, 7);
  ctx.globalAlpha *= 0.55;
  ctx.fillStyle = mix(colour, look.back, 0.55);
  ctx.fill();
  ctx.globalAlpha /= 0.55;
  ctx.strokeStyle = colour;
  ctx.lineWidth = Math.max(1.2, 0.6 * clip.thickness * scale);
  ctx.stroke();
}

function present(clip, body, pose) {
  const from = body * clip.V * 3;
  for (let i = from; i < from + clip.V * 3; i++) if (pose[i] === pose[i]) return true;
  return false;
}

/** One clip in its cell. Returns the number of bodies drawn. `clip.hidden` (a flag a joint) makes joints pale; `clip.under` is a clip in
 * the same frame of reference whose bodies lie as thin lines below this one's. */
function drawClip(ctx, clip, cell, at) {
  const { look, time, trail, floor, camera } = at;
  const view = { yaw: camera[0], pitch: camera[1], cx: cell.x + cell.width / 2, cy: cell.y + 16 + (cell.height - 16) / 2,
    ...framing(clip, cell.width, cell.height - 20, camera[2]) };
  ctx.save();
  ctx.beginPath();
  ctx.rect(cell.x, cell.y, cell.width, cell.height);
  ctx.clip();
  ctx.lineCap = "round";
  ctx.fillStyle = look.line;
  if (cell.x > 0) ctx.fillRect(cell.x, cell.y, 1, cell.height);
  if (cell.y > 0) ctx.fillRect(cell.x, cell.y, cell.width, 1);
  if (floor && clip.floor !== null) drawFloor(ctx, clip, view, look);
  const size = clip.bodies * clip.V;
  clip.pose ??= new Float32Array(3 * size);
  clip.screen ??= new Float32Array(4 * size);
  const ended = poseAt(clip, time, clip.pose);
  const bodies = [...Array(clip.bodies).keys()].filter((m) => present(clip, m, clip.pose));
  if (floor && clip.floor !== null) {
    const flat = clip.pose.map((v, i) => (i % 3 === 1 && v === v ? clip.floor : v));
    project(flat, clip.screen, view);
    ctx.strokeStyle = look.muted;
    ctx.lineWidth = Math.max(1, 0.9 * clip.thickness * (view.focal / view.eye));
    ctx.globalAlpha = 0.16;
    for (const m of bodies) strokeBody(ctx, clip, m, clip.screen);
  }
  for (let k = 4; trail > 0 && k > 0; k--) {
    const then = time - (k * trail) / 4 / clip.fps;
    if (then < 0) continue;
    poseAt(clip, Math.min(then, (clip.frames - 1) / clip.fps), clip.pose);
    project(clip.pose, clip.screen, view);
    ctx.lineWidth = 1.3;
    ctx.strokeStyle = look.muted;
    ctx.globalAlpha = 0.62 - 0.13 * k;
    for (let m = 0; m < clip.bodies; m++) if (present(clip, m, clip.pose)) strokeBody(ctx, clip, m, clip.screen);
  }
  if (clip.under) {
    const { under } = clip;
    under.pose ??= new Float32Array(3 * under.bodies * under.V);
    under.screen ??= new Float32Array(4 * under.bodies * under.V);
    poseAt(under, time, under.pose);
    project(under.pose, under.screen, view);
    ctx.lineWidth = 1.6;
    ctx.strokeStyle = look.muted;
    ctx.globalAlpha = 0.75;
    for (let m = 0; m < under.bodies; m++) if (present(under, m, under.pose)) strokeBody(ctx, under, m, under.screen);
  }
  if (trail > 0) poseAt(clip, time, clip.pose);
  project(clip.pose, clip.screen, view);
  ctx.globalAlpha = ended ? 0.55 : 1; // a shorter clip waits, paler, for the longest one
  const row = clip.colour ? Math.min(clip.colour.rows - 1, Math.floor(((time * clip.fps + 1e-6) * clip.colour.rows) / clip.frames)) : 0;
  const depth = (m) => clip.screen.subarray(4 * m * clip.V, 4 * (m + 1) * clip.V).reduce((s, v, i) => (i % 4 === 2 && v === v ? s + v : s), 0);
  for (const m of bodies.sort((a, b) => depth(a) - depth(b))) {
    const start = clip.colour ? (row * clip.colour.bodies + Math.min(m, clip.colour.bodies - 1)) * clip.V : 0;
    drawBody(ctx, clip, m, clip.screen, look, clip.heat?.subarray(start, start + clip.V));
  }
  ctx.restore();
  return bodies.length;
}

function drawScale(ctx, range, look, height, unit = "") {
  for (let i = 0; i < 64; i++) {
    ctx.fillStyle = look.heat[4 * i];
    ctx.fillRect(10 + i, height - 12, 1.5, 5);
  }
  ctx.fillStyle = look.muted;
  ctx.font = "11px system-ui, sans-serif";
  const text = (v) => Number(v.toPrecision(3)).toString();
  ctx.fillText(text(range[0]), 10, height - 16);
  ctx.textAlign = "right";
  ctx.fillText(text(range[1]), 75, height - 16);
  ctx.textAlign = "left";
  ctx.fillText(unit, 80, height - 16);
}

/** Which line is left and which is right, in the corner. */
function drawSides(ctx, look, width, height) {
  ctx.fillStyle = look.back;
  ctx.globalAlpha = 0.75;
  ctx.fillRect(width - 108, height - 19, 106, 17);
  ctx.globalAlpha = 1;
  ctx.font = "11px system-ui, sans-serif";
  ctx.lineWidth = 3;
  ctx.lineCap = "round";
  [["left", look.left, []], ["right", look.right, [5, 4]]].forEach(([name, colour, dash], i) => {
    const x = width - 104 + 50 * i;
    ctx.setLineDash(dash);
    ctx.strokeStyle = colour;
    ctx.beginPath();
    ctx.moveTo(x, height - 11);
    ctx.lineTo(x + 15, height - 11);
    ctx.stroke();
    ctx.fillStyle = look.muted;
    ctx.fillText(name, x + 20, height - 8);
  });
  ctx.setLineDash([]);
}

function drawName(ctx, name, x, y, width, look) {
  ctx.font = "12px system-ui, sans-serif";
  const wide = ctx.measureText(name).width + 10;
  const left = Math.min(Math.max(2, x + 10), width - wide - 2);
  ctx.fillStyle = look.ink;
  ctx.fillRect(left, y - 26, wide, 18);
  ctx.fillStyle = look.back;
  ctx.fillText(name, left + 5, y - 13);
}
