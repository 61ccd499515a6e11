"""Files as they lie on the disk: found by name, read with a bound, and whole lines of numbers parsed in one go."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from skelbench.errors import DataError

LIMIT = 256 << 20  # bytes; an hour of 150 numbers a frame has 150 million
LOOK = 20_000  # names looked at before a folder counts as one of another format
TRIES = 3  # files of a folder that are opened to recognise it
WORD = re.compile(rb"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|nan|inf(?:inity)?)", re.IGNORECASE)


def whole_file(path: Path, *, limit: int = LIMIT) -> bytes:
    """The bytes of a file, at most ``limit``.

    Raises:
        DataError: not readable, not a file (opening a pipe would wait forever), or larger than ``limit``.
    """
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: is not a file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(min(size, limit) + 1)  # not limit + 1: Python would claim that much memory for every small file
            if len(data) > size:  # it grew, or has no size, as in /proc
                data += file.read(limit + 1 - len(data))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) > limit:
        raise DataError(f"{path}: {path.stat().st_size} bytes are more than is read at once ({limit}); is it the right file?")
    return data


def files_named(path: Path, name: re.Pattern[str]) -> list[Path]:
    """The file itself, or all below a folder, whose name fits; hidden ones left out, sorted by their path.

    Raises:
        DataError: there is nothing at ``path``.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if not path.is_dir():
        return [path] if name.fullmatch(path.name) else []
    found = []
    for folder, folders, files in os.walk(path):
        folders[:] = [f for f in folders if not f.startswith(".")]
        found += [Path(folder, f) for f in files if name.fullmatch(f) and not f.startswith(".")]
    return sorted((f for f in found if f.is_file()), key=lambda f: f.relative_to(path).as_posix())


def holds(path: Path, name: re.Pattern[str], test: Callable[[Path], bool] = lambda _: True) -> bool:
    """Whether the file, or one of the first files below a folder, has a fitting name and passes a test. Upper folders come first.

    A few files of each folder are tested, and some thousand names looked at. Never raises.
    """
    try:
        if not path.is_dir():
            return bool(name.fullmatch(path.name)) and path.is_file() and test(path)
        folders, seen = deque([path]), 0
        while folders and seen < LOOK:
            tried = 0
            with os.scandir(folders.popleft()) as entries:
                for entry in entries:
                    seen += 1
                    if seen > LOOK:
                        break
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry))
                    elif tried < TRIES and name.fullmatch(entry.name) and entry.is_file():
                        tried += 1
                        if test(Path(entry)):
                            return True
    except OSError:  # a folder that may not be entered is not recognised
        return False
    return False


def first_line(path: Path, *, most: int = 1 << 14) -> str:
    """The first line that is not blank, without its end, of the first ``most`` bytes. Never raises: "" where there is none."""
    try:
        with path.open("rb") as file:
            text = file.read(most)
    except OSError:
        return ""
    return next((line for line in text.decode("utf-8", "replace").splitlines() if line.strip()), "").lstrip("\ufeff")


def number_lines(path: Path, width: int, *, limit: int = LIMIT) -> np.ndarray:
    """A text of numbers with blanks or tabs between them, ``width`` on every line, as float64 (lines, width).

    Blank lines are passed over.

    Raises:
        DataError: not readable, too large, a line with another count, or a word that is no finite number of single precision; the
            message holds file and line.
    """
    data = whole_file(path, limit=limit).removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    words = _words_per_line(data)
    lines = np.flatnonzero(words)
    wrong = lines[words[lines] != width]
    if len(wrong):
        raise DataError(f"{path}:{wrong[0] + 1}: {words[wrong[0]]} numbers, wanted {width}; is the file cut short?")
    if not len(lines):
        return np.zeros((0, width))
    try:
        values = np.fromstring(data.decode("ascii"), sep=" ")
    except ValueError as error:  # also what is not ASCII
        raise DataError(_odd_word(path, data)) from error
    if values.size != len(lines) * width:  # two numbers glued together: what follows would be shifted
        raise DataError(_odd_word(path, data))
    values = values.reshape(len(lines), width)
    bad = np.flatnonzero(~(np.abs(values) <= np.finfo(np.float32).max).all(axis=1))
    if len(bad):
        raise DataError(f"{path}:{lines[bad[0]] + 1}: holds a number that is not finite in single precision")
    return values


def _words_per_line(data: bytes) -> np.ndarray:
    """How many words stand on each line (lines,)."""
    codes = np.frombuffer(data, np.uint8)
    inside = codes > ord(" ")  # other control characters are found while the numbers are parsed
    begins = inside.copy()
    begins[1:] &= ~inside[:-1]
    ends = np.append(np.flatnonzero(codes == ord("\n")), len(codes))
    return np.diff(np.searchsorted(np.flatnonzero(begins), ends), prepend=0)


def _odd_word(path: Path, data: bytes) -> str:
    """The first word that is no number, in words."""
    for line, text in enumerate(data.split(b"\n"), 1):
        odd = next((w for w in text.split() if not WORD.fullmatch(w)), None)
        if odd is not None:
            comma = " (a comma as decimal mark? write a point)" if b"," in odd else ""
            return f"{path}:{line}: {odd[:40].decode('utf-8', 'replace')!r} is not a number{comma}"
    return f"{path}: holds something that is not a number"
