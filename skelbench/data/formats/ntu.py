"""NTU RGB+D 60 and 120 as they are handed out: one ``.skeleton`` text a recording, packed in zip archives or not.

A Kinect v2 saw up to six bodies of 25 joints, 30 times a second; coordinates are metres before the camera (x to its left, y up, z
away from it), so that the three cameras of one take look along different axes. Labels are the numbers of the actions less 1; other
columns keep the numbers of the names. ``group`` is the performance, which all cameras share.

Which bodies become which person, and what happens to frames without any, is a choice that changes every number afterwards; the code
bases in this field differ in it, and their ways have names: see :mod:`skelbench.skeleton.persons`.

Some recordings have no usable skeletons. The authors' lists of them (302 of NTU 60, 535 of NTU 120) come with skelbench and are
left out unless ``missing`` says otherwise; without that, counts differ from every paper's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.formats.ntu_files import ACTIONS, Entry, Files, any_recording, listed, recordings, some
from skelbench.data.formats.ntu_names import ntu_columns
from skelbench.data.formats.ntu_text import parse
from skelbench.data.formats.ntu_write import write_ntu
from skelbench.data.formats.parallel import in_order, processes
from skelbench.data.formats.source import Source, options_of, pick_joints
from skelbench.data.tables import ntu_classes, ntu_missing, ntu_splits
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.persons import Persons, choose
from skelbench.skeleton.persons import persons as find_persons
from skelbench.skeleton.topology import Topology
from skelbench.skeleton.topology import topology as find_topology

__all__ = ["describe", "read", "sniff", "write_ntu"]

LAYOUT, FPS = "kinect_v2_25", 30.0
LICENCE = "NTU RGB+D: for academic research, from the ROSE Lab on request, not to be passed on; the terms you agreed to count"
CITE = {
    60: "Shahroudy et al., NTU RGB+D: A Large Scale Dataset for 3D Human Activity Analysis, CVPR 2016",
    120: "Liu et al., NTU RGB+D 120: A Large-Scale Benchmark for 3D Human Activity Understanding, TPAMI 2020",
}


def sniff(path: Path) -> bool:
    """Whether a file there, in the folder or in the archive, is called ``SsssCcccPpppRrrrAaaa.skeleton``."""
    return any_recording(path)


def describe(path: Path) -> dict[str, Any]:
    """Recordings, classes, subjects, cameras and setups by the names, and what the first recording holds.

    Raises:
        DataError: no recording there, an archive that must not be trusted, or the first recording is damaged.
    """
    entries = recordings(path)
    size = _size(entries)
    with closing(Files()) as files:
        first = parse(files(entries[0]), entries[0].where)
    known = ntu_missing(size) & {e.id for e in entries}
    columns = [ntu_columns(e.id) for e in entries]
    return {
        "title": f"NTU RGB+D {size}",
        "clips": len(entries) - len(known),
        "classes": list(ntu_classes(size)),
        "skeleton": f"{LAYOUT}, {find_topology(LAYOUT).V} joints",
        "bodies": f"2 of up to 6 seen; {len(set(first.ids))} in the first recording",
        "frames": f"{first.frames} in the first recording, {entries[0].id}, at {FPS:g} fps",
        **{f"{key}s": len({c[key] for c in columns}) for key in ("subject", "camera", "setup")},
        "splits": list(ntu_splits(size)),
        "left out": f"{len(known)} of {len(entries)} recordings, on the authors' list of missing skeletons",
        "missing": [],
        "options": options_of(read),
    }


def read(
    path: Path,
    *,
    topology: Topology | None = None,
    persons: str | Persons = "tracks",
    missing: bool | str | Path = True,
    states: bool = False,
    workers: int | None = None,
) -> Source:
    """Recordings as clips.

    Args:
        path: a file, a zip archive, or a folder of them, searched with its sub-folders. Archives stay packed.
        topology: joints to keep and their order, found by the names of the layout ``kinect_v2_25``.
        persons: how two persons are chosen from the bodies the sensor saw: ``tracks``, ``raw`` (up to six), or as a code base does
            it: ``stgcn``, ``agcn``, ``ctrgcn``, ``ctrgcn120``, ``pyskl``.
        missing: leave out the recordings on the authors' list of missing skeletons: True, the list that comes with skelbench; a
            text file with another list; False, read them all.
        states: keep what the sensor says of a joint as a last coordinate, a score: 0 not tracked, 0.5 inferred, 1 tracked.
        workers: processes that read; one a core where left out and worth it.

    Raises:
        DataError: no recording there, one that stands twice or is damaged (file and line), or an archive that must not be trusted.
        ConfigError: no such way to choose persons, or ``workers`` below 1.
    """
    rule = find_persons(persons) if isinstance(persons, str) else persons
    entries, notes = recordings(path), list[str]()
    size, found = _size(entries), len(entries)
    entries = _without_missing(entries, missing, size, notes)
    layout = topology or find_topology(LAYOUT)
    keep = pick_joints(find_topology(LAYOUT).joints, layout, str(path))
    kept: list[int] | None = None if keep == list(range(find_topology(LAYOUT).V)) else keep
    processes(len(entries), workers)  # a bad number is refused before anything is written
    seen: dict[str, int] = {}  # number of ids in a recording -> recordings

    def clips() -> Iterator[Clip]:
        tally = _Tally()
        reader = _Reader(rule=rule, states=states)
        with closing(reader), closing(in_order(reader, entries, workers=workers)) as results:
            for entry, result in zip(entries, results, strict=True):
                tally.add(entry, result)
                if result.joints is not None:
                    yield _clip(entry, result.joints if kept is None else result.joints[:, :, kept], layout)
        notes.extend(tally.notes())
        seen.update(tally.bodies())

    return Source(
        clips=clips(),
        classes=ntu_classes(size),
        total=len(entries),
        bodies=rule.bodies,
        provenance={
            "format": "ntu",
            "source": path.name,
            "files": found,
            "persons": {"name": persons if isinstance(persons, str) else "own", **asdict(rule)},
            "coordinates": "of the camera: x to its left, y up, z away from it",
            "tracking states": "last coordinate: 0 not tracked, 0.5 inferred, 1 tracked" if states else "not kept",
            "bodies seen": seen,
            "notes": notes,
        },
        licence=LICENCE,
        attribution=CITE[size] if size == ACTIONS[0] else f"{CITE[60]}; {CITE[120]}",
        splits=ntu_splits(size),
    )


def _size(entries: list[Entry]) -> int:
    """60 or 120: whether an action beyond the 60th, or a setup of the second part, is there."""
    return ACTIONS[max(e.action for e in entries) > ACTIONS[0]]


def _without_missing(entries: list[Entry], missing: bool | str | Path, size: int, notes: list[str]) -> list[Entry]:
    if missing is False:
        return entries
    names, which = ntu_missing(size), "the authors' list of missing skeletons"
    if not isinstance(missing, bool):
        names, which = listed(Path(missing).expanduser()), f"the list {Path(missing).name}"
    left = [e for e in entries if e.id not in names]
    if not left:
        raise DataError(f"{entries[0].where}: every recording is on {which}; pass missing=False to read them all the same")
    if len(left) < len(entries):
        notes.append(f"{len(entries) - len(left)} recordings on {which} left out")
    return left


def _clip(entry: Entry, joints: np.ndarray, layout: Topology) -> Clip:
    about = ntu_columns(entry.id)
    return Clip(joints=joints, topology=layout, fps=FPS, label=entry.action - 1, id=entry.id, about=about)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Result:
    """One recording read: joints (T, M, 25, C), None without a body; ids seen; joints lost to NaN."""

    joints: np.ndarray | None
    bodies: int
    lost: int


class _Reader:
    """Reads one recording after the other, in whichever process it is called."""

    def __init__(self, *, rule: Persons, states: bool) -> None:
        self.rule, self.states, self.files = rule, states, Files()

    def __call__(self, entry: Entry) -> _Result:
        found = parse(self.files(entry), entry.where, states=self.states)
        joints = None
        if found.joints.any():
            try:
                joints = choose(found.tracks(), found.frames, self.rule)
            except DataError as error:
                raise DataError(f"{entry.where}: {error}") from error
        return _Result(joints=joints, bodies=len(set(found.ids)), lost=found.lost)

    def close(self) -> None:
        self.files.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reader, (self.rule, self.states)


_READERS: dict[tuple[Persons, bool], _Reader] = {}


def _reader(rule: Persons, states: bool) -> _Reader:
    """The reader of a worker process, which keeps its archives open from one batch to the next."""
    return _READERS.setdefault((rule, states), _Reader(rule=rule, states=states))


class _Tally:
    """What is worth a note, counted while recordings go by."""

    def __init__(self) -> None:
        self.empty: list[str] = []
        self.holes: dict[str, int] = {}
        self.seen: Counter[int] = Counter()

    def add(self, entry: Entry, result: _Result) -> None:
        self.seen[result.bodies] += 1
        if result.joints is None:
            self.empty.append(entry.id)
        if result.lost:
            self.holes[entry.id] = result.lost

    def notes(self) -> list[str]:
        found = []
        if self.empty:
            found.append(f"{len(self.empty)} recordings without a body left out: {some(self.empty)}")
        if self.holes:
            joints = f"{sum(self.holes.values())} joints with NaN for a coordinate became zero, which is not tracked"
            found.append(f"{joints}, in {len(self.holes)} recordings: {some(self.holes)}")
        return found

    def bodies(self) -> dict[str, int]:
        return {str(n): count for n, count in sorted(self.seen.items())}
