"""NTU-X: body and fingers (67 joints), and the face (118), estimated from the videos of NTU RGB+D; one HDF5 file a clip.

    train/S001C001P001R001A001.h5, test/...       the array under the last name of the file: (C, T, V, M)
    train_label_60.pkl, test_label_60.pkl         names and labels from 0: (names, labels), or that as the first thing in a list

The dataset was never released, because the owner of the videos did not permit it; this is its form. The folder a clip lies in is
its side across subjects. Names like those of NTU give subject, camera, setup and replication, and the label where no list does.
Units are those of the body model, about a metre, with a root of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.formats.class_names import HINT, name_classes
from skelbench.data.formats.hdf5 import is_hdf5, last_array, last_shape
from skelbench.data.formats.label_pickle import read_label_pickle
from skelbench.data.formats.ntu_names import ntu_classes_of, ntu_columns, ntu_numbers
from skelbench.data.formats.on_disk import files_named, holds
from skelbench.data.formats.source import UNLABELLED, Source, check_positive, clip_ids, options_of, pick_joints
from skelbench.data.tables import ntu_splits
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology
from skelbench.skeleton.topology import topology as find_topology

FILE = re.compile(r".+\.(?:h5|hdf5)", re.IGNORECASE)
LIST = re.compile(r"(?P<side>train|test|val)_label(?:_(?P<classes>60|120))?\.pkl")
LAYOUTS = {67: "ntu_x_67", 118: "ntu_x_118"}
MOST = 10_000  # classes
SIDES = {"train": 1, "test": 2, "val": 2}  # values of the column split_xsub; 0 is neither


@dataclass(frozen=True, kw_only=True)
class Known:
    """One label a file, -1 unknown, the names of the classes, and in words where both come from."""

    labels: list[int]
    classes: tuple[str, ...]
    rule: str
    notes: list[str]
    splits: dict[str, Any]


def sniff(path: Path) -> bool:
    """Whether a file is HDF5 and its last array is (C, T, 67 or 118, M)."""
    return holds(path, FILE, _fits)


def describe(path: Path) -> dict[str, Any]:
    """Clips, classes and sides by names and lists; size of the first array.

    Raises:
        DataError: no such file there, or the first one, or a list, is damaged.
    """
    files = _files(path)
    known = _known(path, files, None)
    C, T, V, M = _checked(last_shape(files[0]), files[0])
    missing = [] if _lists(path) or ntu_numbers(files[0].stem) else ["labels: train_label_60.pkl and test_label_60.pkl"]
    missing += [HINT] if known.rule.endswith("for want of names") else []
    return {
        "clips": len(files),
        "classes": list(known.classes),
        "skeleton": f"{LAYOUTS[V]}, {V} joints, {C} coordinates",
        "bodies": M,
        "frames": f"{T} in the first clip, {files[0].name}",
        "splits": list(known.splits),
        "missing": missing,
        "options": options_of(read),
    }


def read(
    path: Path,
    *,
    topology: Topology | None = None,
    classes: str | Path | None = None,
    face: bool = True,
    bodies: int = 2,
    fps: float = 30.0,
) -> Source:
    """A file or a folder of files as clips.

    Args:
        path: an HDF5 file, or a folder searched with its sub-folders.
        topology: joints to keep and their order, found by the names of the layouts ``ntu_x_67`` and ``ntu_x_118``.
        classes: a text file with one class name a line, or the name of a dataset whose classes are built in.
        face: keep the 51 points of the face, where the files have them; without them 67 joints are left.
        bodies: people in a clip, at most.
        fps: frames a second, which the files do not state.

    Raises:
        DataError: no such file there, two of one name, a damaged file, or files with different joints.
    """
    check_positive("fps", fps, "a number")
    if bodies < 1:
        raise DataError(f"bodies must be at least 1, got {bodies}")
    files = _files(path)
    known = _known(path, files, classes)
    V = _checked(last_shape(files[0]), files[0])[2]
    own = find_topology(LAYOUTS[V if face else min(LAYOUTS)])
    layout = topology or own
    keep = pick_joints(own.joints, layout, str(files[0]))
    root = path if path.is_dir() else path.parent

    def clips() -> Iterator[Clip]:
        for file, id, label in zip(files, clip_ids(files, root), known.labels, strict=True):
            array = last_array(file)
            shape = _checked(array.shape, file)
            if shape[2] != V or shape[3] > bodies:
                raise DataError(
                    f"{file}: {shape[2]} joints and {shape[3]} bodies, wanted the {V} joints of {files[0].name} and up to {bodies}"
                    " bodies; import other joints apart, or pass bodies="
                )
            with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused
                joints = np.ascontiguousarray(array.transpose(1, 3, 2, 0)[:, :, keep], np.float32)  # (T, M, V, C)
            bad = np.flatnonzero(~np.isfinite(joints).all(axis=(1, 2, 3)))
            if len(bad):
                raise DataError(f"{file}: frame {bad[0]} holds a coordinate that is not a finite number")
            yield Clip(joints=joints, topology=layout, fps=fps, label=label, id=id, about=_about(file))

    return Source(
        clips=clips(),
        classes=known.classes,
        total=len(files),
        provenance={
            "format": "ntux",
            "source": path.name,
            "files": len(files),
            "labels": known.rule,
            "joints": f"{V} in the files",
            "notes": known.notes,
        },
        bodies=bodies,
        splits=known.splits,
        attribution="Trivedi et al., NTU-X: An Enhanced Large-scale Dataset for Improving Pose-based Recognition, ICVGIP 2021",
    )


def _fits(file: Path) -> bool:
    try:
        return is_hdf5(file) and _checked(last_shape(file), file)[2] in LAYOUTS
    except DataError:  # some other HDF5 file
        return False


def _files(path: Path) -> list[Path]:
    files = files_named(path, FILE)
    if not files:
        raise DataError(f"{path}: holds no .h5 file")
    first: dict[str, Path] = {}
    for file in files:
        if first.setdefault(file.stem, file) is not file:
            raise DataError(f"{file}: the same clip as {first[file.stem]}; keep one of them")
    return files


def _checked(shape: Sequence[int], file: Path) -> tuple[int, int, int, int]:
    """The size (C, T, V, M) of an array, if it is one of these."""
    if len(shape) != 4 or shape[0] != 3 or shape[1] < 1 or shape[2] not in LAYOUTS or shape[3] < 1:
        raise DataError(f"{file}: the last array has size {tuple(shape)}, wanted (3, frames, 67 or 118 joints, bodies)")
    return shape[0], shape[1], shape[2], shape[3]


def _about(file: Path) -> dict[str, int]:
    about = ntu_columns(file.stem)
    side = SIDES.get(file.parent.name.lower())
    return {**about, **({"split_xsub": side} if side else {})}


def _known(path: Path, files: Sequence[Path], classes: str | Path | None) -> Known:
    """Labels from the lists, else from names like those of NTU."""
    listed: dict[str, int] = {}
    for file in _lists(path).values():
        listed |= _labels(file)
    named = [(ntu_numbers(f.stem) or (0,))[-1] - 1 for f in files]  # -1: no such name
    labels = [listed.get(f.stem, n) for f, n in zip(files, named, strict=True)]
    differ = sum(n >= 0 and a != n for a, n in zip(labels, named, strict=True))
    unknown = sum(a < 0 for a in labels)
    notes = [f"{differ} labels of the lists differ from the action in the name"] if differ else []
    notes += [f"{unknown} clips without a label"] if unknown else []
    ntu = ntu_classes_of([f.stem for f in files], labels)
    splits = ntu_splits(ntu) if ntu else {}
    if {SIDES.get(f.parent.name.lower()) for f in files} >= {1, 2}:
        splits["xsub"] = {"by": "split_xsub", "train": [1], "test": [2], "apart": "subject"}
    if unknown == len(files) and classes is None:
        return Known(labels=[0] * len(files), classes=(UNLABELLED,), rule="no labels given", notes=[], splits=splits)
    names, rule = name_classes(max(0, *labels) + 1, classes=classes, known=f"ntu{ntu}" if ntu else None, where=str(path))
    return Known(labels=labels, classes=names, rule=rule, notes=notes, splits=splits)


def _lists(path: Path) -> dict[str, Path]:
    """Label files by side."""
    found: dict[str, Path] = {}
    for file in files_named(path, LIST) if path.is_dir() else []:
        match = LIST.fullmatch(file.name)
        assert match
        if found.setdefault(match["side"], file) is not file:
            raise DataError(f"{file}: a second list like {found[match['side']]}; keep the one that belongs to these clips")
    return found


def _labels(file: Path) -> dict[str, int]:
    """Label by clip name."""
    names, labels = read_label_pickle(file)
    if labels.max() >= MOST:
        raise DataError(f"{file}: label {labels.max()}; wanted labels below {MOST}")
    return {re.sub(r"\.(?:skeleton|h5|hdf5)$", "", n): int(label) for n, label in zip(names, labels, strict=True)}
