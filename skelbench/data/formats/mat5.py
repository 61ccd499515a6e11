"""MATLAB 5 files of plain variables: matrices of real numbers, and text.

The file is a header of 128 bytes and then one element a variable, often compressed (MAT-File Format, The MathWorks, chapter 1).
Cells, structs, objects, functions, sparse and complex matrices are told by name and not read, a header that promises more than is
there is refused before any memory is taken, and so are MATLAB 7.3 files, which are HDF5. It is not left to ``scipy.io.loadmat``
because that ends the whole process on some damaged files.
"""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from skelbench.data.formats.on_disk import whole_file
from skelbench.data.words import brief
from skelbench.errors import DataError

LIMIT = 64 << 20  # bytes of a file, and of what it unpacks to
HEADER = 128
MATRIX, COMPRESSED = 14, 15  # stored types
DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}  # ditto, of numbers
CODECS = {1: "utf-8", 2: "utf-8", 16: "utf-8", 3: "utf-16", 4: "utf-16", 17: "utf-16", 18: "utf-32"}  # ditto, of text
FLAGS, DIMS, NAMES = (6,), (5,), (1, 2)  # ditto, of the parts before the numbers
TEXT, NUMBERS = 4, range(6, 16)  # classes
KINDS = {1: "cell array", 2: "struct", 3: "object", 5: "sparse matrix", 16: "function", 17: "object"}
MOST = 100  # variables of a file

Variable = np.ndarray | str


def load_mat(path: Path, names: Sequence[str]) -> dict[str, Variable]:
    """The variables of these names: matrices with two axes or more as they are stored, text as str.

    Raises:
        DataError: not readable, not MATLAB 5, damaged, one of the names is not there, or is neither numbers nor one line of text.
    """
    data = whole_file(path, limit=LIMIT)
    order = _byte_order(path, data)
    bodies = dict(_variables(path, data, order))
    missing = [n for n in names if n not in bodies]
    if missing:
        raise DataError(f"{path}: no variable {missing[0]!r}; there are: {', '.join(n[:40] for n in bodies) or 'none'}")
    return {n: _value(bodies[n], order, f"{path}: variable {n!r}") for n in names}


def names_in(path: Path) -> list[str]:
    """Names of the variables.

    Raises:
        DataError: not readable, not MATLAB 5, or damaged.
    """
    data = whole_file(path, limit=LIMIT)
    return [name for name, _ in _variables(path, data, _byte_order(path, data))]


def _byte_order(path: Path, data: bytes) -> str:
    version = data[HEADER - 4 : HEADER - 2]
    if data.startswith(b"\x89HDF") or (data.startswith(b"MATLAB") and version in (b"\x00\x02", b"\x02\x00")):
        raise DataError(f"{path}: a MATLAB 7.3 file, which is HDF5; save it in MATLAB with save(..., '-v7')")
    order = {b"IM": "<", b"MI": ">"}.get(data[HEADER - 2 : HEADER], "")
    if not order or not data.startswith(b"MATLAB") or struct.unpack(order + "H", version) != (0x0100,):
        raise DataError(f"{path}: not a MATLAB 5 file")
    return order


def _variables(path: Path, data: bytes, order: str) -> Iterator[tuple[str, bytes]]:
    """(name, unpacked content) of every variable."""
    seen: set[str] = set()
    room = LIMIT
    for kind, body, at in _elements(data, order, HEADER, f"{path}"):
        where = f"{path}: the variable at byte {at}"
        if kind == COMPRESSED:
            body = _unpacked(body, room, where)
            room -= len(body)
            parts = list(itertools.islice(_elements(body, order, 0, where), 2))
            if len(parts) != 1:
                raise DataError(f"{where} is damaged: {'several are' if parts else 'nothing is'} packed there, wanted one")
            kind, body, _ = parts[0]
        if kind != MATRIX:
            raise DataError(f"{where} is damaged: it is of type {kind}, wanted {MATRIX}")
        name = _head(body, order, where)[2]
        if name in seen or len(seen) == MOST:
            raise DataError(f"{where}: {f'{name[:40]!r} stands twice' if name in seen else f'is one of over {MOST}'}")
        seen.add(name)
        yield name, body


