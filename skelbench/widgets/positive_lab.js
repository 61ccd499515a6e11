// PositiveLab: what hardness does to HaLP's positives. Five small SVG charts and three controls; no imports, nothing fetched.
//
// Python computes (`numbers` in positive_lab.py), this file draws. One request is under way at a time: while a person drags the slider
// the newest value waits for the picture of the one before, so a slow kernel gets fewer requests, never a queue.
//
// The root element counts for tests: dataset.drawn (pictures drawn), hardness (of the picture), kept (positives kept of this anchor),
// first (angle of the first positive, degrees), latency (ms from the slider's event to the picture), anchor, target, disposed.

const NS = "http://www.w3.org/2000/svg";
const PANEL = { width: 300, height: 232 };

// ---- pure functions, tested under node -------------------------------------------------------------------------------------

/** Linear map of [a, b] onto [c, d]. */
export function scale(a, b, c, d) {
  return (x) => c + ((x - a) / (b - a || 1)) * (d - c);
}

/** Screen place of a point of the plane (along a, across): turned so that a and p_s stand left and right of the top. */
export function onDisc(along, across, omega, radius) {
  const turn = Math.PI / 2 + omega / 2; // the direction of a
  const x = along * Math.cos(turn) + across * Math.cos(turn - Math.PI / 2);
  const y = along * Math.sin(turn) + across * Math.sin(turn - Math.PI / 2);
  return [radius * x, -radius * y];
}

/** Radius at which the circle is drawn and how high its top stands: a short arc from a to p_s is magnified until it can be seen. */
export function discSize(omega, radius) {
  const wanted = 0.6 / Math.max(Math.sin(omega / 2), 1e-6);
  const zoom = wanted > 1.25 ? Math.min(200, wanted) : 1;
  return { radius: radius * zoom, top: zoom > 1 ? 0.7 * radius : radius, zoom };
}

/** Screen place of a positive in the fan: its spoke clockwise from the top, its angle to the anchor as the distance. */
export function onFan(slot, slots, angle, widest, radius) {
  const turn = (2 * Math.PI * slot) / slots;
  const r = (radius * angle) / (widest || 1);
  return [r * Math.sin(turn), -r * Math.cos(turn)];
}

