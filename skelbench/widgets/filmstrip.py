"""Film strip of moving bodies: the player's still picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from skelbench.skeleton.clip import Clip
from skelbench.widgets import svg
from skelbench.widgets.palette import LEFT, LINE, MIDDLE, RIGHT
from skelbench.widgets.scene import head_of, turned, upright

YAW, PITCH = -0.45, 0.16  # where player.js looks from at first
STROKE = {-1: (LEFT, None), 0: (MIDDLE, None), 1: (RIGHT, "5 3")}  # sides differ in hue and in dash
ROWS = 6  # clips drawn; a strip of 24 would be a poster


def filmstrip(
    clips: Sequence[Clip],
    *,
    titles: Sequence[str] | None = None,
    poses: int = 8,
    width: float = 760.0,
    height: float = 130.0,
    up: str | None = None,
    face: bool = True,
) -> str:
    """Poses of every clip at even distances in time, one row a clip (the first six), as SVG text.

    Args:
        clips: what to draw.
        titles: one a clip; its id where left out.
        poses: pictures a row; a shorter clip shows every frame.
        width: of the strip in pixels.
        height: of a row.
        up: as in ``scene_of``.
        face: as in ``scene_of``.
    """
    names = [c.id for c in clips] if titles is None else list(titles)
    shown = list(zip(clips, names, strict=True))[:ROWS]
    body = []
    for row, (clip, name) in enumerate(shown):
        top = row * (height + 22)
        body.append(svg.text(6, top + 14, name or "clip", weight="600"))
        body.append(_row(clip, top + 20, poses, width, height, up=up, face=face))
    total = len(shown) * (height + 22) + 4
    if len(clips) > ROWS:
        body.append(svg.text(6, total + 10, f"and {len(clips) - ROWS} more"))
        total += 16
    return svg.document(width, total, body, title="Film strip: " + "; ".join(n for _, n in shown))


def _row(clip: Clip, top: float, poses: int, width: float, height: float, *, up: str | None, face: bool) -> str:
    joints = upright(clip, up)
    joints = turned(joints, clip.topology) if face else joints
    finite = joints[np.isfinite(joints).all(axis=3)]
    if not len(finite):
        return svg.text(6, top + height / 2, "no body in this clip")
    times = np.unique(np.linspace(0, len(clip) - 1, min(poses, len(clip))).round().astype(int))
    cell = width / poses
    flat = looked_at(joints[times])  # (P, M, V, 2)
    low, high = np.nanmin(flat, axis=(0, 1, 2)), np.nanmax(flat, axis=(0, 1, 2))
    scale = float(min((cell - 10) / max(high[0] - low[0], 1e-6), (height - 22) / max(high[1] - low[1], 1e-6)))
    size = float(np.median(np.linalg.norm(finite.max(axis=0) - finite.min(axis=0))))
    head, radius = head_of(clip.topology, joints, min(size, 2.0 * float(high[1] - low[1])))
    out = [svg.path([(4, top + height - 12), (width - 4, top + height - 12)], stroke=LINE, stroke_width=1, stroke_opacity=0.6)]
    for i, time in enumerate(times):
        x = (i + 0.5) * cell - scale * (low[0] + high[0]) / 2
        y = top + height - 14 + scale * low[1]
        place = np.stack([x + scale * flat[i, ..., 0], y - scale * flat[i, ..., 1]], axis=-1)  # (M, V, 2)
        out += [_body(clip, points, head, radius * scale) for points in place]
        out.append(svg.text((i + 0.5) * cell, top + height, str(int(time) + 1), size=9, anchor="middle"))
    return "".join(out)


def looked_at(joints: np.ndarray) -> np.ndarray:
    """Positions (..., 3) as the player's first camera sees them, without perspective: (..., 2), y up."""
    x, y, z = joints[..., 0], joints[..., 1], joints[..., 2]
    away = np.cos(YAW) * z - np.sin(YAW) * x
    return np.stack([np.cos(YAW) * x + np.sin(YAW) * z, np.cos(PITCH) * y - np.sin(PITCH) * away], axis=-1)


def _body(clip: Clip, points: np.ndarray, head: list[int], radius: float) -> str:
    """One body at screen points (V, 2): a path a side, and the head."""
    if not np.isfinite(points).any():
        return ""
    out, sides = [], clip.topology.side
    for side, (colour, dash) in STROKE.items():
        bones = [(c, p) for c, p in clip.topology.bones if sides[c] == side]
        line = [point for child, parent in bones for point in (points[parent], points[child], (np.nan, np.nan))]
        out.append(svg.path(line, stroke=colour, stroke_width=2.2, stroke_linecap="round", stroke_dasharray=dash))
    seen = [j for j in head if np.isfinite(points[j]).all()]
    if seen:
        x, y = points[seen].mean(axis=0)
        out.append(svg.tag("circle", cx=float(x), cy=float(y), r=max(radius, 2.0), fill="none", stroke=MIDDLE, stroke_width=2.0))
    return "".join(out)
