"""The text of a BVH file, read word by word: tabs, CRLF, loose headers are fine, anything damaged names its line."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skelbench.errors import DataError

CHANNEL = re.compile(r"([xyz])(position|rotation)", re.IGNORECASE)
MOST = 2000  # joints in a file
COMMA = " (a comma as decimal mark? write a point)"


@dataclass(frozen=True, kw_only=True)
class Joint:
    """One node of the hierarchy. ``channels`` are (axis, kind) pairs; an End Site has none."""

    name: str
    parent: int
    offset: tuple[float, float, float]
    channels: tuple[tuple[str, str], ...]
    end: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """One parsed file: joints with parents before children, ``values`` (T, channels), frames a second."""

    joints: tuple[Joint, ...]
    values: np.ndarray
    fps: float
    notes: tuple[str, ...] = ()


def parse(path: Path) -> Motion:
    """Read one file.

    Raises:
        DataError: not readable, or not BVH; the message holds file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    start = next((n for n, line in enumerate(lines) if line.strip().upper() == "MOTION"), None)
    head = lines[:start]
    joints = _Hierarchy(path, head).read()
    if start is None:
        raise DataError(f"{path}:{len(lines)}: the file ends without a MOTION part; it is cut short")
    return _motion(path, lines, start + 1, joints)


class _Hierarchy:
    """The part before MOTION, word by word."""

    def __init__(self, path: Path, lines: Sequence[str]) -> None:
        self.path = path
        self.words = [(w, n) for n, line in enumerate(lines, 1) for w in re.sub(r"([{}])", r" \1 ", line).split()]
        self.at, self.last = 0, len(lines)

    def fail(self, why: str) -> DataError:
        return DataError(f"{self.path}:{self.words[max(0, self.at - 1)][1] if self.words else 1}: {why}")

    def next(self, wanted: str) -> str:
        if self.at >= len(self.words):
            raise DataError(f"{self.path}:{self.last}: the hierarchy ends where {wanted} should stand; the file is cut short")
        self.at += 1
        return self.words[self.at - 1][0]

    def read(self) -> tuple[Joint, ...]:
        if not self.words or self.next("HIERARCHY").upper() != "HIERARCHY":
            raise self.fail("a BVH file begins with the word HIERARCHY")
        joints: list[Joint] = []
        open_joints: list[int] = []
        while self.at < len(self.words):
            word = self.next("a joint").upper()
            if word == "}" and open_joints:
                open_joints.pop()
            elif (word == "ROOT" and not open_joints) or (word == "JOINT" and open_joints) or (word == "END" and open_joints):
                open_joints.append(self._joint(word, joints, open_joints[-1] if open_joints else -1))
            else:
                raise self.fail(f"found {word!r}, wanted {'JOINT, End Site or }' if open_joints else 'ROOT or MOTION'}")
        if open_joints or not joints:
            raise DataError(f"{self.path}:{self.last}: the hierarchy is not complete, {len(open_joints)} braces are open")
        return self._same_bodies(joints)

    def _joint(self, word: str, joints: list[Joint], parent: int) -> int:
        name: list[str] = []
        while (part := self.next("{")) != "{":
            name.append(part)
        end = word == "END"
        label = f"{joints[parent].name}_end" if end else "_".join(name)
        body = joints[max((n for n, j in enumerate(joints) if j.parent < 0), default=0) :] if parent >= 0 else []
        taken = {j.name for j in body}
        if end:  # a second End Site of one joint
            label = next(c for c in (label, *(f"{label}{n}" for n in range(2, len(joints) + 3))) if c not in taken)
        if not label or label in taken:
            raise self.fail(f"the joint name {label!r} stands twice" if label else "a joint without a name")
        if self.next("OFFSET").upper() != "OFFSET":
            raise self.fail(f"joint {label!r} must begin with OFFSET")
        offset = (self._number(), self._number(), self._number())
        channels: list[tuple[str, str]] = []
        if self.at < len(self.words) and self.words[self.at][0].upper() == "CHANNELS":
            self.at += 1
            channels = self._channels(label)
        if len(joints) == MOST:
            raise self.fail(f"more than {MOST} joints, which no body has")
        joints.append(Joint(name=label, parent=parent, offset=offset, channels=tuple(channels), end=end))
        return len(joints) - 1

    def _channels(self, label: str) -> list[tuple[str, str]]:
        count = self.next("a number of channels")
        if not count.isdecimal() or int(count) > 6:
            raise self.fail(f"joint {label!r} has {count!r} channels, wanted 0 to 6")
        channels: list[tuple[str, str]] = []
        for _ in range(int(count)):
            found = CHANNEL.fullmatch(self.next("a channel"))
            if not found or (found[1].lower(), found[2].lower()) in channels:
                raise self.fail(f"joint {label!r}: channels are Xposition ... Zrotation, each once and {count} of them")
            channels.append((found[1].lower(), found[2].lower()))
        return channels

    def _number(self) -> float:
        word = self.next("a number")
        value = number(word)
        if value is None:
            raise self.fail(f"{word!r} is not a finite number{COMMA if ',' in word else ''}")
        return value

    def _same_bodies(self, joints: list[Joint]) -> tuple[Joint, ...]:
        roots = [n for n, j in enumerate(joints) if j.parent < 0]
        spans = [joints[a:b] for a, b in zip(roots, [*roots[1:], len(joints)], strict=True)]
        trees = [[(j.parent - a if j.parent >= 0 else -1, j.end) for j in s] for a, s in zip(roots, spans, strict=True)]
        if any(t != trees[0] for t in trees):
            raise DataError(
                f"{self.path}: {len(roots)} ROOTs with different trees; only bodies of one skeleton can be read together"
            )
        return tuple(joints)


