"""SVG by hand: the still pictures that stand in for a widget where nothing runs (GitHub, nbviewer, nbconvert, a PDF).

Everything is drawn on a transparent ground in tones that read on white and on a dark page. Numbers are rounded to a tenth of a
pixel; text is escaped here and nowhere else.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from skelbench.widgets.palette import LINE, TEXT

# How plotly's markers are drawn from a point: what follows the point in a path of size 6, and the line cap.
_GLYPHS = {
    "circle": ("h0", "round"),
    "square": ("h0", "square"),
    "diamond": ("m0-4l4 4-4 4-4-4z", "butt"),
    "triangle-up": ("m0-4l4 7h-8z", "butt"),
    "cross": ("m-4 0h8m-4-4v8", "butt"),
    "x": ("m-3-3l6 6m0-6l-6 6", "butt"),
}
FONT = "font-family='system-ui,sans-serif'"


def number(x: float | np.floating[Any]) -> str:
    """One decimal, without a trailing zero."""
    text = f"{x:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def tag(name: str, inner: str | None = None, /, **attributes: object) -> str:
    """One element; ``stroke_width=2`` becomes ``stroke-width="2"``, floats are rounded, None is left out; ``inner`` is SVG."""
    parts = [name]
    for key, value in attributes.items():
        if value is not None:
            text = number(value) if isinstance(value, float | np.floating) else html.escape(str(value), quote=True)
            parts.append(f'{key.replace("_", "-")}="{text}"')
    return f"<{' '.join(parts)}/>" if inner is None else f"<{' '.join(parts)}>{inner}</{name}>"


def text(
    x: float, y: float, words: str, *, size: float = 11, anchor: str = "start", fill: str = TEXT, weight: str | None = None
) -> str:
    """A line of text; the words are escaped."""
    return tag(
        "text", html.escape(words), x=float(x), y=float(y), font_size=size, text_anchor=anchor, fill=fill, font_weight=weight
    )


def path(points: Iterable[Sequence[float] | np.ndarray], *, closed: bool = False, **style: object) -> str:
    """A line through points (n, 2); a point that is not finite breaks it."""
    commands, pen = [], "M"
    for x, y in points:
        if not (np.isfinite(x) and np.isfinite(y)):
            pen = "M"
            continue
        commands.append(f"{pen}{number(x)} {number(y)}")
        pen = "L"
    return tag("path", d="".join(commands) + ("Z" if closed else ""), **{"fill": "none", **style}) if commands else ""


def dots(points: np.ndarray, *, colour: str, size: float = 4.0, opacity: float = 0.8, shape: str = "circle") -> str:
    """Points (n, 2) of one colour and shape as one path: a round or square cap, or an outline, of ten to thirty bytes a point."""
    glyph, cap = _GLYPHS[shape]
    if not len(points):
        return ""
    scale = 1.0 if glyph == "h0" else size / 6
    drawn = re.sub(r"-?\d+", lambda found: number(int(found[0]) * scale), glyph) if glyph != "h0" else glyph
    data = "".join(f"M{number(x)} {number(y)}{drawn}" for x, y in points)
    if glyph.endswith("z"):
        return tag("path", d=data, fill=colour, fill_opacity=opacity)
    width = size if glyph == "h0" else 0.3 * size
    return tag("path", d=data, stroke=colour, stroke_width=width, stroke_linecap=cap, stroke_opacity=opacity, fill="none")


def axes(x: float, y: float, width: float, height: float, *, title: str, xlabel: str = "", low: str = "", high: str = "") -> str:
    """Frame of a small chart: title above, base line, the two ends of the x axis and its name below."""
    bottom = y + height
    return "".join(
        [
            text(x, y - 8, title, weight="600"),
            path([(x, bottom), (x + width, bottom)], stroke=LINE, stroke_width=1),
            text(x, bottom + 13, low, size=10),
            text(x + width, bottom + 13, high, size=10, anchor="end"),
            text(x + width / 2, bottom + 13, xlabel, size=10, anchor="middle"),
        ]
    )


def document(width: float, height: float, body: Iterable[str], *, title: str) -> str:
    """A whole picture with a name for people who do not see it."""
    inner = f"<title>{html.escape(title)}</title>" + "".join(body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{number(width)}" height="{number(height)}" '
        f'viewBox="0 0 {number(width)} {number(height)}" role="img" {FONT}>{inner}</svg>'
    )
