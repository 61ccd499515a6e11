"""One movement in the three layouts that ISC contrasts: a sequence of vectors, a graph of joints, an image of joints."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from skelbench.errors import ConfigError
from skelbench.methods.base import evaluating
from skelbench.nets.agcn import AGCN, SUBSETS
from skelbench.nets.hcn import HCN
from skelbench.skeleton.clip import Clip, check_joints
from skelbench.skeleton.topology import Topology
from skelbench.widgets import svg
from skelbench.widgets.palette import GOOD, LINE, MIDDLE
from skelbench.widgets.scene import upright
from skelbench.widgets.still import Still, heat

WIDTH, HEIGHT, SIDE = 760.0, 300.0, 226.0


def layouts(
    joints: Tensor, topology: Topology, *, graph: AGCN, image: HCN, title: str = "", up: str = "z", links: int = 14
) -> Still:
    """Draw what the three encoders are given, and what the graph and the image encoder first make of it.

    Left, the sequence: a column a frame, its rows the numbers the GRU reads, joint by joint. Middle, the graph: the first body in
    its middle frame with its bones, the strongest learned links (attention + P, last block, all subsets), and these matrices one a
    subset, from row to column. Right, the image: one picture a joint, a row a frame, a column a feature of HCN's stream of places.
    All are of the first body; in sequence and image the mean over time is taken off, so that the movement shows.

    Args:
        joints: of one clip, (C, T, V, M), as a view gives them.
        topology: its skeleton.
        graph: whose links are drawn.
        image: whose pictures are drawn.
        title: above them.
        up: coordinate that points up; z after the ``isc`` normalisation.
        links: how many learned links are drawn.

    Raises:
        ConfigError: joints are not those of one clip.
    """
    if joints.ndim != 4:
        raise ConfigError(f"layouts draws one clip, joints (C, T, V, M); got shape {tuple(joints.shape)}")
    x = joints[None].float()
    check_joints(x, topology)
    with torch.no_grad(), evaluating(graph), evaluating(image):
        device = next(graph.parameters()).device
        mixing = (graph.adjacency(x.to(device))[0, 0, -1] - graph.graph).cpu().numpy()  # (3, V, V): attention + P
        places, _ = image.pictures(x.to(next(image.parameters()).device))
        pictures = image.joint.picture(places)[0].cpu().numpy()  # (V, rows, columns)
    top = 40.0
    body = [
        svg.text(6, 16, title, weight="600"),
        *_sequence(joints.cpu().numpy(), topology, 6, top),
        *_graph(joints.cpu().numpy(), topology, mixing, 266, top, up, links),
        *_image(pictures, 526, top),
    ]
    return Still(svg=svg.document(WIDTH, HEIGHT, body, title=f"{title}: as a sequence, a graph and an image"))


def _sequence(joints: np.ndarray, topology: Topology, x: float, y: float) -> list[str]:
    C, T, V, M = joints.shape
    rows = joints[..., 0].transpose(2, 0, 1).reshape(V * C, T)  # joint, then coordinate, as the GRU reads them
    moved = rows - rows.mean(axis=1, keepdims=True)
    out = [svg.text(x, y - 6, f"sequence: {V * C * M} numbers a frame")]
    out.append(heat(moved, x, y, SIDE, SIDE, most=_most(moved)))
    for j in range(0, V, max(1, V // 6)):
        out.append(svg.text(x + 3, y + SIDE * (j + 0.5) / V + 3, topology.joints[j].replace("_", " "), size=8, fill="#ffffff"))
    return [*out, svg.text(x, y + SIDE + 14, f"joints downwards, {C} rows each; {T} frames to the right", size=9)]


def _most(values: np.ndarray) -> float:
    """End of the colours: nearly the largest size there is."""
    return float(np.quantile(np.abs(values), 0.995)) or 1.0


def _graph(joints: np.ndarray, topology: Topology, mixing: np.ndarray, x: float, y: float, up: str, links: int) -> list[str]:
    V = topology.V
    clip = Clip(joints=np.ascontiguousarray(joints.transpose(1, 3, 2, 0)), topology=topology)
    pose = upright(clip, up)[joints.shape[1] // 2, 0, :, :2]  # (V, 2), from the front
    seen = np.isfinite(pose).all(axis=1)
    low, high = (pose[seen].min(axis=0), pose[seen].max(axis=0)) if seen.any() else (np.zeros(2), np.ones(2))
    size = 146.0
    scale = (size - 10) / max(float((high - low).max()), 1e-6)
    place = np.stack([x + SIDE / 2 + scale * (pose[:, 0] - (low[0] + high[0]) / 2), y + 5 + scale * (high[1] - pose[:, 1])], axis=1)
    out = [svg.text(x, y - 6, f"graph: {V} joints, bones and learned links")]
    for child, parent in topology.bones:
        out.append(svg.path([place[parent], place[child]], stroke=MIDDLE, stroke_width=2, stroke_linecap="round"))
    strength = np.abs(mixing).sum(axis=0) * (1 - np.eye(V))
    for flat in np.argsort(-strength, axis=None)[:links]:
        a, b = divmod(int(flat), V)
        weight = float(strength[a, b] / max(strength.max(), 1e-12))
        out.append(
            svg.path([place[a], place[b]], stroke=GOOD, stroke_width=2.0 * weight, stroke_opacity=0.7, stroke_dasharray="3 2")
        )
    cell = SIDE / 3
    for i, name in enumerate(SUBSETS):
        left = x + i * cell
        out.append(
            heat(mixing[i], left, y + size + 12, cell - 6, cell - 6, most=float(mixing.max()) or 1.0, least=float(mixing.min()))
        )
        out.append(svg.text(left, y + size + 18 + cell, name, size=9))
    out.append(svg.path([(x - 10, y), (x - 10, y + SIDE)], stroke=LINE, stroke_width=0.5))
    return out


def _image(pictures: np.ndarray, x: float, y: float) -> list[str]:
    V, rows, columns = pictures.shape
    across = math.ceil(math.sqrt(V))
    moved = pictures - pictures.mean(axis=1, keepdims=True)
    cell, most = SIDE / across, _most(moved)
    out = [svg.text(x, y - 6, f"image: {V} channels of {rows} x {columns}")]
    for j, picture in enumerate(moved):
        out.append(heat(picture, x + (j % across) * cell, y + (j // across) * cell, cell - 3, cell - 3, most=most))
    out.append(svg.path([(x - 10, y), (x - 10, y + SIDE)], stroke=LINE, stroke_width=0.5))
    return [*out, svg.text(x, y + SIDE + 14, "a picture a joint: frames downwards, features to the right", size=8)]
