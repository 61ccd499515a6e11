// MaskView: click a part of a moving body, it is hidden from a masked autoencoder, and the guess moves beside it, coloured by its error.
// body.js, clock.js and player.js stand before it in the same module; the stage is the player's. Python guesses, this file draws.
//
// The root element counts for tests what the player counts, and: dataset.hidden (joints hidden in the picture), asked (joints a person
// asked to hide), answers (pictures that came), guess (sum of the guessed coordinates in the frame drawn), mean (error of the clip).

const MASK_CSS = `
.skb-mask-bar{display:flex;flex-wrap:wrap;align-items:center;gap:6px 14px;padding:6px 8px;border-bottom:1px solid var(--line)}
.skb-mask-bar>div,.skb-mask-bar>label{display:flex;align-items:center;gap:5px}
.skb-mask-bar button{height:24px;padding:0 8px;border:1px solid var(--line);border-radius:4px;background:transparent;color:var(--ink);font:inherit;cursor:pointer}
.skb-mask-bar button[aria-pressed=true]{background:var(--ink);color:var(--back);border-color:var(--ink)}
.skb-mask-bar button[aria-pressed=mixed]{background:repeating-linear-gradient(135deg,var(--line) 0 4px,transparent 4px 8px)}
.skb-mask-bar select{height:24px;border:1px solid var(--line);border-radius:4px;background:var(--back);color:var(--ink);font:inherit}
.skb-mask-bar input[type=range]{width:110px;accent-color:#2f81f7}.skb-mask-bar output{min-width:32px;font-variant-numeric:tabular-nums}
.skb-mask-bar :focus-visible{outline:2px solid #2f81f7;outline-offset:1px}
.skb-mask-says{padding:5px 10px;border-top:1px solid var(--line);color:var(--muted)}.skb-mask-says b{color:var(--ink);font-weight:600}
.skb-mask-charts{display:grid;grid-template-columns:1fr 1fr;gap:8px;padding:2px 10px 8px;container-type:inline-size}
.skb-mask-charts figure{margin:0;min-width:0}.skb-mask-charts figcaption{font-weight:600}.skb-mask-charts figcaption span{font-weight:400;color:var(--muted)}
.skb-mask-charts svg{display:block;width:100%;height:auto;overflow:visible}.skb-mask-charts text{fill:var(--muted);font-size:10px}
.skb-mask-charts .frames{cursor:pointer}
@container (max-width:520px){.skb-mask-charts figure{grid-column:span 2}}`;

const CHART = { width: 360, height: 112, left: 50, right: 354, top: 8, bottom: 74 };

// ---- pure functions, tested under node -------------------------------------------------------------------------------------

/** Joints that are hidden after a click on some: all of them join, or, where they all were hidden, leave. */
export function toggled(masked, joints) {
  const now = new Set(masked);
  const all = joints.every((j) => now.has(j));
  for (const j of joints) all ? now.delete(j) : now.add(j);
  return [...now].sort((a, b) => a - b);
}

/** How much of a part is hidden, as aria-pressed says it. */
export function pressed(masked, joints) {
  const hit = joints.filter((j) => masked.includes(j)).length;
  return hit === 0 ? "false" : hit === joints.length ? "true" : "mixed";
}

/** Points of a line through values (null breaks it) as the `d` of a path. */
export function broken(values, X, Y) {
  let pen = "M";
  let d = "";
  values.forEach((v, i) => {
    if (v === null) pen = "M";
    else {
      d += `${pen}${X(i).toFixed(1)} ${Y(v).toFixed(1)}`;
      pen = "L";
    }
  });
  return d;
}

/** A round number not below the largest value (1 where there is none). */
export function ceiling(values) {
  const most = Math.max(0, ...values.filter((v) => v !== null));
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((f) => f * power).find((top) => top >= most * (1 - 1e-9));
}

/** The two versions of the bodies as clips: what is seen, with hidden joints pale, and the guess over thin lines of the truth. */
export function versions(both, over) {
  const M = both.bodies / 2;
  const seen = Object.assign(bodiesOf(both, 0, M), { title: over ? "" : "what the encoder sees" });
  const guess = Object.assign(bodiesOf(both, M, 2 * M), { title: "its guess, over the truth", heat: both.heat, colour: both.colour, hidden: null });
  guess.under = Object.assign(bodiesOf(both, 0, M), { hidden: null });
  return over ? [guess] : [seen, guess];
}

