// SkeletonPlayer: moving bodies on a 2-D canvas. No imports, no build step, no WebGL context, nothing fetched.
//
// In JupyterLab anywidget calls `render({ model, el })` of the default export.
// In a plain page (the offline report) put this file's text and the calls into ONE inline script of type "module", because an inline
// module cannot be imported by another:
//
//     ...this file...; mount(document.getElementById("clip"), { scene: {...}, height: 320, playing: true });
//
// `scene` is the JSON of skelbench.widgets.scene.plain_scene(clips) (bytes as base64 text; write "<" of the JSON as \u003c, so that no
// title can end the script). All else is optional: height, playing, speed, trail, floor, camera, frame, theme ("light" | "dark" | "auto").
// `mount` returns a function that removes the player. This file never holds the closing tag of a script.
//
// The root element counts for tests: dataset.frames (canvas draws), frame, drawn (bodies in the last draw), clips, playing, yaw, pitch,
// zoom, cost (mean ms of a draw), seen ("1" while on screen), disposed ("1" after clean-up).

const HOME = [-0.45, 0.16, 1]; // yaw, pitch (radians), zoom
const FRAME_HERTZ = 10; // how often Python hears where the clock is
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

/** The time base that linked players share, in seconds. Each view adds itself with its own duration; the longest counts. */
export class Clock {
  constructor() {
    Object.assign(this, { time: 0, playing: false, speed: 1, last: 0, views: new Map() });
  }
  get duration() {
    return Math.max(1e-3, ...this.views.values());
  }
  /** Moves on to the animation timestamp `now` (ms); a second view calling with the same timestamp changes nothing. */
  advance(now) {
    const step = now - this.last;
    this.last = now;
    if (this.playing && step > 0 && step < 250) this.time = (this.time + (step / 1000) * this.speed) % this.duration; // 250: was hidden
  }
  set(change) {
    Object.assign(this, change);
    for (const hear of this.views.keys()) hear();
  }
}

/** Runs `act` at once or at the end of the current pause of 1000 / hertz ms; the latest call wins, the last is never lost. */
export function paced(act, hertz) {
  let timer = 0;
  let free = 0;
  const run = () => {
    timer = 0;
    free = performance.now() + 1000 / hertz;
    act();
  };
  const call = () => {
    if (!timer) timer = setTimeout(run, Math.max(0, free - performance.now()));
  };
  call.cancel = () => clearTimeout(timer);
  return call;
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
  for (const index of order) {
    const [child, parent] = clip.edges[index];
    const a = 4 * (from + child);
    const b = 4 * (from + parent);
    const width = Math.max(1.4, Math.min(8, 0.5 * clip.thickness * (screen[a + 3] + screen[b + 3])));
    const side = clip.side[child];
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
  drawHead(ctx, clip, from, screen, look, bright ? look.heat[clip.head.length ? heat[clip.head[0]] : 0] : shades[1][LEVELS - 1]);
}

function drawHead(ctx, clip, from, screen, look, colour) {
  let [x, y, scale] = [0, 0, 0];
  for (const j of clip.head) {
    x += screen[4 * (from + j)] / clip.head.length;
    y += screen[4 * (from + j) + 1] / clip.head.length;
    scale += screen[4 * (from + j) + 3] / clip.head.length;
  }
  if (!clip.head.length || x !== x) return;
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

/** One clip in its cell. Returns the number of bodies drawn. */
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

function drawScale(ctx, range, look, height) {
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

// ---- the element -----------------------------------------------------------------------------------------------------------

const CSS = `
.skb-player{--back:#fafbfc;--ink:#1f2630;--muted:#5d6673;--line:#d5dae1;position:relative;box-sizing:border-box;width:100%;min-width:160px;border:1px solid var(--line);
 border-radius:6px;background:var(--back);color:var(--ink);font:12px/1.3 system-ui,sans-serif;overflow:hidden}
.skb-player.skb-dark{--back:#15181d;--ink:#e7eaf0;--muted:#9aa3b0;--line:#343b46;color-scheme:dark}
.skb-player:focus-visible{outline:none}.skb-player:focus-visible::after{content:"";position:absolute;inset:0;border:2px solid #2f81f7;border-radius:5px;pointer-events:none}
.skb-player button:focus-visible,.skb-player input:focus-visible,.skb-player select:focus-visible{outline:2px solid #2f81f7;outline-offset:-2px}
.skb-stage{position:relative;width:100%;cursor:grab;touch-action:pan-y}.skb-stage:active{cursor:grabbing}
.skb-stage canvas{position:absolute;inset:0;width:100%;height:100%;display:block}
.skb-title{position:absolute;padding:3px 8px;box-sizing:border-box;white-space:nowrap;overflow:hidden;text-overflow:ellipsis;text-align:center;pointer-events:none;color:var(--ink)}
.skb-bar{display:flex;align-items:center;gap:6px;padding:4px 8px;border-top:1px solid var(--line)}
.skb-bar button,.skb-bar select{height:24px;min-width:26px;padding:0 5px;border:1px solid var(--line);border-radius:4px;background:transparent;color:var(--ink);font:inherit;cursor:pointer}
.skb-bar select option{background:var(--back);color:var(--ink)}
.skb-bar button[aria-pressed=true]{background:var(--line)}
.skb-bar input{flex:1;min-width:50px;margin:0;accent-color:#2f81f7}
.skb-count{min-width:58px;text-align:right;color:var(--muted);font-variant-numeric:tabular-nums}`;

function make(tag, attributes = {}, parent = null) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "text") node.textContent = value;
    else node.setAttribute(key, value);
  }
  parent?.append(node);
  return node;
}

