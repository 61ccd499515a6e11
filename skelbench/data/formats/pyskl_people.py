"""People found in frames, one row each, as PYSKL keeps them for large sets; and the files in which Kinetics-400 keeps theirs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skelbench.data.formats.on_disk import files_named
from skelbench.data.formats.planar import GAPS, SPARE, by_score
from skelbench.data.formats.pyskl_file import Entry, numbers
from skelbench.data.formats.unpickle import load_pickle
from skelbench.errors import DataError

MOST_PEOPLE = 10  # in a frame, as published
PICKLE = re.compile(r".+\.(pkl|pickle)", re.IGNORECASE)


def first_frame(entries: Sequence[Entry], path: Path) -> int:
    """Whether frames are counted from 0 or from 1: from 1 where some clip has its ``total_frames`` as a frame and none has 0.

    Raises:
        DataError: a frame lies outside its clip either way; the message names the clip.
    """
    lists = [(e, e.found) for e in entries if e.found is not None and len(e.found)]
    base = int(all(found.min() >= 1 for _, found in lists) and any(found.max() == e.frames for e, found in lists))
    for entry, found in lists:
        low, high = int(found.min()) - base, int(found.max()) - base
        if low < 0 or high >= entry.frames:
            raise DataError(
                f"{path}: clip {entry.name[:80]!r}: 'frame_inds' goes from {low + base} to {high + base}, but there are"
                f" {entry.frames} frames ('total_frames'), counted from {base}"
            )
        if entry.frames > SPARE + GAPS * len(found):
            raise DataError(
                f"{path}: clip {entry.name[:80]!r}: 'total_frames' is {entry.frames}, with {len(found)} people found in all of them"
            )
    return base


def most_at_once(entry: Entry) -> int:
    """People in the frame that has most of them."""
    return int(np.unique(entry.found, return_counts=True)[1].max()) if entry.found is not None and len(entry.found) else 0


def joints_of(entry: Entry, people: np.ndarray, *, base: int, bodies: int, threshold: float) -> np.ndarray:
    """In every frame the surest people, best first: (T, bodies, V, 3) float32 with x, y and score.

    Args:
        entry: the clip.
        people: (R, V, 3), or (R, V, 2) where the clip has scores apart.
        base: number of the first frame.
        bodies: M.
        threshold: people whose ``box_score`` is below are left out.
    """
    assert entry.found is not None
    rows = people.astype(np.float32)
    if entry.score is not None:
        rows = np.concatenate([rows[..., :2], entry.score[..., None].astype(np.float32)], axis=-1)
    sure = entry.box_score if entry.box_score is not None else rows[..., 2].mean(axis=1)
    kept = np.flatnonzero(sure >= threshold) if entry.box_score is not None else np.arange(len(rows))
    at = entry.found[kept].astype(np.int64) - base
    return by_score(at, rows[kept], sure[kept].astype(np.float64), T=entry.frames, bodies=bodies)


class KpFiles:
    """Pickles ``clip -> {"keypoint": (R, V, 3)}``; one is open at a time, and what is not asked for stays on the disk.

    Args:
        path: a file, or a folder searched with its sub-folders.

    Raises:
        DataError: no pickle there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = {f.name: f for f in files_named(path, PICKLE)}
        if not self.files:
            raise DataError(f"{path}: holds no .pkl file with coordinates (kpfiles)")
        self.open: tuple[Path, dict[str, object]] | None = None

    def people(self, entry: Entry) -> np.ndarray:
        """The people found in a clip (R, V, 3).

        Raises:
            DataError: the file of the clip is not there or damaged, lacks the clip, or has another number of people.
        """
        name = re.split(r"[/\\]", entry.raw_file)[-1]
        file = self.files.get(name) or (self.path if self.path.is_file() else None)
        if file is None:
            raise DataError(f"{self.path}: holds no {name!r}, in which the coordinates of {entry.name[:80]!r} stand; fetch it, too")
        if self.open is None or self.open[0] != file:
            self.open = None  # the old one may go before the new one comes
            content = load_pickle(file)
            if not isinstance(content, dict):
                raise DataError(f"{file}: wanted a dict, clip -> {{'keypoint': array}}, found a {type(content).__name__}")
            self.open = (file, content)
        there = self.open[1].get(entry.name)
        if not isinstance(there, dict) or "keypoint" not in there:
            raise DataError(f"{file}: holds no 'keypoint' of clip {entry.name[:80]!r}")
        assert entry.found is not None
        return numbers(there["keypoint"], (len(entry.found), None, 3), "f", f"{file}: clip {entry.name[:80]!r}: 'keypoint'")