/** Points as the `d` of a path. */
export function line(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

/** Keeps one request under way: `ask(value)` sends at once or remembers the newest; `answered(value)` sends what waits. */
export class Latest {
  constructor(send, patience = 1000) {
    Object.assign(this, { send, patience, busy: null, waiting: null, timer: 0 });
  }
  ask(value) {
    this.waiting = value;
    if (this.busy === null) this.next();
  }
  next() {
    clearTimeout(this.timer);
    this.busy = this.waiting;
    this.waiting = null;
    if (this.busy === null) return;
    this.timer = setTimeout(() => this.next(), this.patience); // an answer that never comes must not stop the slider
    this.send(this.busy);
  }
  answered(value) {
    if (this.busy !== null && Math.abs(value - this.busy) < 1e-9) this.next();
  }
  stop() {
    clearTimeout(this.timer);
    this.busy = this.waiting = null;
  }
}

// ---- drawing ---------------------------------------------------------------------------------------------------------------

const CSS = `
.skb-lab{--back:#fafbfc;--ink:#1f2630;--muted:#5d6673;--line:#d5dae1;--kept:#0072b2;--lost:#c4500a;--near:#00805e;--far:#8b4fa8;--tint:#00805e14;
 container-type:inline-size;box-sizing:border-box;width:100%;border:1px solid var(--line);border-radius:6px;background:var(--back);color:var(--ink);font:12px/1.35 system-ui,sans-serif;padding:8px}
.skb-lab.skb-dark{--back:#15181d;--ink:#e7eaf0;--muted:#9aa3b0;--line:#343b46;--kept:#5bb8ee;--lost:#f2a33c;--near:#3fcf9d;--far:#c99be0;--tint:#3fcf9d14;color-scheme:dark}
.skb-lab-controls{display:flex;flex-wrap:wrap;gap:6px 18px;align-items:center;padding:2px 2px 8px}
.skb-lab-controls label{display:flex;align-items:center;gap:6px}
.skb-lab-hardness{flex:1 1 260px;max-width:460px}.skb-lab-hardness input{flex:1;min-width:90px;accent-color:#2f81f7}
.skb-lab select,.skb-lab input[type=number]{height:24px;border:1px solid var(--line);border-radius:4px;background:var(--back);color:var(--ink);font:inherit;max-width:240px}
.skb-lab input[type=number]{width:64px;box-sizing:border-box;padding:0 4px}
.skb-lab :focus-visible{outline:2px solid #2f81f7;outline-offset:1px}
.skb-lab output{min-width:34px;font-variant-numeric:tabular-nums;font-weight:600}
.skb-lab-small{color:var(--muted)}
.skb-lab-panels{display:grid;grid-template-columns:repeat(6,1fr);gap:8px}
.skb-lab figure{margin:0;grid-column:span 2;min-width:0}
@container (max-width:760px){.skb-lab figure{grid-column:span 3}}
@container (max-width:480px){.skb-lab figure{grid-column:span 6}}
.skb-lab figcaption{font-weight:600;padding:0 2px}.skb-lab figcaption span{font-weight:400;color:var(--muted)}
.skb-lab svg{display:block;width:100%;height:auto;overflow:visible}
.skb-lab svg svg{overflow:hidden}
.skb-lab text{fill:var(--muted);font-size:11px}.skb-lab text.ink{fill:var(--ink);font-weight:600}
.skb-lab .haloed{paint-order:stroke;stroke:var(--back);stroke-width:3px}
.skb-lab .axis{stroke:var(--line);fill:none}.skb-lab .dot{cursor:pointer;transition:transform .09s linear}
.skb-lab .kept{fill:var(--kept);stroke:none}.skb-lab .lost{fill:var(--back);stroke:var(--lost);stroke-width:1.6}
.skb-lab .picked{stroke:var(--ink);stroke-width:2}
@media (prefers-reduced-motion:reduce){.skb-lab .dot{transition:none}}`;

function make(tag, attributes = {}, parent = null) {
  const svg = ["svg", "g", "path", "circle", "line", "rect", "text", "polygon", "title"].includes(tag);
  const node = svg ? document.createElementNS(NS, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "says") node.textContent = value;
    else node.setAttribute(key, value);
  }
  parent?.append(node);
  return node;
}

function panel(parent, title, note) {
  const figure = make("figure", {}, parent);
  const caption = make("figcaption", { says: title + " " }, figure);
  make("span", { says: note }, caption);
  return make("svg", { viewBox: `0 0 ${PANEL.width} ${PANEL.height}`, role: "img", "aria-label": `${title}, ${note}` }, figure);
}

/** Moves the circles of a group to places, making and dropping some where their number changed; they glide. */
function place(group, points, kept, pick) {
  while (group.childElementCount > points.length) group.lastChild.remove();
  while (group.childElementCount < points.length) {
    const i = group.childElementCount;
    make("circle", { r: 3.4, class: "dot" }, group).addEventListener("click", () => pick(i));
  }
  points.forEach(([x, y], i) => {
    const dot = group.children[i];
    dot.style.transform = `translate(${x.toFixed(2)}px,${y.toFixed(2)}px)`;
    dot.setAttribute("class", `dot ${kept[i] ? "kept" : "lost"}`);
  });
}

