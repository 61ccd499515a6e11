"""What lies at a path, in one line: for the moment when no reader knows it.

A few kilobytes are read, never more: the first file of the commonest kinds is opened just far enough to say what it is like.
"""

from __future__ import annotations

import itertools
import json
import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.words import plain

MOST_FILES = 200_000  # of a folder; the count says "or more" beyond
KINDS = 3  # commonest endings told apart
PEEK = 1 << 16  # bytes of a file
# What the readers of an ending look for, told to somebody whose files have the ending and lack it.
WANTED = {
    ".json": "none with key skeletons in a file called aXX_sYY_eZZ_vNN.json (nwucla), data (kinetics), or landmarks or keypoints"
    " (landmarks)",
    ".npz": "none with x_train and x_test (ctrgcn), a meta.json of joint_names beside it (pack), or 3 to 5 axes (arrays)",
    ".npy": "none with five axes called train_data.npy or the like (stgcn), or of 3 to 5 axes (arrays)",
    ".pkl": "none with keys split and annotations (pyskl)",
    ".csv": "none whose first line names frames and positions, as frame, hip_x, hip_y or frame, joint, x, y (table)",
    ".tsv": "none whose first line names frames and positions (table)",
    ".txt": "none called like a recording with 150 numbers a line (pku), skeletons_world.txt (shrec) or m01_s01_e01_positions.txt"
    " (uiprmd)",
    ".mat": "none called 0001.mat with x, y and visibility (penn)",
    ".h5": "none with arrays (C, T, 67 or 118, M) (ntux)",
    ".skeleton": "none called SsssCcccPpppRrrrAaaa.skeleton (ntu)",
}
VIDEO = {".mp4", ".avi", ".mov", ".mkv", ".webm"}
BROKEN = (OSError, ValueError, EOFError, RecursionError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


def seen(path: Path) -> str:
    """One line on a file, or on what a folder or archive holds."""
    if path.is_dir():
        files = (p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        some = list(itertools.islice(files, MOST_FILES))
        return _many("a folder", [p.relative_to(path).as_posix() for p in some], first=path)
    if path.suffix.lower() == ".zip" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return _many("a zip archive", [n for n in archive.namelist()[:MOST_FILES] if not n.endswith("/")])
    what = _look(path)
    return f"a {path.suffix.lower() or 'file without ending'} file{f', {what}' if what else ''}{_lack(path.suffix.lower())}"


def _many(what: str, names: list[str], *, first: Path | None = None) -> str:
    if not names:
        return f"{what} without any file"
    more = " or more" if len(names) == MOST_FILES else ""
    endings = Counter(Path(n).suffix.lower() for n in names)
    parts = []
    for ending, count in endings.most_common(KINDS):
        example = min(n for n in names if Path(n).suffix.lower() == ending)
        look = _look(first / example) if first is not None else ""
        parts.append(
            f"{count}{more} {ending or 'file'}{' file' if ending else ''}{'s' if count > 1 else ''}"
            f" (e.g. {_plain(example)}{f': {look}' if look else ''}){_lack(ending)}"
        )
    rest = len(names) - sum(count for _, count in endings.most_common(KINDS))
    return f"{what} of {'; '.join(parts)}{f'; {rest} of other kinds' if rest else ''}"


def _lack(ending: str) -> str:
    if ending in VIDEO:
        return ", video: estimate poses first, then bring those"
    return f", {WANTED[ending]}" if ending in WANTED else ""


def _look(path: Path) -> str:
    """What a file of a known ending is like inside; nothing where it cannot be told."""
    looks = {".json": _json, ".npz": _npz, ".npy": _npy, ".csv": _text, ".txt": _text, ".tsv": _text, ".skeleton": _text}
    look = looks.get(path.suffix.lower())
    try:
        return look(path) if look else ""
    except BROKEN as error:
        return f"damaged ({_plain(str(error))})"


def _json(path: Path) -> str:
    if path.stat().st_size > PEEK:
        keys = re.findall(r'"((?:[^"\\]|\\.){1,40})"\s*:', _head(path))
        return f"the first keys are {_list(dict.fromkeys(keys))}" if keys else "no keys at its beginning"
    table = json.loads(path.read_text(encoding="utf-8-sig"))
    if isinstance(table, dict):
        return f"an object with keys {_list(table)}" if table else "an empty object"
    return f"a list of {len(table)}" if isinstance(table, list) else "a single value"


def _npz(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return f"arrays {_list(n.removesuffix('.npy') for n in archive.namelist())}"


def _npy(path: Path) -> str:
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        old = version == (1, 0)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file) if old else np.lib.format.read_array_header_2_0(file)
    return f"{dtype} {shape}"


def _text(path: Path) -> str:
    lines = _head(path).splitlines()
    first = next((line for line in lines if line.strip()), "")
    words = re.split(r"[,;\t ]+", first.strip())
    if first and all(_is_number(w) for w in words):
        return f"the first line has {len(words)} number{'s' if len(words) > 1 else ''}"
    return f"begins with {_plain(first[:60])!r}" if first else "empty"


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(PEEK).decode("utf-8", "replace")


def _list(words: Any, most: int = 8) -> str:
    all_words = [_plain(str(w)[:40]) for w in words]
    return ", ".join(all_words[:most]) + (f" and {len(all_words) - most} more" if len(all_words) > most else "")


def _plain(text: str) -> str:
    return plain(text)[:160]
