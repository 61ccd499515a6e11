"""The two small texts of PKU-MMD: intervals of a recording with their labels, and the lists of an official split."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from skelbench.data.formats.on_disk import whole_file
from skelbench.data.tables import table
from skelbench.errors import DataError

NAME = re.compile(r"(?P<video>(?P<number>\d{4})|A(?P<a>\d{2})N(?P<n>\d{2}))-(?P<view>[LMR])")
SPLIT = re.compile(r"cross[-_](?P<kind>subject|view)(?P<second>[-_]v2)?\.txt", re.IGNORECASE)
LIMIT = 16 << 20  # bytes; the longest real file has some ten thousand
FAR = 1e9  # no recording has that many frames


@dataclass(frozen=True, kw_only=True)
class Interval:
    """One line of a label file, as it stands there: class from 1, first frame, frame after the last, how sure the annotator was."""

    label: int
    start: int
    end: int
    confidence: int
    line: int


def read_intervals(path: Path) -> list[Interval]:
    """The lines ``label,start,end,confidence`` of a label file; whole numbers may be written with a point, confidence may lack.

    Raises:
        DataError: not readable, another number of words, no whole number, or a label outside 1..51; with file and line.
    """
    classes, found = len(table("pku_mmd")["classes"]), []
    for line, text in _lines(path):
        words = [w for w in re.split(r"[,;\s]+", text) if w]
        if len(words) not in (3, 4):
            raise DataError(f"{path}:{line}: {len(words)} words, wanted label,start,end,confidence")
        label, start, end, confidence = (_whole(w, f"{path}:{line}") for w in (*words, "-1")[:4])
        if not 1 <= label <= classes:
            raise DataError(f"{path}:{line}: label {label}, but there are {classes} classes, counted from 1")
        found.append(Interval(label=label, start=start, end=end, confidence=confidence, line=line))
    return found


def read_split(path: Path) -> tuple[list[str], list[str]]:
    """Names of the training and of the validation recordings. Line 2 and line 4 hold them; lines between are headings.

    Raises:
        DataError: not readable, not two lines of names, a word among them that is no name, or a name on both.
    """
    lists: list[list[str]] = []
    for line, text in _lines(path):
        words = [w for w in re.split(r"[,;\s]+", text) if w]
        odd = [w for w in words if not NAME.fullmatch(w)]
        if len(odd) == len(words):
            continue
        if odd:
            raise DataError(f"{path}:{line}: {odd[0][:40]!r} among the names of recordings; wanted names like 0002-L or A01N02-L")
        lists.append(words)
    if len(lists) != 2:
        raise DataError(
            f"{path}: {len(lists)} lines with names of recordings, wanted two: line 2 for training, line 4 for validation"
        )
    both = set(lists[0]) & set(lists[1])
    if both:
        raise DataError(f"{path}: lists {min(both)} for training and for validation, and {len(both) - 1} more; correct the lists")
    return lists[0], lists[1]


def _lines(path: Path) -> list[tuple[int, str]]:
    """(number, text) of every line that is not blank."""
    try:
        text = whole_file(path, limit=LIMIT).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start})") from error
    return [(n, line) for n, line in enumerate(re.split(r"\r\n|\r|\n", text), 1) if line.strip()]


def _whole(word: str, where: str) -> int:
    try:
        value = float(word)
    except ValueError as error:
        raise DataError(f"{where}: {word[:40]!r} is not a number") from error
    if not abs(value) < FAR or value != int(value):  # also what is not a number at all
        raise DataError(f"{where}: {word[:40]!r}, wanted a whole number of frames or a label")
    return int(value)