def number(word: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _motion(path: Path, lines: Sequence[str], at: int, joints: tuple[Joint, ...]) -> Motion:
    """Frames, Frame Time and the numbers; ``at`` is the line (from 0) after MOTION."""
    rest = [(n, text) for n, text in enumerate(lines[at:], at + 1) if text.strip()]
    count = _header(path, rest, 0, r"Frames\s*:?\s*(\d+)", "Frames: <number>", len(lines))
    time = _header(path, rest, 1, r"Frame\s*Time\s*:?\s*(\S+)", "Frame Time: <seconds>", len(lines))
    seconds, frames = number(time), rest[2:]
    if seconds is None or not 1e-3 <= seconds <= 10:
        raise DataError(f"{path}:{rest[1][0]}: a frame of {time} seconds; wanted 0.001 to 10{COMMA if ',' in time else ''}")
    wanted = int(count) if len(count) < 19 else 10**18
    if not wanted or wanted > len(frames):
        last = frames[-1][0] if frames else rest[1][0]
        raise DataError(
            f"{path}:{last}: the file ends after {len(frames)} of {count} frames; it is cut short or its header is wrong"
        )
    notes = (f"{len(frames) - wanted} lines after the {wanted} announced frames left out",) if wanted < len(frames) else ()
    frames, width = frames[:wanted], sum(len(j.channels) for j in joints)
    if not width:
        raise DataError(f"{path}: no joint has a channel, so nothing moves")
    values = np.empty((wanted, width))
    for row, (line, text) in enumerate(frames):
        words = text.split()
        if len(words) != width:
            raise DataError(f"{path}:{line}: {len(words)} numbers, wanted {width} (one for every channel)")
        try:
            values[row] = words
        except ValueError as error:
            odd = next((w for w in words if number(w) is None), words[0])
            raise DataError(f"{path}:{line}: {odd!r} is not a number{COMMA if ',' in odd else ''}") from error
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise DataError(f"{path}:{frames[bad[0]][0]}: frame {bad[0]} holds a number that is not finite")
    return Motion(joints=joints, values=values, fps=1 / seconds, notes=notes)


def _header(path: Path, rest: Sequence[tuple[int, str]], n: int, pattern: str, wanted: str, end: int) -> str:
    if n >= len(rest):
        raise DataError(f"{path}:{end}: the file ends where '{wanted}' should stand; it is cut short")
    line, text = rest[n]
    found = re.fullmatch(pattern, text.strip(), re.IGNORECASE)
    if not found:
        raise DataError(f"{path}:{line}: found {text.strip()[:60]!r}, wanted '{wanted}'")
    return found[1]