function drawDisc(svg, n, pick) {
  const { circle, along } = n;
  const { radius: R, top, zoom } = discSize(circle.omega, 88);
  const out = 9 / R; // a label stands so far outside the circle
  const at = (angle, r = 1) => onDisc(r * Math.cos(angle), r * Math.sin(angle), circle.omega, R);
  const edge = circle.omega * circle.t_max;
  const half = Array.from({ length: 181 }, (_, i) => at(edge - (Math.PI * i) / 180));
  const arc = Array.from({ length: 25 }, (_, i) => at(edge * (n.hardness + ((1 - n.hardness) * i) / 24)));
  const [from, to] = [at(edge), at(edge + Math.PI)];
  const frame = svg.querySelector("svg") ?? make("svg", { x: 5, y: 0, width: 290, height: 214 }); // cuts off what is magnified out
  const move = `translate(145 ${(118 - top + R).toFixed(1)})`;
  const stage = make("g", { transform: move });
  make("path", { d: line(half) + "Z", fill: "var(--tint)" }, stage);
  make("circle", { r: R, class: "axis" }, stage);
  make("line", { x1: from[0], y1: from[1], x2: to[0], y2: to[1], stroke: "var(--near)", "stroke-dasharray": "5 4" }, stage);
  for (const [x, y] of circle.prototypes) {
    const [px, py] = onDisc(x, y, circle.omega, R);
    make("circle", { cx: px, cy: py, r: 2, fill: "var(--muted)", opacity: 0.55 }, stage);
  }
  make("path", { d: line(arc), fill: "none", stroke: "var(--kept)", "stroke-width": 9, "stroke-linecap": "round", opacity: 0.18 }, stage);
  const [nx, ny] = onDisc(...circle.prototypes[circle.nearest], circle.omega, R);
  make("line", { x1: 0, y1: 0, x2: nx, y2: ny, stroke: "var(--near)" }, stage);
  make("circle", { cx: nx, cy: ny, r: 5, fill: "var(--near)" }, stage);
  make("text", { x: nx - 8, y: ny + 15, class: "ink", "text-anchor": "end", says: "p₀" }, stage);
  for (const [angle, name, colour, anchor] of [[0, "anchor a", "var(--ink)", "end"], [circle.omega, "target pₛ", "var(--far)", "start"]]) {
    const [x, y] = at(angle);
    make("circle", { cx: x, cy: y, r: 5.5, fill: colour }, stage);
    const [tx, ty] = at(angle, 1 + out);
    make("text", { x: tx, y: ty, class: "ink", "text-anchor": anchor, says: name }, stage);
  }
  const [bx, by] = at(edge, 1 + 2.4 * out);
  make("text", { x: bx, y: by, "text-anchor": "middle", says: "boundary" }, stage);
  const note = make("text", { x: 150, y: 228, "text-anchor": "middle", says: "shaded: closer to p₀ than to pₛ" + (zoom > 1 ? `; magnified ${zoom.toFixed(1)}×` : "") });
  const dots = svg.querySelector(".dots") ?? make("g", { class: "dots" });
  dots.setAttribute("transform", move);
  frame.replaceChildren(stage, dots);
  svg.replaceChildren(frame, note);
  place(dots, along.t.map((t) => at(t * circle.omega)), along.kept, pick);
}

function drawFan(svg, n, pick, aim) {
  const { fan } = n;
  const R = 100;
  const spot = (slot, angle) => onFan(slot, fan.slots, angle, fan.widest, R);
  const stage = make("g", { transform: "translate(150 112)" });
  for (let ring = fan.ring; ring <= fan.widest * 1.0001; ring += fan.ring) {
    make("circle", { r: (R * ring) / fan.widest, class: "axis" }, stage);
    if (Math.abs(ring - fan.near) > 0.5 * fan.ring) make("text", { x: 0, y: 4 - (R * ring) / fan.widest, "text-anchor": "middle", class: "haloed", says: `${Number(((ring * 180) / Math.PI).toFixed(1))}°` }, stage);
  }
  const shape = (share) => line(fan.spokes.map((s) => spot(s.slot, share * s.edge))) + "Z";
  make("path", { d: shape(1) + shape(n.hardness), "fill-rule": "evenodd", fill: "var(--kept)", opacity: 0.1 }, stage);
  make("path", { d: shape(1), fill: "none", stroke: "var(--near)", "stroke-dasharray": "5 4" }, stage);
  for (const spoke of fan.spokes) {
    const [x, y] = onFan(spoke.slot, fan.slots, 1, 1, R + 4);
    const chosen = spoke.target === n.target;
    const ray = make("line", { x1: 0, y1: 0, x2: x, y2: y, stroke: chosen ? "var(--far)" : "var(--line)", "stroke-width": chosen ? 2 : 1 }, stage);
    const grip = make("circle", { cx: x, cy: y, r: chosen ? 5.5 : 4, fill: chosen ? "var(--far)" : "var(--muted)", style: "cursor:pointer" }, stage);
    for (const node of [ray, grip]) node.addEventListener("click", () => aim(spoke.target));
    make("title", { says: spoke.title }, grip);
  }
  make("circle", { r: 4.5, fill: "var(--ink)" }, stage);
  const [px, py] = spot(0, Math.min(fan.near, fan.widest));
  make("circle", { cx: px, cy: py, r: 5, fill: "var(--near)" }, stage);
  make("text", { x: px - 8, y: py + 4, class: "ink haloed", "text-anchor": "end", says: "p₀" }, stage);
  const dots = svg.querySelector(".dots") ?? make("g", { class: "dots", transform: "translate(150 112)" });
  svg.replaceChildren(stage, dots);
  place(dots, fan.angle.map((a, i) => spot(fan.slot[i], a)), fan.kept, pick);
}

