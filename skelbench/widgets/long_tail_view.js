// LongTailView: drag the imbalance; Python counts, this file draws. clock.js stands before it in the same module.
//
// The root element counts for tests: dataset.drawn (pictures drawn), imbalance, last (clips of the rarest class), shown (of it in an
// epoch), theme, disposed.

const TAIL_CSS = `
.skb-tail{--back:#fafbfc;--ink:#1f2630;--muted:#5d6673;--line:#d5dae1;--there:#7f868f;--shown:#c4500a;--weight:#0072b2;
 container-type:inline-size;box-sizing:border-box;width:100%;border:1px solid var(--line);border-radius:6px;background:var(--back);color:var(--ink);font:12px/1.35 system-ui,sans-serif;padding:8px}
.skb-tail.skb-dark{--back:#15181d;--ink:#e7eaf0;--muted:#9aa3b0;--line:#343b46;--there:#868d97;--shown:#f2a33c;--weight:#5bb8ee;color-scheme:dark}
.skb-tail-bar{display:flex;flex-wrap:wrap;gap:6px 18px;align-items:center;padding:2px 2px 8px}
.skb-tail-bar label{display:flex;align-items:center;gap:6px}.skb-tail-drag{flex:1 1 240px;max-width:480px}
.skb-tail-drag input{flex:1;min-width:90px;accent-color:#2f81f7}
.skb-tail output{min-width:34px;font-weight:600;font-variant-numeric:tabular-nums}
.skb-tail select{height:24px;border:1px solid var(--line);border-radius:4px;background:var(--back);color:var(--ink);font:inherit}
.skb-tail :focus-visible{outline:2px solid #2f81f7;outline-offset:1px}
.skb-tail figure{margin:0 0 6px}.skb-tail figcaption{font-weight:600}.skb-tail figcaption span{font-weight:400;color:var(--muted)}
.skb-tail figcaption i{display:inline-block;width:10px;height:10px;border-radius:2px;margin:0 4px 0 12px}
.skb-tail svg{display:block;width:100%;height:auto;overflow:visible}.skb-tail text{fill:var(--muted);font-size:11px}
.skb-tail .grid{stroke:var(--line)}.skb-tail .part{stroke:var(--muted);stroke-dasharray:3 3}`;

const TAIL = { width: 760, height: 158, left: 42, right: 754, top: 8, bottom: 128 };

// ---- pure functions, tested under node -------------------------------------------------------------------------------------

/** Powers of ten that enclose the positive values, a decade at least. */
export function powers(values) {
  const positive = values.filter((v) => v > 0);
  if (!positive.length) return [1, 10];
  const low = Math.floor(Math.log10(Math.min(...positive)) + 1e-9);
  const high = Math.ceil(Math.log10(Math.max(...positive)) - 1e-9);
  return [10 ** low, 10 ** Math.max(high, low + 1)];
}

/** Slider position 0 .. 1 to imbalance 1 .. most and back, by ratios; three digits are plenty. */
export function imbalanceAt(position, most) {
  return Math.min(most, Number((most ** position).toPrecision(3)));
}
export function positionOf(imbalance, most) {
  return most > 1 ? Math.log(imbalance) / Math.log(most) : 0;
}

/** Runs of equal neighbours: [[value, from, to), ...]. */
export function runs(values) {
  const found = [];
  values.forEach((v, i) => {
    if (i && found.at(-1)[0] === v) found.at(-1)[2] = i + 1;
    else found.push([v, i, i + 1]);
  });
  return found;
}

/** A line of stairs through values as the `d` of a path. */
export function stairs(values, X, Y) {
  return values.map((v, i) => `${i ? "L" : "M"}${X(i).toFixed(1)} ${Y(v).toFixed(1)}H${X(i + 1).toFixed(1)}`).join("");
}

// ---- drawing ---------------------------------------------------------------------------------------------------------------

function tailNode(tag, attributes = {}, parent = null, says) {
  const drawn = ["svg", "g", "path", "rect", "text", "title"].includes(tag);
  const node = drawn ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (says !== undefined) node.textContent = says;
  parent?.append(node);
  return node;
}

function tailChart(parent, title, keys) {
  const figure = tailNode("figure", {}, parent);
  const caption = tailNode("figcaption", {}, figure, title);
  for (const [colour, words] of keys) {
    tailNode("i", { style: `background:var(--${colour})` }, caption);
    tailNode("span", {}, caption, words);
  }
  const note = tailNode("span", { style: "float:right" }, caption);
  const svg = tailNode("svg", { viewBox: `0 0 ${TAIL.width} ${TAIL.height}`, role: "img", "aria-label": title }, figure);
  return { figure, svg, note };
}