// ---- drawing ---------------------------------------------------------------------------------------------------------------

function svgNode(tag, attributes, parent, says) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (says !== undefined) node.textContent = says;
  parent?.append(node);
  return node;
}

function chartOf(parent, title, note, name) {
  const figure = make("figure", {}, parent);
  const caption = make("figcaption", { text: `${title} ` }, figure);
  make("span", { text: note }, caption);
  return svgNode("svg", { viewBox: `0 0 ${CHART.width} ${CHART.height}`, role: "img", class: name, "aria-label": `${title}, ${note}` }, figure);
}

function axisOf(svg, top, unit) {
  const stage = svgNode("g", {});
  const { left, right, bottom } = CHART;
  svgNode("path", { d: `M${left} ${CHART.top}V${bottom}H${right}`, fill: "none", stroke: "var(--line)" }, stage);
  svgNode("text", { x: left - 4, y: CHART.top + 4, "text-anchor": "end" }, stage, String(Number(top.toPrecision(2))));
  svgNode("text", { x: left - 4, y: bottom, "text-anchor": "end" }, stage, "0");
  svgNode("text", { x: left - 4, y: (CHART.top + bottom) / 2 + 3, "text-anchor": "end" }, stage, unit);
  svg.replaceChildren(stage);
  return { stage, Y: (v) => bottom - ((bottom - CHART.top) * v) / top };
}

/** One bar a hidden joint, in the colours of the picture. */
function drawJoints(svg, n, what, look) {
  const values = n.joints[what];
  const hidden = values.flatMap((v, j) => (v === null ? [] : [j]));
  const { stage, Y } = axisOf(svg, ceiling(values), n.units[what]);
  const step = (CHART.right - CHART.left) / Math.max(hidden.length, 1);
  hidden.forEach((j, i) => {
    const [x, width] = [CHART.left + step * i + 0.12 * step, Math.min(0.76 * step, 26)];
    const fill = look.heat[Math.round(255 * Math.min(1, values[j] / n.most[what]))];
    const bar = svgNode("rect", { x, width, y: Y(values[j]), height: CHART.bottom - Y(values[j]), fill }, stage);
    const name = n.names[j].replaceAll("_", " ");
    svgNode("title", {}, bar, `${name}: ${Number(values[j].toPrecision(3))} ${n.units[what]}`);
    const at = x + width / 2;
    if (hidden.length <= 14) svgNode("text", { x: at, y: CHART.bottom + 9, "text-anchor": "end", transform: `rotate(-32 ${at} ${CHART.bottom + 9})` }, stage, name);
  });
  if (!hidden.length) svgNode("text", { x: 190, y: 44, "text-anchor": "middle" }, stage, "nothing is hidden: click a part of the body");
}

/** The error over time, and where the clock is. */
function drawFrames(svg, n, what) {
  const values = n.frames[what];
  const { stage, Y } = axisOf(svg, ceiling(values), n.units[what]);
  const X = (i) => CHART.left + ((CHART.right - CHART.left) * i) / Math.max(values.length - 1, 1);
  svgNode("path", { d: broken(values, X, Y), fill: "none", stroke: "var(--ink)", "stroke-width": 1.6 }, stage);
  svgNode("text", { x: CHART.left, y: CHART.bottom + 12 }, stage, "frame 1");
  svgNode("text", { x: CHART.right, y: CHART.bottom + 12, "text-anchor": "end" }, stage, String(values.length));
  return svgNode("path", { class: "now", stroke: "#2f81f7", "stroke-width": 1.4 }, stage);
}

// ---- the element -----------------------------------------------------------------------------------------------------------