function build(el) {
  const root = make("div", { class: "skb-player", tabindex: "0", role: "group", "data-lm-suppress-shortcuts": "true" }, el);
  make("style", { text: CSS }, root);
  const stage = make("div", { class: "skb-stage" }, root);
  const canvas = make("canvas", { role: "img" }, stage);
  const bar = make("div", { class: "skb-bar" }, root);
  const play = make("button", { type: "button", title: "play or pause (space)" }, bar);
  const scrub = make("input", { type: "range", min: "0", step: "1", "aria-label": "frame" }, bar);
  const count = make("span", { class: "skb-count" }, bar);
  const speed = make("select", { "aria-label": "speed", title: "speed" }, bar);
  for (const s of [0.25, 0.5, 1, 2]) make("option", { value: String(s), text: `${s}×` }, speed);
  const ghosts = make("button", { type: "button", text: "trail", title: "show where the body was (t)", "aria-label": "ghost trail" }, bar);
  const home = make("button", { type: "button", text: "reset", title: "reset the view (r)", "aria-label": "reset the view" }, bar);
  return { root, stage, canvas, play, scrub, count, speed, ghosts, home };
}

/** Clocks of the page by name: linked players, and two views of one player, run on one. */
function clockOf(name) {
  const clocks = (globalThis[Symbol.for("skelbench.clocks")] ??= new Map());
  if (!clocks.has(name)) clocks.set(name, new Clock());
  return clocks.get(name);
}

function dropClock(name, hear) {
  const clocks = globalThis[Symbol.for("skelbench.clocks")];
  clocks.get(name)?.views.delete(hear);
  if (clocks.get(name)?.views.size === 0) clocks.delete(name);
}

class View {
  constructor(model, el) {
    Object.assign(this, { model, ui: build(el), gone: new AbortController(), draws: 0, cost: 0, raf: 0, seen: true, pointer: null, said: -1 });
    this.ctx = this.ui.canvas.getContext("2d");
    this.hear = () => this.heard();
    this.report = paced(() => this.tellPython(), FRAME_HERTZ);
    this.tellCamera = paced(() => this.save({ camera: this.camera.map((v) => Number(v.toFixed(4))) }), FRAME_HERTZ);
    this.camera = [...(model.get("camera") ?? HOME)];
    this.listen();
    this.join();
    this.load(model.get("frame") ?? 0);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.clock.set({ playing: false });
    this.theme();
  }

  // -- the model and the shared clock

  listen() {
    const on = (name, act) => {
      const guarded = () => !this.saving && act();
      this.model.on(`change:${name}`, guarded);
      this.gone.signal.addEventListener("abort", () => this.model.off(`change:${name}`, guarded));
    };
    on("_scene", () => this.load(0));
    on("_clock", () => (this.leave(), this.join(), this.load()));
    on("frame", () => this.model.get("frame") !== this.said && this.seek(this.model.get("frame")));
    on("playing", () => this.clock.set({ playing: this.model.get("playing") }));
    on("speed", () => this.clock.set({ speed: this.model.get("speed") }));
    on("camera", () => ((this.camera = [...this.model.get("camera")]), this.ask()));
    for (const name of ["trail", "floor"]) on(name, () => this.ask());
    on("height", () => this.resize());
    this.listenToPage();
  }