def _unpacked(body: bytes, room: int, where: str) -> bytes:
    unzip = zlib.decompressobj()
    try:
        data = unzip.decompress(body, room + 1)
    except zlib.error as error:
        raise DataError(f"{where} is damaged and cannot be unpacked ({brief(error)})") from error
    if len(data) > room or not unzip.eof:
        raise DataError(f"{where} is cut short, or the file unpacks to over {LIMIT} bytes")
    return data


def _elements(data: bytes, order: str, at: int, where: str) -> Iterator[tuple[int, bytes, int]]:
    """(stored type, content, where it begins) of the elements one after the other."""
    while at < len(data):
        start = at
        if len(data) - at < 8:
            raise DataError(f"{where} is damaged: it ends within an element, at byte {at}")
        kind, size = struct.unpack_from(order + "II", data, at)
        if kind >> 16:  # up to four bytes stand in the tag itself
            kind, size, at, room = kind & 0xFFFF, kind >> 16, at + 4, 4
        else:
            at += 8
            room = size if kind == COMPRESSED else -(-size // 8) * 8  # all others are filled up to eight bytes
        if size > room or at + size > len(data):
            raise DataError(f"{where} is damaged: an element at byte {start} wants {size} bytes, {len(data) - at} are left")
        yield kind, data[at : at + size], start
        at += room


def _head(body: bytes, order: str, where: str) -> tuple[int, tuple[int, ...], str, Iterator[tuple[int, bytes, int]]]:
    """Class, size and name of a variable, and the elements after them. What is neither numbers nor text has size ()."""
    elements = _elements(body, order, 0, where)
    head = list(itertools.islice(elements, 3))
    of = struct.unpack(order + "I", head[0][1][:4])[0] & 0xFF if head and len(head[0][1]) >= 4 else 0
    if of in KINDS:  # what follows differs by kind; the first short text is the name
        return of, (), next((c.decode("latin-1") for kind, c, _ in head if kind in NAMES), "?"), elements
    if len(head) < 3 or any(part[0] not in kinds for part, kinds in zip(head, (FLAGS, DIMS, NAMES), strict=True)):
        raise DataError(f"{where} is damaged: it does not begin with flags, size and name")
    dims, name = head[1][1], head[2][1].decode("latin-1")
    shape = struct.unpack(f"{order}{len(dims) // 4}i", dims[: len(dims) // 4 * 4])
    if not 2 <= len(shape) <= 8 or min(shape) < 0 or not (of == TEXT or of in NUMBERS):
        raise DataError(f"{where} ({name[:40]!r}) is damaged: class {of}, size {shape[:9]}")
    return of, shape, name, elements


def _value(body: bytes, order: str, where: str) -> Variable:
    of, shape, _, elements = _head(body, order, where)
    if of in KINDS:
        raise DataError(f"{where} is a {KINDS[of]}, wanted numbers or text; save it as a plain matrix")
    parts = list(itertools.islice(elements, 2))
    if len(parts) != 1:
        raise DataError(f"{where} is {'complex' if parts else 'without content'}, wanted real numbers or text")
    kind, content, _ = parts[0]
    if of == TEXT:
        return _text(kind, content, shape, order, where)
    dtype = np.dtype(order + DTYPES[kind]) if kind in DTYPES else None
    if dtype is None or len(content) != math.prod(shape) * dtype.itemsize:
        raise DataError(f"{where} is damaged: {len(content)} bytes of type {kind} for size {shape}")
    return np.frombuffer(content, dtype).reshape(shape, order="F")


def _text(kind: int, content: bytes, shape: tuple[int, ...], order: str, where: str) -> str:
    if kind not in CODECS or (shape[0] > 1 or math.prod(shape) > len(content)):
        raise DataError(f"{where} is text of size {shape}, wanted one line")
    codec = CODECS[kind]
    try:
        return content.decode(codec if codec == "utf-8" else f"{codec}-{'le' if order == '<' else 'be'}")
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is damaged: its text cannot be read ({error.reason})") from error
