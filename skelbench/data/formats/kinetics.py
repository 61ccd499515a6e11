"""Kinetics-skeleton: OpenPose's 18 joints on the clips of Kinetics-400, one JSON a clip, or own videos in the same form.

    kinetics_train/<id>.json, kinetics_val/<id>.json
        {"data": [{"frame_index": 1, "skeleton": [{"pose": [x0, y0, x1, y1, ...], "score": [s0, s1, ...]}, ...]}, ...],
         "label": "abseiling", "label_index": 0}
    kinetics_train_label.json, kinetics_val_label.json
        {"<id>": {"has_skeleton": true, "label": "abseiling", "label_index": 0}, ...}

x and y are shares of the picture's width and height, y downwards; they stay as they are in the file (published pipelines subtract
one half). Joints are (x, y, score), zero where the score is. People have no identity: of the first five in a frame the two with the
highest summed score are kept, best first, so a body may change places within a clip. Frames are placed by ``frame_index``, counted
from the lowest in the clip; frames in between without an entry hold nobody. Clips are 30 frames a second.

Clips without anybody in any frame are left out and named in ``provenance["empty"]``; ``has_skeleton`` is not to be trusted there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.formats.json_text import load_json, number_array
from skelbench.data.formats.on_disk import files_named, holds
from skelbench.data.formats.planar import by_score, frame_count, layout_of, unseen
from skelbench.data.formats.source import UNLABELLED, Source, Take, check_positive, clip_ids, clip_of, options_of
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology
from skelbench.skeleton.topology import topology as find_topology

LAYOUT = "openpose_18"
HEAD, TAIL = 1 << 12, 1 << 12  # bytes
OPENS = re.compile(rb'\s*(?:\xef\xbb\xbf)?\{\s*(?:"label(?:_index)?"\s*:[^\[{]{1,200},\s*)*"data"\s*:\s*\[')
CLIP = re.compile(r"(?!.*_label\.json).*\.json", re.IGNORECASE)  # label files are none
ENDS = re.compile(r'\],\s*"label"\s*:\s*"([\w (),.\-/\']+)"\s*,\s*"label_index"\s*:\s*(\d{1,5})\s*\}\s*$')
SIDES = {"train": 1, "val": 2, "test": 2}
Known = tuple[str, int, str]  # label, its number, the file that says so


def sniff(path: Path) -> bool:
    """Whether the file, or the first files of a folder, begin as above."""
    return holds(path, CLIP, _opens)


def describe(path: Path) -> dict[str, Any]:
    """Clips, classes and splits, from the label files where there are any; people and frames from the first clip.

    Raises:
        DataError: no clip there, or a label file or the first clip is damaged.
    """
    clips = _Clips(path, None)
    joints = _joints(_clip(clips.files[0]), clips.files[0], bodies=2, most=5)
    lacking = [] if clips.lists else ["kinetics_train_label.json and kinetics_val_label.json (labels are read from the clips)"]
    return {
        "clips": len(clips.files),
        "classes": list(clips.classes) if clips.lists else "told by the clips",
        "skeleton": f"{LAYOUT}, 18 joints, x and y from 0 to 1 and a score",
        "bodies": "the best 2 of 5 in a frame",
        "frames": f"{clips.files[0].name}: {len(joints) if joints is not None else 'nobody in any frame'}",
        "splits": ["official"] if clips.sides else "none listed",
        "listed without a file": clips.absent,
        "missing": lacking,
        "options": options_of(read),
    }


def read(
    path: Path,
    *,
    topology: Topology | None = None,
    labels: str | Path | None = None,
    bodies: int = 2,
    most: int = 5,
    rate: float = 30.0,
) -> Source:
    """A clip, or a folder of clips with its label files.

    Args:
        path: a JSON of a clip, or a folder searched with its sub-folders.
        topology: joints to keep and their order, found by name.
        labels: a label file; the ``*_label.json`` in the folder or beside it where left out.
        bodies: people kept in a frame.
        most: people looked at in a frame, in the order of the file.
        rate: frames a second.

    Raises:
        DataError: nothing to read, a damaged file (with the frame), two labels for one clip or one number, or nobody in any clip.
    """
    check_positive("rate", rate, "a number of frames a second")
    if not 1 <= bodies <= most <= 100:
        raise DataError(f"bodies must be at least 1 and at most 'most' (up to 100), got bodies={bodies}, most={most}")
    found = _Clips(path, Path(labels).expanduser() if labels is not None else None)
    names, known = found.label_all()
    full = find_topology(LAYOUT)
    layout, keep = layout_of(path, full, topology, dims=2, units="image")
    empty: list[str] = []
    provenance: dict[str, Any] = {
        "format": "kinetics",
        "source": path.name,
        "files": len(found.files),
        "labels": ", ".join(f.name for f in found.lists) or "label and label_index of the clips",
        "people": f"the best {bodies} of the first {most} in a frame, by summed score",
        "empty": empty,
        "notes": [f"{found.absent} clips listed without a file"] if found.absent else [],
    }

    def clips() -> Iterator[Clip]:
        for file, id, label in zip(found.files, found.ids, known, strict=True):
            table = _clip(file)
            joints = _joints(table, file, bodies=bodies, most=most)
            own = _label(table, str(file))
            if own is not None and label is not None and own != label[:2]:
                raise DataError(f"{file}: its label is {own[0]!r} ({own[1]}), but {label[2]} says {label[0]!r} ({label[1]})")
            if joints is None:
                empty.append(id)
                continue
            about = {"split_official": found.sides[file.parent]} if found.sides else {}
            take = Take(path=file, id=id, label=names.index(label[0]) if label else -1, about=about)
            yield clip_of(take, joints[:, :, keep], layout, fps=rate)
        if len(empty) == len(found.files):
            raise DataError(f"{path}: nobody in any frame of {len(empty)} clips")
        if empty:
            provenance["notes"].append(f"{len(empty)} clips with nobody in any frame left out; see 'empty'")

    splits = {"official": {"by": "split_official", "train": [1], "test": [2], "apart": "group"}} if found.sides else {}
    return Source(
        clips=clips(),
        classes=names,
        total=len(found.files),
        provenance=provenance,
        bodies=bodies,
        units="image",
        splits=splits,
        extra={"image": True},
        attribution="W. Kay et al., The Kinetics Human Action Video Dataset, 2017; S. Yan et al., ST-GCN, AAAI 2018",
    )


class _Clips:
    """The files of an import and what their label files say.

    Attributes:
        files: the clips, in order.
        ids: their names.
        lists: the label files.
        table: id -> (label, number, place it stands in), from the label files.
        sides: folder -> 1 train, 2 test; empty unless both are there.
        absent: clips listed without a file.
        classes: names by number, from the label files.
    """

    def __init__(self, path: Path, labels: Path | None) -> None:
        root = path if path.is_dir() else path.parent
        self.files = files_named(path, CLIP)
        if not self.files:
            raise DataError(f"{path}: holds no .json file of a clip")
        self.ids = clip_ids(self.files, root)
        beside = [f for folder in (root, root.parent) for f in sorted(folder.glob("*_label.json"))]
        names = {f.parent.name.lower() for f in self.files}
        self.lists = [labels] if labels else [f for f in beside if f.parent == root or f.stem[:-6].lower() in names]
        self.table: dict[str, Known] = {}
        for file in self.lists:
            self._read_list(file)
        stems = {f.stem for f in self.files}
        self.absent = len(self.table.keys() - stems)
        self.classes = _classes(self.table.values())
        folders = {f.parent for f in self.files}
        sides = {folder: n for folder in folders for word, n in SIDES.items() if re.search(rf"(^|_){word}", folder.name.lower())}
        self.sides = sides if set(sides.values()) == {1, 2} and len(sides) == len(folders) else {}

    def _read_list(self, file: Path) -> None:
        table = load_json(file)
        if not isinstance(table, dict):
            raise DataError(f"{file}: a label file holds one object, id -> label and label_index")
        for id, entry in table.items():
            where = f"{file}: clip {id[:60]!r}"
            label = _label(entry, where)
            if label is None:
                raise DataError(f"{where} needs 'label' (a name) and 'label_index' (a number)")
            if self.table.setdefault(id, (*label, str(file)))[:2] != label:
                raise DataError(f"{where} has another label than in {self.table[id][2]}")

    def label_all(self) -> tuple[tuple[str, ...], list[Known | None]]:
        """Class names, and (label, number, where it stands) of every file; without a label file, told by the end of each clip."""
        own = [self.table.get(f.stem) or _tail_label(f) for f in self.files]
        classes = _classes([*self.table.values(), *(o for o in own if o is not None)])
        return classes or (UNLABELLED,), own


def _opens(file: Path) -> bool:
    with file.open("rb") as binary:
        head = binary.read(HEAD)
    inside = b'"frame_index"' in head and b'"skeleton"' in head
    return bool(OPENS.match(head)) and (inside or b'"label_index"' in head)


def _classes(known: Iterable[Known]) -> tuple[str, ...]:
    """Names in the order of their numbers, after checking that each name has one number and each number one name."""
    names: dict[int, Known] = {}
    numbers: dict[str, Known] = {}
    for entry in known:
        label, number, where = entry
        other = next((o for o in (names.setdefault(number, entry), numbers.setdefault(label, entry)) if o[:2] != entry[:2]), None)
        if other is not None:
            raise DataError(f"{where}: label {label!r} has the number {number}, but {other[0]!r} has {other[1]} in {other[2]}")
    return tuple(names[n][0] for n in sorted(names))


def _label(entry: Any, where: str) -> tuple[str, int] | None:
    """(label, label_index); None where the clip says neither."""
    if not isinstance(entry, dict):
        raise DataError(f"{where}: wanted an object with 'label' and 'label_index'")
    label, number = entry.get("label"), entry.get("label_index")
    if label is None and number is None:
        return None
    if not isinstance(label, str) or not label.strip() or type(number) is not int or not 0 <= number < 100_000:
        raise DataError(
            f"{where}: 'label' must be a name and 'label_index' a number from 0 up; found {label!r:.60}, {number!r:.30}"
        )
    return label.strip(), number


def _tail_label(file: Path) -> Known | None:
    """The label at the end of a clip, without reading the rest where that can be helped."""
    try:
        with file.open("rb") as binary:
            binary.seek(max(0, file.stat().st_size - TAIL))
            tail = binary.read(TAIL).decode("utf-8", "replace")
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error
    found = ENDS.search(tail)
    label = (found[1].strip(), int(found[2])) if found else _label(_clip(file), str(file))
    return (*label, str(file)) if label else None


def _clip(file: Path) -> dict[str, Any]:
    table = load_json(file)
    if not isinstance(table, dict) or not isinstance(table.get("data"), list):
        raise DataError(f"{file}: a clip is an object with 'data', a list of frames")
    return table


def _joints(table: dict[str, Any], file: Path, *, bodies: int, most: int) -> np.ndarray | None:
    """Joints (T, M, 18, 3) of a clip, float64; None where nobody is in any frame."""
    numbers, at, poses, scores = [], [], [], []
    for n, entry in enumerate(table["data"]):
        number = entry.get("frame_index") if isinstance(entry, dict) else None
        people = entry.get("skeleton") if isinstance(entry, dict) else None
        if type(number) is not int or not 0 <= number < 1 << 31 or not isinstance(people, list):
            raise DataError(
                f"{file}: entry {n} of 'data' needs 'frame_index' (a number from 0 up) and 'skeleton' (a list of people)"
            )
        numbers.append(number)
        for person in people[:most]:
            if not isinstance(person, dict) or "pose" not in person or "score" not in person:
                raise DataError(f"{file}, frame_index {number}: a person needs 'pose' (36 numbers) and 'score' (18 numbers)")
            at.append(number)
            poses.append(person["pose"])
            scores.append(person["score"])
    if len(set(numbers)) < len(numbers):
        twice = next(n for n in numbers if numbers.count(n) > 1)
        raise DataError(f"{file}: frame_index {twice} stands twice")
    if not at:
        return None
    first, T = frame_count(np.array(numbers), str(file))
    xy = _stack(poses, 36, file, at, "pose").reshape(len(at), 18, 2)
    score = _stack(scores, 18, file, at, "score")
    people = unseen(np.concatenate([xy, score[..., None]], axis=2))
    joints = by_score(np.array(at) - first, people, people[..., 2].sum(axis=1), T=T, bodies=bodies)
    return joints if joints.any() else None


def _stack(rows: Sequence[Any], width: int, file: Path, at: Sequence[int], what: str) -> np.ndarray:
    """Lists of numbers as (R, width); what is wrong is told with its frame."""
    try:
        values = number_array(list(rows), (len(rows), width), str(file))
    except DataError:
        for row, number in zip(rows, at, strict=True):
            number_array(row, (width,), f"{file}, frame_index {number}, {what}")
        raise
    bad = np.flatnonzero(~(np.abs(values) < 1e6).all(axis=1))
    if len(bad):
        raise DataError(f"{file}, frame_index {at[bad[0]]}: {what} holds a number that is not finite or beyond any picture")
    return values
