"""Penn Action: ``labels/NNNN.mat``, one MATLAB 5 file a clip with the 13 joints of one person in a picture.

Variables: ``action`` (text, one of 15), ``pose`` (from where it is seen: left, right, front, back), ``x``, ``y``, ``visibility``
(frames x 13), ``bbox`` (frames x 4, sometimes fewer rows; not kept), ``dimensions`` (height, width, frames), ``nframes``, ``train``
(1 train, -1 test). Frames and pictures in ``frames/NNNN/`` are not read.

Joints are (x, y, visibility) in pixels as MATLAB counts them, the first one 1, y downwards. A joint of visibility 0 carries
placeholder coordinates in a corner of the picture; they are set to zero here. The frame rate is stated nowhere; 30 is taken unless
``fps`` says otherwise. Labels are the actions in alphabetical order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.formats.mat5 import Variable, load_mat, names_in
from skelbench.data.formats.on_disk import files_named, holds
from skelbench.data.formats.planar import layout_of
from skelbench.data.formats.source import Source, check_positive, options_of
from skelbench.data.tables import table
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology
from skelbench.skeleton.topology import topology as find_topology

FILE = re.compile(r"\d{4,6}\.mat")
LAYOUT = "penn_action_13"
JOINTS = ("x", "y", "visibility")
VARIABLES = (*JOINTS, "action", "pose", "bbox", "dimensions", "nframes", "train")
SIDES = {1: 1, -1: 2}  # of the variable train: values of the column split_official
CORNER = 3  # a placeholder has x + y of at most this
WIDE = 1 << 16  # pixels no picture is wide or high


def sniff(path: Path) -> bool:
    """Whether a file is called like ``0001.mat`` and holds the variables of Penn Action."""
    return holds(path, FILE, _has_joints)


def describe(path: Path) -> dict[str, Any]:
    """Clips, and what the first of them holds.

    Raises:
        DataError: no such file there, two of one name, or the first one is damaged.
    """
    files = _files(path)
    first, t = load_mat(files[0], VARIABLES), table("penn_action")
    about = _about(first, files[0])
    short = t["sequences"] - len(files)
    return {
        "clips": len(files),
        "classes": list(t["classes"]),
        "skeleton": f"{LAYOUT}, {find_topology(LAYOUT).V} joints with visibility",
        "bodies": 1,
        "frames": f"{len(_joints(first, files[0])[0])} in the first clip, {files[0].name}",
        "picture": f"{about['width']} x {about['height']} in the first clip",
        "splits": ["official"],
        "missing": [f"{short} of the {t['sequences']} clips"] if short > 0 and path.is_dir() else [],
        "options": options_of(read),
    }


def read(path: Path, *, topology: Topology | None = None, fps: float = 30.0) -> Source:
    """A file or a folder of files as clips.

    Args:
        path: a ``.mat`` file, or a folder searched with its sub-folders.
        topology: joints to keep and their order, found by the names of the layout ``penn_action_13``.
        fps: frames a second, which the files do not state.

    Raises:
        DataError: no such file there, two of one name, an action that is none of the 15, or a damaged file.
    """
    check_positive("fps", fps, "a number")
    files = _files(path)
    classes = tuple(table("penn_action")["classes"])
    layout, keep = layout_of(path, find_topology(LAYOUT), topology, dims=2, units="pixel")
    notes: list[str] = []

    def clips() -> Iterator[Clip]:
        elsewhere = 0
        for file in files:
            content = load_mat(file, VARIABLES)
            joints, odd = _joints(content, file)
            elsewhere += odd
            label = classes.index(_word(content, "action", classes, file))
            listed = _number(content, "nframes", file)
            if listed != len(joints):
                notes.append(f"{file.name}: {len(joints)} frames, nframes says {listed}")
            about = {**_about(content, file), "camera": _word(content, "pose", None, file)}
            kept = np.ascontiguousarray(joints[:, None, keep], np.float32)  # (T, 1, V, 3)
            yield Clip(joints=kept, topology=layout, fps=fps, label=label, id=file.stem, about=about)
        if elsewhere:
            notes.append(f"{elsewhere} joints of visibility 0 had coordinates away from the corner; they are zero here, too")

    return Source(
        clips=clips(),
        classes=classes,
        total=len(files),
        provenance={"format": "penn", "source": path.name, "files": len(files), "frame rate": "not stated", "notes": notes},
        bodies=1,
        units="pixel",
        splits={"official": {"by": "split_official", "train": [1], "test": [2], "apart": "group"}},
        extra={"image": True},
        attribution="Zhang, Zhu, Derpanis, From Actemes to Action, ICCV 2013",
    )


def _has_joints(file: Path) -> bool:
    try:
        return {"action", *JOINTS} <= set(names_in(file))
    except DataError:  # some other MATLAB file
        return False


def _files(path: Path) -> list[Path]:
    files = files_named(path, FILE)
    if not files:
        raise DataError(f"{path}: holds no file called like 0001.mat (Penn Action, folder labels)")
    first: dict[str, Path] = {}
    for file in files:
        if first.setdefault(file.name, file) is not file:
            raise DataError(f"{file}: the same clip as {first[file.name]}; keep one of them")
    return files


def _joints(content: dict[str, Variable], file: Path) -> tuple[np.ndarray, int]:
    """Joints (T, 13, 3) with invisible ones zero, and how many of those had coordinates away from the corner."""
    x, y, seen = (_matrix(content, name, file) for name in JOINTS)
    V = find_topology(LAYOUT).V
    if x.ndim != 2 or x.shape[1] != V or not len(x) or y.shape != x.shape or seen.shape != x.shape:
        raise DataError(f"{file}: x, y and visibility have sizes {x.shape}, {y.shape}, {seen.shape}; wanted frames x {V} each")
    bbox = _matrix(content, "bbox", file)
    if bbox.ndim != 2 or bbox.shape[1] != 4 or len(bbox) > len(x):
        raise DataError(f"{file}: bbox has size {bbox.shape}, wanted up to {len(x)} x 4")
    joints = np.stack([x, y, seen], axis=-1)
    bad = np.flatnonzero(~(np.abs(joints) <= WIDE).all(axis=(1, 2)) | ~((seen >= 0) & (seen <= 1)).all(axis=1))
    if len(bad):
        raise DataError(f"{file}: frame {bad[0] + 1} holds a position outside any picture, or a visibility outside 0..1")
    hidden = seen == 0
    odd = int((hidden & (x + y > CORNER)).sum())
    joints[hidden] = 0
    return joints, odd


def _about(content: dict[str, Variable], file: Path) -> dict[str, int]:
    dimensions, train = _matrix(content, "dimensions", file).ravel(), _number(content, "train", file)
    if len(dimensions) < 2 or not all(1 <= d <= WIDE and d == int(d) for d in dimensions[:2]):
        raise DataError(f"{file}: dimensions are {dimensions[:4].tolist()}, wanted height, width and frames")
    if train not in SIDES:
        raise DataError(f"{file}: train is {train}, wanted 1 (train) or -1 (test)")
    return {"width": int(dimensions[1]), "height": int(dimensions[0]), "split_official": SIDES[train]}


def _matrix(content: dict[str, Variable], name: str, file: Path) -> np.ndarray:
    value = content[name]
    if isinstance(value, str):
        raise DataError(f"{file}: variable {name!r} is text, wanted numbers")
    return value.astype(np.float64)


def _number(content: dict[str, Variable], name: str, file: Path) -> int:
    value = _matrix(content, name, file)
    if value.size != 1 or not abs(value.item()) < 1e9 or value.item() != int(value.item()):
        raise DataError(f"{file}: variable {name!r} is {value.ravel()[:4].tolist()!s}, wanted one whole number")
    return int(value.item())


def _word(content: dict[str, Variable], name: str, known: tuple[str, ...] | None, file: Path) -> str:
    value = content[name]
    word = value.strip().lower().replace(" ", "_") if isinstance(value, str) else ""
    if not word.isidentifier() or len(word) > 40 or (known is not None and word not in known):
        given = repr(value[:40]) if isinstance(value, str) else "no text"
        raise DataError(f"{file}: {name} is {given}, wanted {'one of ' + ', '.join(known) if known else 'a word'}")
    return word
