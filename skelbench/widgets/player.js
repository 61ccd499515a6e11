// SkeletonPlayer: moving bodies on a 2-D canvas. No imports, no build step, no WebGL context, nothing fetched.
//
// In JupyterLab anywidget calls `render({ model, el })` of the default export.
// body.js and clock.js stand before it in the same module (skelbench.widgets.modules.source puts the three together).
// In a plain page (the offline report) put that text and the calls into ONE inline script of type "module", because an inline module
// cannot be imported by another:
//
//     ...body.js, clock.js, this file...; mount(document.getElementById("clip"), { scene: {...}, height: 320, playing: true });
//
// `scene` is the JSON of skelbench.widgets.scene.plain_scene(clips) (bytes as base64 text; write "<" of the JSON as \u003c, so that no
// title can end the script). All else is optional: height, playing, speed, trail, floor, camera, frame, theme ("light" | "dark" | "auto").
// `mount` returns a function that removes the player. This file never holds the closing tag of a script.
//
// The root element counts for tests: dataset.frames (canvas draws), frame, drawn (bodies in the last draw), clips, playing, yaw, pitch,
// zoom, cost (mean ms of a draw), seen ("1" while on screen), disposed ("1" after clean-up).

const FRAME_HERTZ = 10; // how often Python hears where the clock is

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
    on(ui.stage, "pointerup", (event) => this.drop(event));
    on(ui.stage, "pointercancel", () => (this.held = null));
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
    this.clips = this.arrange(decode(this.model.get("_scene")));
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

  /** What of the decoded clips gets a cell of its own: all of them. */
  arrange(clips) {
    return clips;
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

  drop(event) {
    const still = this.held && Math.hypot(event.clientX - this.held.x, event.clientY - this.held.y) < 4;
    this.held = null;
    if (still) this.tapped(this.at(event), event);
  }

  /** A click that was no drag; a player does nothing with it. */
  tapped() {}

  /** Where on the stage the pointer is. */
  at(event) {
    const box = this.ui.stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  drag(event) {
    if (this.held) {
      const [yaw, pitch, zoom] = this.held.camera;
      this.look(yaw + 0.01 * (event.clientX - this.held.x), pitch + 0.01 * (event.clientY - this.held.y), zoom);
    }
    this.pointer = this.at(event);
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
    const { range, unit } = this.model.get("_scene") ?? {};
    if (range) drawScale(this.ctx, range, this.colours, height, unit);
    if (width > 320 && this.clips.some((clip) => clip.side.some((side) => side))) drawSides(this.ctx, this.colours, width, height);
    if (this.pointer && !this.held) this.nameJoint();
    this.ui.scrub.value = String(this.frame);
    this.ui.count.textContent = `${this.frame + 1} / ${this.frames}`;
    this.ui.ghosts.setAttribute("aria-pressed", String(at.trail > 0));
    this.cost += (performance.now() - began - this.cost) / Math.min(++this.draws, 60);
    const [yaw, pitch, zoom] = this.camera;
    Object.assign(root.dataset, { frames: this.draws, frame: this.frame, drawn, yaw: yaw.toFixed(3), pitch: pitch.toFixed(3), zoom: zoom.toFixed(3), cost: this.cost.toFixed(2) });
  }

  /** The clip whose cell holds a place of the stage, and its joint (over all bodies) nearest to it, if one is within `reach` pixels. */
  nearest({ x, y }, reach) {
    const cell = this.cells.findIndex((c) => x >= c.x && x < c.x + c.width && y >= c.y && y < c.y + c.height);
    const clip = this.clips[cell];
    return { clip, joint: clip?.screen ? nearestJoint(clip.screen, x, y, reach) : -1 };
  }

  /** Name of the joint under the pointer. */
  nameJoint() {
    const { clip, joint } = this.nearest(this.pointer, 9);
    this.ui.root.dataset.joint = joint < 0 ? "" : clip.names[joint % clip.V];
    if (joint >= 0) drawName(this.ctx, this.nameOf(clip, joint), clip.screen[4 * joint], clip.screen[4 * joint + 1], this.size.width, this.colours);
  }

  nameOf(clip, joint) {
    return clip.names[joint % clip.V].replaceAll("_", " ");
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
