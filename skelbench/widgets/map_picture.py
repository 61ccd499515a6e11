"""EmbeddingMap's still picture: points of one class are one path, the key stands at the right."""

from __future__ import annotations

from typing import Any

import numpy as np

from skelbench.widgets import svg
from skelbench.widgets.palette import LINE, class_colours, class_shapes

DRAWN = 3000  # points; a bigger map is thinned evenly
NAMED = 30  # entries of the key


def map_picture(points: np.ndarray, marker: dict[str, Any], key: dict[str, Any], *, title: str, width: float = 760.0) -> str:
    """A map as SVG text.

    Args:
        points: (N, 2).
        marker: colours of the points, as ``Column.marker`` gives them.
        key: as ``Column.key`` gives it.
        title: above the picture.
        width: in pixels, 260 of them for the key.
    """
    some = np.unique(np.linspace(0, len(points) - 1, min(DRAWN, len(points))).round().astype(int))
    place, values = points[some], np.asarray(marker["color"], float)[some]
    low, high = place.min(axis=0), place.max(axis=0)
    side = width - 260
    scale = (side - 20) / max(float((high - low).max()), 1e-9)
    spots = np.stack([10 + scale * (place[:, 0] - low[0]), 34 + scale * (high[1] - place[:, 1])], axis=1)
    height = max(34 + scale * float(high[1] - low[1]) + 14, 60 + 18.0 * min(len(key["entries"]), NAMED))
    size = float(np.clip(160 / np.sqrt(len(points)), 3, 8))
    frame = svg.tag("rect", x=2.0, y=26.0, width=side - 4, height=height - 30, fill="none", stroke=LINE, stroke_opacity=0.5)
    body = _classes(spots, values, key, size, side) if key["entries"] else _numbers(spots, values, marker, key, size, side)
    return svg.document(width, height, [svg.text(10, 18, title, weight="600"), frame, *body], title=title)


def _classes(spots: np.ndarray, values: np.ndarray, key: dict[str, Any], size: float, side: float) -> list[str]:
    body = []
    for code in np.unique(values):
        colour, shape = class_colours(np.array([code]))[0], class_shapes(np.array([code]))[0]
        body.append(svg.dots(spots[values == code], colour=colour, size=size, opacity=0.75, shape=shape))
    for i, entry in enumerate(key["entries"][:NAMED]):
        sign = np.array([[side + 20, 44 + 18.0 * i]])
        body.append(svg.dots(sign, colour=entry["colour"], size=8.0, opacity=1.0, shape=entry["shape"]))
        body.append(svg.text(side + 30, 48 + 18 * i, f"{entry['name'][:28]} ({entry['count']})"))
    if len(key["entries"]) > NAMED:
        body.append(svg.text(side + 30, 48 + 18 * NAMED, f"and {len(key['entries']) - NAMED} more"))
    return body


def _numbers(
    spots: np.ndarray, values: np.ndarray, marker: dict[str, Any], key: dict[str, Any], size: float, side: float
) -> list[str]:
    share = np.clip((values - marker["cmin"]) / max(marker["cmax"] - marker["cmin"], 1e-12), 0, 1)
    step = np.nan_to_num(share * (len(key["ramp"]) - 1)).round().astype(int)
    body = []
    for i, colour in enumerate(key["ramp"]):
        body.append(svg.dots(spots[step == i], colour=colour, size=size, opacity=0.8))
        body.append(svg.tag("rect", x=side + 20 + 26.0 * i, y=40.0, width=26.0, height=9.0, fill=colour))
    ends = (svg.text(side + 20, 64, key["ends"][0]), svg.text(side + 20 + 26 * len(key["ramp"]), 64, key["ends"][1], anchor="end"))
    return [*body, *ends]
