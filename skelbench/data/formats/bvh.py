"""BVH (Biovision hierarchy): a tree of offsets and channels, then one line of numbers a frame.

A joint's rotation is the product of its rotation channels in the listed order, the first one leftmost; a joint sits at its parent
plus the parent's rotation times its OFFSET. Position channels are added to OFFSET; where those of an inner joint merely repeat its
OFFSET (some exporters write every joint with six channels), they replace it, and a note says so. End Sites become joints called
``<parent>_end``. Several ROOTs with the same tree are several bodies.

The format states no unit. Unless ``scale`` is given, the unit is the one of metre, inch / 0.45 (Acclaim), inch, centimetre and
millimetre that brings the distance from root to farthest tip, along the bones, nearest to that of an adult (1.15 m). The guess is
made on the first file, holds for the whole import and is written into the provenance. The y axis is taken to point up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.formats.bvh_text import Joint, Motion, parse
from skelbench.data.formats.kinematics import check_size, product, reach
from skelbench.data.formats.source import (
    Source,
    Take,
    check_positive,
    clip_of,
    find_takes,
    missing_labels,
    motion_files,
    options_of,
    own_or_given,
    stride,
)
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology

UNITS = {"metre": 1.0, "inch / 0.45": 0.0254 / 0.45, "inch": 0.0254, "centimetre": 0.01, "millimetre": 0.001}
ADULT = 1.15  # metres from the pelvis to the farthest tip: toes, or fingers where they are modelled


def sniff(path: Path) -> bool:
    """Whether the file, or a file in the folder, is called ``.bvh``."""
    return bool(motion_files(path, ".bvh"))


def describe(path: Path) -> dict[str, Any]:
    """Joints, frame rate and classes, from the first file.

    Raises:
        DataError: no file there, or the first one is damaged.
    """
    takes = find_takes(path, ".bvh")
    motion = parse(takes.takes[0].path)
    names, _, _ = skeleton(motion, end_sites=True)
    unit, scale = guess_unit(motion)
    return {
        "clips": len(takes.takes),
        "classes": list(takes.classes),
        "skeleton": f"its own, {len(names)} joints: {', '.join(names)}",
        "bodies": _bodies(motion),
        "frames": f"{takes.takes[0].path.name}: {len(motion.values)} frames at {motion.fps:.4g} fps",
        "unit (guessed)": f"{unit}, scale {scale:.4g}",
        "missing": missing_labels(takes),
        "options": options_of(read),
    }


def read(
    path: Path,
    *,
    topology: Topology | None = None,
    labels: str | Path | None = None,
    fps: float | None = 30.0,
    scale: float | None = None,
    end_sites: bool = True,
    skip: int = 0,
) -> Source:
    """A file or a folder of files as clips.

    Args:
        path: a ``.bvh`` file, or a folder searched with its sub-folders.
        topology: joints to keep and their order, found by name.
        labels: CSV with the columns file, class and, if wanted, subject; see :func:`skelbench.data.formats.source.find_takes`.
        fps: keep every n-th frame so that the rate comes nearest to this; None keeps all.
        scale: metres for one unit of the file; guessed where left out (see above).
        end_sites: keep End Sites as joints.
        skip: frames to drop at the start of every file, before thinning (conversions may begin with a reference pose).

    Raises:
        DataError: nothing to read, a damaged file (file and line), or files of different skeletons.
    """
    check_positive("scale", scale, "a length in metres")
    found = find_takes(path, ".bvh", labels=labels)
    first = parse(found.takes[0].path)
    names, parents, _ = skeleton(first, end_sites=end_sites)
    unit, factor = ("given", float(scale)) if scale is not None else guess_unit(first)
    if scale is None:
        check_size(factor * _reach(first), str(found.takes[0].path))
    layout, keep = own_or_given(path, names, parents, topology, str(found.takes[0].path))
    stride(first.fps, fps)  # a bad fps is refused before anything is written
    notes = list(found.notes)

    def clips() -> Iterator[Clip]:
        for take in found.takes:
            motion = first if take is found.takes[0] else parse(take.path)
            theirs = skeleton(motion, end_sites=end_sites)
            if theirs[:2] != (names, parents):
                raise DataError(_difference(found.takes[0], take, names, theirs[0]))
            notes.extend(f"{take.path.name}: {n}" for n in motion.notes)
            every = stride(motion.fps, fps)
            frames = motion.values[skip::every]
            if not len(frames):
                raise DataError(f"{take.path}: {len(motion.values)} frames, but the first {skip} are to be skipped")
            points, replaced = positions(motion.joints, frames)
            if replaced:
                notes.append(f"{take.path.name}: position channels of inner joints repeat OFFSET and replace it")
            bodies = points.reshape(len(points), _bodies(motion), -1, 3)[:, :, theirs[2]]
            yield clip_of(take, factor * bodies[:, :, keep], layout, fps=motion.fps / every)

    provenance = {
        "format": "bvh",
        "source": path.name,
        "files": len(found.takes),
        "labels": found.rule,
        "unit": {"name": unit, "metres": factor},
        "frames": f"every n-th so that the rate comes nearest to {fps:g} fps" if fps else "as recorded",
        "skipped at the start": skip,
        "notes": notes,
    }
    return Source(clips=clips(), classes=found.classes, total=len(found.takes), provenance=provenance, bodies=_bodies(first))


def _difference(first: Take, other: Take, names: Sequence[str], theirs: Sequence[str]) -> str:
    odd = sorted(set(names) ^ set(theirs))
    what = f"only one of them has {', '.join(odd[:5])}" if odd else "the same joints hang together differently"
    return f"{other.path}: another skeleton ({len(theirs)} joints) than {first.path} ({len(names)}): {what}; import them apart"


def guess_unit(motion: Motion) -> tuple[str, float]:
    """(name, metres) of the unit that makes the skeleton nearest to an adult's size, by ratio."""
    size = _reach(motion)
    if not size > 0:
        return "metre", 1.0
    name = min(UNITS, key=lambda u: abs(math.log(UNITS[u] * size / ADULT)))
    return name, UNITS[name]


