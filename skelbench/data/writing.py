"""Writing the frames of a store one clip after the other, so that memory does not grow with the dataset."""

from __future__ import annotations

import hashlib
from typing import Any, BinaryIO

import numpy as np

from skelbench.data.container import ABOUT, ID
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip

HEADER = 128  # bytes of clips.npy before the frames; the shape is filled in at the end


class FrameWriter:
    """clips.npy while it grows, and the table that goes with it."""

    def __init__(self, file: BinaryIO, *, classes: int, bodies: int | None) -> None:
        self.file, self.classes, self.bodies = file, classes, bodies
        self.digest = hashlib.sha256()
        self.frames = 0
        self.first: Clip | None = None
        self.ids: dict[str, None] = {}
        self.rows: list[dict[str, Any]] = []
        file.write(bytes(HEADER))

    def append(self, clip: Clip) -> None:
        if self.first is None:
            self.first = clip
            self.bodies = self.bodies or clip.joints.shape[1]
        id = clip.id or f"{len(self.rows):06d}"
        joints = self._checked(clip, f"clip {id!r}")
        if id in self.ids:
            raise DataError(f"clip {id!r} stands twice; every clip needs a name of its own")
        self.ids[id] = None
        data = np.ascontiguousarray(joints).tobytes()
        self.file.write(data)
        self.digest.update(data)
        about = {k: v for k, v in clip.about.items() if isinstance(v, int | np.integer) or (k in ABOUT and isinstance(v, str))}
        self.rows.append({**about, "start": self.frames, "length": len(joints), "label": int(clip.label)})
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
        keys = dict.fromkeys(["start", "length", "label", *ABOUT, *(k for row in self.rows for k in row)])
        columns, names = {}, {}
        for key in keys:
            values = [row.get(key, -1) for row in self.rows]
            if all(v == -1 or (str(v).isdecimal() and len(str(v)) < 19) for v in values):
                values = [int(v) for v in values]
            elif any(isinstance(v, str) for v in values):
                known = {v: n for n, v in enumerate(dict.fromkeys(str(v) for v in values if v != -1))}
                names[key] = list(known)
                values = [known.get(str(v), -1) for v in values]
            columns[key] = np.asarray(values, np.int64)
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