  listenToPage() {
    const { ui } = this;
    const on = (target, name, act, more = {}) => target.addEventListener(name, act, { signal: this.gone.signal, ...more });
    on(ui.play, "click", () => this.toggle());
    on(ui.scrub, "input", () => this.seek(Number(ui.scrub.value), true));
    on(ui.speed, "change", () => this.clock.set({ speed: Number(ui.speed.value) }));
    on(ui.ghosts, "click", () => this.flipTrail());
    on(ui.home, "click", () => this.look(...HOME));
    on(ui.root, "keydown", (event) => this.key(event));
    on(ui.stage, "pointerdown", (event) => this.grab(event));
    on(ui.stage, "pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) on(ui.stage, end, () => (this.held = null));
    on(ui.stage, "pointerleave", () => ((this.pointer = null), this.ask()));
    on(ui.stage, "wheel", (event) => this.wheel(event), { passive: false });
    // A scroll of the page that began elsewhere goes on when the pointer happens to pass over a body.
    on(window, "wheel", (event) => ui.stage.contains(event.target) || (this.scrolled = event.timeStamp), { passive: true });
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    on(scheme, "change", () => this.theme());
    this.watchers = [new ResizeObserver(() => this.resize()), new IntersectionObserver((e) => this.onScreen(e.at(-1).isIntersecting)),
      new MutationObserver(() => this.theme())];
    this.watchers[0].observe(ui.root);
    this.watchers[1].observe(ui.root);
    this.watchers[2].observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
  }

  join() {
    this.clockName = this.model.get("_clock") || `view-${Math.random()}`;
    this.clock = clockOf(this.clockName);
    const first = this.clock.views.size === 0;
    this.clock.views.set(this.hear, 0);
    if (first) Object.assign(this.clock, { playing: this.model.get("playing") ?? true, speed: this.model.get("speed") ?? 1, time: 0 });
  }

  leave() {
    dropClock(this.clockName, this.hear);
  }

  load(frame) {
    this.clips = decode(this.model.get("_scene"));
    this.rate = Math.max(1, ...this.clips.map((c) => c.fps));
    this.frames = Math.max(1, ...this.clips.map((c) => Math.round((c.frames / c.fps) * this.rate)));
    this.clock.views.set(this.hear, this.clips.length ? this.frames / this.rate : 0);
    this.ui.stage.querySelectorAll(".skb-title").forEach((node) => node.remove());
    this.titles = this.clips.map((clip) => make("div", { class: "skb-title", text: clip.title, title: clip.title }, this.ui.stage));
    this.ui.scrub.max = String(this.frames - 1);
    const names = this.clips.map((c) => c.title).filter(Boolean).join("; ");
    this.ui.canvas.setAttribute("aria-label", `${this.clips.length} moving skeletons${names ? ": " + names : ""}`);
    this.ui.root.setAttribute("aria-label", "Skeleton player. Space plays or pauses, left and right arrows step, shift with arrows turns, " +
      "plus and minus zoom, t shows the trail, r resets the view.");
    this.ui.root.dataset.clips = String(this.clips.length);
    if (frame !== undefined && this.clock.views.size === 1) this.clock.time = Math.min(frame, this.frames - 1) / this.rate;
    if (this.clock.time >= this.clock.duration) this.clock.time = 0; // what came is shorter than what was
    this.resize();
    this.heard();
  }

  get frame() {
    return Math.min(this.frames - 1, Math.floor(this.clock.time * this.rate + 1e-6));
  }

  heard() {
    const { playing, speed } = this.clock;
    const icon = playing ? "M3 2h4v12H3zM9 2h4v12H9z" : "M4 2l10 6-10 6z";
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    for (const [k, v] of [["width", 12], ["height", 12], ["viewBox", "0 0 16 16"], ["fill", "currentColor"], ["aria-hidden", "true"]]) svg.setAttribute(k, v);
    path.setAttribute("d", icon);
    svg.append(path);
    this.ui.play.replaceChildren(svg);
    this.ui.play.setAttribute("aria-label", playing ? "pause" : "play");
    this.ui.speed.value = String(speed);
    this.ui.root.dataset.playing = String(playing);
    this.save({ playing, speed });
    this.ask();
  }

  save(change) {
    const news = Object.entries(change).filter(([key, value]) => JSON.stringify(this.model.get(key)) !== JSON.stringify(value));
    if (!news.length || this.gone.signal.aborted) return;
    this.saving = true; // our own change events are not news
    for (const [key, value] of news) this.model.set(key, value);
    this.saving = false;
    this.model.save_changes();
  }

  tellPython() {
    this.said = this.frame;
    this.save({ frame: this.said });
  }

  // -- what a person does

  toggle() {
    const playing = !this.clock.playing;
    this.clock.set(playing ? { playing } : { playing, time: this.frame / this.rate }); // a pause shows a recorded frame, none in between
    this.report();
  }

  seek(frame, pause = false) {
    const wrapped = ((frame % this.frames) + this.frames) % this.frames;
    this.clock.set({ time: wrapped / this.rate, ...(pause ? { playing: false } : {}) });
    this.report();
  }

  flipTrail() {
    const trail = this.model.get("trail") > 0 ? 0 : 16;
    this.save({ trail });
    this.ask();
  }

  look(yaw, pitch, zoom) {
    this.camera = [yaw, Math.min(1.5, Math.max(-1.5, pitch)), Math.min(20, Math.max(0.2, zoom))];
    this.tellCamera();
    this.ask();
  }

  key(event) {
    if (event.target === this.ui.speed || event.ctrlKey || event.metaKey || event.altKey) return;
    const onControl = event.target !== this.ui.root;
    const [yaw, pitch, zoom] = this.camera;
    const acts = { "+": () => this.look(yaw, pitch, zoom * 1.2), "=": () => this.look(yaw, pitch, zoom * 1.2), "-": () => this.look(yaw, pitch, zoom / 1.2),
      r: () => this.look(...HOME), t: () => this.flipTrail() };
    if (!onControl) {
      const turn = event.shiftKey;
      Object.assign(acts, { " ": () => this.toggle(),
        ArrowLeft: () => (turn ? this.look(yaw - 0.15, pitch, zoom) : this.seek(this.frame - 1, true)),
        ArrowRight: () => (turn ? this.look(yaw + 0.15, pitch, zoom) : this.seek(this.frame + 1, true)),
        ArrowUp: () => this.look(yaw, pitch + 0.1, zoom), ArrowDown: () => this.look(yaw, pitch - 0.1, zoom) });
    }
    if (!acts[event.key]) return;
    acts[event.key]();
    event.preventDefault();
    event.stopPropagation();
  }

  grab(event) {
    if (event.button !== 0) return;
    this.held = { x: event.clientX, y: event.clientY, camera: [...this.camera] };
    this.ui.stage.setPointerCapture(event.pointerId);
    this.ui.root.focus({ preventScroll: true });
    event.preventDefault(); // no text selection while turning
  }

  drag(event) {
    if (this.held) {
      const [yaw, pitch, zoom] = this.held.camera;
      this.look(yaw + 0.01 * (event.clientX - this.held.x), pitch + 0.01 * (event.clientY - this.held.y), zoom);
    }
    const box = this.ui.stage.getBoundingClientRect();
    this.pointer = { x: event.clientX - box.left, y: event.clientY - box.top };
    this.ask();
  }

  wheel(event) {
    if (event.timeStamp - (this.scrolled ?? -1e9) < 350) {
      this.scrolled = event.timeStamp;
      return;
    }
    event.preventDefault();
    this.look(this.camera[0], this.camera[1], this.camera[2] * Math.exp(-0.0015 * Math.max(-200, Math.min(200, event.deltaY))));
  }

  // -- what the page does

  theme() {
    this.colours = lookOf(isDark(this.model.get("theme")) ? "dark" : "light");
    this.ui.root.classList.toggle("skb-dark", this.colours.name === "dark");
    this.ui.root.dataset.theme = this.colours.name;
    this.ask();
  }

  resize() {
    const height = this.model.get("height") ?? 360;
    this.ui.stage.style.height = `${height}px`;
    const width = this.ui.stage.clientWidth;
    this.size = { width, height };
    this.cells = [];
    const { columns, rows } = grid(this.clips?.length ?? 0, width, height);
    for (let i = 0; i < (this.clips?.length ?? 0); i++) {
      const cell = { x: (i % columns) * (width / columns), y: Math.floor(i / columns) * (height / rows), width: width / columns, height: height / rows };
      Object.assign(this.titles[i].style, { left: `${cell.x}px`, top: `${cell.y}px`, width: `${cell.width}px` });
      this.cells.push(cell);
    }
    this.ask();
  }

  onScreen(seen) {
    this.seen = seen;
    this.ui.root.dataset.seen = seen ? "1" : "0";
    this.ask();
  }

  ask() {
    if (!this.raf && this.seen && !this.gone.signal.aborted) this.raf = requestAnimationFrame((now) => this.tick(now));
  }

  tick(now) {
    this.raf = 0;
    this.clock.advance(now);
    this.draw();
    if (this.clock.playing) this.ask();
    if (this.frame !== this.said) this.report();
  }

  draw() {
    const began = performance.now();
    const { width, height } = this.size;
    const ratio = window.devicePixelRatio || 1;
    const { canvas, root } = this.ui;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    this.ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.ctx.fillStyle = this.colours.back;
    this.ctx.fillRect(0, 0, width, height);
    const at = { look: this.colours, time: this.clock.time, trail: this.model.get("trail") ?? 0, floor: this.model.get("floor") ?? true, camera: this.camera };
    let drawn = 0;
    this.clips.forEach((clip, i) => (drawn += drawClip(this.ctx, clip, this.cells[i], at)));
    const range = this.model.get("_scene")?.range;
    if (range) drawScale(this.ctx, range, this.colours, height);
    if (width > 320 && this.clips.some((clip) => clip.side.some((side) => side))) drawSides(this.ctx, this.colours, width, height);
    if (this.pointer && !this.held) this.nameJoint();
    this.ui.scrub.value = String(this.frame);
    this.ui.count.textContent = `${this.frame + 1} / ${this.frames}`;
    this.ui.ghosts.setAttribute("aria-pressed", String(at.trail > 0));
    this.cost += (performance.now() - began - this.cost) / Math.min(++this.draws, 60);
    const [yaw, pitch, zoom] = this.camera;
    Object.assign(root.dataset, { frames: this.draws, frame: this.frame, drawn, yaw: yaw.toFixed(3), pitch: pitch.toFixed(3), zoom: zoom.toFixed(3), cost: this.cost.toFixed(2) });
  }

  /** Name, and value where there is one, of the joint under the pointer. */
  nameJoint() {
    const i = this.cells.findIndex((c) => this.pointer.x >= c.x && this.pointer.x < c.x + c.width && this.pointer.y >= c.y && this.pointer.y < c.y + c.height);
    const clip = this.clips[i];
    let best = { distance: 9 };
    for (let j = 0; clip && j < clip.bodies * clip.V; j++) {
      const distance = Math.hypot(clip.screen[4 * j] - this.pointer.x, clip.screen[4 * j + 1] - this.pointer.y);
      if (distance < best.distance) best = { distance, j };
    }
    this.ui.root.dataset.joint = best.j === undefined ? "" : clip.names[best.j % clip.V];
    if (best.j !== undefined) drawName(this.ctx, clip.names[best.j % clip.V].replaceAll("_", " "), clip.screen[4 * best.j], clip.screen[4 * best.j + 1], this.size.width, this.colours);
  }

  dispose() {
    this.gone.abort();
    cancelAnimationFrame(this.raf);
    this.report.cancel();
    this.tellCamera.cancel();
    for (const watcher of this.watchers) watcher.disconnect();
    this.leave();
    this.ui.root.dataset.disposed = "1";
    this.ui.root.remove();
  }
}

/** Draws a player into `el` of any page; see the top of this file. Returns a function that removes it; its `.show(scene)` swaps the clips. */
export function mount(el, data) {
  const { scene, ...rest } = data;
  const state = { playing: true, speed: 1, trail: 0, floor: true, camera: HOME, frame: 0, height: 360, ...rest, _scene: scene };
  const ears = new Map();
  const model = {
    get: (key) => state[key],
    set(key, value) {
      state[key] = value;
      for (const act of ears.get(`change:${key}`) ?? []) act();
    },
    save_changes() {},
    on: (name, act) => ears.set(name, [...(ears.get(name) ?? []), act]),
    off: (name, act) => ears.set(name, (ears.get(name) ?? []).filter((a) => a !== act)),
  };
  const remove = render({ model, el });
  remove.show = (other) => model.set("_scene", other);
  return remove;
}

function render({ model, el }) {
  const view = new View(model, el);
  return () => view.dispose();
}

export default { render };