function chart(svg, { x, y, xticks, yticks, xlabel }) {
  const box = { left: 34, right: 288, top: 12, bottom: 172 };
  const X = scale(...x, box.left, box.right);
  const Y = scale(...y, box.bottom, box.top);
  const stage = make("g");
  make("path", { class: "axis", d: `M${box.left} ${box.top}V${box.bottom}H${box.right}` }, stage);
  for (const [value, name] of xticks) make("text", { x: X(value), y: box.bottom + 14, "text-anchor": value === x[1] ? "end" : "middle", says: name }, stage);
  for (const [value, name] of yticks) {
    make("text", { x: box.left - 5, y: Y(value) + 4, "text-anchor": "end", says: name }, stage);
    make("path", { class: "axis", d: `M${box.left} ${Y(value)}H${box.right}`, opacity: 0.5 }, stage);
  }
  make("text", { x: (box.left + box.right) / 2, y: box.bottom + 32, "text-anchor": "middle", says: xlabel }, stage);
  svg.replaceChildren(stage);
  return { stage, X, Y, box };
}

/** One curve, and its entry in the key below the chart, `at` pixels from the left. */
function curve(c, at, points, name, colour, dash) {
  make("path", { d: line(points), fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": dash }, c.stage);
  make("path", { d: `M${c.box.left + at} 222h22`, stroke: colour, "stroke-width": 2, "stroke-dasharray": dash }, c.stage);
  make("text", { x: c.box.left + at + 27, y: 226, style: `fill:${colour}`, says: name }, c.stage);
}

function drawCurves(svg, n) {
  const { circle, along } = n;
  const least = Math.min(...circle.to_anchor, ...circle.to_target, ...circle.to_nearest);
  const low = least > 0.3 ? least - 0.1 * (1 - least) : Math.min(-0.1, least); // near neighbours: only the upper end
  const c = chart(svg, { x: [0, 1], y: [low, 1], xticks: [[0, "0, a"], [0.5, "0.5"], [1, "1, pₛ"]], yticks: [least > 0.3 ? [least, least.toFixed(2)] : [0, "0"], [1, "1"]],
    xlabel: "share t of the way" });
  const { stage, X, Y, box } = c;
  const from = X(n.hardness * circle.t_max);
  make("rect", { x: from, y: box.top, width: X(circle.t_max) - from, height: box.bottom - box.top, fill: "var(--kept)", opacity: 0.1 }, stage);
  make("path", { d: `M${X(circle.t_max)} ${box.top}V${box.bottom}`, stroke: "var(--near)", "stroke-dasharray": "5 4" }, stage);
  make("text", { x: X(circle.t_max) + 4, y: box.top + 9, says: "t max" }, stage);
  [[circle.to_anchor, "z·a", "var(--ink)", ""], [circle.to_nearest, "z·p₀", "var(--near)", "7 3"], [circle.to_target, "z·pₛ", "var(--far)", "2 3"]].forEach(
    ([values, name, colour, dash], i) => curve(c, 80 * i, values.map((v, j) => [X(circle.t[j]), Y(v)]), name, colour, dash),
  );
  along.t.forEach((t, i) => make("path", { d: `M${X(t)} ${box.bottom}v-7`, stroke: along.kept[i] ? "var(--kept)" : "var(--lost)", opacity: 0.7 }, stage));
}

function drawBars(svg, n) {
  const { bars } = n;
  const most = Math.max(1, ...bars.kept.map((k, i) => k + bars.lost[i]));
  const last = bars.edges.at(-1);
  const ticks = [0, 0.5, 1].map((s) => [s * last, `${Number((s * last).toFixed(1))}°`]);
  const { stage, X, Y } = chart(svg, { x: [0, last], y: [0, most * 1.05], xticks: ticks, yticks: [], xlabel: "angle between anchor and positive" });
  bars.kept.forEach((kept, i) => {
    const [x, width] = [X(bars.edges[i]) + 0.5, Math.max(0.5, X(bars.edges[i + 1]) - X(bars.edges[i]) - 1)];
    if (kept) make("rect", { x, width, y: Y(kept), height: Y(0) - Y(kept), fill: "var(--kept)" }, stage);
    const lost = bars.lost[i];
    if (lost) make("rect", { x: x + 0.6, width: width - 1, y: Y(kept + lost), height: Y(kept) - Y(kept + lost), fill: "var(--back)", stroke: "var(--lost)", "stroke-width": 1.4 }, stage);
  });
}

function drawShares(svg, n) {
  const { shares } = n;
  const c = chart(svg, { x: [0, 1], y: [0, 1], xticks: [[0, "0 easy"], [0.5, "0.5"], [1, "1 boundary"]],
    yticks: [[0, "0"], [0.5, "½"], [1, "1"]], xlabel: "hardness" });
  const { stage, X, Y, box } = c;
  [[shares.kept, "kept", "var(--kept)", ""], [shares.same, "nearest real clip: anchor's class", "var(--far)", "5 4"]].forEach(([values, name, colour, dash], i) => {
    if (!values.includes(null)) curve(c, 64 * i, values.map((v, j) => [X(shares.hardness[j]), Y(v)]), name, colour, dash);
  });
  make("path", { d: `M${X(n.hardness)} ${box.top}V${box.bottom}`, stroke: "var(--ink)", opacity: 0.6 }, stage);
  make("circle", { cx: X(n.hardness), cy: Y(n.share), r: 4.5, fill: "var(--kept)" }, stage);
  const right = n.hardness > 0.7;
  make("text", { x: X(n.hardness) + (right ? -8 : 8), y: Math.min(Y(n.share) + (n.share > 0.85 ? 30 : -10), box.bottom - 8), class: "ink haloed", "text-anchor": right ? "end" : "start",
    says: `${(100 * n.share).toFixed(1)} % kept` }, stage);
}

// ---- the element -----------------------------------------------------------------------------------------------------------

function isDark() {
  const lab = document.body?.dataset.jpThemeLight;
  if (lab) return lab === "false";
  if (/vscode-(dark|high-contrast)/.test(document.body?.className ?? "")) return true;
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function build(el) {
  const root = make("div", { class: "skb-lab", role: "group", "aria-label": "Hallucinated positives", "data-lm-suppress-shortcuts": "true" }, el);
  make("style", { says: CSS }, root);
  const controls = make("div", { class: "skb-lab-controls" }, root);
  const hardness = make("label", { class: "skb-lab-hardness", says: "hardness" }, controls);
  make("span", { class: "skb-lab-small", says: "easy" }, hardness);
  const slider = make("input", { type: "range", min: 0, max: 1, step: 0.01, "aria-label": "hardness" }, hardness);
  make("span", { class: "skb-lab-small", says: "boundary" }, hardness);
  const value = make("output", {}, hardness);
  const who = make("label", { says: "anchor" }, controls);
  const anchor = make("input", { type: "number", min: 0, step: 1, "aria-label": "anchor" }, who);
  const name = make("span", { class: "skb-lab-small" }, who);
  const where = make("label", { says: "target" }, controls);
  const target = make("select", { "aria-label": "target prototype" }, where);
  const panels = make("div", { class: "skb-lab-panels" }, root);
  const charts = {
    disc: panel(panels, "Great circle", "anchor to one prototype"),
    fan: panel(panels, "All its positives", "one spoke a prototype"),
    curves: panel(panels, "Along the way", "who is near"),
    bars: panel(panels, "Angles", "positives of all anchors"),
    shares: panel(panels, "Rank filter", "share of all positives kept"),
  };
  const key = make("figure", {}, panels);
  make("figcaption", { says: "Signs" }, key);
  const legend = make("svg", { viewBox: "0 0 300 232", role: "img", "aria-label": "legend" }, key);
  return { root, slider, value, anchor, name, target, charts, legend };
}

function drawLegend(svg, kept, lost) {
  const rows = [["kept", "positive, p₀ is still its nearest prototype", kept], ["lost", "positive dropped: another prototype is nearer", lost]];
  const stage = make("g");
  rows.forEach(([sign, words, count], i) => {
    make("circle", { cx: 12, cy: 20 + 22 * i, r: 4.5, class: sign }, stage);
    make("text", { x: 26, y: 24 + 22 * i, says: `${words} (${count})` }, stage);
  });
  const marks = [["var(--ink)", "anchor a: key of a real clip"], ["var(--near)", "p₀: prototype nearest to the anchor"], ["var(--far)", "pₛ: prototype walked towards"],
    ["var(--muted)", "other prototypes, as shadows on the plane"]];
  marks.forEach(([fill, words], i) => {
    make("circle", { cx: 12, cy: 64 + 22 * i, r: 5, fill }, stage);
    make("text", { x: 26, y: 68 + 22 * i, says: words }, stage);
  });
  make("path", { d: "M4 152h18", stroke: "var(--near)", "stroke-dasharray": "5 4" }, stage);
  make("text", { x: 26, y: 156, says: "boundary, as near to pₛ as to p₀" }, stage);
  make("rect", { x: 4, y: 166, width: 18, height: 12, fill: "var(--kept)", opacity: 0.18 }, stage);
  make("text", { x: 26, y: 176, says: "where positives are drawn at this hardness" }, stage);
  make("text", { x: 4, y: 202, says: "Click a spoke to walk there, a dot to play" }, stage);
  make("text", { x: 4, y: 217, says: "the real clip that is nearest to it." }, stage);
  svg.replaceChildren(stage);
}

function render({ model, el }) {
  const ui = build(el);
  const gone = new AbortController();
  let drawn = 0;
  let asked = 0;
  let raf = 0;
  const save = (change) => {
    for (const [key, v] of Object.entries(change)) model.set(key, v);
    model.save_changes();
  };
  const wish = new Latest((hardness) => save({ hardness }));
  const aim = (target) => save({ target });
  const draw = () => {
    raf = 0;
    const n = model.get("_numbers");
    if (n?.hardness === undefined) return;
    if (document.activeElement !== ui.slider) ui.slider.value = String(n.hardness);
    ui.value.textContent = Number(ui.slider.value).toFixed(2);
    ui.anchor.max = String(n.anchors - 1);
    ui.anchor.value = String(n.anchor);
    ui.name.textContent = n.name;
    ui.target.replaceChildren(...n.fan.spokes.map((s) => make("option", { value: s.target, says: s.title })));
    ui.target.value = String(n.target);
    drawDisc(ui.charts.disc, n, (i) => save({ positive: [i, 1] }));
    drawFan(ui.charts.fan, n, (i) => save({ positive: [i, 0] }), aim);
    drawCurves(ui.charts.curves, n);
    drawBars(ui.charts.bars, n);
    drawShares(ui.charts.shares, n);
    const kept = n.fan.kept.filter(Boolean).length;
    drawLegend(ui.legend, kept, n.fan.kept.length - kept);
    Object.assign(ui.root.dataset, { drawn: ++drawn, hardness: n.hardness, kept, first: ((n.fan.angle[0] * 180) / Math.PI).toFixed(3), anchor: n.anchor, target: n.target });
    if (asked) ui.root.dataset.latency = (performance.now() - asked).toFixed(1);
    asked = 0;
    wish.answered(n.hardness);
  };
  const later = () => (raf ||= requestAnimationFrame(draw));
  const on = (target, name, act) => target.addEventListener(name, act, { signal: gone.signal });
  on(ui.slider, "input", (event) => {
    ui.value.textContent = Number(ui.slider.value).toFixed(2);
    if (wish.busy === null) asked = performance.now();
    wish.ask(Number(ui.slider.value));
  });
  on(ui.anchor, "change", () => save({ anchor: Math.max(0, Math.min(Number(ui.anchor.max), Math.round(Number(ui.anchor.value)))) }));
  on(ui.target, "change", () => aim(Number(ui.target.value)));
  const theme = () => {
    ui.root.classList.toggle("skb-dark", isDark());
    ui.root.dataset.theme = isDark() ? "dark" : "light";
  };
  on(matchMedia("(prefers-color-scheme: dark)"), "change", theme);
  const watcher = new MutationObserver(theme);
  watcher.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
  model.on("change:_numbers", later);
  theme();
  draw();
  return () => {
    gone.abort();
    watcher.disconnect();
    wish.stop();
    cancelAnimationFrame(raf);
    model.off("change:_numbers", later);
    ui.root.dataset.disposed = "1";
    ui.root.remove();
  };
}

export default { render };