def _reach(motion: Motion) -> float:
    return reach([j.parent for j in motion.joints], np.array([j.offset for j in motion.joints]))


def _bodies(motion: Motion) -> int:
    return sum(j.parent < 0 for j in motion.joints)


def skeleton(motion: Motion, *, end_sites: bool) -> tuple[tuple[str, ...], tuple[int, ...], list[int]]:
    """Names and parents of one body, and where its kept joints stand in a body of the file."""
    body = motion.joints[: len(motion.joints) // _bodies(motion)]
    kept = [n for n, j in enumerate(body) if end_sites or not j.end]
    place = {n: at for at, n in enumerate(kept)}
    return tuple(body[n].name for n in kept), tuple(place.get(body[n].parent, -1) for n in kept), kept


def positions(joints: Sequence[Joint], values: np.ndarray) -> tuple[np.ndarray, bool]:
    """World positions (T, V, 3) in the unit of the file, float64; and whether position channels replaced an OFFSET."""
    T = len(values)
    points, turns = np.empty((T, len(joints), 3)), np.empty((len(joints), T, 3, 3))
    at, replaced = 0, False
    for j, joint in enumerate(joints):
        block = values[:, at : at + len(joint.channels)]  # (T, channels)
        at += len(joint.channels)
        offset = np.tile(np.asarray(joint.offset), (T, 1))
        moved = [n for n, (_, kind) in enumerate(joint.channels) if kind == "position"]
        axes = ["xyz".index(joint.channels[n][0]) for n in moved]
        if (
            joint.parent >= 0
            and len(moved) == 3
            and np.allclose(np.median(block[:, moved], axis=0), offset[0, axes], rtol=0.01, atol=1e-4)
        ):
            offset[:, axes], replaced = block[:, moved], replaced or bool(np.any(offset))
        else:
            offset[:, axes] += block[:, moved]
        turned = [n for n, (_, kind) in enumerate(joint.channels) if kind == "rotation"]
        local = product([joint.channels[n][0] for n in turned], block[:, turned])  # (T, 3, 3)
        if joint.parent < 0:
            points[:, j], turns[j] = offset, local
        else:
            points[:, j] = points[:, joint.parent] + np.einsum("tij,tj->ti", turns[joint.parent], offset)
            turns[j] = turns[joint.parent] @ local
    return points, replaced
