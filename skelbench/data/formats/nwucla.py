"""Northwestern-UCLA in the JSON form that CTR-GCN and its successors use: one file a clip, ``aXX_sYY_eZZ_vNN.json``.

The name gives action, subject, episode and view; the key ``skeletons`` holds T x 20 x 3 coordinates of a Kinect v1 in metres. Ten
actions, numbered 1-6, 8, 9, 11 and 12, become labels 0-9. Official split ``xview``: views 1 and 2 train (1020 clips), view 3 tests
(464). Coordinates are kept as they are: the min-max scaling of every clip that the usual loaders apply is no part of the data.

The frame rate is stated nowhere; 30, that of the sensor, is taken unless ``fps`` says otherwise. One clip has a single frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.formats.json_text import load_json, number_array
from skelbench.data.formats.on_disk import files_named, holds
from skelbench.data.formats.source import Source, check_positive, options_of, pick_joints
from skelbench.data.tables import table
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology
from skelbench.skeleton.topology import topology as find_topology

NAME = re.compile(r"a(\d\d)_s(\d\d)_e(\d\d)_v(\d\d)\.json")
LAYOUT = "kinect_v1_20"
LIMIT = 32 << 20  # bytes of a file; the longest clip has a quarter of a million


def sniff(path: Path) -> bool:
    """Whether the file, or a file in the folder, is called ``aXX_sYY_eZZ_vNN.json``."""
    return holds(path, NAME)


def describe(path: Path) -> dict[str, Any]:
    """Clips, classes and views by the file names, frames of the first clip, and which of the official clips are not there.

    Raises:
        DataError: no such file there, two of one name, or the first one is damaged.
    """
    files = _files(path)
    views = sorted({_numbers(f)[3] for f in files})
    return {
        "clips": len(files),
        "classes": list(table("nw_ucla")["classes"]),
        "skeleton": f"{LAYOUT}, {find_topology(LAYOUT).V} joints",
        "bodies": 1,
        "frames": f"{len(_skeletons(files[0]))} in the first clip, {files[0].name}",
        "views": views,
        "splits": ["xview"],
        "missing": _absent(path, files),
        "options": options_of(read),
    }


def read(path: Path, *, topology: Topology | None = None, fps: float = 30.0) -> Source:
    """A file or a folder of files as clips.

    Args:
        path: a JSON file, or a folder searched with its sub-folders.
        topology: joints to keep and their order, found by the names of the layout ``kinect_v1_20``.
        fps: frames a second, which the files do not state.

    Raises:
        DataError: no such file there, two of one name, an action that is none of the ten, or a damaged file.
    """
    files = _files(path)
    check_positive("fps", fps, "a number")
    layout = topology or find_topology(LAYOUT)
    keep = pick_joints(find_topology(LAYOUT).joints, layout, str(path))
    labels = [_label(f) for f in files]
    t = table("nw_ucla")
    notes = _absent(path, files)

    def clips() -> Iterator[Clip]:
        for file, label in zip(files, labels, strict=True):
            joints = _skeletons(file)[:, None, keep].astype(np.float32)  # (T, 1, V, 3)
            _, subject, episode, view = _numbers(file)
            listed = t["frames"].get(file.stem[:-4], (0, 0, 0))[view - 1] if view <= 3 else 0
            if listed != len(joints):
                why = f"{len(joints)} frames, the official list says {listed}" if listed else "not on the official list"
                notes.append(f"{file.name}: {why}")
            about = {"subject": subject, "camera": view, "episode": episode, "group": file.stem[:-4]}
            yield Clip(joints=joints, topology=layout, fps=fps, label=label, id=file.stem, about=about)

    return Source(
        clips=clips(),
        classes=tuple(t["classes"]),
        total=len(files),
        provenance={"format": "nwucla", "source": path.name, "files": len(files), "frame rate": "not stated", "notes": notes},
        bodies=1,
        splits={"xview": {"by": "camera", "train": t["train_views"], "test": t["test_views"]}},
        attribution="Wang et al., Cross-view Action Modeling, Learning and Recognition, CVPR 2014",
    )


def _files(path: Path) -> list[Path]:
    files = files_named(path, NAME)
    if not files:
        raise DataError(f"{path}: holds no file called aXX_sYY_eZZ_vNN.json (Northwestern-UCLA)")
    first: dict[str, Path] = {}
    for file in files:
        if first.setdefault(file.name, file) is not file:
            raise DataError(f"{file}: the same clip as {first[file.name]}; keep one of them")
    return files


def _numbers(file: Path) -> tuple[int, int, int, int]:
    """Action, subject, episode, view."""
    found = NAME.fullmatch(file.name)
    assert found
    action, subject, episode, view = map(int, found.groups())
    return action, subject, episode, view


def _label(file: Path) -> int:
    actions, action = table("nw_ucla")["actions"], _numbers(file)[0]
    if action not in actions:
        raise DataError(f"{file}: action {action} is none of the dataset's, which are {', '.join(map(str, actions))}")
    return actions.index(action)


def _skeletons(file: Path) -> np.ndarray:
    """Coordinates (T, 20, 3), float64."""
    content = load_json(file, limit=LIMIT)
    if not isinstance(content, dict) or "skeletons" not in content:
        raise DataError(f"{file}: wanted an object with the key 'skeletons', frames x 20 joints x 3 coordinates")
    joints = number_array(content["skeletons"], (None, find_topology(LAYOUT).V, 3), f"{file}: skeletons")
    if not len(joints):
        raise DataError(f"{file}: has no frames")
    bad = np.flatnonzero(~(np.abs(joints) <= np.finfo(np.float32).max).all(axis=(1, 2)))
    if len(bad):
        raise DataError(f"{file}: frame {bad[0]} holds a coordinate that is not a finite number")
    return joints


def _absent(path: Path, files: list[Path]) -> list[str]:
    """Which of the official clips a folder lacks."""
    if path.is_file():
        return []
    there = {f.stem for f in files}
    official = (f"{stem}_v{v + 1:02d}" for stem, frames in table("nw_ucla")["frames"].items() for v in range(3) if frames[v])
    gone = [name for name in official if name not in there]
    return [f"{len(gone)} of the 1484 official clips, the first is {gone[0]}.json"] if gone else []
