// The report page. Stands behind player.js in one inline module and uses its `mount` and `asBytes`; the braces keep names apart.
{
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const redraw = []; // draws every plot anew when the theme changes
  const LEARNED = { light: ["#0072b2", "#d97f00", "#00845f", "#b3548b", "#2f8fc4", "#b84700"], dark: ["#5bb8ee", "#f2a33c", "#3fc49b", "#e08fc0", "#8fd0f5", "#ff8a4c"] };
  const MARKS = {
    circle: "M6 1a5 5 0 1 0 .01 0z", square: "M1.5 1.5h9v9h-9z", diamond: "M6 0l6 6-6 6-6-6z", "triangle-up": "M6 .5l6 10.5H0z",
    cross: "M4 0h4v4h4v4H8v4H4V8H0V4h4z", x: "M0 2.5L2.5 0 6 3.5 9.5 0 12 2.5 8.5 6 12 9.5 9.5 12 6 8.5 2.5 12 0 9.5 3.5 6z",
  };

  // ---- small tools ---------------------------------------------------------------------------------------------------------

  /** An element; `text` is text, `on*` listens, everything else is an attribute. No markup is ever parsed. */
  const tag = (name, attributes = {}, children = []) => {
    const svg = ["svg", "path", "circle", "line", "text", "g", "title"].includes(name);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "text") node.textContent = value;
      else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (value !== null) node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const percent = (share) => (100 * share).toFixed(1);
  const plain = (text) => String(text).replace(/[<>&]/g, (c) => ({ "<": "‹", ">": "›", "&": "＆" })[c]); // plotly reads some markup in text

  const learned = data.methods.filter((m) => !["random", "raw"].includes(m));
  const methodColour = (method) => {
    const at = learned.indexOf(method);
    const shades = LEARNED[dark.matches ? "dark" : "light"];
    return at < 0 ? colour("floor") : shades[at % shades.length];
  };

  const layout = (more) => ({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, margin: { l: 44, r: 8, t: 8, b: 32 },
    font: { family: "system-ui, DejaVu Sans, sans-serif", size: 12, color: colour("muted") },
    hoverlabel: { bgcolor: colour("panel"), bordercolor: colour("line"), font: { color: colour("ink"), size: 12 } },
    ...more,
  });
  const axis = (more) => ({ gridcolor: colour("grid"), linecolor: colour("line"), zeroline: false, fixedrange: true, ...more });
  const draw = (host, traces, more, config = {}) =>
    Plotly.react(host, traces, layout(more), { displayModeBar: false, displaylogo: false, responsive: true, ...config });

  /** A row of buttons of which one is down. */
  const segments = (host, name, options, act, down = 0) => {
    const buttons = options.map((option, i) => tag("button", { type: "button", text: option, "aria-pressed": String(i === down), onclick: () => press(i) }));
    const press = (i) => {
      buttons.forEach((b, j) => b.setAttribute("aria-pressed", String(i === j)));
      act(i);
    };
    host.append(tag("div", { class: "segments", role: "group", "aria-label": name }, [tag("span", { text: name }), ...buttons]));
  };

  const mark = (shape, fill) => tag("svg", { width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" }, [tag("path", { d: MARKS[shape], fill })]);

  // ---- bodies --------------------------------------------------------------------------------------------------------------

  /** Scene of some rows of the store, as player.js takes it; joints are decoded here, on demand. */
  const sceneOf = (picks) => {
    const parts = picks.map((pick) => asBytes(data.clips.items[pick.row].data));
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    const clips = picks.map((pick, i) => {
      bytes.set(parts[i], at);
      const { data: _, ...item } = data.clips.items[pick.row];
      at += parts[i].length;
      return { ...data.clips.common, ...item, title: pick.title, offset: at - parts[i].length };
    });
    return { clips, data: bytes, colours: "", range: null };
  };

  /** A player that is made at its first scene and shows every later one in place. */
  const playerIn = (host, height) => {
    let player = null;
    return (picks) => {
      const scene = sceneOf(picks);
      if (player) player.show(scene);
      else player = mount(host, { scene, height });
      host.dataset.rows = picks.map((pick) => pick.row).join(" ");
    };
  };

  // ---- results and training ------------------------------------------------------------------------------------------------

  const drawBars = () => {
    byId("bars").replaceChildren(...data.bars.map((chart) => {
      const rows = chart.lines.map((line) => {
        const track = tag("div", { class: "track" });
        const fill = tag("div", { class: "fill" });
        fill.style.width = `${100 * line.mean}%`;
        fill.style.background = methodColour(line.method);
        track.append(fill);
        if (line.low !== null) {
          const whisker = tag("div", { class: "whisker" });
          Object.assign(whisker.style, { left: `${100 * line.low}%`, width: `${100 * (line.high - line.low)}%` });
          track.append(whisker);
          track.title = `95 % interval of the mean over ${line.n} ${line.over}: ${percent(line.low)} to ${percent(line.high)} %`;
        }
        return tag("div", { class: "bar" }, [tag("span", { text: line.method }), track, tag("span", { class: "number", text: line.text })]);
      });
      const title = tag("h3", { text: `${chart.protocol} ` });
      title.append(tag("small", { text: `${chart.data}, ${chart.split}, ${chart.n} test clips` }));
      return tag("div", {}, [title, ...rows]);
    }));
  };
  drawBars();
  redraw.push(drawBars);

  const startCurves = () => {
    const drawn = new Set(data.curves.flatMap((panel) => panel.lines.map((line) => line.method)));
    const legend = () => byId("curves-legend").replaceChildren(...[...drawn].map((m) => tag("span", { class: "chip" }, [mark("circle", methodColour(m)), m])));
    legend();
    redraw.push(legend);
    for (const panel of data.curves) {
      const plot = tag("div", { class: "plot" });
      byId("curves").append(tag("div", {}, [tag("h3", { text: panel.title }), tag("p", { text: panel.note }), plot]));
      const few = panel.lines.every((line) => line.x.length < 40);
      const show = () => draw(plot, panel.lines.map((line) => ({
        x: line.x, y: line.y, name: plain(line.method), mode: few ? "lines+markers" : "lines", line: { color: methodColour(line.method), width: 2 }, marker: { size: 5 },
        hovertemplate: "%{y:.4g}",
      })), { hovermode: "x unified", xaxis: axis({ title: { text: "step", standoff: 4, font: { size: 11 } }, showgrid: false }), yaxis: axis({ nticks: 5 }) });
      show();
      redraw.push(show);
    }
  };
  if (data.curves.length) startCurves();

  // ---- the map -------------------------------------------------------------------------------------------------------------

  const startMap = () => {
    const map = data.map;
    const host = byId("map-plot");
    const plot = tag("div", { class: "inner" });
    plot.style.height = "100%";
    const over = tag("svg", { class: "over", "aria-hidden": "true" });
    host.append(plot, over);
    const state = { view: map.views[0], group: Object.keys(map.groups)[0], only: new Set(), at: 0, wanted: 0 };
    const play = playerIn(byId("map-player"), 380);

    const opacity = () => map.groups[state.group].codes.map((code) => (!state.only.size || state.only.has(code) ? 0.85 : 0.07));
    const show = () => {
      const group = map.groups[state.group];
      const pick = (list) => group.codes.map((code) => (code < 0 ? list.at(-1) : list[code]));
      const bare = axis({ visible: false, fixedrange: false });
      draw(plot, [{
        type: "scatter", x: state.view.x, y: state.view.y, mode: "markers", hoverinfo: "none",
        marker: { color: pick(group.colours), symbol: pick(group.shapes), size: map.rows.length > 1500 ? 6 : 8, opacity: opacity(), line: { width: 0 } },
      }], { margin: { l: 12, r: 12, t: 12, b: 12 }, hovermode: "closest", hoverdistance: 14, dragmode: "pan", xaxis: bare, yaxis: { ...bare, scaleanchor: "x" },
        modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("ink") } },
      { displayModeBar: true, modeBarButtons: [["zoom2d", "pan2d", "resetScale2d"]] }).then(ring);
    };

    /** Ring around the clip that plays, and lines to its true neighbours. */
    const ring = () => {
      const { xaxis, yaxis } = plot._fullLayout;
      const place = (i) => [xaxis._offset + xaxis.l2p(state.view.x[i]), yaxis._offset + yaxis.l2p(state.view.y[i])];
      const [x, y] = place(state.at);
      const lines = (state.view.neighbours?.[state.at] ?? []).map((j) => {
        const [u, v] = place(j);
        return tag("line", { x1: x, y1: y, x2: u, y2: v, stroke: colour("ink"), "stroke-width": 1.2, "stroke-opacity": 0.55 });
      });
      over.replaceChildren(...lines, tag("circle", { cx: x, cy: y, r: 9, fill: "none", stroke: colour("ink"), "stroke-width": 2 }));
      Object.assign(host.dataset, { at: state.at, x: x.toFixed(1), y: y.toFixed(1) });
    };

    const nameOf = (i) => map.groups.class.names[map.groups.class.codes[i]] ?? "unknown class";
    const select = (i) => {
      state.at = i;
      play([{ row: map.rows[i], title: nameOf(i) }]);
      const more = Object.entries(map.groups).filter(([k]) => k !== "class").map(([k, g]) => `${k} ${g.names[g.codes[i]]}`);
      const near = (state.view.neighbours?.[i] ?? []).map(nameOf);
      const caption = [tag("span", { class: "caption-name", text: nameOf(i) }), ` ${[map.ids[i], ...more].join(" · ")}`];
      if (near.length) caption.push(tag("br"), `nearest in feature space: ${near.join(", ")}`);
      byId("map-caption").replaceChildren(...caption);
      ring();
    };
    /** The newest wish at the next frame: a fast pointer passes over more clips than can be drawn. */
    const ask = (i) => {
      if (i === state.wanted) return;
      state.wanted = i;
      requestAnimationFrame(() => state.wanted === i && select(i));
    };

    const legend = () => {
      const group = map.groups[state.group];
      const there = new Set(group.codes);
      byId("map-legend").replaceChildren(...group.names.map((name, code) => there.has(code) ? tag("button", {
        class: "chip", type: "button", "aria-pressed": String(state.only.has(code)), title: "show only these; press more to add them",
        onclick: () => {
          if (!state.only.delete(code)) state.only.add(code);
          legend();
          Plotly.restyle(plot, { "marker.opacity": [opacity()] }, [0]);
          byId("map-legend").querySelector(`[data-code="${code}"]`)?.focus({ preventScroll: true });
        },
        "data-code": code,
      }, [mark(group.shapes[code], group.colours[code]), state.group === "class" ? name : `${state.group} ${name}`]) : "").filter((node) => node));
    };

    const controls = byId("map-controls");
    if (map.views.length > 1) segments(controls, "features of", map.views.map((v) => v.name), (i) => ((state.view = map.views[i]), show(), select(state.at)));
    const groups = Object.keys(map.groups);
    if (groups.length > 1) segments(controls, "colour by", groups, (i) => ((state.group = groups[i]), state.only.clear(), legend(), show()));

    host.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!way || event.target !== host) return;
      event.preventDefault();
      const cost = (j) => {
        const [dx, dy] = [state.view.x[j] - state.view.x[state.at], state.view.y[j] - state.view.y[state.at]];
        const along = dx * way[0] + dy * way[1];
        const across = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
        return j !== state.at && along > 0 && across <= along ? along + 1.5 * across : Infinity;
      };
      const best = map.rows.reduce((least, _, j) => (cost(j) < cost(least) ? j : least), state.at);
      if (best !== state.at) ask(best);
    });
    show();
    plot.on("plotly_hover", (event) => ask(event.points[0].pointNumber));
    plot.on("plotly_click", (event) => ask(event.points[0].pointNumber));
    for (const name of ["plotly_relayout", "plotly_relayouting", "plotly_afterplot"]) plot.on(name, ring);
    legend();
    select(0);
    redraw.push(show);
  };
  if (data.map) startMap();

  // ---- hallucinated positives ----------------------------------------------------------------------------------------------

  const hardnessName = (h) => ({ 0: "0 easy", 0.2: "0.2 the paper's", 1: "1 on the boundary" })[h] ?? String(h);

  const startPositives = () => {
    const { settings, anchors, edges, shape } = data.positives;
    const state = { setting: Math.max(0, settings.findIndex((s) => s.hardness >= 0.2)), anchor: 0 };
    const play = playerIn(byId("pair-player"), 300);
    const className = (label) => (label >= 0 ? data.classes[label] : "unknown class");

    const tiles = () => {
      const now = settings[state.setting];
      const texts = [[`${percent(now.kept)} %`, "pass the rank filter"], [`${now.angle.toFixed(1)}°`, "mean angle from the anchor"]];
      if (now.same !== null) texts.push([`${percent(now.same)} %`, "have the anchor's class at the nearest real clip"]);
      byId("tiles").replaceChildren(...texts.map(([value, words]) => tag("div", { class: "tile" }, [tag("b", { text: value }), words])));
      Object.assign(byId("tiles").dataset, { kept: now.kept, hardness: now.hardness });
    };

    const angles = () => {
      const now = settings[state.setting];
      const total = now.histogram.flat().reduce((a, b) => a + b, 0);
      const middle = edges.slice(1).map((e, i) => (e + edges[i]) / 2);
      const bar = (i, name, fill) => ({ type: "bar", x: middle, y: now.histogram[i].map((n) => (100 * n) / total), name, marker: { color: fill },
        width: edges[1] - edges[0], hovertemplate: `%{y:.1f} % ${name} at %{x:.0f}°<extra></extra>` });
      draw(byId("angles"), [bar(0, "kept", colour("good")), bar(1, "dropped", colour("bad"))], {
        barmode: "stack", bargap: 0.06, showlegend: true, legend: { orientation: "h", traceorder: "normal", x: 1, xanchor: "right", y: 1.08, font: { color: colour("ink") } }, margin: { l: 44, r: 8, t: 26, b: 40 },
        xaxis: axis({ title: { text: "angle from anchor to positive, degrees", standoff: 6 }, range: [0, edges.at(-1)], showgrid: false }),
        yaxis: axis({ title: { text: "% of positives", standoff: 4 } }) });
      byId("angles-caption").textContent = `${shape[0]} anchors, ${shape[1]} positives each, ${shape[2]} prototypes.`;
    };

    const disc = () => {
      const anchor = anchors[state.anchor];
      const drawn = anchor.settings[state.setting];
      const stretch = Math.max(1, 1.75 / anchor.omega); // where all latents are close, the arc is drawn wider than it is
      const at = (angle, radius) => {
        const seen = Math.max(-Math.PI, Math.min(Math.PI, stretch * (angle - anchor.omega / 2)));
        return [radius * Math.sin(seen), -radius * Math.cos(seen)];
      };
      const arc = (from, to, radius) => {
        const [a, b] = [at(from, radius), at(to, radius)];
        return `M${a}A${radius} ${radius} 0 ${stretch * (to - from) > Math.PI ? 1 : 0} 1 ${b}`;
      };
      const word = (text, angle, radius, more = {}) => {
        const [x, y] = at(angle, radius);
        return tag("text", { x: x * 100, y: y * 100, "text-anchor": x < -0.1 ? "end" : x > 0.1 ? "start" : "middle", text, ...more });
      };
      const svg = tag("svg", { viewBox: "-150 -142 300 250", role: "img", "aria-label": "Great circle through an anchor and a prototype, with hallucinated positives" });
      const scaled = tag("g", { transform: "scale(100)", fill: "none" });
      const limit = anchor.t_max * anchor.omega;
      const band = settings[state.setting].hardness * limit;
      scaled.append(tag("circle", { r: 1, stroke: colour("line"), "stroke-width": 0.012, fill: colour("panel") }));
      scaled.append(tag("path", { d: arc(0, anchor.omega, 1), stroke: colour("muted"), "stroke-width": 0.018 }));
      if (limit - band > 1e-3) scaled.append(tag("path", { d: arc(band, limit, 1), stroke: colour("band"), "stroke-width": 0.09 }));
      const [tickFrom, tickTo] = [at(limit, 0.9), at(limit, 1.1)];
      scaled.append(tag("line", { x1: tickFrom[0], y1: tickFrom[1], x2: tickTo[0], y2: tickTo[1], stroke: colour("ink"), "stroke-width": 0.02 }));
      anchor.prototypes.forEach(([u, v], s) => {
        const [x, y] = at(Math.atan2(v, u), Math.hypot(u, v));
        const special = s === anchor.target || s === anchor.nearest;
        scaled.append(tag("path", { d: `M${x - 0.025} ${y}h.05M${x} ${y - 0.025}v.05`, stroke: special ? colour("ink") : colour("muted"), "stroke-width": special ? 0.02 : 0.01 }));
      });
      dots(scaled, drawn, anchor, at, stretch);
      const [ax, ay] = at(0, 1);
      scaled.append(tag("circle", { cx: ax, cy: ay, r: 0.045, fill: colour("ink") }));
      const [u, v] = anchor.prototypes[anchor.nearest];
      const [whole, edge] = anchor.degrees;
      const inwards = at(limit, 1)[0] < 0 ? "start" : "end";
      svg.append(scaled, word("anchor", -0.1 / stretch, 1.06), word(`target pₛ, ${whole}°`, anchor.omega, 1.1),
        word(`boundary, ${edge}°`, limit, 0.84, { "text-anchor": inwards }), word("p₀", Math.atan2(v, u), 0.86 * Math.hypot(u, v)));
      byId("disc").replaceChildren(svg);
      byId("disc-caption").textContent = "The great circle from one anchor to its nearest other prototype, pₛ. The band is where positives may fall at this " +
        "hardness, the dots are 100 draws, hollow ones are dropped. Crosses are the shadows of all prototypes on this plane." +
        (stretch > 1.05 ? ` Angles along the circle are drawn ${stretch.toFixed(1)} times as wide as they are.` : "");
    };

    /** Draws as dots, stacked outwards where they are many; the followed one is ringed. */
    const dots = (host, drawn, anchor, at, stretch) => {
      const cells = drawn.t.map((t) => Math.round((t * anchor.omega * stretch) / 0.038));
      const heights = new Map();
      const height = cells.map((cell) => (heights.set(cell, (heights.get(cell) ?? 0) + 1), heights.get(cell) - 1));
      const step = Math.min(0.042, 0.36 / Math.max(1, ...height));
      drawn.t.forEach((t, i) => {
        const [x, y] = at(t * anchor.omega, 1.02 + step * height[i]);
        const kept = drawn.kept[i];
        host.append(tag("circle", { cx: x, cy: y, r: 0.019, fill: kept ? colour("good") : "none", stroke: kept ? "none" : colour("bad"), "stroke-width": 0.01 }));
        if (i === anchor.followed) host.append(tag("circle", { cx: x, cy: y, r: 0.045, stroke: colour("ink"), "stroke-width": 0.016 }));
      });
    };

    const pair = () => {
      const anchor = anchors[state.anchor];
      const real = anchor.settings[state.setting].nearest;
      if (anchor.row === null) return;
      play([{ row: anchor.row, title: `anchor: ${className(anchor.label)}` }, { row: real.row, title: `nearest real clip: ${className(real.label)}` }]);
      const same = anchor.label === real.label ? "the same class" : "another class";
      byId("pair-caption").textContent = `Left: the anchor. Right: the real clip nearest to the ringed positive (cosine ${real.cosine.toFixed(2)}), ${same}.`;
    };

    const all = () => [tiles, angles, disc, pair].forEach((part) => part());
    segments(byId("hardness"), "hardness", settings.map((s) => hardnessName(s.hardness)), (i) => ((state.setting = i), all()), state.setting);
    segments(byId("anchor"), "anchor", anchors.map((a) => className(a.label)), (i) => ((state.anchor = i), disc(), pair()));
    all();
    redraw.push(angles, disc);
  };
  if (data.positives) startPositives();

  dark.addEventListener("change", () => redraw.forEach((act) => act()));
  document.documentElement.dataset.ready = "1";
}