/** Axis with its lines; returns the group to draw in and the two scales. */
function tailAxis(svg, count, [low, high], log) {
  const stage = tailNode("g");
  const { left, right, top, bottom } = TAIL;
  const share = log ? (v) => Math.log(Math.max(v, low) / low) / Math.log(high / low) : (v) => (v - low) / (high - low);
  const Y = (v) => bottom - (bottom - top) * share(v);
  const X = (i) => left + ((right - left) * i) / count;
  const ticks = log ? Array.from({ length: Math.round(Math.log10(high / low)) + 1 }, (_, k) => low * 10 ** k) : [low, (low + high) / 2, high];
  for (const tick of ticks) {
    tailNode("path", { class: "grid", d: `M${left} ${Y(tick)}H${right}` }, stage);
    tailNode("text", { x: left - 5, y: Y(tick) + 4, "text-anchor": "end" }, stage, String(Number(tick.toPrecision(6))));
  }
  svg.replaceChildren(stage);
  return { stage, X, Y };
}

function tailGroups(stage, groups, X, words = {}) {
  for (const [group, from, to] of runs(groups)) {
    tailNode("text", { x: (X(from) + X(to)) / 2, y: TAIL.bottom + 18, "text-anchor": "middle" }, stage, words[group] ?? group);
    if (from) tailNode("path", { class: "part", d: `M${X(from)} ${TAIL.top}V${TAIL.bottom + 22}` }, stage);
  }
}

function tailBar(stage, x, width, y, colour, says) {
  const bar = tailNode("rect", { x, width, y, height: Math.max(0, TAIL.bottom - y), style: `fill:var(--${colour})` }, stage);
  tailNode("title", {}, bar, says);
}

function drawTail(chart, n) {
  const { stage, X, Y } = tailAxis(chart.svg, n.counts.length, powers([...n.counts, ...n.shown]), true);
  const step = X(1) - X(0);
  n.counts.forEach((v, i) => tailBar(stage, X(i) + 0.1 * step, 0.8 * step, Y(v), "there", `${n.names[i]}: ${v} clips, ${n.shown[i]} shown in an epoch`));
  tailNode("path", { d: stairs(n.shown, X, Y), fill: "none", "stroke-width": 2, style: "stroke:var(--shown)" }, stage);
  tailGroups(stage, n.groups, X);
  const sum = (values) => Math.round(values.reduce((a, b) => a + b, 0));
  chart.note.textContent = `${sum(n.counts)} clips, ${sum(n.shown)} shown in an epoch`;
}

function drawWeights(chart, n) {
  const { stage, X, Y } = tailAxis(chart.svg, n.weights.length, powers([...n.weights, ...n.say]), true);
  tailNode("path", { d: stairs(n.weights, X, Y), fill: "none", "stroke-width": 2, style: "stroke:var(--weight)" }, stage);
  tailNode("path", { d: stairs(n.say, X, Y), fill: "none", "stroke-width": 2, "stroke-dasharray": "6 3", style: "stroke:var(--shown)" }, stage);
  n.weights.forEach((v, i) => {
    const hit = tailNode("rect", { x: X(i), width: X(i + 1) - X(i), y: TAIL.top, height: TAIL.bottom - TAIL.top, fill: "transparent" }, stage);
    tailNode("title", {}, hit, `${n.names[i]}: weight ${v}, clips shown times weight ${n.say[i]}`);
  });
  tailGroups(stage, n.groups, X);
  chart.note.textContent = "1 is the mean over classes";
}

function drawAccuracy(chart, bars) {
  const { stage, X, Y } = tailAxis(chart.svg, bars.names.length, [0, 100], false);
  const [step, k] = [X(1) - X(0), bars.runs.length];
  bars.names.forEach((name, i) =>
    bars.runs.forEach((run, r) =>
      tailBar(stage, X(i) + step * (0.1 + (0.8 * r) / k), (0.8 * step) / k, Y(run[i]), k === 2 && r === 0 ? "there" : "weight", `${name} (${bars.counts[i]} clips), ${bars.labels[r]}: ${run[i]} %`)));
  const words = Object.fromEntries(Object.entries(bars.means).map(([g, v]) => [g, `${g} ${v.map((x) => x.toFixed(1)).join(" → ")}`]));
  tailGroups(stage, bars.groups, X, words);
  chart.note.textContent = `overall ${bars.overall.map((x) => x.toFixed(1)).join(" → ")} %`;
}