function maskBar(root, stage) {
  make("style", { text: MASK_CSS }, root);
  const bar = make("div", { class: "skb-mask-bar" });
  root.insertBefore(bar, stage);
  const parts = make("div", { role: "group", "aria-label": "parts that are hidden" }, bar);
  const clear = make("button", { type: "button", text: "clear", title: "hide nothing (0)" }, bar);
  const random = make("label", { text: "random joints" }, bar);
  const ratio = make("input", { type: "range", min: "0.05", max: "0.95", step: "0.05", "aria-label": "share of joints hidden at random" }, random);
  const share = make("output", {}, random);
  const again = make("button", { type: "button", text: "draw again", title: "other joints, as many" }, bar);
  const ways = make("div", {}, bar);
  const single = make("button", { type: "button", text: "single joints", title: "a click hides one joint, not its part (j); shift-click does so at any time" }, ways);
  const over = make("button", { type: "button", text: "overlay", title: "only the guess, over the truth (o)" }, ways);
  const remask = make("button", { type: "button", text: "re-mask", title: "zero hidden joints again before the decoder, as GraphMAE does" }, ways);
  const colour = make("select", { "aria-label": "what the colours say" }, make("label", { text: "colour" }, bar));
  for (const [value, text] of [["distance", "distance"], ["cosine", "1 − cos"]]) make("option", { value, text }, colour);
  const says = make("div", { class: "skb-mask-says", "aria-live": "polite" }, root);
  const charts = make("div", { class: "skb-mask-charts" }, root);
  const joints = chartOf(charts, "Hidden joints", "mean error over the clip", "joints");
  const frames = chartOf(charts, "Over time", "mean error over hidden joints", "frames");
  return { parts, clear, ratio, share, again, single, over, remask, colour, says, joints, frames };
}

class MaskStage extends View {
  constructor(model, el) {
    super(model, el);
    const { root, stage } = this.ui;
    root.classList.add("skb-mask");
    this.mask = maskBar(root, stage);
    this.answers = 0;
    this.sendRatio = paced(() => this.save({ ratio: Number(this.mask.ratio.value) }), 10);
    this.attend();
    this.answered();
  }

  listen() {
    super.listen();
    const on = (name, act) => {
      const guarded = () => !this.saving && this.mask && act();
      this.model.on(`change:${name}`, guarded);
      this.gone.signal.addEventListener("abort", () => this.model.off(`change:${name}`, guarded));
    };
    on("_numbers", () => this.answered());
    for (const name of ["masked", "single", "remask", "ratio"]) on(name, () => this.controls());
    on("colour", () => this.refresh());
    on("over", () => (this.controls(), this.load()));
  }

  attend() {
    const { mask } = this;
    const on = (target, name, act) => target.addEventListener(name, act, { signal: this.gone.signal });
    const flip = (name) => () => (this.save({ [name]: !this.model.get(name) }), this.controls());
    on(mask.clear, "click", () => this.hide([]));
    on(mask.ratio, "input", () => ((mask.share.textContent = `${Math.round(100 * mask.ratio.value)} %`), this.sendRatio()));
    on(mask.again, "click", () => this.save({ draw: (this.model.get("draw") ?? 0) + 1 }));
    on(mask.single, "click", flip("single"));
    on(mask.remask, "click", flip("remask"));
    on(mask.over, "click", () => this.flipOver());
    on(mask.colour, "change", () => (this.save({ colour: mask.colour.value }), this.refresh()));
    on(mask.frames, "click", (event) => {
      const box = mask.frames.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * CHART.width;
      this.seek(Math.round((Math.min(1, Math.max(0, (x - CHART.left) / (CHART.right - CHART.left)))) * (this.frames - 1)), true);
    });
    mask.parts.replaceChildren();
    this.numbers.parts.forEach(({ name, joints }, i) => {
      const chip = make("button", { type: "button", text: name.replaceAll("_", " "), title: `hide or show (${i + 1})` }, mask.parts);
      on(chip, "click", () => this.hide(toggled(this.masked, joints)));
    });
  }

  get numbers() {
    return this.model.get("_numbers");
  }

  get masked() {
    return this.model.get("masked") ?? [];
  }

  /** The picture goes on where it is when other joints are hidden. */
  load(frame) {
    super.load(this.loaded ? undefined : frame);
    this.loaded = true;
    this.ui.root.setAttribute("aria-label", "Masked autoencoder. Click a part of the body to hide it; keys 1 to 6 hide or show parts, 0 shows all, " +
      "o lays the guess over the truth, j takes single joints. Space plays or pauses, left and right arrows step, shift with arrows turns.");
  }

