"""The text of Acclaim files: ASF skeletons and AMC takes. Anything damaged names file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skelbench.data.formats.bvh_text import number
from skelbench.data.formats.kinematics import product
from skelbench.errors import DataError

Line = tuple[int, list[str]]
ORDER = re.compile(r"[xyz]{3}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Skeleton:
    """A person. Joint j is the far end of bone j; joint 0 is the root.

    Attributes:
        names: ``root`` and the bones, in the order of the file.
        parents: parent per joint, -1 for the root.
        order: the joints with parents before their children.
        offsets: (V, 3) length times direction; position of the root.
        axes: (V, 3, 3) the rotation C of each bone.
        dofs: what the numbers of a bone in a frame mean: ``rx`` ... ``rz``, and ``tx`` ... ``tz`` for the root.
        columns: where those numbers stand in a row of values.
        length: unit of length, as the file states it.
        degrees: whether angles are degrees (else radians) where the take does not say.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    order: tuple[int, ...]
    offsets: np.ndarray
    axes: np.ndarray
    dofs: tuple[tuple[str, ...], ...]
    columns: tuple[list[int], ...]
    length: float
    degrees: bool


@dataclass
class _Bone:
    name: str
    line: int
    offset: np.ndarray
    axis: np.ndarray
    dofs: tuple[str, ...]


def _lines(path: Path) -> Iterator[Line]:
    """(line number, words) without comments; commas and parentheses count as blanks."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    for n, line in enumerate(text.split("\n"), 1):
        words = re.sub(r"[(),]", " ", line.partition("#")[0]).split()
        if words:
            yield n, words


def _numbers(path: Path, line: int, words: list[str], count: int, what: str) -> list[float]:
    values = [number(w) for w in words[:count]]
    if len(values) < count or None in values:
        raise DataError(f"{path}:{line}: {what} needs {count} finite numbers, found {' '.join(words) or 'nothing'}")
    return [v for v in values if v is not None]


def _turn(path: Path, line: int, angles: list[float], order: str, degrees: bool) -> np.ndarray:
    """Rotation (3, 3) for angles in this order, the first listed applied first."""
    if not ORDER.fullmatch(order) or len(set(order)) < 3:
        raise DataError(f"{path}:{line}: {order!r} is not an order of axes such as XYZ")
    angles = angles if degrees else [float(np.degrees(a)) for a in angles]
    return product(order[::-1], np.array([angles[::-1]]))[0]


def parse_asf(path: Path) -> Skeleton:
    """Read a skeleton.

    Raises:
        DataError: not readable, not Acclaim, a section is missing, or a bone is incomplete; with file and line.
    """
    sections: dict[str, list[Line]] = {}
    body: list[Line] | None = None
    for line, words in _lines(path):
        if words[0].startswith(":"):
            body = sections.setdefault(words[0].lower(), [])
            if len(words) > 1:
                body.append((line, words[1:]))
        elif body is None:
            raise DataError(f"{path}:{line}: found {words[0]!r} before the first section; not an Acclaim skeleton")
        else:
            body.append((line, words))
    missing = [s for s in (":root", ":bonedata", ":hierarchy") if not sections.get(s)]
    if missing:
        raise DataError(f"{path}: the section {missing[0]} is missing or empty; not a whole Acclaim skeleton")
    units = {words[0].lower(): (line, words) for line, words in sections.get(":units", [])}
    line, words = units.get("length", (0, ["length", "1.0"]))
    length = _numbers(path, line, words[1:], 1, "length")[0]
    if not length > 0:
        raise DataError(f"{path}:{line}: the unit of length is {length:g}, wanted a number above zero")
    degrees = not units.get("angle", (0, ["angle", "deg"]))[1][-1].lower().startswith("rad")
    bones = [_root(path, sections[":root"], degrees), *_bones(path, sections[":bonedata"], degrees)]
    names = tuple(b.name for b in bones)
    for n, bone in enumerate(bones):
        if bone.name in names[:n]:
            raise DataError(f"{path}:{bone.line}: the bone {bone.name!r} stands twice")
    parents, order = _hierarchy(path, sections[":hierarchy"], names)
    at, columns = 0, []
    for bone in bones:
        columns.append(list(range(at, at + len(bone.dofs))))
        at += len(bone.dofs)
    return Skeleton(
        names=names,
        parents=parents,
        order=order,
        offsets=np.stack([b.offset for b in bones]),
        axes=np.stack([b.axis for b in bones]),
        dofs=tuple(b.dofs for b in bones),
        columns=tuple(columns),
        length=length,
        degrees=degrees,
    )


def _root(path: Path, lines: list[Line], degrees: bool) -> _Bone:
    said = {words[0].lower(): (line, words[1:]) for line, words in lines}
    line = lines[0][0]
    order_line, order = said.get("order", (line, ["TX", "TY", "TZ", "RX", "RY", "RZ"]))
    dofs = tuple(w.lower() for w in order)
    if not dofs or not all(re.fullmatch(r"[tr][xyz]", d) for d in dofs) or len(set(dofs)) < len(dofs):
        raise DataError(f"{path}:{order_line}: the order of the root is {' '.join(order)!r}, wanted e.g. TX TY TZ RX RY RZ")
    axis_line, axis = said.get("axis", (line, ["XYZ"]))
    at, position = said.get("position", (line, ["0", "0", "0"]))
    turned, orientation = said.get("orientation", (line, ["0", "0", "0"]))
    angles = _numbers(path, turned, orientation, 3, "orientation")
    return _Bone(
        name="root",
        line=line,
        offset=np.array(_numbers(path, at, position, 3, "position")),
        axis=_turn(path, axis_line, angles, (axis or [""])[0].lower(), degrees),
        dofs=dofs,
    )


def _bones(path: Path, lines: list[Line], degrees: bool) -> list[_Bone]:
    bones: list[_Bone] = []
    block: dict[str, Line] | None = None
    for line, words in lines:
        key = words[0].lower()
        if key == "begin":
            block = {"begin": (line, [])}
        elif block is None:
            raise DataError(f"{path}:{line}: found {words[0]!r} outside a begin ... end block of :bonedata")
        elif key == "end":
            bones.append(_bone(path, block, degrees))
            block = None
        elif re.fullmatch(r"[a-z]+", key):  # the further lines of limits have no keyword
            block[key] = (line, words[1:])
    if block is not None:
        raise DataError(f"{path}:{block['begin'][0]}: this bone has no end; the file is cut short")
    return bones


def _bone(path: Path, block: dict[str, Line], degrees: bool) -> _Bone:
    start = block["begin"][0]
    for key in ("name", "direction", "length", "axis"):
        if not block.get(key, (0, []))[1]:
            raise DataError(f"{path}:{start}: this bone has no {key}")
    name = block["name"][1][0]
    line, words = block["direction"]
    direction = np.array(_numbers(path, line, words, 3, f"the direction of {name!r}"))
    line, words = block["length"]
    length = _numbers(path, line, words, 1, f"the length of {name!r}")[0]
    line, words = block["axis"]
    angles = _numbers(path, line, words, 3, f"the axis of {name!r}")
    axis = _turn(path, line, angles, words[3].lower() if len(words) > 3 else "xyz", degrees)
    line, words = block.get("dof", (start, []))
    dofs = tuple(w.lower() for w in words)
    if not all(re.fullmatch(r"r[xyz]", d) for d in dofs) or len(set(dofs)) < len(dofs):
        raise DataError(f"{path}:{line}: {name!r} has the degrees of freedom {' '.join(words)!r}; only rx, ry and rz can be read")
    return _Bone(name=name, line=start, offset=length * direction, axis=axis, dofs=dofs)


def _hierarchy(path: Path, lines: list[Line], names: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Parent of every joint, and the joints with parents before their children."""
    parents: dict[int, int] = {}
    for line, words in lines:
        if words[0].lower() in ("begin", "end"):
            continue
        odd = next((w for w in words if w not in names), None)
        if odd is not None:
            raise DataError(f"{path}:{line}: the hierarchy names {odd!r}, which :bonedata does not have")
        for child in words[1:]:
            at = names.index(child)
            if at in parents or at == 0:
                raise DataError(f"{path}:{line}: {child!r} hangs on two parents")
            parents[at] = names.index(words[0])
    order = [0]
    for j in order:
        order.extend(c for c, p in parents.items() if p == j)
    if len(order) < len(names):
        loose = next(n for j, n in enumerate(names) if j not in order)
        raise DataError(f"{path}: the bone {loose!r} does not hang on the root (see :hierarchy)")
    return tuple(parents.get(j, -1) for j in range(len(names))), tuple(order)


