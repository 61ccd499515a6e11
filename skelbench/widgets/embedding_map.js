// The key of an EmbeddingMap: what the colours mean. A click on an entry asks for its points; names only ever go into textContent.
// It also takes over the map's hovering: plotly's own widget tells Python first which point was left, and which one was reached only a
// round trip later.
//
// The root element counts for tests: dataset.entries, picked (last entry clicked), disposed.

const CSS = `
.skb-key{--ink:#1f2630;--muted:#5d6673;--line:#d5dae1;box-sizing:border-box;width:100%;max-height:190px;overflow:auto;color:var(--ink);font:12px/1.3 system-ui,sans-serif;padding:2px}
.skb-key.skb-dark{--ink:#e7eaf0;--muted:#9aa3b0;--line:#343b46;color-scheme:dark}
.skb-key ul{list-style:none;margin:0;padding:0;display:grid;grid-template-columns:repeat(auto-fill,minmax(120px,1fr));gap:0 6px}
.skb-key button{all:unset;box-sizing:border-box;display:flex;align-items:center;gap:6px;width:100%;padding:2px 4px;border-radius:4px;cursor:pointer}
.skb-key button:hover{background:color-mix(in srgb,var(--line) 60%,transparent)}
.skb-key button:focus-visible{outline:2px solid #2f81f7;outline-offset:-2px}
.skb-key span.name{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.skb-key span.count{color:var(--muted);margin-left:auto}
.skb-key .ramp{height:10px;border-radius:2px}.skb-key .ends{display:flex;justify-content:space-between;color:var(--muted)}`;

/** Outline of a marker by plotly's name, in a box of 12. */
export function shapePath(name) {
  const shapes = { square: "M2 2h8v8h-8z", diamond: "M6 0l5 6-5 6-5-6z", "triangle-up": "M6 1l5 9h-10z", cross: "M4 1h4v3h3v4h-3v3h-4v-3h-3v-4h3z",
    x: "M3 1l3 3 3-3 2 2-3 3 3 3-2 2-3-3-3 3-2-2 3-3-3-3z" };
  return shapes[name] ?? "M6 1a5 5 0 1 0 .01 0z";
}

function sign(colour, shape) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  for (const [k, v] of [["width", 12], ["height", 12], ["viewBox", "0 0 12 12"], ["aria-hidden", "true"], ["style", "flex:none"]]) svg.setAttribute(k, v);
  path.setAttribute("d", shapePath(shape));
  path.setAttribute("fill", colour);
  svg.append(path);
  return svg;
}

function words(tag, name, text) {
  const node = document.createElement(tag);
  node.className = name;
  node.textContent = text;
  return node;
}

function isDark() {
  const lab = document.body?.dataset.jpThemeLight;
  if (lab) return lab === "false";
  if (/vscode-(dark|high-contrast)/.test(document.body?.className ?? "")) return true;
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Sends the point under the pointer of the plotly figure that stands in the same map. */
function follow(root, model, signal) {
  let plot = null;
  const hear = (event) => {
    const point = event.points?.[0]?.pointNumber;
    if (signal.aborted || point === undefined) return;
    model.set("hovered", point);
    model.save_changes();
  };
  const fit = new ResizeObserver(() => {
    const drawn = plot.querySelector(".main-svg")?.clientWidth ?? 0;
    if (Math.abs(drawn - plot.clientWidth) > 1) window.dispatchEvent(new Event("resize")); // plotly drew before it knew its width
  });
  const look = () => {
    const found = root.closest(".skelbench-map")?.querySelector(".js-plotly-plot");
    if (!found?.on || found === plot) return;
    plot = found;
    clearInterval(timer);
    fit.disconnect();
    fit.observe(plot);
    for (const name of ["plotly_hover", "plotly_unhover"]) plot.removeAllListeners(name);
    plot.on("plotly_hover", hear);
  };
  const timer = setInterval(look, 100); // the figure arrives later than its key; drawn again, it is found when the pointer comes back
  document.addEventListener("pointerover", look, { signal, capture: true, passive: true });
  signal.addEventListener("abort", () => (clearInterval(timer), fit.disconnect()));
}

function render({ model, el }) {
  const root = document.createElement("div");
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  el.append(root);
  const draw = () => {
    const style = words("style", "", CSS);
    const { entries = [], ramp = [], ends = [] } = model.get("key");
    root.dataset.entries = String(entries.length);
    if (ramp.length) {
      const bar = words("div", "ramp", "");
      bar.style.background = `linear-gradient(90deg, ${ramp.join(",")})`;
      const row = words("div", "ends", "");
      row.append(words("span", "", ends[0]), words("span", "", ends[1]));
      root.replaceChildren(style, bar, row);
      return;
    }
    const list = document.createElement("ul");
    entries.forEach((entry, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.title = `select the ${entry.count} points of ${entry.name}`;
      button.append(sign(entry.colour, entry.shape), words("span", "name", entry.name), words("span", "count", String(entry.count)));
      button.addEventListener("click", () => {
        root.dataset.picked = String(i);
        model.set("picked", [i, (model.get("picked")[1] ?? 0) + 1]);
        model.save_changes();
      });
      const item = document.createElement("li");
      item.append(button);
      list.append(item);
    });
    root.replaceChildren(style, list);
  };
  const theme = () => (root.className = isDark() ? "skb-key skb-dark" : "skb-key");
  const gone = new AbortController();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme, { signal: gone.signal });
  const watcher = new MutationObserver(theme);
  watcher.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
  follow(root, model, gone.signal);
  model.on("change:key", draw);
  theme();
  draw();
  return () => {
    gone.abort();
    watcher.disconnect();
    model.off("change:key", draw);
    root.dataset.disposed = "1";
    root.remove();
  };
}

export default { render };
