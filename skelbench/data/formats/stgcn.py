"""Arrays of ST-GCN, 2s-AGCN and their descendants (ISC, HaLP, PSUMNet): a folder with two files a side, three where it is known.

    train_data.npy, train_data_joint.npy    float32 (N, C, T, V, M): clips, coordinates, frames (300), joints, bodies (2)
    train_label.pkl                         (names, labels): two lists of N, labels from 0
    train_num_frame.npy                     (N,) frames before the padding

and the same for ``val`` (or ``test``). 25 joints are Kinect v2 (NTU RGB+D, PKU-MMD), 18 are OpenPose's with x, y and a score
(Kinetics-skeleton); for others, ``topology=`` says what they are. Names of NTU clips give subjects, cameras, setups and classes.

ST-GCN pads with zeros at the end: the last frame that holds anybody is the last one of the clip. 2s-AGCN and those after it replay
the clip until 300 frames are full, so that only ``num_frame`` knows how long it was; it may be too large by the frames without a
body, and is cut to what is there. Without it such clips keep all 300 frames, and a note says so.

The arrays are mapped: memory does not grow with their size.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.formats.class_names import HINT, name_classes
from skelbench.data.formats.joint_axis import hint, name_joints
from skelbench.data.formats.label_pickle import read_label_pickle
from skelbench.data.formats.ntu import LICENCE
from skelbench.data.formats.ntu_names import ntu_classes_of, ntu_columns, with_official
from skelbench.data.formats.numpy_header import NpyHeader, map_npy, npy_header
from skelbench.data.formats.official_side import protocol_of, side_numbers, side_rule
from skelbench.data.formats.on_disk import files_named, holds
from skelbench.data.formats.pyskl_file import UNSAFE
from skelbench.data.formats.source import Source, Take, check_positive, clip_of, options_of
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology

DATA = re.compile(r"(train|val|test)_data(?:_(\w+))?\.npy")
LAYOUTS = {(3, 25): "kinect_v2_25", (3, 18): "openpose_18", (2, 18): "openpose_18"}  # coordinates and joints
MOST_FRAMES, MOST_BODIES = 100_000, 100
SAMPLE = 16  # clips looked at to see what was done to the coordinates
ENDINGS = re.compile(r"\.(skeleton|json|txt|npy|mat)$")
SPINE, NOSE, ANKLES = 1, 0, (10, 13)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One side: ``train``, ``val`` or ``test``. ``lengths`` is the file with the number of frames, or None."""

    name: str
    data: Path
    header: NpyHeader
    labels: Path
    lengths: Path | None


def sniff(path: Path) -> bool:
    """Whether the file, or one in the folder, is called like such an array and has five axes."""
    return holds(path, DATA, _fits)


def _fits(path: Path) -> bool:
    try:
        return len(npy_header(path).shape) == 5
    except DataError:
        return False


def describe(path: Path) -> dict[str, Any]:
    """Clips, classes, joints and splits, from headers and label files.

    Raises:
        DataError: no such arrays, more than one dataset, or a damaged file.
    """
    parts = _parts(path, None)
    _, C, T, V, M = parts[0].header.shape
    names, labels = _labels(parts)
    classes, rule = name_classes(_number(labels), classes=None, known=_dataset(parts[0].data, names, labels), where=str(path))
    layout = LAYOUTS.get((C, V))
    missing = [HINT] * rule.startswith("numbered")
    missing += [f"topology: which {V} joints these are; pass topology={hint(V)}"] * (layout is None)
    missing += [
        f"{p.name}_num_frame.npy: how long the clips were before they were replayed to {T} frames"
        for p in parts
        if p.lengths is None and _replayed(p)
    ]
    return {
        "clips": len(names),
        **{p.name: p.header.shape[0] for p in parts},
        "classes": list(classes),
        "skeleton": f"{layout or 'unknown'}, {V} joints, {C} numbers each",
        "bodies": M,
        "frames": f"up to {T}",
        "splits": list(side_rule(_protocol(parts[0].data), [p.name for p in parts])) or "none listed",
        "missing": missing,
        "options": options_of(read),
    }


