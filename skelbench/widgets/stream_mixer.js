// StreamMixer: class scores of several streams, added with the weights of some sliders. Accuracy and confusion follow while a slider
// moves: the scores travel once, everything else is computed here; no imports, nothing fetched.
//
// The root element counts for tests: dataset.drawn (pictures drawn), right (clips that are right now), weights, against, cell, disposed.

const SIDE = 300; // pixels of the matrix

// ---- pure functions, tested under node -------------------------------------------------------------------------------------

/** Predicted classes of N clips: sum of weights[s] * logits[s][n * classes + c], the first of equals. A weight of 0 takes no part. */
export function predict(logits, weights, clips, classes) {
  const out = new Int32Array(clips);
  const used = weights.map((w, s) => [w, logits[s]]).filter(([w]) => w > 0);
  for (let n = 0; n < clips; n++) {
    let best = -Infinity;
    for (let c = 0; c < classes; c++) {
      let sum = 0;
      for (const [w, values] of used) sum += w * values[n * classes + c];
      if (sum > best) {
        best = sum;
        out[n] = c;
      }
    }
  }
  return out;
}

/** Counts (classes * classes), true class down, predicted class across. */
export function confusion(labels, predicted, classes) {
  const out = new Int32Array(classes * classes);
  labels.forEach((label, n) => (out[label * classes + predicted[n]] += 1));
  return out;
}

/** How many clips are right. */
export function right(counts, classes) {
  let sum = 0;
  for (let c = 0; c < classes; c++) sum += counts[c * classes + c];
  return sum;
}

/** What got better (above 0) and worse: more on the diagonal is better, more beside it is worse. */
export function gains(now, before, classes) {
  return Array.from(now, (count, i) => (count - before[i]) * (i % (classes + 1) === 0 ? 1 : -1));
}

/** A cell in words. */
export function cellWords(names, classes, cell, now, before) {
  const [row, column] = [Math.floor(cell / classes), cell % classes];
  const what = row === column ? `${names[row]}, told right` : `${names[row]} taken for ${names[column]}`;
  const change = now[cell] - before[cell];
  return `${what}: ${now[cell]} clips now, ${before[cell]} before${change ? ` (${change > 0 ? "+" : "−"}${Math.abs(change)})` : ""}`;
}

/** 32-bit floats out of what a widget message, a typed array or base64 text holds them in. */
export function floats(data) {
  let bytes;
  if (typeof data === "string") bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  else bytes = data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return new Float32Array(bytes.slice().buffer);
}

// ---- drawing ---------------------------------------------------------------------------------------------------------------

const CSS = `
.skb-mix{--back:#fafbfc;--ink:#1f2630;--muted:#5d6673;--line:#d5dae1;--good:#0072b2;--bad:#c4500a;--bar:#9aa6b5;
 container-type:inline-size;box-sizing:border-box;width:100%;border:1px solid var(--line);border-radius:6px;background:var(--back);color:var(--ink);font:12px/1.4 system-ui,sans-serif;padding:10px}
.skb-mix.skb-dark{--back:#15181d;--ink:#e7eaf0;--muted:#9aa3b0;--line:#343b46;--good:#5bb8ee;--bad:#f2a33c;--bar:#5d6876;color-scheme:dark}
.skb-mix-columns{display:grid;grid-template-columns:minmax(260px,1fr) ${SIDE + 20}px;gap:8px 26px;align-items:start}
@container (max-width:640px){.skb-mix-columns{grid-template-columns:1fr}}
.skb-mix h4{margin:0 0 4px;font:600 12px/1.4 system-ui,sans-serif}.skb-mix h4 span,.skb-mix small{font-weight:400;color:var(--muted)}
.skb-mix-sliders{display:grid;grid-template-columns:max-content 1fr 40px;gap:4px 10px;align-items:center;margin-bottom:8px}
.skb-mix-sliders input{width:100%;min-width:90px;accent-color:#2f81f7}.skb-mix output{font-variant-numeric:tabular-nums;font-weight:600;text-align:right}
.skb-mix-ways{display:flex;flex-wrap:wrap;gap:6px;margin-bottom:12px}
.skb-mix button{font:inherit;color:var(--ink);background:var(--back);border:1px solid var(--line);border-radius:4px;padding:2px 9px;cursor:pointer}
.skb-mix button:hover{border-color:var(--muted)}.skb-mix button[aria-pressed=true]{border-color:#2f81f7;box-shadow:inset 0 0 0 1px #2f81f7}
.skb-mix select{font:inherit;color:var(--ink);background:var(--back);border:1px solid var(--line);border-radius:4px;height:24px}
.skb-mix :focus-visible{outline:2px solid #2f81f7;outline-offset:1px}
.skb-mix-bars{display:grid;grid-template-columns:max-content 1fr 56px;gap:4px 10px;align-items:center}
.skb-mix-bars div{height:12px;background:color-mix(in srgb,var(--line) 55%,transparent);border-radius:2px;overflow:hidden}
.skb-mix-bars i{display:block;height:100%;background:var(--bar)}.skb-mix-bars .now i{background:#2f81f7}.skb-mix-bars b{font-size:14px}
.skb-mix canvas{display:block;width:${SIDE}px;height:${SIDE}px;border:1px solid var(--line);cursor:crosshair;image-rendering:pixelated}
.skb-mix-says{min-height:34px;margin-top:4px}.skb-mix ul{margin:2px 0 0;padding:0;list-style:none}
.skb-mix .key{display:inline-block;width:10px;height:10px;border-radius:2px;margin:0 4px 0 8px;vertical-align:-1px}`;

