"""MaskView's still picture: two film strips and a bar for every hidden joint."""

from __future__ import annotations

from typing import Any

import numpy as np

from skelbench.explain.masking import MaskStudy, Reconstruction
from skelbench.widgets import svg
from skelbench.widgets.filmstrip import looked_at
from skelbench.widgets.palette import LINE, MIDDLE, RAMP
from skelbench.widgets.scene import scene_over

WIDTH, HEIGHT = 760.0, 130.0  # of a strip
BARS = 96.0


def picture(study: MaskStudy, found: Reconstruction, numbers: dict[str, Any], *, colour: str = "distance", poses: int = 7) -> str:
    """SVG text: what the encoder sees, what it guesses over thin lines of the truth, errors by joint."""
    truth, guess = _positions(study, found)
    times = _moments(truth, poses)
    names = ", ".join(numbers["names"][j].replace("_", " ") for j in numbers["hidden"][:8])
    more = f" and {len(numbers['hidden']) - 8} more" if len(numbers["hidden"]) > 8 else ""
    title = f"Hidden: {names}{more}" if numbers["hidden"] else "Nothing is hidden"
    body = [svg.text(6, 14, f"{study.clip.id}: what the encoder sees", weight="600")]
    place = _placer(truth[times], poses)
    most = numbers["most"][colour] if colour == "cosine" else 2.5 * study.readout.error  # in the clip's own units
    heat = np.nan_to_num(getattr(found, colour)) / most  # (T, M, V)
    for i, time in enumerate(times):
        x = (i + 0.5) * WIDTH / poses
        for points in place(truth[time], x, 20):
            body.append(_bones(study, points, found.hidden, None))
        body.append(svg.text(x, 20 + HEIGHT, str(int(time) + 1), size=9, anchor="middle"))
        for m, points in enumerate(place(truth[time], x, 46 + HEIGHT)):
            body.append(_thin(study, points))
            body.append(_bones(study, place(guess[time], x, 46 + HEIGHT)[m], None, heat[time, m], found.hidden))
    body.append(svg.text(6, 40 + HEIGHT, "its guess, coloured by error, over the truth", weight="600"))
    top = 66 + 2 * HEIGHT
    body += _bars(numbers, colour, top)
    body.append(svg.text(6, top + BARS + 12, numbers["told"], size=10))
    return svg.document(WIDTH, top + BARS + 20, body, title=title)


def _positions(study: MaskStudy, found: Reconstruction) -> tuple[np.ndarray, np.ndarray]:
    """Truth and guess as the player's first camera sees them (T, M, V, 2), y up."""
    scene = scene_over(study.clip, found.joints, heat=np.zeros(found.distance.shape), heat_range=(0.0, 1.0))
    table = scene["clips"][0]
    shape = (table["frames"], table["bodies"], table["joints"], 3)
    joints = np.frombuffer(scene["data"], "<f2").astype(np.float32).reshape(shape) * table["scale"]
    flat = looked_at(joints)
    half = shape[1] // 2
    return flat[:, :half], flat[:, half:]


def _moments(truth: np.ndarray, poses: int) -> np.ndarray:
    """Frames at even distances among those that show somebody."""
    there = np.flatnonzero(np.isfinite(truth).any(axis=(1, 2, 3)))
    if not len(there):
        return there
    return there[np.unique(np.linspace(0, len(there) - 1, min(poses, len(there))).round().astype(int))]


def _placer(shown: np.ndarray, poses: int) -> Any:
    """Positions to screen points: (positions (M, V, 2), middle x, top y) -> points (M, V, 2)."""
    finite = shown[np.isfinite(shown).all(axis=-1)]
    low, high = (finite.min(axis=0), finite.max(axis=0)) if len(finite) else (np.zeros(2), np.ones(2))
    scale = float(min((WIDTH / poses - 10) / max(high[0] - low[0], 1e-6), (HEIGHT - 22) / max(high[1] - low[1], 1e-6)))
    middle = (low + high) / 2

    def place(points: np.ndarray, x: float, top: float) -> np.ndarray:
        return np.stack(
            [x + scale * (points[..., 0] - middle[0]), top + HEIGHT / 2 - 6 - scale * (points[..., 1] - middle[1])], axis=-1
        )

    return place


def _thin(study: MaskStudy, points: np.ndarray) -> str:
    line = [p for child, parent in study.topology.bones for p in (points[parent], points[child], (np.nan, np.nan))]
    return svg.path(line, stroke=LINE, stroke_width=1.0)


def _bones(
    study: MaskStudy, points: np.ndarray, pale: np.ndarray | None, heat: np.ndarray | None, hidden: np.ndarray | None = None
) -> str:
    """One body (V, 2): pale bones at ``pale`` joints, or bones of ``hidden`` joints in the colours of ``heat`` (V,) 0 .. 1."""
    out = []
    for child, parent in study.topology.bones:
        style: dict[str, Any] = {"stroke": MIDDLE, "stroke_width": 2.2, "stroke_linecap": "round"}
        if pale is not None and (pale[child] or pale[parent]):
            style |= {"stroke_opacity": 0.2}
        if heat is not None and hidden is not None and (hidden[child] or hidden[parent]):
            style["stroke"] = _ramp(float(max(heat[child], heat[parent])))
        out.append(svg.path([points[parent], points[child]], **style))
    return "".join(out)


def _ramp(share: float) -> str:
    return RAMP[round(min(max(share, 0.0), 1.0) * (len(RAMP) - 1))]


def _bars(numbers: dict[str, Any], colour: str, top: float) -> list[str]:
    """One bar a hidden joint, with its name where there is room."""
    values = numbers["joints"][colour]
    hidden = [j for j in numbers["hidden"] if values[j] is not None]  # a body that is never there has no error
    unit, mean = numbers["units"][colour] or "1 - cos", numbers["mean"][colour]
    title = f"Mean error of every hidden joint, {unit}" + (f" (all of them: {mean:.3g})" if mean is not None else "")
    out = [svg.text(6, top - 6, title, weight="600"), svg.path([(6, top + 70), (WIDTH - 6, top + 70)], stroke=LINE)]
    most = max((values[j] for j in hidden), default=1.0) or 1.0
    step = (WIDTH - 12) / max(len(hidden), 1)
    for i, j in enumerate(hidden):
        height, fill = 62 * values[j] / most, _ramp(values[j] / numbers["most"][colour])
        x, width = 6 + step * i + 0.12 * step, min(0.76 * step, 30.0)
        out.append(svg.tag("rect", x=x, y=top + 70 - height, width=width, height=height, fill=fill))
        if len(hidden) <= 12:
            out.append(svg.text(x + width / 2, top + 68 - height, f"{values[j]:.3g}", size=9, anchor="middle"))
            out.append(svg.text(x + width / 2, top + 82, numbers["names"][j].replace("_", " "), size=9, anchor="middle"))
    return out