def read(
    path: Path,
    *,
    topology: Topology | None = None,
    classes: str | Path | None = None,
    stream: str | None = None,
    fps: float = 30.0,
) -> Source:
    """A folder of arrays as clips, or one array with the files beside it.

    Args:
        path: the folder, or one of the arrays.
        topology: joints to keep of the layout the arrays have, by name; for other layouts, what the joints are.
        classes: a text file with one class name a line, or the name of a dataset whose classes are built in.
        stream: which arrays, where there are several: the word after ``data_``; ``joint`` where left out.
        fps: frames a second, which the files do not state.

    Raises:
        DataError: no such arrays, a damaged file, or labels and numbers of frames that do not fit them.
    """
    check_positive("fps", fps, "a number")
    parts = _parts(path, stream)
    _, C, T, V, M = parts[0].header.shape
    layout, keep = name_joints(V, known=LAYOUTS.get((C, V)), topology=topology, where=str(parts[0].data))
    if C not in (layout.dims, layout.dims + 1):
        raise DataError(f"{parts[0].data}: {C} numbers a joint, but {layout.name!r} has {layout.dims} coordinates")
    names, labels = _labels(parts)
    known = _dataset(parts[0].data, names, labels)
    class_names, rule = name_classes(_number(labels), classes=classes, known=known, where=str(path))
    ids, protocol = _unique(names), _protocol(parts[0].data)
    sides, notes, empty = side_numbers(p.name for p in parts), list[str](), list[str]()
    lengths = {p.name: _lengths(p) for p in parts}
    with np.errstate(over="ignore"):  # infinite values are refused when the clip is written
        sample = np.asarray(map_npy(parts[0].data)[:SAMPLE], np.float32)
    planar = layout.dims == 2
    presets = ("isc",) if C == 3 and V == 25 and layout.dims == 3 and _centred(sample) else ()

    def clips() -> Iterator[Clip]:
        at, full = 0, 0
        for part in parts:
            data = map_npy(part.data)
            for n in range(len(data)):
                joints = data[n].transpose(1, 3, 2, 0)  # (T, M, V, C)
                seen = np.flatnonzero((joints != 0).any(axis=(1, 2, 3)))
                told = lengths[part.name]
                if not len(seen):
                    empty.append(ids[at])
                else:
                    last = int(seen[-1]) + 1
                    full += told is None and last == T
                    joints = joints[: min(last, int(told[n])) if told is not None else last]
                    about = {f"split_{protocol}": sides[part.name], **ntu_columns(ids[at])}
                    take = Take(path=part.data, id=ids[at], label=int(labels[at]), about=about)
                    yield clip_of(take, joints[:, :, keep], layout, fps=fps)
                at += 1
        if len(empty) == at:
            raise DataError(f"{path}: nobody in any frame of {at} clips")
        if full:
            notes.append(f"{full} clips fill all {T} frames and have no number of frames beside them; replayed ones are too long")
        if empty:
            notes.append(f"{len(empty)} clips with nobody in any frame left out; see 'empty'")

    return Source(
        clips=clips(),
        classes=class_names,
        total=len(names),
        bodies=M,
        units=_units(sample) if planar else "metre",
        presets=presets,
        licence=LICENCE if known in ("ntu60", "ntu120") else "",
        splits=with_official(side_rule(protocol, [p.name for p in parts]), ids, known),
        extra={"image": True} if planar and _downwards(sample, layout) else {},
        attribution="Yan et al., ST-GCN, AAAI 2018 (form of the files)",
        provenance={
            "format": "stgcn",
            "source": path.name,
            "files": [p.data.name for p in parts],
            "classes": rule,
            "layout": f"{layout.name}: {'25 or 18 joints, as the format has them' if topology is None else 'as told'}",
            "coordinates": _told(planar, bool(presets)),
            "empty": empty,
            "notes": notes,
        },
    )


def _told(planar: bool, centred: bool) -> str:
    if planar:
        return "as in the file; ST-GCN takes one half off x and y, so that the middle of the picture is the origin"
    return "centred and turned as 2s-AGCN does it" if centred else "as in the file"


def _parts(path: Path, stream: str | None) -> list[Part]:
    """The sides of one dataset.

    Raises:
        DataError: none, several datasets, no array of that stream, or a file that belongs to it is missing or does not fit.
    """
    found = files_named(path, DATA)
    if not found:
        raise DataError(f"{path}: holds no array called train_data.npy or train_data_joint.npy (N, C, T, V, M)")
    folders = sorted({f.parent for f in found})
    if len(folders) > 1:
        names = ", ".join(f.relative_to(path).as_posix() for f in folders[:5])
        raise DataError(f"{path}: holds {len(folders)} datasets ({names}); name one of these folders")
    sides: dict[str, dict[str, Path]] = {}
    for file in found:
        match = DATA.fullmatch(file.name)
        assert match is not None
        sides.setdefault(match[1], {})[match[2] or ""] = file
    parts = [
        _part(side, _pick(files, stream, path)) for side, files in sorted(sides.items(), key=lambda s: len(s[0]), reverse=True)
    ]
    shapes = {p.header.shape[1:] for p in parts}
    if len(shapes) > 1:
        raise DataError(f"{path}: the arrays have the shapes {' and '.join(map(str, sorted(shapes)))} a clip; wanted equal ones")
    return parts


def _pick(files: dict[str, Path], stream: str | None, path: Path) -> Path:
    wanted = ["joint", ""] if stream is None else [stream]
    key = next((w for w in wanted if w in files), None)
    if key is None and stream is None and path.is_file():
        key = next(iter(files))
    if key is None:
        there = ", ".join(repr(k) for k in sorted(files))
        raise DataError(f"{path}: has the streams {there}; joints are wanted ('joint' or none), or say which one with stream=")
    return files[key]


