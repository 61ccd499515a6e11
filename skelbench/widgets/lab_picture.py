"""PositiveLab's still picture: the same five charts from the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from skelbench.widgets import svg
from skelbench.widgets.palette import BAD, GOOD, LINE, MIDDLE, TEXT

NEAR, FAR = "#00906a", "#a066bd"
CELL = (300.0, 250.0)


def picture(n: dict[str, Any]) -> str:
    """SVG text of what ``numbers`` in positive_lab.py says."""
    charts = (_disc, _fan, _curves, _bars, _shares, _legend)
    body = [
        svg.tag("g", chart(n), transform=f"translate({(i % 3) * CELL[0]:g} {(i // 3) * CELL[1]:g})")
        for i, chart in enumerate(charts)
    ]
    return svg.document(3 * CELL[0], 2 * CELL[1], body, title=f"Hallucinated positives at hardness {n['hardness']:.2f}")


def _signs(points: np.ndarray, kept: list[bool]) -> str:
    """Filled dots for what is kept, rings for what is dropped (n, 2)."""
    yes = np.asarray(kept, bool)
    rings = "".join(svg.tag("circle", cx=x, cy=y, r=2.6, fill="none", stroke=BAD, stroke_width=1.3) for x, y in points[~yes])
    return svg.dots(points[yes], colour=GOOD, size=5.5) + rings


def _disc(n: dict[str, Any]) -> str:
    circle = n["circle"]
    omega, edge = circle["omega"], circle["omega"] * circle["t_max"]
    wanted = 0.6 / max(float(np.sin(omega / 2)), 1e-6)
    zoom = min(wanted, 200.0) if wanted > 1.25 else 1.0  # a short arc is magnified, as in positive_lab.js
    R, middle = 84.0 * zoom, 138 + 84.0 * (zoom - (0.7 if zoom > 1 else 1))

    def at(angle: Any, r: float = 1.0) -> np.ndarray:
        turn = np.pi / 2 + omega / 2 - np.asarray(angle, float)
        return np.stack([150 + r * R * np.cos(turn), middle - r * R * np.sin(turn)], axis=-1)

    def spot(point: Any) -> np.ndarray:
        return at(np.arctan2(point[1], point[0]), float(np.hypot(*point)))

    near, top = spot(circle["prototypes"][circle["nearest"]]), at(edge, 1 + 22 / R)
    shadows = np.array([p for p in map(spot, circle["prototypes"]) if p[1] < 222 and 5 < p[0] < 295]).reshape(-1, 2)
    inner = [
        svg.path(at(edge - np.linspace(0, np.pi, 181)), closed=True, fill=NEAR, fill_opacity=0.1),
        svg.tag("circle", cx=150.0, cy=middle, r=R, fill="none", stroke=LINE),
        svg.path([at(edge), at(edge + np.pi)], stroke=NEAR, stroke_dasharray="5 4"),
        svg.dots(shadows, colour=LINE),
        svg.path(
            at(np.linspace(n["hardness"], 1, 25) * edge), stroke=GOOD, stroke_width=9, stroke_opacity=0.25, stroke_linecap="round"
        ),
        svg.path([np.array([150, middle]), near], stroke=NEAR),
        _mark(near, NEAR, "p₀", (-8, 15), "end"),
        _mark(at(0.0), MIDDLE, "anchor a", tuple(at(0.0, 1 + 9 / R) - at(0.0)), "end"),
        _mark(at(omega), FAR, "target pₛ", tuple(at(omega, 1 + 9 / R) - at(omega)), "start"),
        svg.text(float(top[0]), float(top[1]), "boundary", anchor="middle"),
        _signs(at(np.asarray(n["along"]["t"]) * omega), n["along"]["kept"]),
    ]
    note = "shaded: closer to p₀ than to pₛ" + (f"; magnified {zoom:.1f}×" if zoom > 1 else "")
    parts = [
        svg.text(24, 26, "Great circle from the anchor to one prototype", weight="600"),
        svg.tag("svg", "".join(inner), x=0.0, y=30.0, width=300.0, height=194.0, viewBox="0 30 300 194"),  # cuts off the rest
        svg.text(150, 238, note, size=10, anchor="middle"),
    ]
    return "".join(parts)


def _mark(place: np.ndarray, colour: str, words: str, off: tuple[float, ...], anchor: str) -> str:
    x, y = float(place[0]), float(place[1])
    dot = svg.tag("circle", cx=x, cy=y, r=5.0, fill=colour)
    return dot + svg.text(x + off[0], y + off[1], words, anchor=anchor, weight="600")


def _fan(n: dict[str, Any]) -> str:
    fan, R = n["fan"], 92.0

    def at(slot: Any, angle: Any) -> np.ndarray:
        turn, r = 2 * np.pi * np.asarray(slot) / fan["slots"], R * np.asarray(angle) / fan["widest"]
        return np.stack([150 + r * np.sin(turn), 144 - r * np.cos(turn)], axis=-1)

    slots, edges = [s["slot"] for s in fan["spokes"]], np.array([s["edge"] for s in fan["spokes"]])
    parts = [svg.text(24, 26, f"All positives of anchor {n['anchor']}, a spoke a prototype", weight="600")]
    for ring in np.arange(fan["ring"], fan["widest"] * 1.0001, fan["ring"]):
        r = R * ring / fan["widest"]
        parts += [svg.tag("circle", cx=150.0, cy=144.0, r=r, fill="none", stroke=LINE, stroke_opacity=0.5)]
        parts += [svg.text(150, 147 - r, f"{np.degrees(ring):.3g}°", size=9, anchor="middle")]
    for spoke in fan["spokes"]:
        chosen = spoke["target"] == n["target"]
        ends = [np.array([150.0, 144.0]), at(spoke["slot"], fan["widest"])]
        parts.append(svg.path(ends, stroke=FAR if chosen else LINE, stroke_width=2.0 if chosen else 0.6))
    parts.append(svg.path(at(slots, edges), closed=True, stroke=NEAR, stroke_dasharray="5 4"))
    parts.append(_signs(at(fan["slot"], fan["angle"]), fan["kept"]))
    return "".join(parts)


def _chart(title: str, xlabel: str, low: str, high: str) -> str:
    return svg.axes(24, 34, 256, 170, title=title, xlabel=xlabel, low=low, high=high)


def _curves(n: dict[str, Any]) -> str:
    circle = n["circle"]
    least = min(*circle["to_anchor"], *circle["to_target"], *circle["to_nearest"])
    low = least - 0.1 * (1 - least) if least > 0.3 else min(-0.1, least)  # near neighbours: only the upper end

    def at(t: Any, value: Any) -> np.ndarray:
        t, value = np.broadcast_arrays(np.asarray(t, float), np.asarray(value, float))
        return np.stack([24 + 256 * t, 204 - 170 * (value - low) / (1 - low)], axis=-1)

    start, end = n["hardness"] * circle["t_max"], circle["t_max"]
    parts = [
        _chart(f"Cosines along the way, {low:.2f} to 1", "share t of the way", "a", "pₛ"),
        svg.tag("rect", x=24 + 256 * start, y=34.0, width=256 * (end - start), height=170.0, fill=GOOD, fill_opacity=0.14),
        svg.path([at(end, low), at(end, 1)], stroke=NEAR, stroke_dasharray="5 4"),
    ]
    lines = (("to_anchor", "z·a", MIDDLE, None), ("to_nearest", "z·p₀", NEAR, "7 3"), ("to_target", "z·pₛ", FAR, "2 3"))
    for i, (key, words, colour, dash) in enumerate(lines):
        parts.append(_curve(80.0 * i, at(circle["t"], circle[key]), words, colour, dash))
    return "".join(parts)


def _curve(left: float, points: np.ndarray, words: str, colour: str, dash: str | None) -> str:
    """One curve, and its entry in the key below the chart."""
    sign = svg.path([(24 + left, 231), (46 + left, 231)], stroke=colour, stroke_width=2, stroke_dasharray=dash)
    return (
        svg.path(points, stroke=colour, stroke_width=2, stroke_dasharray=dash) + sign + svg.text(51 + left, 235, words, fill=colour)
    )


def _bars(n: dict[str, Any]) -> str:
    bars = n["bars"]
    edges, most = bars["edges"], max(1, *(k + d for k, d in zip(bars["kept"], bars["lost"], strict=True)))
    parts = [_chart("Angle from anchor to positive, all anchors", "degrees", "0", f"{edges[-1]:.3g}")]
    for left, right, kept, lost in zip(edges[:-1], edges[1:], bars["kept"], bars["lost"], strict=True):
        x, width = 24 + 256 * left / edges[-1], 256 * (right - left) / edges[-1] - 1
        high, top = 165 * kept / most, 165 * (kept + lost) / most
        parts += [svg.tag("rect", x=x, y=204 - high, width=width, height=high, fill=GOOD)] if kept else []
        parts += [svg.tag("rect", x=x, y=204 - top, width=width, height=top - high, fill="none", stroke=BAD)] if lost else []
    return "".join(parts)


def _shares(n: dict[str, Any]) -> str:
    shares = n["shares"]
    parts = [_chart("Share of positives the rank filter keeps", "hardness", "0 easy", "1 boundary")]
    lines = (("kept", "kept", GOOD, None), ("same", "nearest real clip: anchor's class", FAR, "5 4"))
    for i, (key, words, colour, dash) in enumerate(lines):
        if None not in shares[key]:
            points = np.array([(24 + 256 * h, 204 - 170 * v) for h, v in zip(shares["hardness"], shares[key], strict=True)])
            parts.append(_curve(64.0 * i, points, words, colour, dash))
    x, y = 24 + 256 * n["hardness"], 204 - 170 * n["share"]
    parts.append(svg.path([(x, 34), (x, 204)], stroke=TEXT))
    side = -1 if n["hardness"] > 0.7 else 1
    parts.append(svg.tag("circle", cx=x, cy=y, r=5.0, fill=GOOD))
    words = f"{100 * n['share']:.1f} % kept"
    parts.append(svg.text(x + 6 * side, 198, words, anchor="end" if side < 0 else "start", weight="600"))
    return "".join(parts)


def _legend(n: dict[str, Any]) -> str:
    rows = (
        (GOOD, "positive that is kept"),
        (None, "positive dropped by the rank filter"),
        (MIDDLE, "anchor a"),
        (NEAR, "p₀, nearest prototype; dashed: boundary"),
        (FAR, "pₛ, prototype walked towards"),
        (LINE, "other prototypes"),
    )
    parts = [svg.text(24, 26, f"Hardness {n['hardness']:.2f}, t in ({n['hardness']:.2f} t max, t max]", weight="600")]
    for i, (colour, words) in enumerate(rows):
        y = 50 + 22.0 * i
        parts.append(svg.tag("circle", cx=30.0, cy=y - 4, r=4.5, fill=colour or "none", stroke=colour or BAD, stroke_width=1.4))
        parts.append(svg.text(44, y, words))
    return "".join(parts)
