"""Pickles of PYSKL and MMAction2: one file with all clips and the official splits.

    {"split": {"xsub_train": [clip, ...], "xsub_val": [...]},
     "annotations": [{"frame_dir": clip, "label": 0, "total_frames": T,
                      "keypoint": float16 (M, T, V, 2 or 3), "keypoint_score": float16 (M, T, V),      scores: 2D only
                      "img_shape": (height, width), ...}, ...]}

A plain list of annotations, and ``filename`` for ``frame_dir``, are read, too. NTU RGB+D is Kinect v2, 25 joints in metres (3D) or
COCO's 17 in pixels (2D, HRNet); the other sets (FineGYM, Diving48, UCF101, HMDB51, own videos) are 2D. Coordinates are kept as they
are. 2D joints are (x, y, score). Frames in which the sensor saw nobody were dropped when the 3D files were made, and a body that is
lost and found again was moved together; nothing in the file tells where.

Large 2D sets keep the people found row by row: ``keypoint`` (R, V, 3) with ``frame_inds`` (R,), their frames. They get their
frames back, the surest person first. Kinetics-400 keeps even these rows in files of their own: ``kpfiles=`` says where those are.

Pickles must be read whole before the first clip comes out. The arrays are an exception: they stay in the (mapped) file until their
clip is read, so that memory holds little more than the names; an import needs no more than the index of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.formats.class_names import HINT, name_classes
from skelbench.data.formats.joint_axis import hint, name_joints
from skelbench.data.formats.ntu import LICENCE
from skelbench.data.formats.ntu_names import ntu_classes_of, ntu_columns, with_official
from skelbench.data.formats.on_disk import files_named, holds
from skelbench.data.formats.planar import with_dims
from skelbench.data.formats.pyskl_file import Annotations, Entry, looks_like, read_annotations
from skelbench.data.formats.pyskl_people import MOST_PEOPLE, PICKLE, KpFiles, first_frame, joints_of, most_at_once
from skelbench.data.formats.pyskl_write import write_pyskl
from skelbench.data.formats.source import Source, Take, check_positive, clip_of, options_of
from skelbench.data.rules import pair_lists
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology

__all__ = ["describe", "read", "sniff", "write_pyskl"]

LAYOUTS = {(3, 25): "kinect_v2_25", (2, 17): "coco_17"}  # what these files use, by coordinates and joints
SETS = {r"ntu.?120": "ntu120", r"ntu.?60": "ntu60", r"gym": "gym99", r"diving": "diving48"}  # by the name of the file
KPFILES = "kpfiles: the files with the coordinates, of which this is the index; pass kpfiles= (a folder)"


def sniff(path: Path) -> bool:
    """Whether the file, or a pickle in the folder, begins like one of these."""
    return holds(path, PICKLE, looks_like)


def describe(path: Path) -> dict[str, Any]:
    """Clips, classes, joints, splits, and what is missing; all but the coordinates is read.

    Raises:
        DataError: no such pickle, several of them, or it is damaged or not to be trusted.
    """
    held = read_annotations(_file(path))
    layout = LAYOUTS.get((held.dims, held.joints or 17))
    classes, rule = _classes(held, None)
    lists, alone = pair_lists(held.lists)
    splits = with_official(lists, [e.id for e in held.entries], _dataset(held))
    frames = [e.frames for e in held.entries if e.frames]
    missing = [HINT] * rule.startswith("numbered")
    missing += [f"topology: which {held.joints} joints these are; pass topology={hint(held.joints)}"] * (layout is None)
    missing += [KPFILES] * any(e.raw_file for e in held.entries)
    missing += [] if splits else ["a split: the pickle lists none; 'by_clip' holds clips out"]
    return {
        "clips": len(held.entries),
        "classes": list(classes),
        "skeleton": f"{layout or 'unknown'}, {held.joints or 17} joints, {held.dims} coordinates{' and a score' * held.scored}",
        "bodies": _bodies(held, None),
        "frames": f"{min(frames)} to {max(frames)} a clip" if frames else "not told",
        "coordinates": "in files of their own" if any(e.raw_file for e in held.entries) else "here",
        "splits": list(splits) or "none listed",
        **({"lists without a partner": alone} if alone else {}),
        "missing": missing,
        "options": options_of(read),
    }


def read(
    path: Path,
    *,
    topology: Topology | None = None,
    classes: str | Path | None = None,
    fps: float = 30.0,
    bodies: int | None = None,
    kpfiles: str | Path | None = None,
    threshold: float = 0.0,
) -> Source:
    """A pickle as clips.

    Args:
        path: the pickle, or a folder that holds one.
        topology: joints to keep of the layout the file has, by name; for other layouts, what the joints are.
        classes: a text file with one class name a line, or the name of a dataset whose classes are built in.
        fps: frames a second, which the file does not state.
        bodies: people kept in a clip; as many as there are (10 where people are found frame by frame) where left out.
        kpfiles: folder with the coordinates, for Kinetics-400.
        threshold: leave out people of whom the detector was less sure (``box_score``).

    Raises:
        DataError: no such pickle, one that is not to be trusted, a damaged annotation (the clip is named), or coordinates that are
            not there.
    """
    check_positive("fps", fps, "a number")
    if bodies is not None and bodies < 1:
        raise DataError(f"bodies must be at least 1, got {bodies}")
    file = _file(path)
    held = read_annotations(file)
    V, M = held.joints or 17, _bodies(held, bodies)
    known = LAYOUTS.get((held.dims, V))
    layout, keep = name_joints(V, known=known, topology=topology, where=str(file))
    layout = with_dims(layout, held.dims, "pixel") if held.dims == 2 else layout
    names, rule = _classes(held, classes)
    lists, alone = pair_lists(held.lists)
    dataset = _dataset(held)
    notes = [f"the lists {', '.join(alone)} have no partner and are left out"] if alone else []
    notes += [f"{held.nobody} annotations are None (a clip without a body)"] * (held.nobody > 0)
    coordinates = _Coordinates(held, kpfiles, bodies=M, threshold=threshold)
    empty: list[str] = []

    def clips() -> Iterator[Clip]:
        for entry in coordinates.order():
            joints = coordinates.of(entry)
            if joints.shape[2:3] != (V,):
                raise DataError(f"{file}: clip {entry.name[:80]!r} has {joints.shape[2]} joints, wanted {V}")
            if not (joints[..., : held.dims] != 0).any():
                empty.append(entry.id)
                continue
            take = Take(path=file, id=entry.id, label=entry.label, about=_about(entry))
            yield clip_of(take, joints[:, :, keep], layout, fps=fps)
        if len(empty) == len(held.entries):
            raise DataError(f"{file}: nobody in any frame of {len(empty)} clips")
        if empty:
            notes.append(f"{len(empty)} clips with nobody in any frame left out; see 'empty'")

    return Source(
        clips=clips(),
        classes=names,
        total=len(held.entries),
        bodies=M,
        units="pixel" if held.dims == 2 else "metre",
        licence=LICENCE if dataset in ("ntu60", "ntu120") else "that of the dataset the poses come from",
        splits=with_official(lists, [e.id for e in held.entries], dataset),
        extra={"image": True} if held.dims == 2 else {},
        attribution="Duan et al., PYSKL: Towards Good Practices for Skeleton Action Recognition, ACM MM 2022",
        provenance={
            "format": "pyskl",
            "source": file.name,
            "classes": rule,
            "layout": f"{layout.name}: {'as the format has it' if topology is None else 'as told'}",
            "frame rate": "not stated",
            **(
                {"people": f"up to {M} a frame, the surest first; frames counted from {coordinates.base}"}
                if coordinates.found
                else {}
            ),
            "empty": empty,
            "notes": notes,
        },
    )


class _Coordinates:
    """Where the coordinates of each clip are."""

    def __init__(self, held: Annotations, kpfiles: str | Path | None, *, bodies: int, threshold: float) -> None:
        apart = [e for e in held.entries if e.raw_file]
        if apart and kpfiles is None:
            raise DataError(
                f"{held.path}: {len(apart)} of {len(held.entries)} clips have their coordinates in files of their own, e.g."
                f" {apart[0].raw_file[:80]!r}; pass kpfiles= (the folder with these files)"
            )
        self.held, self.bodies, self.threshold = held, bodies, threshold
        self.files = KpFiles(Path(kpfiles).expanduser()) if apart and kpfiles is not None else None
        self.found = any(e.found is not None for e in held.entries)
        self.base = first_frame(held.entries, held.path) if self.found else 0

    def order(self) -> list[Entry]:
        """The clips as in the file; with files of their own, file by file, so that each is opened once."""
        return sorted(self.held.entries, key=lambda e: e.raw_file)

    def of(self, entry: Entry) -> np.ndarray:
        """(T, M, V, C) float32; no frames for a clip that has nobody."""
        V, C = self.held.joints or 17, self.held.dims + self.held.scored
        people = self.files.people(entry) if entry.raw_file and self.files is not None else entry.keypoint
        if people is None or people.size == 0:
            return np.zeros((0, 1, V, C), np.float32)
        if entry.found is not None:
            return joints_of(entry, people, base=self.base, bodies=self.bodies, threshold=self.threshold)
        joints = people[: self.bodies]
        if entry.score is not None:
            joints = np.concatenate([joints, entry.score[: self.bodies, ..., None]], axis=-1)
        return joints.transpose(1, 0, 2, 3).astype(np.float32)


def _file(path: Path) -> Path:
    if path.is_file() and PICKLE.fullmatch(path.name):
        return path
    found = [f for f in files_named(path, PICKLE) if looks_like(f)]
    if len(found) != 1:
        these = f"{len(found)} pickles of PYSKL ({', '.join(f.name for f in found[:5])})" if found else "no pickle of PYSKL"
        raise DataError(f"{path}: holds {these}; wanted one, name the file")
    return found[0]


def _classes(held: Annotations, given: str | Path | None) -> tuple[tuple[str, ...], str]:
    """Class names, and where they come from."""
    number = max(e.label for e in held.entries) + 1
    if given is None and len(set(held.classes)) == len(held.classes) >= max(number, 1):
        return held.classes, "in the pickle"
    return name_classes(max(number, 1), classes=given, known=_dataset(held), where=str(held.path))


def _bodies(held: Annotations, wanted: int | None) -> int:
    """M."""
    there = max((_people(e) for e in held.entries), default=1)
    return max(1, min(there, wanted)) if wanted is not None else max(1, there)


def _people(entry: Entry) -> int:
    if entry.found is not None:
        return min(MOST_PEOPLE, most_at_once(entry))
    return entry.keypoint.shape[0] if entry.keypoint is not None else 1


def _dataset(held: Annotations) -> str | None:
    """The dataset whose class names fit: by the names of the clips (NTU RGB+D), else by the name of the file."""
    told = next((known for words, known in SETS.items() if re.search(words, held.path.name, re.IGNORECASE)), None)
    ntu = ntu_classes_of([e.name for e in held.entries], [e.label for e in held.entries])
    if ntu is not None:
        return "ntu120" if told == "ntu120" else f"ntu{ntu}"
    return told if told in ("gym99", "diving48") else None


def _about(entry: Entry) -> dict[str, int]:
    height, width = entry.picture
    return {**ntu_columns(entry.name), **({"width": width, "height": height} if height else {})}
