"""Clips as the player wants them: positions as float16 bytes around each clip's middle, and what to draw between them.

``scene_of`` is what ``SkeletonPlayer`` sends; ``plain_scene`` is the same as JSON, for a page that has no kernel.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import Batch, Clip
from skelbench.skeleton.topology import Topology

MOST = 24  # clips one player shows
Clips = Clip | Batch | np.ndarray | torch.Tensor | Sequence["Clip | np.ndarray | torch.Tensor"]
Colour = np.ndarray | torch.Tensor | Sequence["np.ndarray | torch.Tensor | None"]

_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")


def clips_of(clips: Clips, topology: Topology | None = None) -> list[Clip]:
    """Whatever a player accepts as a list of clips.

    Args:
        clips: a Clip, a Batch (its padding is cut off), an array (T, V, C) or (T, M, V, C), or a list of clips and arrays.
        topology: joint layout of a batch or an array, which do not carry one.

    Raises:
        DataError: no topology for a batch or an array, an array of another shape, or something else altogether.
        ConfigError: no clip, or more than 24.
    """
    if isinstance(clips, Batch):
        joints = clips.joints.detach().cpu().permute(0, 2, 4, 3, 1).numpy()  # (N, T, M, V, C)
        found = [
            _clip(joints[i, : int(clips.lengths[i])], topology, id=clips.ids[i], label=int(clips.labels[i]))
            for i in range(len(clips))
        ]
    elif isinstance(clips, Clip | np.ndarray | torch.Tensor):
        found = [_clip(clips, topology)]
    elif isinstance(clips, Iterable) and not isinstance(clips, str):
        found = [_clip(c, topology) for c in clips]
    else:
        raise DataError(f"a player shows a Clip, a Batch, an array or a list of them, not {type(clips).__name__}")
    if not 1 <= len(found) <= MOST:
        raise ConfigError(f"a player shows 1 to {MOST} clips side by side, {len(found)} given; take some of them: clips[:{MOST}]")
    return found


def _clip(joints: Any, topology: Topology | None, *, id: str = "", label: int = -1) -> Clip:
    if isinstance(joints, Clip):
        return joints
    if isinstance(joints, torch.Tensor):
        joints = joints.detach().cpu().numpy()
    if not isinstance(joints, np.ndarray) or joints.ndim not in (3, 4):
        raise DataError(
            f"a player wants clips or arrays (T, V, C) or (T, M, V, C), got {getattr(joints, 'shape', type(joints).__name__)}"
        )
    if topology is None:
        raise DataError(
            "a batch or an array does not say which joints it holds; pass topology=, for example topology('kinect_v2_25')"
        )
    joints = joints[:, None] if joints.ndim == 3 else joints
    return Clip(joints=np.asarray(joints, np.float32), topology=topology, id=id, label=label)


def scene_of(
    clips: Sequence[Clip],
    *,
    titles: Sequence[str] | None = None,
    colour: Colour | None = None,
    colour_range: tuple[float, float] | None = None,
    up: str | None = None,
    face: bool = True,
) -> dict[str, Any]:
    """What player.js draws: ``clips`` (tables), ``data`` (float16 bytes), ``colours`` (bytes), ``range`` (of the colour, or None).

    Args:
        clips: 1 to 24 clips.
        titles: one a clip; the clips' ids where left out.
        colour: a value a joint: (V,) or (T', V) for all clips, (N, T', V) or a list for each its own; T' rows are stretched over
            the clip. NaN is drawn like the smallest value.
        colour_range: values at the two ends of the ramp; those of the data where left out.
        up: which way up the coordinates point: "y", "z", or "-y" (image coordinates); as each clip says where left out.
        face: turn every clip for a good look (``turned``); False shows it as recorded.

    Raises:
        DataError: titles or colours do not fit the clips.
        ConfigError: unknown ``up``.
    """
    if titles is not None and len(titles) != len(clips):
        raise DataError(f"{len(titles)} titles for {len(clips)} clips")
    heats = colours_of(clips, colour)
    low, high = colour_range or _range(heats)
    tables, data, shades, at = [], [], [], [0, 0]
    for i, clip in enumerate(clips):
        joints = upright(clip, up)
        joints = turned(joints, clip.topology) if face else joints
        table, half = _packed(joints, clip.topology)
        table |= {
            "offset": at[0],
            "fps": float(clip.fps),
            "title": str(titles[i]) if titles is not None else clip.id,
            "colour": None,
        }
        at[0] += half.nbytes
        data.append(half.tobytes())
        heat = heats[i]
        if heat is not None:
            table["colour"] = {"offset": at[1], "rows": heat.shape[0], "bodies": heat.shape[1]}
            share = (np.nan_to_num(heat, nan=low) - low) / ((high - low) or 1.0)
            shade = np.round(np.clip(share, 0, 1) * 255).astype(np.uint8)
            at[1] += shade.nbytes
            shades.append(shade.tobytes())
        tables.append(table)
    return {"clips": tables, "data": b"".join(data), "colours": b"".join(shades), "range": [low, high] if shades else None}


def scene_over(
    clip: Clip, other: np.ndarray, *, heat: np.ndarray, heat_range: tuple[float, float], face: bool = True
) -> dict[str, Any]:
    """One clip and a second version of its bodies in one frame of reference: bodies 0 .. M-1 are the clip's, M .. 2M-1 the other's.

    Args:
        clip: as it is.
        other: (T, M, V, C) positions like ``clip.joints``; nan where a body is absent.
        heat: (T, M, V) values that colour the second version; nan is drawn like the smallest.
        heat_range: values at the two ends of the ramp.
        face: as in ``scene_of``.
    """
    joints = upright(clip)
    second = upright(replace(clip, joints=np.nan_to_num(np.asarray(other, np.float32), nan=0.0)))
    turn = turn_of(joints, clip.topology) if face else (1.0, 0.0)
    table, half = _packed(_turned(joints, *turn), clip.topology, _turned(second, *turn))
    share = (np.nan_to_num(heat, nan=heat_range[0]) - heat_range[0]) / ((heat_range[1] - heat_range[0]) or 1.0)
    colour = {"offset": 0, "rows": heat.shape[0], "bodies": heat.shape[1]}
    table |= {"offset": 0, "fps": float(clip.fps), "title": clip.id, "colour": colour}
    colours = np.round(np.clip(share, 0, 1) * 255).astype(np.uint8).tobytes()
    return {"clips": [table], "data": half.tobytes(), "colours": colours, "range": list(heat_range)}


def plain_scene(clips: Clips, *, topology: Topology | None = None, **more: Any) -> dict[str, Any]:
    """``scene_of`` as plain JSON (bytes as base64 text) for ``mount`` of player.js in a page without a kernel."""
    scene = scene_of(clips_of(clips, topology), **more)
    return {**scene, **{k: base64.b64encode(scene[k]).decode() for k in ("data", "colours")}}


def upright(clip: Clip, up: str | None = None) -> np.ndarray:
    """Positions (T, M, V, 3), y up, NaN where a body or joint was not seen. Flat layouts get z = 0; a score is left out.

    A joint whose coordinates are all zero was not seen. Only in a normalised clip may one stand in the origin: the root, the joint
    that normalisations centre on, or any that is zero in every frame. In a picture the origin is a corner, where nobody is.
    """
    up = clip.up if up is None else up
    joints = np.asarray(clip.joints, np.float32)
    coordinates = min(joints.shape[3], clip.topology.dims, 3)
    x = np.zeros((*joints.shape[:3], 3), np.float32)
    x[..., :coordinates] = joints[..., :coordinates]
    unseen = (x == 0).all(axis=-1)  # (T, M, V)
    if up != "-y":
        unseen &= ~(unseen | ~clip.present[..., None]).all(axis=0)
        unseen[..., [clip.topology.root, clip.topology.center]] = False
    x[unseen | ~clip.present[..., None]] = np.nan
    if up == "y":
        return x
    if up == "-y":
        return x * np.array([1, -1, 1], np.float32)
    if up == "z":
        return np.stack([x[..., 0], x[..., 2], -x[..., 1]], axis=-1)
    raise ConfigError(f"up={up!r}: wanted 'y', 'z' or '-y'")


def turned(joints: np.ndarray, topology: Topology) -> np.ndarray:
    """The same movement turned about the vertical for a good look at it.

    One body faces +z, the viewer, when it is first seen; facing is left x up, from the mean of all (left - right) pairs. Two bodies
    are seen from the side, the first one at the left. Flat skeletons, those without pairs, and bodies whose left and right lie
    above each other stay as they are.
    """
    return _turned(joints, *turn_of(joints, topology))


def _turned(joints: np.ndarray, cos: float, sin: float) -> np.ndarray:
    if (cos, sin) == (1.0, 0.0):
        return joints
    x, z = joints[..., 0], joints[..., 2]
    return np.stack([cos * x + sin * z, joints[..., 1], cos * z - sin * x], axis=-1).astype(np.float32)


def turn_of(joints: np.ndarray, topology: Topology) -> tuple[float, float]:
    """Cosine and sine of the turn that ``turned`` makes; (1, 0) where it leaves the clip as it is."""
    across = _between_bodies(joints)
    if topology.dims < 3:
        return 1.0, 0.0
    if across is None and topology.pairs:
        pairs = np.array(topology.pairs)
        to_left = joints[:, 0, pairs[:, 0]] - joints[:, 0, pairs[:, 1]]  # (T, pairs, 3)
        known = np.isfinite(to_left).all(axis=2)
        seen = np.flatnonzero(known.sum(axis=1) == known.sum(axis=1).max())[0]  # the first frame that shows the most
        across = to_left[seen][known[seen]].mean(axis=0) if known[seen].any() else None
    length = float(np.hypot(across[0], across[2])) if across is not None else 0.0
    if across is None or length < 1e-6:
        return 1.0, 0.0
    return float(across[0] / length), float(across[2] / length)


def _between_bodies(joints: np.ndarray) -> np.ndarray | None:
    """From the first body to the second (3,), the median over frames that show both; None where they are not apart."""
    if joints.shape[1] < 2:
        return None
    known = np.isfinite(joints[:, :2])
    with np.errstate(invalid="ignore"):  # no joint at all: 0 / 0, and the frame does not count
        middle = np.where(known, joints[:, :2], 0).sum(axis=2) / known.sum(axis=2)  # (T, 2, 3)
    both = np.isfinite(middle).all(axis=(1, 2))
    if not both.any():
        return None
    between = np.median(middle[both, 1] - middle[both, 0], axis=0)
    return between if np.hypot(between[0], between[2]) > 0.1 * np.median(_extent(joints)) else None


def colours_of(clips: Sequence[Clip], colour: Colour | None) -> list[np.ndarray | None]:
    """The colour values of every clip as (T', M or 1, V), or None.

    Raises:
        DataError: shapes do not fit.
    """
    if colour is None:
        return [None] * len(clips)
    if isinstance(colour, np.ndarray | torch.Tensor):
        table = np.asarray(colour.detach().cpu() if isinstance(colour, torch.Tensor) else colour, np.float32)
        each = list(table) if table.ndim == 3 and len(clips) > 1 else [table] * len(clips)
    else:
        each = [
            None if c is None else np.asarray(c.detach().cpu() if isinstance(c, torch.Tensor) else c, np.float32) for c in colour
        ]
    if len(each) != len(clips):
        raise DataError(f"colours for {len(each)} clips, {len(clips)} are shown")
    found: list[np.ndarray | None] = []
    for clip, heat in zip(clips, each, strict=True):
        if heat is not None:
            V = clip.topology.V
            if heat.ndim not in (1, 2, 3) or heat.shape[-1] != V or 0 in heat.shape:
                raise DataError(f"colour of clip {clip.id!r} has shape {heat.shape}, wanted ({V},), (T, {V}) or (T, M, {V})")
            heat = heat.reshape(1, 1, V) if heat.ndim == 1 else heat[:, None] if heat.ndim == 2 else heat
        found.append(heat)
    return found


def _range(heats: Sequence[np.ndarray | None]) -> tuple[float, float]:
    finite = [h[np.isfinite(h)] for h in heats if h is not None and np.isfinite(h).any()]
    return (min(float(h.min()) for h in finite), max(float(h.max()) for h in finite)) if finite else (0.0, 1.0)


def _packed(joints: np.ndarray, topology: Topology, more: np.ndarray | None = None) -> tuple[dict[str, Any], np.ndarray]:
    """Table and float16 positions (T, M, V, 3) of one clip around the middle of its movement, at most 1 in size.

    ``more`` are further bodies (T, M', V, 3) behind them, in the same frame of reference; they change nothing for the first ones.
    """
    T, M, V, _ = joints.shape
    points = joints[np.isfinite(joints).all(axis=3)]  # (n, 3)
    if not len(points):
        points = np.zeros((1, 3), np.float32)
    low, high = np.quantile(points, [0.002, 0.998], axis=0)  # a joint that jumps must not shrink the body
    centre = (low + high) / 2
    reach = float(np.quantile(np.hypot(points[:, 0] - centre[0], points[:, 2] - centre[2]), 0.998))
    half = [max(reach, 1e-3 * float(np.abs(points).max()), 1e-6), max(float(high[1] - low[1]) / 2, 1e-6)]
    scale = max(float(np.abs(points - centre).max()), 1e-6)
    size = float(np.median(_extent(joints))) if np.isfinite(joints).any() else 1.0
    head, radius = head_of(topology, joints, size)
    joints = joints if more is None else np.concatenate([joints, more], axis=1)
    table = {
        "frames": T,
        "bodies": joints.shape[1],
        "joints": V,
        "scale": scale,
        "half": half,
        "depth": max(half[0], 0.25 * half[1]),
        "floor": float(low[1] - centre[1]) if topology.dims >= 3 else None,
        "step": _nice(half[0] / 2),
        "thickness": 0.02 * size,
        "edges": [list(b) for b in topology.bones],
        "side": list(topology.side),
        "names": list(topology.joints),
        "head": head,
        "headRadius": radius,
    }
    return table, ((joints - centre.astype(np.float32)) / np.float32(scale)).astype("<f2")


def _extent(joints: np.ndarray) -> np.ndarray:
    """Diagonal of the box around every present body (n,)."""
    T, M, V, _ = joints.shape
    bodies = joints.reshape(T * M, V, 3)
    bodies = bodies[np.isfinite(bodies).all(axis=2).any(axis=1)]
    if not len(bodies):
        return np.ones(1, np.float32)
    return np.linalg.norm(np.nanmax(bodies, axis=1) - np.nanmin(bodies, axis=1), axis=1)


def head_of(topology: Topology, joints: np.ndarray, size: float) -> tuple[list[int], float]:
    """Joints whose mean is the middle of the head (none where the layout has no head) and the radius of its circle."""
    names = [n.lower() for n in topology.joints]
    if "head" in names:
        head = names.index("head")
        neck = topology.parents[head]
        length = np.linalg.norm(joints[:, :, head] - joints[:, :, neck], axis=-1) if neck >= 0 else np.zeros(0)
        length = length[np.isfinite(length)]
        radius = 0.6 * float(np.median(length)) if len(length) else 0.0
        return [head], float(np.clip(radius, 0.04 * size, 0.06 * size))
    return [names.index(n) for n in _FACE if n in names], 0.055 * size


def _nice(length: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is not above ``length``."""
    power = 10.0 ** np.floor(np.log10(max(length, 1e-9)))
    return float(power * max(f for f in (1, 2, 5) if f * power <= length * (1 + 1e-9)))