def parse_amc(path: Path, skeleton: Skeleton) -> tuple[np.ndarray, list[str]]:
    """Read a take: values (T, channels) in the order of ``skeleton.columns``, angles in degrees; and remarks.

    Raises:
        DataError: not readable, no frames, a frame number out of turn, a bone the skeleton lacks, a wrong count of numbers, or a
            last frame that is cut short; with file and line.
    """
    degrees, bones = skeleton.degrees, {n: j for j, n in enumerate(skeleton.names)}
    moving = {n for n, j in bones.items() if skeleton.dofs[j]}
    width = sum(len(c) for c in skeleton.columns)
    frames: list[np.ndarray] = []
    seen: set[str] = set()
    held: dict[str, int] = {}
    previous, line = None, 0
    for line, words in _lines(path):
        if words[0].startswith(":"):
            degrees = {":degrees": True, ":radians": False}.get(words[0].lower(), degrees)
        elif len(words) == 1 and words[0].isdecimal() and len(words[0]) < 12:
            for bone in moving - seen if frames else ():
                held[bone] = held.get(bone, 0) + 1
            if previous is not None and int(words[0]) != previous + 1:
                raise DataError(f"{path}:{line}: frame {words[0]} follows frame {previous}; frames are missing or out of order")
            previous, seen = int(words[0]), set()
            frames.append(frames[-1].copy() if frames else np.zeros(width))
        elif not frames or words[0] not in bones:
            what = "stands before the first frame number" if not frames else "is no bone of the skeleton"
            raise DataError(f"{path}:{line}: {words[0]!r} {what}")
        else:
            columns = skeleton.columns[bones[words[0]]]
            if len(words) - 1 != len(columns) or words[0] in seen:
                why = "stands twice in this frame" if words[0] in seen else f"has {len(words) - 1} numbers, wanted {len(columns)}"
                raise DataError(f"{path}:{line}: {words[0]!r} {why}")
            frames[-1][columns] = _numbers(path, line, words[1:], len(columns), repr(words[0]))
            seen.add(words[0])
    if not frames:
        raise DataError(f"{path}: holds no frame")
    if moving - seen - set(held):
        raise DataError(
            f"{path}:{line}: the last frame, {previous}, lacks {', '.join(sorted(moving - seen)[:3])}; the file is cut short"
        )
    values = np.stack(frames)
    if not degrees:
        turned = [c for j, cs in enumerate(skeleton.columns) for c, d in zip(cs, skeleton.dofs[j], strict=True) if d[0] == "r"]
        values[:, turned] = np.degrees(values[:, turned])
    return values, [f"{n} left out in {t} frames, held there" for n, t in held.items()]
