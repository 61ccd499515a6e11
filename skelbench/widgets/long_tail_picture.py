"""LongTailView's still picture: three charts, one class a step, the frequent ones on the left."""

from __future__ import annotations

import math
from typing import Any

from skelbench.widgets import svg
from skelbench.widgets.palette import BAD, GOOD, LINE, MIDDLE

WIDTH, LEFT, RIGHT = 760.0, 46.0, 748.0
HEIGHT = 120.0  # of a chart


def picture(n: dict[str, Any]) -> str:
    """SVG text of the numbers of a LongTailView."""
    body = clips(n, 34.0)
    body += weights(n, 34.0 + HEIGHT + 60)
    end = 34.0 + 2 * (HEIGHT + 60)
    if n["bars"]:
        body += accuracy(n["bars"], end)
        end += HEIGHT + 66
    title = f"A long tail of {len(n['names'])} classes, {n['counts'][0]} to {n['counts'][-1]} clips"
    return svg.document(WIDTH, end - 20, body, title=title)


def powers(values: list[float]) -> tuple[float, float]:
    """Powers of ten that enclose the positive values, a decade at least."""
    positive = [v for v in values if v > 0] or [1.0]
    low, high = math.floor(math.log10(min(positive)) + 1e-9), math.ceil(math.log10(max(positive)) - 1e-9)
    return 10.0**low, 10.0 ** max(high, low + 1)


def _frame(top: float, title: str, note: str, low: float, high: float, *, log: bool) -> tuple[list[str], Any]:
    bottom = top + HEIGHT

    def y(value: float) -> float:
        if log:
            return bottom - HEIGHT * math.log(max(value, low) / low) / math.log(high / low)
        return bottom - HEIGHT * (value - low) / (high - low)

    ticks = [low * 10**k for k in range(round(math.log10(high / low)) + 1)] if log else [low, (low + high) / 2, high]
    out = [svg.text(LEFT, top - 14, title, weight="600"), svg.text(RIGHT, top - 14, note, size=10, anchor="end")]
    for tick in ticks:
        out.append(svg.path([(LEFT, y(tick)), (RIGHT, y(tick))], stroke=LINE, stroke_width=0.5, stroke_opacity=0.5))
        out.append(svg.text(LEFT - 5, y(tick) + 3.5, f"{tick:g}", size=9, anchor="end"))
    return out, y


def _groups(groups: list[str], top: float, means: dict[str, str]) -> list[str]:
    """Where many, medium and few begin, with a word each."""
    step, out, begin = (RIGHT - LEFT) / len(groups), [], 0
    for i in range(1, len(groups) + 1):
        if i < len(groups) and groups[i] == groups[begin]:
            continue
        middle = LEFT + step * (begin + i) / 2
        out.append(svg.text(middle, top + HEIGHT + 26, means.get(groups[begin], groups[begin]), size=10, anchor="middle"))
        if i < len(groups):
            x = LEFT + step * i
            out.append(svg.path([(x, top), (x, top + HEIGHT + 18)], stroke=LINE, stroke_width=1, stroke_dasharray="3 3"))
        begin = i
    return out


def _stairs(values: list[float], y: Any) -> list[tuple[float, float]]:
    step = (RIGHT - LEFT) / len(values)
    return [(LEFT + step * (i + side), y(v)) for i, v in enumerate(values) for side in (0, 1)]


def clips(n: dict[str, Any], top: float) -> list[str]:
    """Clips of every class as bars, clips shown as a line of stairs."""
    low, high = powers([*n["counts"], *n["shown"]])
    note = f"imbalance {n['imbalance']:g}; {sum(n['counts'])} clips, {sum(n['shown']):.0f} shown in an epoch"
    out, y = _frame(top, "Clips a class", note, low, high, log=True)
    step = (RIGHT - LEFT) / len(n["counts"])
    for i, count in enumerate(n["counts"]):
        box = {"x": LEFT + step * (i + 0.1), "y": y(count), "width": 0.8 * step, "height": top + HEIGHT - y(count)}
        out.append(
            svg.tag(
                "rect",
                svg.tag("title", f"{svg.html.escape(n['names'][i])}: {count} clips, {n['shown'][i]:g} shown"),
                fill=MIDDLE,
                **box,
            )
        )
    out.append(svg.path(_stairs(n["shown"], y), stroke=BAD, stroke_width=2))
    out += _groups(n["groups"], top, {})
    out += _legend(top + HEIGHT + 12, [(MIDDLE, "there are"), (BAD, "the sampler shows")])
    return out


def weights(n: dict[str, Any], top: float) -> list[str]:
    """Weights, and what a class has to say with them, as lines of stairs."""
    low, high = powers([*n["weights"], *n["say"]])
    out, y = _frame(top, "Weight in the last stage", "1 is the mean over classes", low, high, log=True)
    out.append(svg.path(_stairs(n["weights"], y), stroke=GOOD, stroke_width=2))
    out.append(svg.path(_stairs(n["say"], y), stroke=BAD, stroke_width=2, stroke_dasharray="6 3"))
    out += _groups(n["groups"], top, {})
    out += _legend(top + HEIGHT + 12, [(GOOD, "weight"), (BAD, "clips shown x weight")])
    return out


def accuracy(bars: dict[str, Any], top: float) -> list[str]:
    """Accuracy of every class, a bar a run."""
    colours = [MIDDLE, GOOD] if len(bars["runs"]) == 2 else [GOOD]
    overall = " -> ".join(f"{v:.1f}" for v in bars["overall"])
    out, y = _frame(top, "Accuracy by class, %", f"overall {overall}", 0, 100, log=False)
    step, k = (RIGHT - LEFT) / len(bars["names"]), len(bars["runs"])
    for i, name in enumerate(bars["names"]):
        for r, run in enumerate(bars["runs"]):
            box = {"x": LEFT + step * (i + 0.1 + 0.8 * r / k), "width": 0.8 * step / k}
            words = f"{svg.html.escape(name)} ({bars['counts'][i]} clips): {run[i]:g} %"
            shape: dict[str, Any] = {"y": y(run[i]), "height": top + HEIGHT - y(run[i]), "fill": colours[r]}
            out.append(svg.tag("rect", svg.tag("title", words), **box, **shape))
    means = {g: f"{g} " + " -> ".join(f"{v:.1f}" for v in values) for g, values in bars["means"].items()}
    out += _groups(bars["groups"], top, means)
    out += _legend(top + HEIGHT + 12, list(zip(colours, bars["labels"], strict=True)))
    return out


def _legend(y: float, entries: list[tuple[str, str]]) -> list[str]:
    out, x = [], LEFT
    for colour, words in entries:
        out.append(svg.tag("rect", x=x, y=y - 8, width=10.0, height=10.0, fill=colour))
        out.append(svg.text(x + 14, y + 1, words, size=10))
        x += 30 + 6.0 * len(words)
    return out
