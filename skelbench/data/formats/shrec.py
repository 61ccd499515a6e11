"""SHREC 2017 hand gestures, and DHG-14/28, which is laid out alike: 22 joints of a hand, 14 gestures, one finger or the whole hand.

    gesture_1/finger_2/subject_3/essai_4/skeletons_world.txt      a line a frame, 66 numbers: 22 joints x xyz, metres
    train_gestures.txt, test_gestures.txt                         the official sides, beside the gesture folders:
                                                                  gesture finger subject essai label14 label28 frames

DHG calls the file ``skeleton_world.txt`` and lists in ``informations_troncage_sequences.txt`` which frames of a sequence hold the
gesture (gesture finger subject essai first last; read as counted from 0, the last one included). Where that list is there,
sequences are cut so. Its 20 subjects are tested one by one (``loso:<subject>``).

With 28 classes, label = 2 * (gesture - 1) + finger - 1, as in the lists of SHREC. Some DHG programs count gesture - 1 +
14 * (finger - 1) instead: their labels are others. The depth camera took 30 frames a second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from skelbench.data.formats.on_disk import files_named, holds, number_lines
from skelbench.data.formats.source import Source, check_positive, options_of, pick_joints
from skelbench.data.tables import table
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology
from skelbench.skeleton.topology import topology as find_topology

FILE = re.compile(r"skeletons?_world\.txt")
PLACE = re.compile(r"gesture_(\d{1,3})/finger_(\d{1,3})/subject_(\d{1,3})/essai_(\d{1,3})")
LISTS = {"train": re.compile(r"train_gestures\.txt"), "test": re.compile(r"test_gestures\.txt")}
CUTS = re.compile(r"informations_troncage_sequences\.txt")
LAYOUT, WIDTH = "shrec17_hand_22", 66
SIDE = {"train": 1, "test": 2}  # values of the column split_official; 0 is neither
LIMIT = 16 << 20  # bytes of a text; a sequence has some hundred thousand

Key = tuple[int, int, int, int]  # gesture, finger, subject, essai


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A line of an official list: the side, and the frames the sequence should have."""

    side: str
    frames: int


def sniff(path: Path) -> bool:
    """Whether a file below is called ``skeletons_world.txt`` and lies in folders of gesture, finger, subject and essai."""
    return holds(path, FILE, lambda file: _key(file) is not None)


def describe(path: Path) -> dict[str, Any]:
    """Sequences, subjects and official sides; skeletons are not read.

    Raises:
        DataError: no sequence there, or a list is damaged.
    """
    files, listed, cuts = _files(path), _lists(path), _cuts(path)
    t = table("shrec17")
    missing = [f"{side}_gestures.txt, the official list" for side in SIDE if not any(x.side == side for x in listed.values())]
    if cuts:
        missing = []  # DHG has no official list
    gone = sorted(set(listed) - set(files))
    if gone:
        missing.append(f"{len(gone)} sequences of the official lists, the first is {_name(gone[0])}")
    elif not listed and not cuts and path.is_dir() and len(files) < t["sequences"]:
        missing.append(f"{t['sequences'] - len(files)} of the {t['sequences']} sequences of SHREC 2017")
    return {
        "clips": len(files),
        "classes": list(t["classes"]),
        "skeleton": f"{LAYOUT}, {find_topology(LAYOUT).V} joints",
        "bodies": 1,
        "subjects": len({key[2] for key in files}),
        "splits": ["official"] if listed else [],
        "missing": missing,
        "options": options_of(read),
    }