def _part(side: str, data: Path) -> Part:
    header = npy_header(data)
    shape = header.shape
    fits = len(shape) == 5 and shape[1] in (2, 3) and shape[2] <= MOST_FRAMES and shape[4] <= MOST_BODIES and 0 not in shape
    if not fits or header.dtype.kind != "f":
        raise DataError(f"{data}: is {header.dtype} {shape}, wanted floats (clips, 2 or 3 coordinates, frames, joints, bodies)")
    labels = sorted(f for f in data.parent.glob(f"{side}_label*.pkl") if f.is_file())
    exact = [f for f in labels if f.name == f"{side}_label.pkl"]
    if len(exact or labels) != 1:
        there = ", ".join(f.name for f in labels) or "none"
        raise DataError(f"{data}: wanted its labels beside it, in {side}_label.pkl; there are: {there}")
    lengths = data.with_name(f"{side}_num_frame.npy")
    return Part(name=side, data=data, header=header, labels=(exact or labels)[0], lengths=lengths if lengths.is_file() else None)


def _labels(parts: Sequence[Part]) -> tuple[list[str], np.ndarray]:
    """Names without ending, and labels, of all parts."""
    names, labels = list[str](), []
    for part in parts:
        words, numbers = read_label_pickle(part.labels)
        if len(words) != part.header.shape[0]:
            raise DataError(f"{part.labels}: {len(words)} labels, but {part.data.name} has {part.header.shape[0]} clips")
        names += [ENDINGS.sub("", word) for word in words]
        labels.append(numbers)
    return names, np.concatenate(labels)


def _number(labels: np.ndarray) -> int:
    return max(1, int(labels.max()) + 1)


def _lengths(part: Part) -> np.ndarray | None:
    """Frames of every clip (N,), at least 1; None where nobody wrote them down."""
    if part.lengths is None:
        return None
    header = npy_header(part.lengths)
    if header.shape != part.header.shape[:1] or header.dtype.kind not in "iuf":
        raise DataError(
            f"{part.lengths}: is {header.dtype} {header.shape}, wanted one number for each of {part.header.shape[0]} clips"
        )
    given = np.array(map_npy(part.lengths))
    odd = np.flatnonzero(~((given >= 0) & (given == np.floor(given)) & (given < 1 << 31)))
    if len(odd):
        raise DataError(f"{part.lengths}: clip {odd[0]} has {given[odd[0]]} frames")
    return np.maximum(given.astype(np.int64), 1)


def _unique(names: Sequence[str]) -> list[str]:
    """Names that are safe and stand once: those that are there twice are numbered."""
    safe = [UNSAFE.sub("_", name)[:190] or "clip" for name in names]
    times, seen = Counter(safe), Counter[str]()
    ids = []
    for name in safe:
        seen[name] += 1
        ids.append(name if times[name] == 1 else f"{name}_{seen[name]:06d}")
    return ids if len(set(ids)) == len(ids) else [f"{n:06d}_{name}" for n, name in enumerate(safe)]


def _protocol(data: Path) -> str:
    return protocol_of(data.parent.name, data.parent.parent.name)


def _dataset(data: Path, names: Sequence[str], labels: np.ndarray) -> str | None:
    ntu = ntu_classes_of(names, labels.tolist())
    if ntu is not None:
        return f"ntu{ntu}"
    return "pku_mmd" if any("pku" in word.lower() for word in data.parts[-4:]) else None


def _replayed(part: Part) -> bool:
    """Whether the first clips fill all frames."""
    sample = map_npy(part.data)[:SAMPLE, :, -1]
    return bool((sample != 0).any(axis=(1, 2, 3)).mean() > 0.5)


def _centred(sample: np.ndarray) -> bool:
    """Whether the spine of body 0 is at the origin in every frame in which it is seen, (n, C, T, V, M)."""
    body = sample[..., 0]
    seen = (body != 0).any(axis=(1, 3))  # (n, T)
    spine = (body[:, :, :, SPINE] != 0).any(axis=1)
    return bool(seen.any() and not (spine & seen).any())


def _units(sample: np.ndarray) -> str:
    return "image" if not sample[:, :2].size or float(np.abs(sample[:, :2]).max()) <= 2 else "pixel"


def _downwards(sample: np.ndarray, layout: Topology) -> bool:
    """Whether y grows downwards: in most frames the nose then has a smaller y than the ankles. Some code bases turn it."""
    if layout.name != "openpose_18":
        return True
    seen = (sample[:, 2, :, (NOSE, *ANKLES)] > 0).all(axis=0) if sample.shape[1] == 3 else (sample[:, 1] != 0).all(axis=2)
    y = sample[:, 1]
    below = (y[:, :, list(ANKLES)].mean(axis=2) - y[:, :, NOSE])[seen]
    return bool(not below.size or np.median(below) >= 0)
