"""Writing the frames of a store one clip after the other, so that memory does not grow with the dataset."""

from __future__ import annotations

import hashlib
from array import array
from typing import BinaryIO

import numpy as np

from skelbench.data.container import ABOUT, ID
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip

HEADER = 128  # bytes of clips.npy before the frames; the shape is filled in at the end


class Column:
    """One value a clip, eight bytes each however many clips there are; words are kept once."""

    def __init__(self) -> None:
        self.values = array("q")
        self.words: dict[str, int] = {}
        self.worded = array("q")  # rows that hold the number of a word; empty for a column of numbers, as most are

    def put(self, row: int, value: int | np.integer | str, where: str) -> None:
        """Set the value of a row; rows that were left out are -1."""
        self.values.extend([-1] * (row - len(self.values)))
        if isinstance(value, str):
            self.worded.append(row)
        number = self.words.setdefault(value, len(self.words)) if isinstance(value, str) else int(value)
        if not -(1 << 63) <= number < 1 << 63:
            raise DataError(f"{where}: {value} is a larger number than can be kept")
        self.values.append(number)

    def finish(self, rows: int) -> tuple[np.ndarray, list[str]]:
        """The column (rows,) and what its numbers stand for: nothing where all values are numbers, written as such or as words."""
        self.values.extend([-1] * (rows - len(self.values)))
        values = np.array(self.values, np.int64)
        if not self.words:
            return values, []
        worded = np.array(self.worded, np.int64)
        given = list(self.words)
        if all(w.isdecimal() and len(w) < 19 for w in given):
            values[worded] = np.array([int(w) for w in given], np.int64)[values[worded]]
            return values, []
        known: dict[str, int] = {}
        spoken = set(self.worded)
        numbered = [
            -1 if v == -1 and n not in spoken else known.setdefault(given[v] if n in spoken else str(v), len(known))
            for n, v in enumerate(values.tolist())
        ]
        return np.array(numbered, np.int64), list(known)


class FrameWriter:
    """clips.npy while it grows, and the table that goes with it."""

    def __init__(self, file: BinaryIO, *, classes: int, bodies: int | None) -> None:
        self.file, self.classes, self.bodies = file, classes, bodies
        self.digest = hashlib.sha256()
        self.frames = 0
        self.first: Clip | None = None
        self.ids: dict[str, None] = {}
        self.columns: dict[str, Column] = {key: Column() for key in ("start", "length", "label", *ABOUT)}
        file.write(bytes(HEADER))

    def append(self, clip: Clip) -> None:
        if self.first is None:
            self.first = clip
            self.bodies = self.bodies or clip.joints.shape[1]
        id = clip.id or f"{len(self.ids):06d}"
        joints = self._checked(clip, f"clip {id!r}")
        if id in self.ids:
            raise DataError(f"clip {id!r} stands twice; every clip needs a name of its own")
        row = {k: v for k, v in clip.about.items() if isinstance(v, int | np.integer) or (k in ABOUT and isinstance(v, str))}
        row |= {"start": self.frames, "length": len(joints), "label": int(clip.label)}
        for key, value in row.items():
            self.columns.setdefault(key, Column()).put(len(self.ids), value, f"clip {id!r}, column {key!r}")
        self.ids[id] = None
        data = np.ascontiguousarray(joints).tobytes()
        self.file.write(data)
        self.digest.update(data)
        self.frames += len(joints)

    def _checked(self, clip: Clip, name: str) -> np.ndarray:
        """The clip as (T, M, V, C) float32, or a DataError that names it."""
        assert self.first is not None and self.bodies is not None
        if not ID.fullmatch(clip.id or "-"):
            raise DataError(f"{name}: a clip name has 1 to 200 characters, without / \\ < > & quotes and control characters")
        (T, M, V, C), wanted = clip.joints.shape, self.first
        if T == 0:
            raise DataError(f"{name} has no frames")
        if clip.topology is not wanted.topology and clip.topology != wanted.topology:
            theirs, ours = clip.topology.name, wanted.topology.name
            raise DataError(f"{name} has another skeleton ({theirs!r}, {V} joints) than the first clip {wanted.id!r} ({ours!r})")
        if C != wanted.joints.shape[3] or M > self.bodies:
            ours = f"{self.bodies} bodies and {wanted.joints.shape[3]} coordinates"
            raise DataError(f"{name} has {M} bodies and {C} coordinates, the store {ours}; pass bodies={M} for more bodies")
        if abs(clip.fps - wanted.fps) > 0.01 * wanted.fps:
            raise DataError(f"{name} has {clip.fps:g} frames a second, the first clip {wanted.fps:g}; bring them to one rate first")
        if not -1 <= clip.label < self.classes:
            raise DataError(f"{name} has label {clip.label}, but there are {self.classes} classes (0..{self.classes - 1}, or -1)")
        with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused below
            joints = clip.joints.astype("<f4", copy=False)
        check_finite(joints, name)
        return joints if M == self.bodies else np.pad(joints, ((0, 0), (0, self.bodies - M), (0, 0), (0, 0)))

    def finish(self, name: str) -> Clip:
        """Write the header, now that the number of frames is known; gives the first clip back."""
        if self.first is None:
            raise DataError(f"{name}: there is not a single clip to write")
        shape = (self.frames, self.bodies, *self.first.joints.shape[2:])
        text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
        lead = np.lib.format.magic(1, 0) + (HEADER - 10).to_bytes(2, "little")
        self.file.seek(0)
        self.file.write(lead + text.ljust(HEADER - 11).encode("ascii") + b"\n")
        self.file.flush()
        return self.first

    def table(self) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
        """Columns of index.npz, and the words that were numbered: column -> words."""
        columns: dict[str, np.ndarray] = {}
        names: dict[str, list[str]] = {}
        for key, column in self.columns.items():
            columns[key], words = column.finish(len(self.ids))
            names |= {key: words} if words else {}
        group = columns["group"]
        alone = np.flatnonzero(group < 0)
        group[alone] = max(0, int(group.max()) + 1) + np.arange(len(alone))
        columns["ids"] = np.asarray(list(self.ids))
        return columns, names


def check_finite(joints: np.ndarray, name: str) -> None:
    """Refuse NaN and infinity.

    Raises:
        DataError: names the clip, the first bad frame (counted from 0), body and joint.
    """
    bad = ~np.isfinite(joints)
    if bad.any():
        frame, body, joint, axis = (int(i[0]) for i in np.nonzero(bad))
        value = joints[frame, body, joint, axis]
        raise DataError(f"{name}, frame {frame}: joint {joint} of body {body} has the coordinate {value}; wanted finite metres")
