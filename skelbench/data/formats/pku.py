"""PKU-MMD: long recordings of a Kinect v2 with labelled intervals; every interval becomes a clip.

Phase I has 1076 recordings called ``0002-L`` (a performance seen from L, M or R), phase II 1009 called ``A01N02-L``. A skeleton
file (``.txt`` or ``.skeleton``) has a line a frame of 150 numbers: 2 persons x 25 joints x xyz in metres, zeros for a person who is
not there. A label file of the same name has a line an interval, ``label,start,end,confidence``, cut as [start, end). Which of two
text files is which is told by the number of words on the first line. Both phases count the same 51 classes; phase II performs 41.

The official sides come from the files ``cross-subject.txt`` and ``cross-view.txt`` (``_v2`` in phase II). A recording on neither
list takes no part: programs that test on all that is not trained on also test on stray files. Without those files, phase I is
parted as its paper says: recordings 0291 to 0334 test across subjects, view L across views.

Columns: ``camera`` 0, 1, 2 = L, M, R; ``group`` the performance; ``video`` its number in phase I, ``a`` and ``n`` the two numbers
of a name in phase II; ``first_frame`` where the clip begins in its recording; ``confidence`` 1 slight, 2 strong, -1 not told.
Neither phase names its subjects.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from skelbench.data.formats.on_disk import files_named, first_line, holds, number_lines
from skelbench.data.formats.pku_text import NAME, SPLIT, Interval, read_intervals, read_split
from skelbench.data.formats.source import Source, check_positive, options_of, pick_joints
from skelbench.data.tables import table
from skelbench.errors import ConfigError, DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology
from skelbench.skeleton.topology import topology as find_topology

FILE = re.compile(NAME.pattern + r"\.(?:txt|skeleton)")
LAYOUT, BODIES, WIDTH = "kinect_v2_25", 2, 150
VIEWS = ("L", "M", "R")
TRAIN, TEST = 1, 2  # values of the columns split_xsub and split_xview; 0 is neither
KIND = {"subject": "xsub", "view": "xview"}


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recording: its name, its two files, and the intervals of the second."""

    name: str
    skeleton: Path
    labels: Path
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Official splits: their rules, the columns they need by recording, and which files were not there."""

    rules: dict[str, Any]
    columns: dict[str, dict[str, int]]
    missing: list[str]


@dataclass(frozen=True, kw_only=True)
class Cutting:
    """How clips are cut; see :func:`read`."""

    context: int = 0
    base: int = 0
    overlap: str = "keep"
    drop_empty: bool = True

    def __post_init__(self) -> None:
        if self.context < 0 or self.base not in (0, 1) or self.overlap not in ("keep", "later"):
            given = f"context={self.context}, base={self.base}, overlap={self.overlap!r}"
            raise ConfigError(f"wanted context of 0 or more, base 0 or 1, overlap 'keep' or 'later'; got {given}")


@dataclass
class Tally:
    """Things that happen often, counted, with the first example of each."""

    seen: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, what: str, example: str) -> None:
        self.seen.setdefault(what, [0, example])[0] += 1

    def notes(self) -> list[str]:
        return [f"{count} {what}, the first is {example}" for what, (count, example) in self.seen.items()]


def sniff(path: Path) -> bool:
    """Whether a file is called like a recording and begins with a line of 150 numbers."""
    return holds(path, FILE, lambda file: len(first_line(file).split()) == WIDTH)


def describe(path: Path) -> dict[str, Any]:
    """Recordings, intervals and classes by the label files; skeletons are not read.

    Raises:
        DataError: no recording there, or a label or split file is damaged.
    """
    skeletons, recordings, bare = _recordings(path, None)
    phase = _phase(skeletons)
    sides = _sides(path, None, skeletons, phase)
    names, used = table("pku_mmd")["classes"], {i.label for r in recordings for i in r.intervals}
    missing = [f"label files of {len(bare)} recordings, the first is {bare[0]}; or pass labels= (their folder)"] if bare else []
    missing += sides.missing
    official = table("pku_mmd")["videos"][str(phase)]
    if path.is_dir() and len(skeletons) < official:
        missing.append(f"{official - len(skeletons)} of the {official} recordings of phase {'I' * phase}")
    return {
        "recordings": len(skeletons),
        "clips": sum(len(r.intervals) for r in recordings),
        "classes": [n for k, n in enumerate(names, 1) if k in used],
        "skeleton": f"{LAYOUT}, {find_topology(LAYOUT).V} joints",
        "bodies": BODIES,
        "phase": "I" * phase,
        "splits": list(sides.rules),
        "missing": missing,
        "options": options_of(read),
    }


def read(
    path: Path,
    *,
    topology: Topology | None = None,
    labels: str | Path | None = None,
    lists: str | Path | None = None,
    context: int = 0,
    base: int = 0,
    overlap: Literal["keep", "later"] = "keep",
    drop_empty: bool = True,
    fps: float = 30.0,
) -> Source:
    """Recordings with their label files as clips, one an interval.

    Args:
        path: a folder searched with its sub-folders, or one skeleton file.
        topology: joints to keep and their order, found by the names of the layout ``kinect_v2_25``.
        labels: folder of the label files (or one file), where they lie elsewhere.
        lists: folder of the split files, where they lie elsewhere.
        context: frames to add before and after every interval, as far as the recording goes.
        base: number of the first frame in the label files, 0 or 1; the dataset does not say.
        overlap: what becomes of intervals that overlap: ``keep`` both as labelled, or give the frames to the ``later`` line.
        drop_empty: leave out clips in which nobody is seen in any frame.
        fps: frames a second of the recordings.

    Raises:
        DataError: no recording or no label file there, both phases mixed, or a damaged file; with file and line.
        ConfigError: an option is out of range.
    """
    check_positive("fps", fps, "a number")
    cutting = Cutting(context=context, base=base, overlap=overlap, drop_empty=drop_empty)
    skeletons, recordings, bare = _recordings(path, labels)
    if not any(r.intervals for r in recordings):
        raise DataError(f"{path}: no interval is labelled; put the label files there, or pass labels= (their folder)")
    sides = _sides(path, lists, skeletons, _phase(skeletons))
    layout = topology or find_topology(LAYOUT)
    keep = pick_joints(find_topology(LAYOUT).joints, layout, str(path))
    notes = [f"{len(bare)} recordings without a label file left out, the first is {bare[0]}"] if bare else []

    def clips() -> Iterator[Clip]:
        tally = Tally()
        for recording in recordings:
            shared = {**_about(recording.name), **sides.columns[recording.name]}
            for interval, first, joints in _cut_out(recording, cutting, tally):
                about = {**shared, "first_frame": first, "confidence": interval.confidence}
                id = f"{recording.name}_{interval.line:03d}"
                yield Clip(joints=joints[:, :, keep], topology=layout, fps=fps, label=interval.label - 1, id=id, about=about)
        notes.extend(tally.notes())

    return Source(
        clips=clips(),
        classes=tuple(table("pku_mmd")["classes"]),
        total=sum(len(r.intervals) for r in recordings),
        provenance={
            "format": "pku",
            "source": path.name,
            "phase": _phase(skeletons),
            "recordings": len(recordings),
            "clips": f"[start, end) of every interval, first frame {base}, context {context}, overlap {overlap}",
            "empty clips": "left out" if drop_empty else "kept",
            "not there": sides.missing,
            "notes": notes,
        },
        bodies=BODIES,
        splits=sides.rules,
        extra={"names": {"camera": list(VIEWS)}},
        attribution="Liu et al., PKU-MMD: A Large Scale Benchmark for Continuous Multi-Modal Human Action Understanding, 2017",
    )


def _recordings(path: Path, labels: str | Path | None) -> tuple[dict[str, Path], list[Recording], list[str]]:
    """Skeleton files by name, the recordings that have a label file, too, and the names of those that have none."""
    skeletons: dict[str, Path] = {}
    label_files: dict[str, Path] = {}
    for file in files_named(path, FILE):
        _put(skeletons if _many_words(file) else label_files, file)
    if not skeletons:
        raise DataError(f"{path}: holds no skeleton file of PKU-MMD, called 0002-L.txt or A01N02-L.txt, with 150 numbers a line")
    if labels is not None:
        label_files = {}
        for file in files_named(Path(labels).expanduser(), FILE):
            if not _many_words(file):
                _put(label_files, file)
    found = [
        Recording(name=n, skeleton=skeletons[n], labels=label_files[n], intervals=tuple(read_intervals(label_files[n])))
        for n in sorted(skeletons)
        if n in label_files
    ]
    return skeletons, found, sorted(set(skeletons) - set(label_files))


def _many_words(file: Path) -> bool:
    """Whether this is a skeleton rather than a label file. An empty file is a label file: nothing happened."""
    return len(first_line(file).replace(",", " ").split()) > 20


def _put(kind: dict[str, Path], file: Path) -> None:
    if kind.setdefault(file.stem, file) is not file:
        raise DataError(f"{file}: of the same recording as {kind[file.stem]}; keep one of them")


def _phase(names: Iterable[str]) -> int:
    """1 or 2, by the form of the names."""
    old = {name for name in names if name[0] != "A"}
    new = set(names) - old
    if old and new:
        raise DataError(f"recordings of both phases, such as {min(old)} and {min(new)}; import them apart")
    return 1 if old else 2


def _about(name: str) -> dict[str, Any]:
    found = NAME.fullmatch(name)
    assert found
    numbers = {"video": found["number"], "a": found["a"], "n": found["n"]}
    return {"camera": VIEWS.index(found["view"]), "group": found["video"], **{k: int(v) for k, v in numbers.items() if v}}


def _sides(path: Path, lists: str | Path | None, names: Iterable[str], phase: int) -> Sides:
    """Official splits from the split files; where phase I lacks them, as its paper states them."""
    sides = Sides(rules={}, columns={n: {} for n in names}, missing=[])
    files = _split_files(Path(lists).expanduser() if lists is not None else path, phase)
    t = table("pku_mmd")
    for kind, split in KIND.items():
        column = f"split_{split}"
        apart = "camera" if split == "xview" else "subject"
        if kind in files:
            train, test = map(set, read_split(files[kind]))
            for name, columns in sides.columns.items():
                columns[column] = TRAIN if name in train else TEST if name in test else 0
            gone = sorted((train | test) - set(sides.columns))
            if len(gone) == len(train | test):
                raise DataError(f"{files[kind]}: lists {len(gone)} recordings, none of them is here; the first is {gone[0]}")
            if gone:
                sides.missing.append(f"{len(gone)} recordings on the list {files[kind].name}, the first is {gone[0]}")
            sides.rules[split] = {"by": column, "train": [TRAIN], "test": [TEST], "apart": apart}
            continue
        sides.missing.append(f"cross-{kind}{'_v2' if phase == 2 else ''}.txt, the official list")
        if phase == 1 and split == "xsub":
            low, high = t["test_videos_of_phase_1"]
            for name, columns in sides.columns.items():
                columns[column] = TEST if low <= int(name[:4]) <= high else TRAIN
            sides.rules[split] = {"by": column, "train": [TRAIN], "test": [TEST], "apart": apart}
            sides.missing[-1] += f" (without it, recordings {low:04d} to {high:04d} test, as the dataset's paper says)"
        elif phase == 1:
            test_views = [VIEWS.index(v) for v in t["test_views"]]
            sides.rules[split] = {"by": "camera", "train": [c for c in range(3) if c not in test_views], "test": test_views}
            sides.missing[-1] += " (without it, view L tests, as the dataset's paper says)"
    return sides


def _split_files(path: Path, phase: int) -> dict[str, Path]:
    """Split files of this phase by what they part: ``subject``, ``view``."""
    found: dict[str, list[Path]] = {}
    for file in files_named(path if path.is_dir() else path.parent, SPLIT):
        match = SPLIT.fullmatch(file.name)
        assert match
        if phase == 2 or not match["second"]:
            found.setdefault(match["kind"].lower(), []).append(file)
    chosen = {}
    for kind, files in found.items():
        own = [f for f in files if "v2" in f.stem.lower()] or files
        if len(own) > 1:
            raise DataError(
                f"{own[1]}: a second list like {own[0]}; keep one of them, or pass lists= (the folder of the right ones)"
            )
        chosen[kind] = own[0]
    return chosen


def _cut_out(recording: Recording, cutting: Cutting, tally: Tally) -> Iterator[tuple[Interval, int, np.ndarray]]:
    """Intervals of a recording with their first frame and their joints (T, M, V, C) float32; its skeleton file is read once."""
    if not recording.intervals:
        tally.add("recordings without an interval", recording.name)
        return
    frames = number_lines(recording.skeleton, WIDTH).reshape(-1, BODIES, WIDTH // BODIES // 3, 3).astype(np.float32)
    for interval, start, end in _spans(recording, len(frames), cutting, tally):
        first = max(0, start - cutting.context)
        joints = frames[first : end + cutting.context]
        if cutting.drop_empty and not joints.any():
            tally.add("intervals in which nobody is seen left out", f"{recording.labels.name}:{interval.line}")
            continue
        yield interval, first, joints


def _spans(recording: Recording, frames: int, cutting: Cutting, tally: Tally) -> Iterator[tuple[Interval, int, int]]:
    """The intervals that hold a frame, clamped to the recording, as (interval, start, end) from frame 0."""
    where = [f"{recording.labels.name}:{i.line}" for i in recording.intervals]
    spans = np.array([(i.start, i.end) for i in recording.intervals]) - cutting.base  # (intervals, 2)
    clamped = np.clip(spans, 0, frames)
    for n in np.flatnonzero((spans != clamped).any(axis=1)).tolist():
        tally.add("intervals reach beyond their recording and were clamped", f"{where[n]}, {frames} frames")
    owner = np.full(frames, -1)  # the last line that covers a frame
    for n, (first, stop) in enumerate(clamped):
        if (owner[first:stop] >= 0).any():
            tally.add(f"intervals overlap an earlier line ({cutting.overlap})", where[n])
        owner[first:stop] = n
    for n, interval in enumerate(recording.intervals):
        start, end = _longest_run(owner == n) if cutting.overlap == "later" else clamped[n].tolist()
        if start >= end:
            tally.add("intervals without a frame left out", where[n])
            continue
        yield interval, start, end


def _longest_run(mask: np.ndarray) -> tuple[int, int]:
    """Start and end of the longest run of True; the first of several, (0, 0) where there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    if not len(edges):
        return 0, 0
    starts, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - starts))
    return int(starts[longest]), int(ends[longest])