function make(tag, attributes = {}, parent = null) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "says") node.textContent = value;
    else node.setAttribute(key, value);
  }
  parent?.append(node);
  return node;
}

function isDark() {
  const lab = document.body?.dataset.jpThemeLight;
  if (lab) return lab === "false";
  if (/vscode-(dark|high-contrast)/.test(document.body?.className ?? "")) return true;
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

const percent = (right, clips) => `${((100 * right) / clips).toFixed(1)} %`;

class Mixer {
  constructor(model, el) {
    this.model = model;
    this.gone = new AbortController();
    const table = model.get("_table");
    this.names = table.streams;
    this.classes = table.classes;
    this.labels = table.labels;
    this.C = this.classes.length;
    this.N = this.labels.length;
    this.most = table.most;
    this.ways = table.ways;
    this.logits = table.logits.map(floats);
    this.drawn = 0;
    this.cell = 0;
    this.build(el, table);
    this.listen();
    this.theme();
    this.pick();
    this.refresh();
  }

  counts(weights) {
    return confusion(this.labels, predict(this.logits, weights, this.N, this.C), this.C);
  }

  get weights() {
    const mine = this.model.get("weights");
    return this.names.map((name) => mine[name] ?? 0);
  }

  build(el, table) {
    const root = (this.root = make("div", { class: "skb-mix", role: "group", "aria-label": "Weights of the streams", "data-lm-suppress-shortcuts": "true" }, el));
    make("style", { says: CSS }, root);
    const columns = make("div", { class: "skb-mix-columns" }, root);
    const left = make("div", {}, columns);
    make("h4", { says: "Weights " }, left).append(make("span", { says: `of the class scores that are added up; ${table.title}` }));
    const sliders = make("div", { class: "skb-mix-sliders" }, left);
    this.sliders = this.names.map((name) => {
      make("span", { says: name }, sliders);
      const slider = make("input", { type: "range", min: "0", max: String(this.most), step: "0.05", "aria-label": `weight of ${name}` }, sliders);
      return { slider, output: make("output", {}, sliders) };
    });
    const ways = make("div", { class: "skb-mix-ways", role: "group", "aria-label": "weights to begin with" }, left);
    this.buttons = this.ways.map(([name, weights]) => [make("button", { type: "button", says: name }, ways), weights]);
    make("h4", { says: "Right " }, left).append(make("span", { says: `of ${this.N} clips` }));
    this.bars = make("div", { class: "skb-mix-bars" }, left);
    const side = make("div", {}, columns);
    const head = make("h4", { says: "What changed " }, side);
    const label = make("label", {}, make("span", {}, head));
    label.append("against ");
    this.against = make("select", { "aria-label": "compared with" }, label);
    for (const [name] of this.ways) make("option", { value: name, says: name }, this.against);
    this.canvas = make("canvas", { tabindex: "0", role: "img", "aria-label": "Confusion: true class down, predicted class across. Arrow keys walk over the cells." }, side);
    const note = make("small", {}, side);
    for (const [name, word] of [["good", "better"], ["bad", "worse"]]) {
      make("span", { class: "key", style: `background:var(--${name})` }, note);
      note.append(word);
    }
    note.append("; down: true class, across: predicted");
    this.says = make("div", { class: "skb-mix-says", "aria-live": "polite" }, side);
    this.list = make("ul", {}, side);
  }

  listen() {
    const on = (target, name, act, more = {}) => target.addEventListener(name, act, { signal: this.gone.signal, ...more });
    this.sliders.forEach(({ slider }, s) => on(slider, "input", () => this.set(this.weights.map((w, i) => (i === s ? Number(slider.value) : w)))));
    for (const [button, weights] of this.buttons) on(button, "click", () => this.set(weights));
    on(this.against, "change", () => this.save({ against: this.against.value }));
    on(this.canvas, "pointermove", (event) => this.point(event));
    on(this.canvas, "pointerdown", (event) => this.point(event));
    on(this.canvas, "keydown", (event) => {
      const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!step) return;
      const within = (v) => Math.max(0, Math.min(this.C - 1, v));
      this.cell = within(Math.floor(this.cell / this.C) + step[0]) * this.C + within((this.cell % this.C) + step[1]);
      this.draw();
      event.preventDefault();
    });
    const theme = () => (this.theme(), this.draw());
    on(matchMedia("(prefers-color-scheme: dark)"), "change", theme);
    this.watcher = new MutationObserver(theme);
    this.watcher.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
    this.changed = () => this.refresh();
    this.picked = () => (this.pick(), this.refresh());
    this.model.on("change:weights", this.changed);
    this.model.on("change:against", this.picked);
  }

  /** All weights at 0 say nothing: what a person pulled down last then stays a step above. */
  set(weights) {
    if (!weights.some((w) => w > 0)) weights = weights.map((w, i) => (this.weights[i] > 0 ? 0.05 : w));
    this.save({ weights: Object.fromEntries(this.names.map((name, s) => [name, weights[s]])) });
  }

  /** The picture follows at once; Python hears of it at most ten times a second, of the last one always. */
  save(change) {
    for (const [key, value] of Object.entries(change)) this.model.set(key, value);
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.model.save_changes();
    }, 100);
    if ("against" in change) this.pick();
    this.refresh();
  }

  pick() {
    const name = this.model.get("against");
    this.against.value = name;
    this.before = this.counts(this.ways.find(([way]) => way === name)[1]);
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    const at = (v, size) => Math.max(0, Math.min(this.C - 1, Math.floor((v / size) * this.C)));
    this.cell = at(event.clientY - box.top, box.height) * this.C + at(event.clientX - box.left, box.width);
    this.draw();
  }

  theme() {
    this.root.classList.toggle("skb-dark", isDark());
    this.root.dataset.theme = isDark() ? "dark" : "light";
  }

  refresh() {
    const weights = this.weights;
    this.now = this.counts(weights);
    this.sliders.forEach(({ slider, output }, s) => {
      slider.value = String(weights[s]);
      output.textContent = weights[s].toFixed(2);
    });
    for (const [button, way] of this.buttons) button.setAttribute("aria-pressed", String(way.every((w, s) => Math.abs(w - weights[s]) < 1e-9)));
    const rows = [...this.ways.map(([name, way]) => [name, right(this.counts(way), this.C)]), ["now", right(this.now, this.C)]];
    this.bars.replaceChildren();
    for (const [name, count] of rows) {
      const mine = name === "now" ? "now" : "";
      make(mine ? "b" : "span", { says: name }, this.bars);
      make("i", { style: `width:${(100 * count) / this.N}%` }, make("div", { class: mine }, this.bars));
      make("output", { says: percent(count, this.N) }, this.bars);
    }
    Object.assign(this.root.dataset, { right: rows.at(-1)[1], weights: weights.join(" "), against: this.model.get("against") });
    this.draw();
  }

  draw() {
    const { canvas, C } = this;
    const ratio = window.devicePixelRatio || 1;
    const size = Math.round(SIDE * ratio);
    if (canvas.width !== size || canvas.height !== size) canvas.width = canvas.height = size;
    const context = canvas.getContext("2d");
    const css = getComputedStyle(this.root);
    const tone = (name) => css.getPropertyValue(`--${name}`).trim();
    const change = gains(this.now, this.before, C);
    const most = Math.max(1, ...change.map(Math.abs));
    context.clearRect(0, 0, size, size);
    const edge = (i) => Math.round((i * size) / C);
    change.forEach((value, i) => {
      const [row, column] = [Math.floor(i / C), i % C];
      const box = [edge(column), edge(row), edge(column + 1) - edge(column), edge(row + 1) - edge(row)];
      if (row === column) {
        context.globalAlpha = 0.5;
        context.fillStyle = tone("line");
        context.fillRect(...box);
      }
      if (!value) return;
      context.globalAlpha = 0.3 + (0.7 * Math.abs(value)) / most;
      context.fillStyle = tone(value > 0 ? "good" : "bad");
      context.fillRect(...box);
    });
    context.globalAlpha = 1;
    context.strokeStyle = tone("ink");
    context.lineWidth = ratio;
    const [row, column] = [Math.floor(this.cell / C), this.cell % C];
    context.strokeRect(edge(column) + 0.5, edge(row) + 0.5, edge(column + 1) - edge(column) - 1, edge(row + 1) - edge(row) - 1);
    this.says.textContent = cellWords(this.classes, C, this.cell, this.now, this.before);
    const order = change.map((value, i) => [value, i]).filter(([value]) => value).sort((a, b) => Math.abs(b[0]) - Math.abs(a[0]) || a[1] - b[1]);
    this.list.replaceChildren();
    for (const [value, i] of order.slice(0, 4)) {
      const item = make("li", {}, this.list);
      make("span", { class: "key", style: `background:var(--${value > 0 ? "good" : "bad"});margin-left:0` }, item);
      item.append(cellWords(this.classes, C, i, this.now, this.before));
    }
    if (!order.length) make("li", { says: "No clip is told otherwise." }, this.list);
    Object.assign(this.root.dataset, { drawn: ++this.drawn, cell: this.cell });
  }

  dispose() {
    clearTimeout(this.timer);
    if (this.timer) this.model.save_changes();
    this.gone.abort();
    this.watcher.disconnect();
    this.model.off("change:weights", this.changed);
    this.model.off("change:against", this.picked);
    this.root.dataset.disposed = "1";
    this.root.remove();
  }
}

function render({ model, el }) {
  const mixer = new Mixer(model, el);
  return () => mixer.dispose();
}

export default { render };
