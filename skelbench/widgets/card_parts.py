"""What the data card is made of: bars, a histogram, tiles, and the still picture. Whatever comes from files is escaped here."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import numpy as np

from skelbench.data.statistics import Statistics
from skelbench.data.store import Store
from skelbench.data.words import plain
from skelbench.widgets import svg
from skelbench.widgets.filmstrip import filmstrip
from skelbench.widgets.palette import BAD, GOOD, LINE, TEXT

Row = tuple[str, list[tuple[str, float]], str]  # name, (CSS class, share of the track) of the pieces, what stands at the end
SIDES = {"train": GOOD, "clips": GOOD, "validation": "#8fc1e0", "test": BAD, "other": LINE}
MOST_CLASSES = 24  # of the still picture
RIGID = 0.05  # spread of a bone's length that fills the track at least: rigid bodies show short bars


def text(words: str) -> str:
    """Words from a file as HTML: escaped, and apart from the direction of the text around them."""
    return f"<bdi>{html.escape(plain(words))}</bdi>"


def number(n: int) -> str:
    return f"{n:,}".replace(",", "\u2009")  # a thin space


def share(x: float) -> str:
    """A share as per cent with as many digits as it needs."""
    percent = 100 * x
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.1f} %" if percent >= 0.1 else "under 0.1 %"


def tile(value: str, words: str) -> str:
    return f"<div class='tile'><b>{html.escape(value)}</b>{text(words)}</div>"


def bars(rows: Sequence[Row], *, most: int = 130, wide: bool = False) -> str:
    """Rows of bars in columns; those after ``most`` fold away. ``wide`` gives long names more room."""
    drawn, kind = [_bar(row) for row in rows], "rows wide" if wide else "rows"
    out = f"<div class='{kind}'>{''.join(drawn[:most])}</div>"
    if len(drawn) > most:
        rest = f"<summary>{len(drawn) - most} more</summary><div class='{kind}'>{''.join(drawn[most:])}</div>"
        out += f"<details class='more'>{rest}</details>"
    return out


def _bar(row: Row) -> str:
    name, pieces, end = row
    track = "".join(
        f"<i class='{kind}' style='width:{100 * max(0.0, min(1.0, part)):.2f}%'></i>" for kind, part in pieces if part > 0
    )
    title = html.escape(plain(name), quote=True)
    return (
        f"<div class='bar'><span title=\"{title}\">{text(name)}</span><span class='track'>{track}</span>"
        f"<span class='number'>{html.escape(end)}</span></div>"
    )


def legend(counts: Mapping[str, np.ndarray]) -> str:
    chips = "".join(f"<span class='chip'><i class='{side}'></i>{side}, {number(int(n.sum()))}</span>" for side, n in counts.items())
    return f"<p class='legend'>{chips}</p>"


def class_rows(store: Store, numbers: Statistics) -> list[Row]:
    """A row a class, in the order of the classes: its clips on every side."""
    total = np.sum(list(numbers.counts.values()), axis=0)  # (K,)
    most = max(1, int(total.max()))
    return [
        (name, [("train" if side == "clips" else side, n[k] / most) for side, n in numbers.counts.items()], number(int(total[k])))
        for k, name in enumerate(store.classes)
    ]


def bone_rows(store: Store, numbers: Statistics) -> list[Row]:
    """A row a bone that can be told, the least rigid first; blue left, orange right."""
    spread, joints = numbers.bone_spread, store.topology.joints
    known = [b for b in np.argsort(-spread, kind="stable") if np.isfinite(spread[b])]
    most = max([RIGID, *(float(spread[b]) for b in known)])
    return [
        (f"{joints[child]} to {joints[parent]}", [(_side(store, child), float(spread[b]) / most)], share(float(spread[b])))
        for b in known
        for child, parent in [store.topology.bones[b]]
    ]


def joint_rows(store: Store, numbers: Statistics) -> list[Row]:
    """A row a joint that is missing at times, the worst first; the whole track is always."""
    missing = numbers.joint_missing
    order = [j for j in np.argsort(-missing, kind="stable") if missing[j] > 0]
    return [(store.topology.joints[j], [(_side(store, j), float(missing[j]))], share(float(missing[j]))) for j in order]


def _side(store: Store, joint: int) -> str:
    return {-1: "left", 0: "middle", 1: "right"}[store.topology.side[joint]]


def histogram(edges: np.ndarray, counts: np.ndarray, *, what: str, rate: float) -> str:
    """Bars side by side, the ends of the axis below."""
    most = max(1, int(counts.max()))
    drawn = ""
    for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True):
        span = f"{low}" if high - low == 1 else f"{low} to {high - 1}"
        drawn += f"<i style='height:{100 * n / most:.1f}%' title='{span} {what}: {number(int(n))} clips'></i>"
    low, high = int(edges[0]), int(edges[-1]) - 1
    ends = f"<span>{low} {what}</span>" * (low < high) + f"<span>{high} {what}, {high / rate:.1f} s</span>"
    label = f"Number of {what} in a clip, from {low} to {high}"
    return f"<div class='histogram' role='img' aria-label='{label}'>{drawn}</div><div class='ends'>{ends}</div>"


def picture(store: Store, numbers: Statistics, rows: Sequence[int]) -> str:
    """Classes, lengths and some clips as one SVG: what stands in for the page where no script runs."""
    classes = class_rows(store, numbers)[:MOST_CLASSES]
    step, width, left = 17.0, 760.0, 150.0
    body = [svg.text(6, 16, plain(f"{store.meta.name}: clips a class"), weight="600", size=12)]
    for i, (name, pieces, end) in enumerate(classes):
        y, x = 26 + i * step, left
        label = plain(name)
        body.append(svg.text(left - 8, y + 11, label if len(label) <= 22 else f"{label[:21]}…", anchor="end"))
        for side, part in pieces:
            body.append(svg.tag("rect", x=x, y=y, width=part * 230, height=12.0, fill=SIDES[side]))
            x += part * 230
        body.append(svg.text(x + 5, y + 11, end, size=10))
    body += _sides(numbers, 26 + len(classes) * step + 14, left, more=len(store.classes) - len(classes))
    body += _length_bars(numbers, 470.0, 26.0, width - 486, 110.0)
    top = 26 + max(len(classes) * step + 34, 190)
    strip = filmstrip([store[r] for r in rows], titles=[_title(store, r) for r in rows], poses=8, width=width)
    inner = strip[strip.index(">") + 1 : strip.rindex("</svg>")]
    high = float(strip.split('height="')[1].split('"')[0])
    body.append(svg.tag("g", inner, transform=f"translate(0 {svg.number(top)})"))
    return svg.document(width, top + high, body, title=plain(f"Data card of {store.meta.name}"))


def _title(store: Store, row: int) -> str:
    label = int(store.labels[row])
    return plain(store.classes[label] if label >= 0 else store.ids[row])


def _sides(numbers: Statistics, y: float, left: float, *, more: int) -> list[str]:
    out, x = [], left
    for side in numbers.counts if numbers.split is not None else ():
        out += [svg.tag("rect", x=x, y=y - 9, width=10.0, height=10.0, fill=SIDES[side]), svg.text(x + 14, y, side)]
        x += 24 + 6.5 * len(side)
    return [*out, svg.text(x, y, f"and {more} more classes")] if more > 0 else out


def _length_bars(numbers: Statistics, x: float, y: float, width: float, height: float) -> list[str]:
    edges, counts = numbers.lengths
    step = min(width / len(counts), 40.0)
    out = [svg.axes(x, y, width, height, title="frames in a clip", low=str(int(edges[0])), high=str(int(edges[-1]) - 1))]
    for i, n in enumerate(counts):
        tall = height * float(n) / max(1, int(counts.max()))
        out.append(svg.tag("rect", x=x + i * step, y=y + height - tall, width=max(1.0, step - 1.5), height=tall, fill=TEXT))
    return out
