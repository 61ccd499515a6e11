"""Pickles of unknown origin, read without running anything of them.

A pickle is a program: whoever writes one decides what is called while it is read. :func:`load_pickle` carries out the part of the
language that plain data needs (lists, tables, text, numbers, NumPy arrays; all protocols, Python 2 included) on values of our own
making, see :mod:`skelbench.data.formats.pickle_values`. Nothing is imported, no constructor, ``__reduce__`` or ``__setstate__`` of
the pickle's choice is called. Lengths are compared with the file before memory is taken, and time and memory stay in proportion to
the file. Large files are mapped: arrays are read-only views of the file, so that only the ones looked at come into memory.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.formats.pickle_machine import Machine
from skelbench.data.formats.pickle_steps import STEPS, TABLES
from skelbench.data.formats.pickle_values import NotPlain
from skelbench.errors import DataError

LIMIT = 64 << 30  # bytes of a file; the largest published ones have about ten thousand million
DEEPEST = 100  # containers inside each other
LEAVES = {type(None), bool, int, float, complex, str, bytes, memoryview, np.ndarray}
ROWS = (list, tuple, set, frozenset)
ADVICE = "nothing was run. If the file is yours, save plain lists, numbers and NumPy arrays, best as .npz"


def load_pickle(source: str | Path | bytes, *, limit: int = LIMIT) -> Any:
    """The lists, tuples, dicts, sets, text, numbers and arrays of a pickle.

    Byte strings of more than 256 bytes come as ``memoryview``, a ``bytearray`` as bytes, text of Python 2 as Latin-1; arrays are
    read-only. What comes back refers to itself nowhere, is at most 100 containers deep, and walking all of it takes time in
    proportion to the size of the file.

    Args:
        source: the file, or its content.
        limit: bytes the file may have.

    Raises:
        DataError: not readable, too large, cut short, damaged, or more than plain data; the message names the file, the byte, and
            what was refused.
    """
    where, data = ("pickle", source) if isinstance(source, bytes) else (str(source), _open(Path(source), limit))
    if len(data) > limit:
        raise DataError(f"{where}: {len(data)} bytes, more than the {limit} allowed here")
    if data[:4] == b"PK\x03\x04":
        raise DataError(f"{where}: a zip archive, not a pickle (torch.save and numpy.savez write such); wanted a pickle")
    machine = Machine(data)
    try:
        result = machine.run(STEPS)
        check_plain(result, most=16 * len(data) + 1000)
    except NotPlain as error:
        raise DataError(f"{where}: the pickle holds {error} (before byte {machine.at}); {ADVICE}") from error
    except (IndexError, struct.error) as error:
        raise DataError(f"{where}: not a pickle, or cut short or damaged (byte {min(machine.at, len(data))})") from error
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where}: damaged at byte {machine.at} ({str(error)[:120]})") from error
    return result


def _open(path: Path, limit: int) -> bytes | mmap.mmap:
    """The content of a file; mapped above a megabyte."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size > limit:
                raise DataError(f"{path}: {size} bytes, more than the {limit} allowed here")
            return file.read() if size < 1 << 20 else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def check_plain(root: Any, *, most: int) -> None:
    """Refuse half-made values, containers that hold themselves, nesting beyond ``DEEPEST`` and more than ``most`` values.

    Values that stand in several places count at every one of them, so that whoever walks the result is done in bounded time.
    """
    known: dict[int, tuple[int, int]] = {}  # container -> (depth, values in it)
    open_ids: set[int] = set()  # containers on the way from the root to here
    waiting: list[tuple[Any, list[Any] | None, int]] = [(root, None, 0)]
    while waiting:
        node, inner, leaves = waiting.pop()
        if inner is None:
            if id(node) in known:
                continue
            if id(node) in open_ids:
                raise NotPlain("a list or table that holds itself")
            if len(open_ids) >= DEEPEST:
                raise NotPlain(f"containers nested deeper than {DEEPEST}")
            inner, leaves = _inside(node)
            open_ids.add(id(node))
            waiting.append((node, inner, leaves))
            waiting.extend((c, None, 0) for c in inner if id(c) not in known)
            continue
        open_ids.remove(id(node))
        depth, size = 1, 1 + leaves
        for deeper, more in (known[id(child)] for child in inner):
            depth, size = max(depth, deeper + 1), size + more
        if depth > DEEPEST or size > most:
            raise NotPlain(f"containers nested deeper than {DEEPEST}" if depth > DEEPEST else "more values than its size allows")
        known[id(node)] = (depth, size)


def _inside(node: Any) -> tuple[list[Any], int]:
    """The containers in a container, and the number of its other values."""
    kind = type(node)
    values = [*node.values(), *node.keys()] if kind in TABLES else list(node) if kind in ROWS else [node]
    inner = [v for v in values if type(v) not in LEAVES]
    for value in inner:
        if type(value) not in TABLES + ROWS and not isinstance(value, np.generic):
            raise NotPlain(f"a {type(value).__name__} that is no value; it names a class or a call")
    inner = [v for v in inner if not isinstance(v, np.generic)]
    return (inner if kind in TABLES + ROWS else []), len(values) - len(inner)