  arrange([both]) {
    return both ? versions(both, this.model.get("over") ?? false) : [];
  }

  // -- what a person does

  hide(joints) {
    const { root } = this.ui;
    if (joints.length >= this.numbers.names.length) {
      this.mask.says.textContent = "One joint at least must be seen.";
      return;
    }
    root.dataset.asked = joints.join(" ");
    this.save({ masked: joints });
    this.controls();
  }

  tapped(place, event) {
    const { clip, joint } = this.nearest(place, 18);
    if (joint < 0) return;
    const j = joint % clip.V;
    const part = this.numbers.parts.find((p) => p.joints.includes(j));
    this.hide(toggled(this.masked, this.model.get("single") || event.shiftKey || !part ? [j] : part.joints));
  }

  flipOver() {
    this.save({ over: !this.model.get("over") });
    this.controls();
    this.load();
  }

  key(event) {
    const { parts } = this.numbers;
    const acts = { 0: () => this.hide([]), o: () => this.flipOver(), j: () => (this.save({ single: !this.model.get("single") }), this.controls()) };
    parts.forEach((part, i) => (acts[i + 1] = () => this.hide(toggled(this.masked, part.joints))));
    const act = event.target === this.ui.root && !event.ctrlKey && !event.metaKey && !event.altKey && acts[event.key];
    if (!act) return super.key(event);
    act();
    event.preventDefault();
    event.stopPropagation();
  }

  nameOf(clip, joint) {
    const part = this.numbers.parts.find((p) => p.joints.includes(joint % clip.V));
    return super.nameOf(clip, joint) + (part ? ` (${part.name.replaceAll("_", " ")})` : "");
  }

  // -- what Python answers

  answered() {
    this.answers += 1;
    this.refresh();
  }

  /** Words and charts as the numbers and the chosen colours say. */
  refresh() {
    const n = this.numbers;
    this.controls();
    const what = this.model.get("colour");
    const text = (v) => (v === null ? "–" : Number(v.toPrecision(3)));
    const { says } = this.mask;
    says.replaceChildren();
    make("b", { text: `${n.hidden.length} of ${n.names.length} joints hidden` }, says);
    if (n.far) says.append(`, ${n.far} of them too many bones away from what is seen to hear of it`);
    if (n.hidden.length) says.append(`. Error here: ${text(n.mean.distance)} ${n.units.distance}, 1 − cos ${text(n.mean.cosine)}.`);
    says.append(` ${n.told}`);
    this.drawCharts();
    Object.assign(this.ui.root.dataset, { answers: this.answers, hidden: n.hidden.join(" "), mean: String(n.mean[what] ?? "") });
    this.ask();
  }

  drawCharts() {
    const what = this.model.get("colour");
    drawJoints(this.mask.joints, this.numbers, what, this.colours);
    this.now = drawFrames(this.mask.frames, this.numbers, what);
  }

  controls() {
    const { mask } = this;
    [...mask.parts.children].forEach((chip, i) => chip.setAttribute("aria-pressed", pressed(this.masked, this.numbers.parts[i].joints)));
    for (const name of ["single", "over", "remask"]) mask[name].setAttribute("aria-pressed", String(Boolean(this.model.get(name))));
    mask.colour.value = this.model.get("colour");
    if (document.activeElement !== mask.ratio) mask.ratio.value = String(this.model.get("ratio"));
    mask.share.textContent = `${Math.round(100 * mask.ratio.value)} %`;
  }

  theme() {
    super.theme();
    if (this.mask) this.drawCharts();
  }

  draw() {
    super.draw();
    const guess = this.clips.at(-1);
    if (!guess?.pose || !this.mask) return;
    const x = CHART.left + ((CHART.right - CHART.left) * this.frame) / Math.max(this.frames - 1, 1);
    this.now?.setAttribute("d", `M${x.toFixed(1)} ${CHART.top}V${CHART.bottom}`);
    this.ui.root.dataset.guess = guess.pose.reduce((sum, v) => (v === v ? sum + v : sum), 0).toFixed(4);
  }

  dispose() {
    this.sendRatio.cancel();
    super.dispose();
  }
}

function renderMask({ model, el }) {
  const view = new MaskStage(model, el);
  return () => view.dispose();
}

export default { render: renderMask };
