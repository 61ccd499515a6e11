"""Still pictures a notebook cell shows: an SVG with a name, tables of numbers as coloured pictures, and line charts."""

from __future__ import annotations

import base64
import html
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skelbench.errors import ConfigError
from skelbench.widgets import svg
from skelbench.widgets.palette import CLASSES, LINE, RAMP

DASHES = (None, "7 3", "2 3", "9 3 2 3")


@dataclass(frozen=True, kw_only=True, repr=False)
class Still:
    """A picture as SVG text; the last expression of a cell shows it."""

    svg: str

    def __repr__(self) -> str:
        name = re.search(r"<title>(.*?)</title>", self.svg, re.DOTALL)
        return f"Still({html.unescape(name[1]) if name else ''})"

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | Path) -> Path:
        """Write it as an ``.svg`` file."""
        path = Path(path)
        path.write_text(self.svg, encoding="utf-8")
        return path


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One panel of ``charts``.

    Attributes:
        title: above it.
        x: of the points (n,), rising.
        lines: name -> values (n,); what is not finite breaks the line.
        levels: name -> value of a thin straight line, such as chance.
        xlabel: below it.
    """

    title: str
    x: Sequence[float]
    lines: Mapping[str, Sequence[float]]
    levels: Mapping[str, float]
    xlabel: str = "epoch"

    def __post_init__(self) -> None:
        odd = [name for name, values in self.lines.items() if len(values) != len(self.x)]
        if odd or not self.lines or not len(self.x):
            raise ConfigError(f"chart {self.title!r}: wanted lines of {len(self.x)} points each, at least one; not so: {odd}")


def charts(panels: Sequence[Chart], *, columns: int = 2, width: float = 760.0, height: float = 190.0) -> Still:
    """Panels beside and below each other; every line carries its name at its end."""
    cell, rows = width / columns, -(-len(panels) // columns)
    body = [
        _panel(panel, (i % columns) * cell + 34, (i // columns) * (height + 52) + 26, cell - 150, height)
        for i, panel in enumerate(panels)
    ]
    return Still(svg=svg.document(width, rows * (height + 52) + 6, body, title="; ".join(p.title for p in panels)))


def _panel(panel: Chart, x: float, y: float, width: float, height: float) -> str:
    values = np.concatenate([*(np.asarray(v, float) for v in panel.lines.values()), np.array(list(panel.levels.values()), float)])
    values = values[np.isfinite(values)] if np.isfinite(values).any() else np.zeros(1)
    low, high = float(values.min()), float(values.max())
    high = high if high > low else low + 1
    across = np.asarray(panel.x, float)
    span = max(float(across[-1] - across[0]), 1e-9)

    def at(where: np.ndarray, value: np.ndarray) -> np.ndarray:
        return np.stack([x + width * (where - across[0]) / span, y + height * (high - value) / (high - low)], axis=1)

    out = [svg.axes(x, y, width, height, title=panel.title, xlabel=panel.xlabel, low=f"{across[0]:g}", high=f"{across[-1]:g}")]
    out += [
        svg.text(x - 4, y + 9, f"{high:.2g}", size=9, anchor="end"),
        svg.text(x - 4, y + height, f"{low:.2g}", size=9, anchor="end"),
    ]
    ends = []
    for name, value in panel.levels.items():
        place = at(across[[0, -1]], np.array([value, value]))
        out.append(svg.path(place, stroke=LINE, stroke_width=1, stroke_dasharray="1 3"))
        ends.append((float(place[-1, 1]), name, LINE))
    for i, (name, given) in enumerate(panel.lines.items()):
        colour, line = CLASSES[i % (len(CLASSES) - 1)], np.asarray(given, float)
        out.append(svg.path(at(across, line), stroke=colour, stroke_width=2, stroke_dasharray=DASHES[i % len(DASHES)]))
        last = line[np.isfinite(line)][-1:]
        ends.append((float(at(across[-1:], last)[0, 1]) if len(last) else y, name, colour))
    return "".join([*out, *_names(ends, x + width + 6)])


def _names(ends: list[tuple[float, str, str]], x: float) -> list[str]:
    """Names at the ends of lines, pushed apart where they would cover each other."""
    out, free = [], -np.inf
    for y, name, colour in sorted(ends):
        free = max(y, free + 12)
        out.append(svg.text(x, free + 4, name, size=10, fill=colour))
    return out


def heat(values: np.ndarray, x: float, y: float, width: float, height: float, *, most: float, least: float | None = None) -> str:
    """A table (rows, columns) as a coloured picture at that place; colours run from ``least`` (None: ``-most``) to ``most``."""
    least = -most if least is None else least
    share = np.clip((np.nan_to_num(np.asarray(values, float)) - least) / max(most - least, 1e-12), 0, 1)
    ramp = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in RAMP], float)
    place = share * (len(ramp) - 1)
    low = np.minimum(place.astype(int), len(ramp) - 2)
    part = (place - low)[..., None]
    data = base64.b64encode(png((ramp[low] * (1 - part) + ramp[low + 1] * part).round().astype(np.uint8))).decode()
    return svg.tag(
        "image",
        x=float(x),
        y=float(y),
        width=float(width),
        height=float(height),
        href=f"data:image/png;base64,{data}",
        preserveAspectRatio="none",
        style="image-rendering:pixelated",
    )


def png(pixels: np.ndarray) -> bytes:
    """An 8-bit RGB picture (rows, columns, 3) as PNG."""
    rows, columns, _ = pixels.shape
    raw = np.concatenate([np.zeros((rows, 1), np.uint8), pixels.reshape(rows, columns * 3)], axis=1).tobytes()  # filter 0 a row

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
