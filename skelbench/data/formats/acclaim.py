"""Acclaim motion capture: one ``.asf`` skeleton a person, one ``.amc`` file a take (CMU, HDM05).

With C the rotation of a bone's ``axis``, R_local that of its values in the frame (missing degrees of freedom = 0), both composed
as Rz Ry Rx for the order XYZ: R = R_parent C R_local C^-1, and the bone ends at its parent's end + length * R * direction. Each
joint is the far end of the bone of that name; ``root`` is where the first bones begin.

Metres = value * 0.0254 / length, with ``length`` from the ``:units`` of the skeleton (0.45 in CMU and HDM05). The y axis points
up. The files do not state a frame rate; CMU and HDM05 are 120 frames a second, a few CMU takes 60. A bone that a frame leaves out
keeps its values of the frame before, and a note says so.

The skeleton of a take is the ``.asf`` whose name opens the take's name (``02_01.amc`` -> ``02.asf``, ``HDM_bd_walk_001.amc`` ->
``HDM_bd.asf``), looked for in the take's folder and those above it, up to the folder imported. It also names the subject.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.formats.acclaim_text import Skeleton, parse_amc, parse_asf
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

INCH = 0.0254  # metres


def sniff(path: Path) -> bool:
    """Whether the file, or a file in the folder, is called ``.amc``."""
    return bool(motion_files(path, ".amc"))


def describe(path: Path) -> dict[str, Any]:
    """Skeletons, joints and classes, from the first take.

    Raises:
        DataError: no take there, its skeleton is missing, or one of the two is damaged.
    """
    takes = find_takes(path, ".amc")
    asf = _skeletons(path, takes.takes, None)
    skeleton = parse_asf(asf[0])
    frames = parse_amc(takes.takes[0].path, skeleton)[0]
    return {
        "clips": len(takes.takes),
        "classes": list(takes.classes),
        "subjects": sorted({a.stem for a in asf}),
        "skeleton": f"its own, {len(skeleton.names)} joints: {', '.join(skeleton.names)}",
        "bodies": 1,
        "frames": f"{takes.takes[0].path.name}: {len(frames)} frames (the rate is not stated; 120 fps is usual)",
        "unit": f"inch / {skeleton.length:g}",
        "missing": missing_labels(takes),
        "options": options_of(read),
    }


def read(
    path: Path,
    *,
    topology: Topology | None = None,
    labels: str | Path | None = None,
    asf: str | Path | None = None,
    rate: float = 120.0,
    fps: float | None = 30.0,
    scale: float | None = None,
) -> Source:
    """A take or a folder of takes as clips.

    Args:
        path: an ``.amc`` file, or a folder searched with its sub-folders.
        topology: joints to keep and their order, found by name.
        labels: CSV with the columns file, class and, if wanted, subject; see :func:`skelbench.data.formats.source.find_takes`.
        asf: one skeleton for all takes; found by name where left out.
        rate: frames a second of the files.
        fps: keep every n-th frame so that the rate comes nearest to this; None keeps all.
        scale: metres for one unit of the file; from the skeleton's ``:units`` where left out.

    Raises:
        DataError: nothing to read, no skeleton for a take, a damaged file (file and line), or skeletons with different joints.
    """
    check_positive("scale", scale, "a length in metres")
    check_positive("rate", rate, "a number of frames a second")
    found = find_takes(path, ".amc", labels=labels)
    paths = _skeletons(path, found.takes, Path(asf).expanduser() if asf is not None else None)
    bodies = {p: parse_asf(p) for p in dict.fromkeys(paths)}
    first = bodies[paths[0]]
    for other, body in bodies.items():
        if (body.names, body.parents) != (first.names, first.parents):
            odd = ", ".join(sorted(set(body.names) ^ set(first.names))[:5]) or "the same bones hang together differently"
            raise DataError(f"{other}: another skeleton than {paths[0]} ({odd}); import them apart")
        if scale is None:
            check_size(INCH / body.length * reach(*_chain(body)), str(other))
    layout, keep = own_or_given(path, first.names, first.parents, topology, str(paths[0]))
    every = stride(rate, fps)
    notes = list(found.notes)

    def clips() -> Iterator[Clip]:
        for take, at in zip(found.takes, paths, strict=True):
            values, remarks = parse_amc(take.path, bodies[at])
            notes.extend(f"{take.path.name}: {r}" for r in remarks)
            unit = scale if scale is not None else INCH / bodies[at].length
            points = unit * positions(bodies[at], values[::every])[:, keep]
            about = {"subject": at.stem, **take.about}
            yield clip_of(Take(path=take.path, id=take.id, label=take.label, about=about), points, layout, fps=rate / every)

    provenance = {
        "format": "acclaim",
        "source": path.name,
        "files": len(found.takes),
        "labels": found.rule,
        "subjects": "names of the .asf files" if labels is None else "the labels file, else the names of the .asf files",
        "unit": {"name": "given", "metres": scale}
        if scale
        else {"name": f"inch / {first.length:g}", "metres": INCH / first.length},
        "frames": f"taken as {rate:g} fps, every {every}. kept",
        "notes": notes,
    }
    return Source(clips=clips(), classes=found.classes, total=len(found.takes), provenance=provenance, bodies=1)


def _skeletons(path: Path, takes: tuple[Take, ...], given: Path | None) -> list[Path]:
    """The skeleton file of every take."""
    if given is not None:
        if not given.is_file():
            raise DataError(f"{given}: no such skeleton file")
        return [given] * len(takes)
    root = path if path.is_dir() else path.parent
    listed: dict[Path, list[Path]] = {}
    found = []
    for take in takes:
        folder, match = take.path.parent, None
        while match is None:
            if folder not in listed:
                listed[folder] = sorted(f for f in folder.iterdir() if f.suffix.lower() == ".asf" and f.is_file())
            match = max((f for f in listed[folder] if _opens(f.stem, take.path.stem)), key=lambda f: len(f.stem), default=None)
            if match is None and folder == root:
                raise DataError(f"{take.path}: no .asf file whose name opens {take.path.stem!r} in its folder or above; pass asf=")
            folder = folder.parent
        found.append(match)
    return found


def _opens(skeleton: str, take: str) -> bool:
    skeleton, take = skeleton.lower(), take.lower()
    return take == skeleton or (take.startswith(skeleton) and not take[len(skeleton)].isalnum())


def _chain(body: Skeleton) -> tuple[list[int], np.ndarray]:
    """Parents and offsets with parents before their children."""
    place = {j: n for n, j in enumerate(body.order)}
    return [place.get(body.parents[j], -1) for j in body.order], body.offsets[list(body.order)]


def positions(body: Skeleton, values: np.ndarray) -> np.ndarray:
    """World positions (T, V, 3) in the unit of the file, float64, from the values of every frame (T, channels)."""
    T = len(values)
    points, turns = np.zeros((T, len(body.names), 3)), np.empty((len(body.names), T, 3, 3))
    for j in body.order:
        channels, axes = body.columns[j], body.dofs[j]
        turned = [n for n, dof in enumerate(axes) if dof[0] == "r"]
        # Listed first means applied first, so that it stands rightmost in the product.
        local = product([axes[n][1] for n in turned][::-1], values[:, channels][:, turned[::-1]])  # (T, 3, 3)
        C = body.axes[j]
        local = C @ local @ C.T
        if body.parents[j] < 0:
            points[:, j] = body.offsets[j]
            for n, dof in enumerate(axes):
                if dof[0] == "t":
                    points[:, j, "xyz".index(dof[1])] += values[:, channels[n]]
            turns[j] = local
        else:
            turns[j] = turns[body.parents[j]] @ local
            points[:, j] = points[:, body.parents[j]] + turns[j] @ body.offsets[j]
    return points
