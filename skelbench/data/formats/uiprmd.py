"""UI-PRMD: ten rehabilitation exercises by ten people, each repeated ten times well and ten times badly, as comma separated text.

A. Vakanski, H.-P. Jun, D. Paul, R. Baker, A Data Set of Human Body Movements for Physical Rehabilitation Exercises, Data 3(1):2,
2018. Two files a repetition, one frame a line, three numbers a joint:

    m01_s02_e03_positions.txt, m01_s02_e03_angles.txt            movement 1, subject 2, repetition (episode) 3
    m01_s02_e03_positions_inc.txt, m01_s02_e03_angles_inc.txt    the same, deliberately not as instructed

The Kinect part has 22 joints. Only the waist stands in the room: the position of any other joint is told in the frame of its
parent, in centimetres, and the angles (degrees about x, y and z) turn that frame. With R_local = Rz Rx Ry, a joint sits at
p = p_parent + R_parent * position, R = R_parent * R_local. Bone lengths change from frame to frame because the sensor estimates
them anew. The y axis points up and the subject faces +z; 30 frames a second.

The Vicon part has 39 markers on the skin (Plug-in Gait) in the room, in millimetres with z up, 100 frames a second; it is turned
so that y points up and +x stays the subject's left. Its angles are not needed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from skelbench.data.formats.kinematics import product
from skelbench.data.formats.on_disk import holds
from skelbench.data.formats.source import Source, Take, clip_of, motion_files, options_of, own_or_given, stride
from skelbench.errors import DataError
from skelbench.skeleton.clip import Clip
from skelbench.skeleton.topology import Topology
from skelbench.skeleton.topology import topology as find_topology

MOVEMENTS = (
    "deep_squat",
    "hurdle_step",
    "inline_lunge",
    "side_lunge",
    "sit_to_stand",
    "standing_active_straight_leg_raise",
    "standing_shoulder_abduction",
    "standing_shoulder_extension",
    "standing_shoulder_internal_external_rotation",
    "standing_shoulder_scaption",
)
NAME = re.compile(r"m(?P<m>0[1-9]|10)_s(?P<s>\d{2})(?:_e(?P<e>\d{2}))?_(?P<kind>positions|angles)(?P<inc>_inc)?", re.IGNORECASE)
POSITIONS = re.compile(r"m(0[1-9]|10)_s\d{2}(_e\d{2})?_positions(_inc)?\.txt", re.IGNORECASE)
LAYOUT = {"kinect": "uiprmd_kinect", "vicon": "plugin_gait_39"}
WIDTH = {name: 3 * find_topology(layout).V for name, layout in LAYOUT.items()}
METRES = {"kinect": 0.01, "vicon": 0.001}
RATE = {"kinect": 30.0, "vicon": 100.0}
ATTRIBUTION = "UI-PRMD: A. Vakanski, H.-P. Jun, D. Paul, R. Baker, Data 3(1):2, 2018"
LICENCE = "Open Data Commons Public Domain Dedication and License (PDDL) v1.0"
LIMIT = 64 << 20  # bytes; a recording of all ten repetitions has under two million


def sniff(path: Path) -> bool:
    """Whether a positions file is called as above."""
    return holds(path, POSITIONS)


def describe(path: Path) -> dict[str, Any]:
    """Repetitions, people and movements, from the file names; sensor and frames from the first file.

    Raises:
        DataError: no repetition there, or the first file is damaged.
    """
    there = list(_by_sensor(path, _named(path)))
    part = _part(path, there[0])
    takes, sensor = part.takes, part.sensor
    first = _table(takes[0].path, WIDTH[sensor])
    lonely = [t for t in takes if sensor == "kinect" and t.id not in part.angles]
    missing = [f"{len(lonely)} angles files, the first to go with {lonely[0].path.name}"] if lonely else []
    missing += ["sensor= kinect or vicon; both lie here"] if len(there) > 1 else []
    return {
        "clips": len(takes),
        "classes": [MOVEMENTS[n] for n in sorted({t.label for t in takes})],
        "subjects": sorted({t.about["subject"] for t in takes}),
        "as instructed": f"{sum(t.about['correct'] for t in takes)} of {len(takes)}",
        "sensor": " and ".join(there),
        "skeleton": f"{LAYOUT[sensor]}, {WIDTH[sensor] // 3} joints",
        "bodies": 1,
        "frames": f"{takes[0].path.name}: {len(first)} frames at {RATE[sensor]:g} fps",
        "splits": "none official; cross_subject takes every second subject",
        "missing": missing,
        "options": options_of(read),
    }


def read(
    path: Path,
    *,
    topology: Topology | None = None,
    sensor: Literal["kinect", "vicon"] | None = None,
    fps: float | None = 30.0,
) -> Source:
    """The repetitions below a folder as clips; columns subject, repetition, correct (1 = as instructed) and group (the recording).

    Args:
        path: a positions file, or a folder searched with its sub-folders; the angles files lie anywhere in it.
        topology: joints to keep and their order, found by name.
        sensor: which part to read, where a folder holds both: kinect or vicon.
        fps: keep every n-th frame so that the rate comes nearest to this; None keeps all.

    Raises:
        DataError: nothing to read, both parts and no ``sensor``, an angles file is missing, or a damaged file (file and line).
    """
    part = _part(path, sensor)
    layout, keep = own_or_given(path, part.full.joints, part.full.parents, topology, str(path))
    every = stride(RATE[part.sensor], fps)
    for take in part.takes if part.sensor == "kinect" else ():
        if take.id not in part.angles:
            wanted = take.path.name.lower().replace("positions", "angles")
            raise DataError(f"{take.path}: its angles are missing; {wanted} must lie below {path} (positions alone are relative)")
    labels = sorted({t.label for t in part.takes})

    def clips() -> Iterator[Clip]:
        for take in part.takes:
            points = METRES[part.sensor] * _points(part, take, every)[:, keep]
            yield clip_of(replace(take, label=labels.index(take.label)), points, layout, fps=RATE[part.sensor] / every)

    provenance = {
        "format": "uiprmd",
        "source": path.name,
        "files": len(part.takes),
        "labels": "movement numbers of the file names",
        "sensor": part.sensor,
        "unit": {"name": "file", "metres": METRES[part.sensor]},
        "frames": f"taken as {RATE[part.sensor]:g} fps, every {every}. kept",
        "notes": list(part.notes),
    }
    return Source(
        clips=clips(),
        classes=tuple(MOVEMENTS[n] for n in labels),
        total=len(part.takes),
        provenance=provenance,
        bodies=1,
        licence=LICENCE,
        attribution=ATTRIBUTION,
    )


def _points(part: _Part, take: Take, every: int) -> np.ndarray:
    """World positions (T, V, 3) of every n-th frame, in the unit of the file, y up."""
    values, V = _table(take.path, WIDTH[part.sensor]), part.full.V
    if part.sensor == "vicon":
        return values[::every].reshape(-1, V, 3)[..., [1, 2, 0]]
    angles = _table(part.angles[take.id], WIDTH[part.sensor])
    if len(angles) != len(values):
        raise DataError(f"{take.path}: {len(values)} frames, but {part.angles[take.id].name} has {len(angles)}")
    return positions(values[::every], angles[::every], part.full.parents)


def positions(offsets: np.ndarray, angles: np.ndarray, parents: tuple[int, ...]) -> np.ndarray:
    """World positions (T, V, 3) in the unit of the file from rows (T, 3 V) of positions and of degrees about x, y, z."""
    T, V = len(offsets), len(parents)
    offsets, angles = offsets.reshape(T, V, 3), angles.reshape(T, V, 3)
    points, turns = np.empty((T, V, 3)), np.empty((V, T, 3, 3))
    for j, parent in enumerate(parents):
        local = product("zxy", angles[:, j][:, [2, 0, 1]])  # (T, 3, 3)
        if parent < 0:
            points[:, j], turns[j] = offsets[:, j], local
        else:
            points[:, j] = points[:, parent] + np.einsum("tij,tj->ti", turns[parent], offsets[:, j])
            turns[j] = turns[parent] @ local
    return points


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """What is read: sensor and skeleton, the repetitions in order, the angles file of each by id, and remarks."""

    sensor: str
    full: Topology
    takes: tuple[Take, ...]
    angles: dict[str, Path]
    notes: tuple[str, ...]


def _named(path: Path) -> list[tuple[Path, re.Match[str]]]:
    """The files called as above, with their names taken apart."""
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    files = motion_files(path.parent if path.is_file() else path, ".txt")
    return [(f, found) for f in files if (found := NAME.fullmatch(f.stem))]


def _by_sensor(path: Path, named: list[tuple[Path, re.Match[str]]]) -> dict[str, list[Take]]:
    by_sensor: dict[str, list[Take]] = {}
    for file, found in named:
        if found["kind"].lower() == "positions" and (path.is_dir() or file == path):
            by_sensor.setdefault(_sensor(file), []).append(_take(file, found))
    if not by_sensor:
        raise DataError(f"{path}: holds no file called like m01_s02_e03_positions.txt")
    return dict(sorted(by_sensor.items()))


def _part(path: Path, sensor: str | None) -> _Part:
    if sensor is not None and sensor not in LAYOUT:
        raise DataError(f"sensor must be kinect or vicon, got {sensor!r}")
    named = _named(path)
    by_sensor = _by_sensor(path, named)
    if sensor is None and len(by_sensor) > 1:
        raise DataError(f"{path}: holds both the Kinect and the Vicon part; say sensor='kinect' or sensor='vicon'")
    sensor = sensor or next(iter(by_sensor))
    if sensor not in by_sensor:
        raise DataError(f"{path}: holds no positions of sensor={sensor!r}, only of {next(iter(by_sensor))!r}")
    takes, notes = by_sensor[sensor], []
    other = sum(map(len, by_sensor.values())) - len(takes)
    if other:
        notes.append(f"{other} files of the other sensor left out")
    repetitions = [t for t in takes if "repetition" in t.about]
    if repetitions and len(repetitions) < len(takes):
        notes.append(f"{len(takes) - len(repetitions)} whole recordings left out, their repetitions are here")
        takes = repetitions
    _check_twice(takes)
    angles = {}
    for file, found in named:
        if found["kind"].lower() == "angles" and sensor == "kinect" and _sensor(file) == "kinect":
            angles[_take(file, found).id] = file
    full, ordered = find_topology(LAYOUT[sensor]), tuple(sorted(takes, key=lambda t: t.id))
    return _Part(sensor=sensor, full=full, takes=ordered, angles=angles, notes=tuple(notes))


def _check_twice(takes: list[Take]) -> None:
    seen: dict[str, Take] = {}
    for take in takes:
        if seen.setdefault(take.id, take) is not take:
            raise DataError(f"{take.path}: the same repetition as {seen[take.id].path}; keep one of the two")


def _take(file: Path, found: re.Match[str]) -> Take:
    recording, badly = f"m{found['m']}_s{found['s']}", "_inc" if found["inc"] else ""
    about: dict[str, Any] = {"subject": int(found["s"]), "correct": 0 if badly else 1, "group": recording + badly}
    about |= {"repetition": int(found["e"])} if found["e"] else {}
    name = recording + (f"_e{found['e']}" if found["e"] else "") + badly
    return Take(path=file, id=name, label=int(found["m"]) - 1, about=about)


def _sensor(file: Path) -> str:
    """Told by the count of numbers in the first line."""
    try:
        with file.open("rb") as text:
            count = len(_words(text.readline(1 << 16).decode("utf-8-sig", "replace")))
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from error
    for name, width in WIDTH.items():
        if count == width:
            return name
    wanted = " or ".join(f"{width} ({name})" for name, width in WIDTH.items())
    raise DataError(f"{file}:1: {count} numbers in a line, wanted {wanted}")


def _words(line: str) -> list[str]:
    return line.replace(",", " ").split()


def _table(path: Path, width: int) -> np.ndarray:
    """The numbers of a file, (T, width), in float64."""
    try:
        if path.stat().st_size > LIMIT:
            raise DataError(f"{path}: {path.stat().st_size >> 20} MB is more than a recording has; is it the right file?")
        text = path.read_text(encoding="utf-8-sig", errors="replace").replace(",", " ")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    rows = [n for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not rows:
        raise DataError(f"{path}: holds no frame")
    try:
        values = np.loadtxt(io.StringIO(text), ndmin=2, comments=None, encoding=None)
    except ValueError:
        values = np.zeros((0, 0))
    if values.shape != (len(rows), width) or not np.isfinite(values).all():
        raise _fault(path, text, width)
    return values


def _fault(path: Path, text: str, width: int) -> DataError:
    """What is wrong with the first line that is."""
    for n, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if words and len(words) != width:
            return DataError(f"{path}:{n}: {len(words)} numbers, wanted {width}; the file is cut short or of another sensor")
        for word in words:
            try:
                finite = bool(np.isfinite(float(word)))
            except ValueError:
                finite = False
            if not finite or "_" in word:
                return DataError(f"{path}:{n}: {word[:40]!r} is not a finite number")
    return DataError(f"{path}: cannot be read as lines of {width} numbers")