def read(path: Path, *, topology: Topology | None = None, classes: Literal[14, 28] = 14, fps: float = 30.0) -> Source:
    """A tree of sequences as clips.

    Args:
        path: the folder with the gesture folders, one above or below it, or a single ``skeletons_world.txt``.
        topology: joints to keep and their order, found by the names of the layout ``shrec17_hand_22``.
        classes: 14 gestures, or 28: each with one finger and with the whole hand.
        fps: frames a second.

    Raises:
        DataError: no sequence there, a number in a folder's name out of range, lists that do not fit, or a damaged text; with line.
        ConfigError: ``classes`` is neither 14 nor 28.
    """
    if classes not in (14, 28):
        raise ConfigError(f"classes must be 14 or 28, got {classes!r}")
    check_positive("fps", fps, "a number")
    files, listed, cuts = _files(path), _lists(path), _cuts(path)
    layout = topology or find_topology(LAYOUT)
    keep = pick_joints(find_topology(LAYOUT).joints, layout, str(path))
    if listed and not set(listed) & set(files):
        raise DataError(f"{path}: none of the {len(listed)} sequences of the official lists is here, e.g. {_name(min(listed))}")
    absent = len(set(listed) - set(files))
    notes = [f"{absent} sequences of the official lists are not here"] if absent else []

    def clips() -> Iterator[Clip]:
        for key, file in files.items():
            joints = number_lines(file, WIDTH, limit=LIMIT).reshape(-1, 1, WIDTH // 3, 3)  # (T, 1, V, 3)
            if not len(joints):
                raise DataError(f"{file}: has no frames")
            there = listed.get(key)
            if there and there.frames != len(joints):
                notes.append(f"{_name(key)}: {len(joints)} frames, the official list says {there.frames}")
            if key in cuts:
                joints = _trimmed(joints, key, cuts[key], notes)
            gesture, finger, subject, essai = key
            about = {"subject": subject, "gesture": gesture, "finger": finger, "essai": essai}
            if listed:
                about["split_official"] = SIDE[there.side] if there else 0
            label = gesture - 1 if classes == 14 else 2 * (gesture - 1) + finger - 1
            kept = np.ascontiguousarray(joints[:, :, keep], np.float32)
            yield Clip(joints=kept, topology=layout, fps=fps, label=label, id=_name(key), about=about)

    rule = {"by": "split_official", "train": [SIDE["train"]], "test": [SIDE["test"]], "apart": "group"}
    provenance = {
        "format": "shrec",
        "source": path.name,
        "files": len(files),
        "labels": f"{classes} classes by the names of the folders",
        "cut": f"{len(cuts)} sequences listed in informations_troncage_sequences.txt" if cuts else "as recorded",
        "notes": notes,
    }
    return Source(
        clips=clips(),
        classes=_classes(classes),
        total=len(files),
        provenance=provenance,
        bodies=1,
        splits={"official": rule} if listed else {},
        attribution="De Smedt et al., SHREC 2017 Track: 3D Hand Gesture Recognition Using a Depth and Skeletal Dataset, 2017",
    )


def _classes(count: int) -> tuple[str, ...]:
    t = table("shrec17")
    return tuple(t["classes"]) if count == 14 else tuple(f"{c} ({f})" for c in t["classes"] for f in t["fingers"])


def _key(file: Path) -> Key | None:
    """The four numbers of the folders a file lies in."""
    found = PLACE.fullmatch("/".join(file.absolute().parts[-5:-1]))
    if not found:
        return None
    gesture, finger, subject, essai = map(int, found.groups())
    return gesture, finger, subject, essai


def _name(key: Key) -> str:
    return "g{:02d}_f{}_s{:02d}_e{:02d}".format(*key)


def _files(path: Path) -> dict[Key, Path]:
    """The sequences by their numbers, in the order of these."""
    found: dict[Key, Path] = {}
    for file in files_named(path, FILE):
        key = _key(file)
        if key is None:
            continue
        if not (1 <= key[0] <= 14 and 1 <= key[1] <= 2):
            raise DataError(f"{file}: gesture {key[0]} with finger {key[1]}; there are gestures 1 to 14, fingers 1 and 2")
        if key in found:
            raise DataError(f"{file}: the same sequence as {found[key]}; keep one of them")
        found[key] = file
    if not found:
        raise DataError(f"{path}: holds no gesture_*/finger_*/subject_*/essai_*/skeletons_world.txt (SHREC 2017, DHG)")
    return dict(sorted(found.items()))


def _beside(path: Path, name: re.Pattern[str]) -> Path | None:
    """The one file of a name below the folder; for a single sequence, beside the gesture folders above it."""
    files = (
        files_named(path, name) if path.is_dir() else [f for f in path.absolute().parents[4].iterdir() if name.fullmatch(f.name)]
    )
    if len(files) > 1:
        raise DataError(f"{files[1]}: a second list like {files[0]}; keep one of them")
    return files[0] if files else None


def _lists(path: Path) -> dict[Key, Listed]:
    """The official lists, as far as they are there."""
    found: dict[Key, Listed] = {}
    for side, name in LISTS.items():
        file = _beside(path, name)
        rows = _whole(file, 7) if file else []
        for n, (*numbers, label, fine, frames) in enumerate(rows, 1):
            gesture, finger, subject, essai = key = (numbers[0], numbers[1], numbers[2], numbers[3])
            wanted = (gesture, 2 * (gesture - 1) + finger)
            if (label, fine) != wanted:
                given = f"gesture {gesture} with finger {finger} has the labels {label} and {fine}"
                raise DataError(f"{file}: entry {n}: {given}, wanted {wanted[0]} and {wanted[1]}; is it a list of SHREC 2017?")
            if key in found:
                raise DataError(f"{file}: entry {n} ({_name(key)}) stands on the lists twice")
            found[key] = Listed(side=side, frames=frames)
    return found


def _cuts(path: Path) -> dict[Key, tuple[int, int]]:
    """First and last frame of the gestures of DHG, where they are listed."""
    file = _beside(path, CUTS)
    return {(g, f, s, e): (first, last) for g, f, s, e, first, last in (_whole(file, 6) if file else [])}


def _whole(file: Path, width: int) -> list[tuple[int, ...]]:
    values = number_lines(file, width, limit=LIMIT)
    bad = np.flatnonzero((values != np.round(values)).any(axis=1) | (np.abs(values) > 1e9).any(axis=1))
    if len(bad):
        raise DataError(f"{file}: entry {bad[0] + 1} holds a number that is not whole; wanted {width} whole numbers a line")
    return [tuple(int(v) for v in row) for row in values]


def _trimmed(joints: np.ndarray, key: Key, cut: tuple[int, int], notes: list[str]) -> np.ndarray:
    """The frames of the gesture, as far as the sequence goes."""
    first, last = max(cut[0], 0), min(cut[1], len(joints) - 1)
    if (first, last) != cut or first > last:
        notes.append(f"{_name(key)}: frames {cut[0]} to {cut[1]} are listed, {len(joints)} there")
    return joints[first : last + 1] if first <= last else joints