// ---- the element -----------------------------------------------------------------------------------------------------------

function tailDark() {
  const lab = document.body.dataset.jpThemeLight;
  if (lab) return lab === "false";
  return /vscode-(dark|high-contrast)/.test(document.body.className) || matchMedia("(prefers-color-scheme: dark)").matches;
}

function tailBarOf(root, n) {
  const bar = tailNode("div", { class: "skb-tail-bar" }, root);
  const drag = tailNode("label", { class: "skb-tail-drag" }, bar, "imbalance");
  const slider = tailNode("input", { type: "range", min: 0, max: 1, step: 0.005, "aria-label": "imbalance: clips of the first class over clips of the last" }, drag);
  const value = tailNode("output", {}, drag);
  const pick = (words, name, options) => {
    const select = tailNode("select", { "aria-label": name }, tailNode("label", {}, bar, words));
    for (const [key, says] of options) tailNode("option", { value: key }, select, says);
    return select;
  };
  const loss = pick("loss", "loss whose weights are drawn", n.losses.map((l) => [l, l.replaceAll("_", " ")]));
  const weigh = pick("weigh by", "which clips the weights come from", [["clips", "clips there are"], ["shown", "clips shown"]]);
  return { slider, value, loss, weigh };
}

function renderTail({ model, el }) {
  const gone = new AbortController();
  const root = tailNode("div", { class: "skb-tail" });
  tailNode("style", {}, root, TAIL_CSS);
  const ui = tailBarOf(root, model.get("_numbers"));
  const clips = tailChart(root, "Clips a class", [["there", "there are"], ["shown", "the sampler shows"]]);
  const weights = tailChart(root, "Weight in the last stage", [["weight", "weight"], ["shown", "clips shown × weight"]]);
  const first = model.get("_numbers").bars;
  const keys = (first.labels ?? []).map((words, r) => [first.labels.length === 2 && r === 0 ? "there" : "weight", words]);
  const accuracy = first.names ? tailChart(root, "Accuracy by class, %", keys) : null;
  el.append(root);
  let drawn = 0;
  let raf = 0;
  const draw = () => {
    raf = 0;
    const n = model.get("_numbers");
    drawTail(clips, n);
    drawWeights(weights, n);
    if (accuracy) drawAccuracy(accuracy, n.bars);
    if (document.activeElement !== ui.slider) ui.slider.value = String(positionOf(n.imbalance, n.most));
    ui.value.textContent = String(Number(n.imbalance.toPrecision(3)));
    [ui.loss.value, ui.weigh.value] = [model.get("loss"), model.get("weigh")];
    Object.assign(root.dataset, { drawn: ++drawn, imbalance: n.imbalance, last: n.counts.at(-1), shown: n.shown.at(-1), weight: n.weights.at(-1) });
  };
  const later = () => (raf ||= requestAnimationFrame(draw));
  const save = (change) => {
    for (const [name, value] of Object.entries(change)) model.set(name, value);
    model.save_changes();
  };
  const send = paced(() => save({ imbalance: imbalanceAt(Number(ui.slider.value), model.get("_numbers").most) }), 20);
  const on = (target, name, act) => target.addEventListener(name, act, { signal: gone.signal });
  on(ui.slider, "input", () => {
    ui.value.textContent = String(imbalanceAt(Number(ui.slider.value), model.get("_numbers").most));
    send();
  });
  on(ui.loss, "change", () => save({ loss: ui.loss.value }));
  on(ui.weigh, "change", () => save({ weigh: ui.weigh.value }));
  const theme = () => {
    root.classList.toggle("skb-dark", tailDark());
    root.dataset.theme = tailDark() ? "dark" : "light";
  };
  on(matchMedia("(prefers-color-scheme: dark)"), "change", theme);
  const watcher = new MutationObserver(theme);
  watcher.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
  for (const name of ["_numbers", "loss", "weigh"]) model.on(`change:${name}`, later);
  theme();
  draw();
  return () => {
    gone.abort();
    watcher.disconnect();
    send.cancel();
    cancelAnimationFrame(raf);
    for (const name of ["_numbers", "loss", "weigh"]) model.off(`change:${name}`, later);
    root.dataset.disposed = "1";
    root.remove();
  };
}

export default { render: renderTail };
