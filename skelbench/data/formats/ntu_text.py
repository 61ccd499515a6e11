"""The text of an NTU RGB+D ``.skeleton`` file: frames of bodies of 25 joints, one line a joint.

    <frames>
    for every frame:    <bodies>, 0 allowed
    for every body:     id, clipped edges, left hand confidence and state, right hand confidence and state, restricted, lean x,
                        lean y, tracking state: 10 values
                        <joints>, always 25
    for every joint:    x y z (metres: x to the sensor's left, y up, z away from it), depth x y, colour x y (pixels), orientation
                        w x y z, tracking state (0 not tracked, 1 inferred, 2 tracked): 12 values

The number of values is checked in every line and nothing may follow the last one. Only ids, x, y, z and the tracking states of
joints are read. Two readers stand here: one takes whole files at once and gives up on anything unusual, the other goes line by
line, takes what is unusual but right (tabs, double blanks, ten bodies) and says of everything else in which line it stands.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skelbench.data.formats.ntu_digits import SPACE, ZERO, Marks, columns
from skelbench.errors import DataError
from skelbench.skeleton.persons import Track

JOINTS, BODY_VALUES, JOINT_VALUES = 25, 10, 12
LINES = 2 + JOINTS  # of a body
MOST_FRAMES = 100_000  # 55 minutes; a header may claim anything
LARGEST = 1 << 26  # bytes of a file: 12 minutes of one body
SMALL = 1 << 22  # bytes that need no look ahead
NEWLINE, RETURN = 10, 13
COUNT = re.compile(rb"\d{1,9}")
ID = re.compile(rb"-?\d{1,20}")
NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
NOT_A_NUMBER = re.compile(
    rb"[+-]?(nan|\d\.#(ind|qnan|snan)\d*)", re.IGNORECASE
)  # as .NET, Python and old Windows libraries write it
STATES = (b"0", b"1", b"2")
TEXT = bytes(range(32, 128)) + b"\t\n\v\f\r"  # characters that may stand in a file


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """What a file holds, body after body.

    Attributes:
        frames: of the recording, those without a body included.
        frame: (B,) the frame of every body.
        place: (B,) its place in the list of bodies of that frame.
        ids: (B,) its id, a Python integer: ids go beyond 2^53.
        joints: (B, 25, 3) float32, metres; (B, 25, 4) with tracking states, which are halved: 0, 0.5 or 1.
        lost: joints with NaN for a coordinate; all their values are zero.
    """

    frames: int
    frame: np.ndarray
    place: np.ndarray
    ids: Sequence[int]
    joints: np.ndarray
    lost: int = 0

    def tracks(self) -> tuple[Track, ...]:
        """The bodies by id, in order of first appearance.

        Raises:
            DataError: an id stands twice in one frame.
        """
        numbers = {id: n for n, id in enumerate(dict.fromkeys(self.ids))}
        if len(numbers) == 1 and len(self.frame) == len(np.unique(self.frame)):
            return (Track(id=self.ids[0], frames=self.frame, joints=self.joints, places=self.place),)
        number, found = np.asarray([numbers[id] for id in self.ids]), []
        for id, n in numbers.items():
            mine = np.flatnonzero(number == n)
            twice = np.flatnonzero(np.diff(self.frame[mine]) == 0)
            if len(twice):
                raise DataError(f"body {id} stands twice in frame {self.frame[mine[twice[0]]]} (counted from 0)")
            found.append(Track(id=id, frames=self.frame[mine], joints=self.joints[mine], places=self.place[mine]))
        return tuple(found)


def parse(data: bytes, where: str, *, states: bool = False) -> Recording:
    """Read one file.

    Args:
        data: all of it.
        where: its name, to open error messages with.
        states: keep the tracking state of joints, halved, as a fourth coordinate.

    Raises:
        DataError: not of the form above; the message holds file and line, counted from 1.
    """
    if len(data) > LARGEST:
        raise DataError(f"{where}: {len(data) >> 20} MB, more than a .skeleton file can have ({LARGEST >> 20} MB)")
    data = data.removeprefix(b"\xef\xbb\xbf")
    return _at_once(_ended(data), states) or _line_by_line(data, where, states)


def _ended(data: bytes) -> bytes:
    """With an end to the last line, of the kind of the first one."""
    return data if data.endswith(b"\n") else data + (b"\r\n" if b"\r\n" in data[:12] else b"\n")


def _at_once(data: bytes, states: bool) -> Recording | None:
    """The file as arrays, or None where something is unusual."""
    text = np.frombuffer(data, np.uint8)
    found = _line_ends(text)
    if found is None:
        return None
    starts, ends, stops = found
    spaces = Marks(text, SPACE)
    values = np.diff(spaces.before(ends), prepend=0) + 1  # per line, as long as single blanks stand between values and nowhere else
    if spaces.doubled or (text[starts] == SPACE).any() or (text[stops - 1] == SPACE).any():
        return None
    bodies = _bodies(data, text, values, starts, stops)
    if bodies is None:
        return None
    frames, frame, place, lines = bodies
    joint_lines = (lines[:, None] + np.arange(2, LINES)).ravel()
    ids = _ids(data, starts[lines].tolist())
    if ids is None or (values[joint_lines] != JOINT_VALUES).any():
        return None
    numbers = columns(data, spaces, starts[joint_lines], 3)
    if numbers is None:
        return None
    xyz, odd = numbers
    for at in np.flatnonzero(odd).tolist():
        axis, n = divmod(at, len(joint_lines))
        line = joint_lines[n]
        value = _number(data[starts[line] : stops[line]].split(b" ", 3)[axis])
        if value is None:
            return None
        xyz[axis, n] = value
    joints = np.empty((len(joint_lines), 4 if states else 3), np.float32)
    joints[:, :3] = xyz.T
    if states:
        last = stops[joint_lines]
        state = text[last - 1] - np.uint8(ZERO)
        if (text[last - 2] != SPACE).any() or (state > 2).any():
            return None
        np.divide(state, 2, out=joints[:, 3])
    return _recording(frames, frame, place, ids, joints)


def _line_ends(text: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """First byte, newline, and the byte after the last value of every line; None for anything but printable ASCII in lines."""
    control = text.view(np.int8) < SPACE  # also bytes from 128 up, which are negative here
    # A joint's line has 23 characters and more, so that there is an end to the lines a file can have.
    if len(text) > SMALL and np.count_nonzero(control) > 2 * (MOST_FRAMES + len(text) // 16):
        return None
    ends = stops = np.flatnonzero(control)
    if text[ends[0]] == RETURN:  # then so must all other lines end
        stops, ends = ends[::2], ends[1::2]
        if len(stops) != len(ends) or (text[stops] != RETURN).any() or (ends - stops != 1).any():
            return None
    if (text[ends] != NEWLINE).any():
        return None
    starts = np.zeros_like(ends)
    np.add(ends[:-1], 1, out=starts[1:])
    return starts, ends, stops


def _bodies(
    data: bytes, text: np.ndarray, values: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray] | None:
    """Number of frames, and frame, place and first line of every body (B,); None where the lines do not stand as they should."""
    first = data[starts[0] : ends[0]]
    if not COUNT.fullmatch(first) or not 0 < int(first) <= MOST_FRAMES:
        return None
    frames, alone = int(first), values == 1
    lines = np.flatnonzero(values == BODY_VALUES)
    if not len(lines) or lines[-1] + LINES > len(values) or not alone[lines + 1].all():
        return None
    at = starts[lines + 1]  # of "25"
    if ((text[at] != ZERO + 2) | (text[at + 1] != ZERO + 5) | (ends[lines + 1] - at != 2)).any():
        return None
    alone[0] = alone[lines + 1] = False
    heads = np.flatnonzero(alone)  # the lines that say how many bodies follow
    bodies = (text[starts[heads]] - np.uint8(ZERO)).astype(np.int64)
    if len(heads) != frames or (bodies > 9).any() or (ends[heads] - starts[heads] != 1).any():
        return None
    so_far = np.cumsum(bodies)
    frame = np.repeat(np.arange(frames), bodies)
    place = np.arange(so_far[-1]) - np.repeat(so_far - bodies, bodies)
    wanted = 1 + np.arange(frames) + LINES * (so_far - bodies)
    fits = so_far[-1] == len(lines) and len(values) == 1 + frames + LINES * len(lines)
    if not fits or (heads != wanted).any() or (lines != heads[frame] + 1 + LINES * place).any():
        return None
    return frames, frame, place, lines


def _ids(data: bytes, starts: Sequence[int]) -> list[int] | None:
    words = [data[at : at + 24] for at in starts]  # an id has 21 characters at most
    known = {word: _id(word.split(b" ", 1)[0]) for word in set(words)}
    ids = [id for word in words if (id := known[word]) is not None]
    return ids if len(ids) == len(words) else None


def _id(word: bytes) -> int | None:
    return int(word) if ID.fullmatch(word) else None


def _number(word: bytes) -> float | None:
    """A coordinate: finite as float32, or NaN; None where the word is neither."""
    if NUMBER.fullmatch(word) and len(word) < 400:
        value = float(word)
        return value if abs(value) < float(np.finfo(np.float32).max) else None
    return math.nan if NOT_A_NUMBER.fullmatch(word) else None


def _recording(frames: int, frame: np.ndarray, place: np.ndarray, ids: Sequence[int], joints: np.ndarray) -> Recording:
    """Joints (B * 25, C) with NaN become zero."""
    lost = np.isnan(joints).any(axis=1) if np.isnan(joints.min(initial=0)) else np.zeros(0, bool)
    if lost.any():
        joints[lost] = 0
    shaped = joints.reshape(-1, JOINTS, joints.shape[1])
    return Recording(frames=frames, frame=frame, place=place, ids=ids, joints=shaped, lost=int(lost.sum()))


class _Lines:
    """The lines of a text, one after the other, without a copy of them all."""

    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where = data.rstrip(), where
        self.at, self.line = 0, 0

    @property
    def more(self) -> bool:
        return self.at < len(self.data)

    def fail(self, why: str) -> DataError:
        return DataError(f"{self.where}:{self.line}: {why}")

    def next(self, wanted: str, count: int) -> list[bytes]:
        """The values of the next line."""
        if not self.more:
            raise self.fail(f"the file ends where {wanted} should stand; it is cut short, or a count is wrong")
        self.line += 1
        stop = self.data.find(b"\n", self.at)
        stop = len(self.data) if stop < 0 else stop
        words = self.data[self.at : stop].split(None, count + 1)
        self.at = stop + 1
        if len(words) != count:
            found = f"{len(words)} value{'s' if len(words) != 1 else ''}" if len(words) <= count else "more values"
            raise self.fail(f"{found}, wanted {count}: {wanted}")
        return words

    def count(self, wanted: str) -> int:
        (word,) = self.next(wanted, 1)
        if not COUNT.fullmatch(word):
            raise self.fail(f"found {_shown(word)}, wanted {wanted}, a whole number")
        return int(word)


def _shown(word: bytes) -> str:
    return repr(word[:40].decode("ascii", "backslashreplace"))


def _line_by_line(data: bytes, where: str, states: bool) -> Recording:
    foreign = data.translate(None, TEXT)
    if foreign:
        line = data.count(b"\n", 0, data.index(foreign[:1])) + 1
        raise DataError(f"{where}:{line}: holds the byte 0x{foreign[0]:02x}, so it is not a text of numbers; the file is damaged")
    lines = _Lines(data, where)
    frames = lines.count("the number of frames")
    if not 0 < frames <= MOST_FRAMES:
        raise lines.fail(f"{frames} frames; wanted 1 to {MOST_FRAMES}")
    frame: list[int] = []
    place: list[int] = []
    ids: list[int] = []
    rows: list[tuple[float, ...]] = []
    for t in range(frames):
        bodies = lines.count(f"the number of bodies in frame {t}")
        for m in range(bodies):
            ids.append(_body(lines, f"body {m} of frame {t}"))
            frame.append(t)
            place.append(m)
            rows.extend(_joint(lines, f"joint {j} of body {m} of frame {t}", states) for j in range(JOINTS))
    if lines.more:
        lines.line += 1
        raise lines.fail(f"the file goes on after its {frames} frames; the number of frames is wrong, or two files are in one")
    joints = np.asarray(rows, np.float32).reshape(len(rows), 4 if states else 3)
    return _recording(frames, np.asarray(frame, np.int64), np.asarray(place, np.int64), ids, joints)


def _body(lines: _Lines, what: str) -> int:
    words = lines.next(f"{what} (id, clipped edges, ... tracking state)", BODY_VALUES)
    if not ID.fullmatch(words[0]):
        raise lines.fail(f"found {_shown(words[0])}, wanted the id of {what}, a whole number")
    joints = lines.count(f"the number of joints of {what}")
    if joints != JOINTS:
        raise lines.fail(f"{what} has {joints} joints, wanted {JOINTS}")
    return int(words[0])


def _joint(lines: _Lines, what: str, states: bool) -> tuple[float, ...]:
    words = lines.next(f"{what} (x, y, z, ... tracking state)", JOINT_VALUES)
    values = tuple(map(_number, words[:3]))
    for word, value in zip(words, values, strict=False):
        if value is None:
            hint = " (a comma as decimal mark? write a point)" if b"," in word else ""
            raise lines.fail(f"{_shown(word)} is not a coordinate in metres, of {what}{hint}")
    if states and words[-1] not in STATES:
        raise lines.fail(f"{what} has the tracking state {_shown(words[-1])}, wanted 0, 1 or 2")
    found = tuple(v for v in values if v is not None)
    return (*found, int(words[-1]) / 2) if states else found
