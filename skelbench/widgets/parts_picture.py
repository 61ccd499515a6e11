"""PSUMNet's streams as still pictures: the parts drawn on a body, and the graphs of a network before and after training."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from skelbench.errors import ConfigError
from skelbench.nets.ctrgcn import CTRGCN
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.part_streams import part_streams
from skelbench.widgets import svg
from skelbench.widgets.filmstrip import looked_at
from skelbench.widgets.palette import BAD, GOOD, LINE, TEXT
from skelbench.widgets.scene import turned, upright
from skelbench.widgets.still import Still, heat

WIDTH, HEIGHT = 760.0, 250.0  # of a row of bodies
GRAPHS = ("self", "inward", "outward")


def parts_on_body(clip: Clip, *, reading: str = "fixed", frame: int | None = None) -> Still:
    """The streams of a clip's skeleton, one a column, over thin lines of the whole body: blue its joints and bones.

    Orange and dashed are pairs of the chosen reading that the skeleton's own tree does not have, with a ring around joints that
    hang on nothing but should.

    Args:
        clip: whose first body is drawn.
        reading: ``faithful`` or ``fixed``.
        frame: which one; the middle one where left out.

    Raises:
        ConfigError: a frame outside the clip, or one without the first body.
        DataError: a skeleton without parts.
    """
    streams, right = part_streams(clip.topology, reading=reading), part_streams(clip.topology, reading="fixed")
    at = len(clip) // 2 if frame is None else frame
    if not 0 <= at < len(clip):
        raise ConfigError(f"frame={frame}: the clip has {len(clip)}")
    flat = looked_at(turned(upright(clip), clip.topology)[at, 0])  # (V, 2)
    if not np.isfinite(flat).all():
        raise ConfigError(f"the first body is not there in frame {at}")
    low, high, cell = flat.min(axis=0), flat.max(axis=0), WIDTH / len(streams)
    scale = float(min((cell - 40) / max(high[0] - low[0], 1e-6), (HEIGHT - 70) / max(high[1] - low[1], 1e-6)))
    body = []
    for i, (name, part) in enumerate(streams.items()):
        middle = (i + 0.5) * cell
        x = middle + scale * (flat[:, 0] - (low[0] + high[0]) / 2)
        place = np.stack([x, 34 + scale * (high[1] - flat[:, 1])], axis=1)
        body.append(svg.text(middle, 16, f"{name}: {part.V} joints, {len(part.pairs)} pairs", anchor="middle", weight="600"))
        whole = [p for child, parent in clip.topology.bones for p in (place[parent], place[child], (np.nan, np.nan))]
        body.append(svg.path(whole, stroke=LINE, stroke_width=1, stroke_opacity=0.7))
        own, meant = place[list(part.joints)], set(right[name].pairs)
        for child, parent in part.pairs:
            style: dict[str, Any] = {"stroke": GOOD, "stroke_width": 3} if (child, parent) in meant else {}
            style = style or {"stroke": BAD, "stroke_width": 2, "stroke_dasharray": "5 3"}
            body.append(svg.path([own[parent], own[child]], stroke_linecap="round", **style))
        body.append(svg.dots(own, colour=GOOD, size=6, opacity=1.0))
        hanging = {child for child, _ in part.pairs}
        for joint in {child for child, _ in meant} - hanging:
            body.append(svg.tag("circle", cx=float(own[joint, 0]), cy=float(own[joint, 1]), r=8.0, fill="none", stroke=BAD))
        odd = len(set(part.pairs) - meant)
        told = "the tree of the skeleton" if not odd else f"{odd} pairs the skeleton does not have"
        body.append(svg.text(middle, HEIGHT - 8, told, size=10, anchor="middle", fill=BAD if odd else TEXT))
    return Still(svg=svg.document(WIDTH, HEIGHT, body, title=f"Part streams of {clip.topology.name}, {reading}"))


def learned_graphs(net: CTRGCN, initial: Tensor, *, block: int = -1, names: tuple[str, ...] = (), most: int = 3) -> Still:
    """A of one block: three graphs across; at the start, now and the difference down; rows take from columns.

    Args:
        net: whose graphs are drawn.
        initial: (3, V, V), what they started from (``PartStream.graph``).
        block: which one; the last where left out.
        names: of the part's joints, for words under the pictures: the largest changes.
        most: how many of them.

    Raises:
        ConfigError: graphs of another size, or no such block.
    """
    blocks = len(net.each())
    if not -blocks <= block < blocks:
        raise ConfigError(f"block={block}: the network has {blocks}")
    learned, start = net.learned[block].detach().cpu().numpy(), initial.detach().cpu().numpy()
    if learned.shape != start.shape:
        raise ConfigError(f"the network's graphs have shape {learned.shape}, the initial ones {start.shape}")
    alpha = float(net.alpha[block].detach())
    change = learned - start
    end, far = float(np.abs(np.stack([learned, start])).max()) or 1.0, float(np.abs(change).max()) or 1.0
    side, left = 128.0, 100.0
    body = [svg.text(6, 16, f"Block {block % blocks + 1} of {blocks}, A at the start and now; alpha = {alpha:+.3f}", weight="600")]
    for column, graph in enumerate(GRAPHS):
        x = left + column * (side + 90)
        body.append(svg.text(x, 36, graph, weight="600"))
        for row, (table, limit) in enumerate(((start, end), (learned, end), (change, far))):
            body.append(heat(table[column], x, 42 + row * (side + 12), side, side, most=limit))
    for row, (name, limit) in enumerate((("at the start", end), ("now", end), ("difference", far))):
        body.append(svg.text(6, 42 + row * (side + 12) + side / 2, name))
        body.append(svg.text(6, 42 + row * (side + 12) + side / 2 + 14, f"orange +{limit:.2g}", size=9))
        body.append(svg.text(6, 42 + row * (side + 12) + side / 2 + 26, f"blue -{limit:.2g}", size=9))
    height = 42 + 3 * (side + 12)
    for i, flat in enumerate(np.argsort(-np.abs(change), axis=None)[: most if names else 0]):
        k, u, v = np.unravel_index(int(flat), change.shape)
        pair = f"{names[u].replace('_', ' ')} takes {change[k, u, v]:+.2f} from {names[v].replace('_', ' ')} ({GRAPHS[k]})"
        body.append(svg.text(left, height + 12 + 14 * i, pair, size=10))
    return Still(
        svg=svg.document(WIDTH, height + 16 + 14 * (most if names else 0), body, title="Learned graphs beside the initial ones")
    )
