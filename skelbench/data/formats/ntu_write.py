"""Clips written as NTU RGB+D ``.skeleton`` files, so that whatever reads those can read what was made here.

Coordinates are written with the fewest digits that give the same float32 again. Of the columns that skelbench does not keep, pixels
are those of an ideal Kinect v2 at the origin, orientations turn +y the shortest way along the bone that ends in the joint, lean is
zero and hands are unknown. To get exactly the same clips back, read with ``persons="raw", missing=False``: the other ways choose
among bodies, and a file may be called like one that the authors of the dataset list as missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.folders import new_folder
from skelbench.data.formats.ntu_text import JOINT_VALUES, JOINTS
from skelbench.data.store import Store
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import topology

LAYOUT = "kinect_v2_25"
FIRST_ID = 1 << 56  # as large as those of the sensor; beyond what a double holds exactly
# Focal length and centre of the two pictures, pixels; y points down in them.
DEPTH, COLOUR = (365.5, 256.0, 212.0), (1081.4, 960.0, 540.0)
TINY = 1e-9
NEAREST = 0.1  # metres; nothing nearer is on a picture
BODY = "0 0 0 0 0 0 0 0 2"  # what follows the id of a body
LINE = " ".join(["%s"] * 3 + ["%.7g"] * 8 + ["%d"])


def write_ntu(clips: Store | Iterable[Clip], folder: str | Path, *, overwrite: bool = False) -> Path:
    """Write clips as ``SsssCcccPpppRrrrAaaa.skeleton``, one file each; the folder appears whole or not at all.

    Setup, camera, subject and replication are the columns of these names, 000 where they are not known; the action is the label
    plus 1. Clips without a replication are numbered where they would be called the same.

    Args:
        clips: a store, or any clips; a fourth coordinate becomes the tracking state, as the option ``states`` reads it.
        folder: to make.
        overwrite: replace a dataset that is there; a folder of other files never is.

    Returns:
        The folder.

    Raises:
        DataError: the folder exists, there is no clip, or one cannot be written so: other joints than those of Kinect v2, no label,
            two of one name, a number above 999, coordinates that are not finite or not metres.
    """
    if isinstance(clips, Store) and clips.meta.units != "metre":
        raise DataError(f"{clips.meta.name}: coordinates in {clips.meta.units}; .skeleton files hold metres")
    folder, names = Path(folder), _Names()
    with new_folder(folder, overwrite=overwrite) as part:
        for clip in clips:
            (part / names.next(clip)).write_bytes(skeleton_text(clip, first_id=FIRST_ID + 8 * len(names.taken)))
        if not names.taken:
            raise DataError(f"{folder}: there is not a single clip to write")
    return folder


class _Names:
    """File names, each given once."""

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self.repeated: Counter[tuple[int, ...]] = Counter()

    def next(self, clip: Clip) -> str:
        if clip.label < 0:
            raise DataError(f"clip {clip.id!r} has no label, but the name of a .skeleton file holds the class")
        setup, camera, subject = (_number(clip, key) for key in ("setup", "camera", "subject"))
        replication = _number(clip, "replication")
        if not replication:
            place = (setup, camera, subject, clip.label)
            self.repeated[place] += 1
            replication = self.repeated[place]
        if replication > 999 or clip.label > 998:
            raise DataError(f"clip {clip.id!r}: replication {replication} and action {clip.label + 1}; three digits at most")
        name = f"S{setup:03d}C{camera:03d}P{subject:03d}R{replication:03d}A{clip.label + 1:03d}.skeleton"
        if name in self.taken:
            raise DataError(f"clip {clip.id!r}: another clip is called {name} already; give them different replications")
        self.taken.add(name)
        return name


def _number(clip: Clip, column: str) -> int:
    """The value of a column, 0 where it is not known."""
    value = clip.about.get(column, -1)
    if not isinstance(value, int | np.integer) or value > 999:
        raise DataError(f"clip {clip.id!r}: {column} {value!r}; the name of a .skeleton file holds a number up to 999")
    return max(0, int(value))


def skeleton_text(clip: Clip, *, first_id: int = FIRST_ID) -> bytes:
    """One clip as the text of a ``.skeleton`` file, with line ends of Windows as in the dataset.

    Args:
        clip: of the layout ``kinect_v2_25``; bodies that are all zero in a frame are left out of it.
        first_id: id of the first body; the others count on.

    Raises:
        DataError: other joints, fewer than three coordinates, or coordinates that are not finite.
    """
    joints = clip.joints
    if clip.topology.joints != topology(LAYOUT).joints or joints.shape[3] not in (3, 4):
        given = f"{joints.shape[2]} joints of {clip.topology.name!r} with {joints.shape[3]} coordinates"
        raise DataError(f"clip {clip.id!r} has {given}; .skeleton files hold the {JOINTS} joints of {LAYOUT!r}, x, y and z")
    if not np.isfinite(joints).all():
        raise DataError(f"clip {clip.id!r} holds a coordinate that is not finite")
    present = clip.present  # (T, M)
    bodies = np.split(np.arange(present.sum()), np.cumsum(present.sum(axis=1))[:-1])
    lines, texts = [str(len(clip))], _body_texts(joints[present])
    for t, mine in enumerate(bodies):
        lines.append(str(len(mine)))
        for m, n in zip(np.flatnonzero(present[t]).tolist(), mine.tolist(), strict=True):
            lines += [f"{first_id + m} {BODY}", str(JOINTS), texts[n]]
    return "\r\n".join([*lines, ""]).encode("ascii")


def _body_texts(joints: np.ndarray) -> list[str]:
    """The joint lines of every body, from (B, 25, C)."""
    xyz = joints[..., :3].astype(np.float64)
    seen = joints.any(axis=2)  # (B, 25)
    state = np.round(2 * joints[..., 3]) if joints.shape[2] == 4 else 2.0 * seen
    columns = np.empty((*seen.shape, JOINT_VALUES), object)
    columns[..., :3] = joints[..., :3].astype("S32").astype("U32")  # the shortest text of a float32
    columns[..., 3:5], columns[..., 5:7] = _pixels(xyz, *DEPTH), _pixels(xyz, *COLOUR)
    columns[..., 7:11], columns[..., 11] = _orientation(xyz), np.clip(state, 0, 2)
    form = "\r\n".join([LINE] * JOINTS)
    return [form % tuple(body) for body in columns.reshape(len(joints), -1).tolist()]


def _orientation(xyz: np.ndarray) -> np.ndarray:
    """Unit quaternions w, x, y, z (B, 25, 4) that turn +y into the bone from the parent; zero where there is no bone."""
    parents = np.asarray(topology(LAYOUT).parents)
    bone = np.where((parents >= 0)[:, None], xyz - xyz[:, parents], 0.0)
    length = np.linalg.norm(bone, axis=-1)
    x, y, z = np.moveaxis(bone / np.where(length > 0, length, 1.0)[..., None], -1, 0)
    q = np.stack([1 + y, z, np.zeros_like(y), -x], axis=-1)  # 1 + cosine, and the cross product of +y with the bone
    q[1 + y < TINY] = (0.0, 1.0, 0.0, 0.0)  # straight down: half a turn about x
    return np.where((length > 0)[..., None], q / np.linalg.norm(q, axis=-1, keepdims=True), 0.0)


def _pixels(xyz: np.ndarray, focal: float, across: float, down: float) -> Any:
    """Where an ideal camera sees points (..., 3) -> (..., 2); zero where it does not."""
    ahead = xyz[..., 2] > NEAREST
    far = np.where(ahead, xyz[..., 2], 1.0)
    seen = np.stack([across + focal * xyz[..., 0] / far, down - focal * xyz[..., 1] / far], axis=-1)
    return np.where(ahead[..., None], seen, 0.0)
