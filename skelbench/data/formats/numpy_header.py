"""Headers of ``.npy`` files and of the arrays in a ``.npz``: compared with the size of the file before memory is taken.

Headers are read with patterns, not evaluated. Arrays of Python objects are refused: they are pickles in disguise. The arrays of an
``.npz`` cannot be mapped, so :func:`stream_rows` unpacks them a few rows at a time.
"""

from __future__ import annotations

import lzma
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from skelbench.data.words import brief
from skelbench.errors import DataError

DEFLATE = 1032  # no deflate stream grows by more than this
BROKEN = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    KeyError,
    IndexError,
    OverflowError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)  # what zipfile and its decompressors raise for a damaged archive
LONGEST = 1 << 14  # characters of a header; plain arrays need about a hundred
DESCR = re.compile(r"""["']descr["']\s*:\s*(?:["']([^"']*)["']|(\[))""")
ORDER = re.compile(r"""["']fortran_order["']\s*:\s*(True|False)\b""")
SHAPE = re.compile(r"""["']shape["']\s*:\s*\(([\d\sL,]{0,2000})\)""")
TYPE = re.compile(r"[<>|=]?(?:[biufc]\d{1,2}|[SU]\d{1,9}|\?)")
AXES = 32
CHUNK = 1 << 20  # bytes unpacked at a time


@dataclass(frozen=True, kw_only=True)
class NpyHeader:
    """What the header of an array says.

    Attributes:
        shape: of the array.
        dtype: of its elements.
        fortran: whether the first axis runs fastest.
        offset: bytes of the header.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    offset: int

    @property
    def size(self) -> int:
        """Bytes of the file: header and elements."""
        return self.offset + self.dtype.itemsize * math.prod(self.shape)


def read_header(file: IO[bytes], where: str) -> NpyHeader:
    """The header of an array; the file is left at the first element.

    Raises:
        DataError: no npy file, a damaged header, or an array of Python objects or records; ``where`` opens the message.
    """
    lead = file.read(8)
    if len(lead) < 8 or lead[:6] != b"\x93NUMPY" or lead[6] not in (1, 2, 3):
        raise DataError(f"{where}: not an npy array, or cut short")
    width = 2 if lead[6] == 1 else 4
    length = int.from_bytes(file.read(width), "little")
    raw = file.read(length) if length <= LONGEST else b""
    if not length or len(raw) < length:
        raise DataError(f"{where}: the header of the array is damaged ({length} bytes long)")
    text = raw.decode("latin-1")
    descr, order, shape = DESCR.search(text), ORDER.search(text), SHAPE.search(text)
    if descr is None or order is None or shape is None:
        raise DataError(f"{where}: the header of the array is damaged")
    if descr[2] or descr[1].lstrip("<>|=").startswith("V"):
        raise DataError(f"{where}: an array of records; save every field as an array of its own")
    if descr[1].lstrip("<>|=").startswith("O"):
        raise DataError(
            f"{where} is pickled; save plain arrays: load it where it was made, and save numbers with numpy.save(..., "
            "allow_pickle=False)"
        )
    numbers = re.findall(r"\d+", shape[1])
    try:
        dtype = np.dtype(descr[1] if TYPE.fullmatch(descr[1]) else "none")
        axes = tuple(int(n) for n in numbers)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where}: the header of the array is damaged (type {descr[1][:40]!r})") from error
    if len(axes) > AXES:
        raise DataError(f"{where}: the header of the array is damaged ({len(axes)} axes)")
    return NpyHeader(shape=axes, dtype=dtype, fortran=order[1] == "True", offset=8 + width + length)


def npy_header(path: Path) -> NpyHeader:
    """The header of an ``.npy`` file, which must be exactly as long as it says.

    Raises:
        DataError: not readable, see :func:`read_header`, or another length.
    """
    try:
        with path.open("rb") as file:
            header, size = read_header(file, str(path)), path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if header.size != size:
        raise DataError(f"{path}: should be {_words(header)}, which takes {header.size} bytes, and has {size}; is it whole?")
    return header


def map_npy(path: Path) -> np.ndarray:
    """A read-only memory map of an ``.npy`` file.

    Raises:
        DataError: see :func:`npy_header`; or an empty array.
    """
    header = npy_header(path)
    if 0 in header.shape:
        raise DataError(f"{path}: an empty array, {_words(header)}")
    order = "F" if header.fortran else "C"
    try:
        return np.asarray(np.memmap(path, header.dtype, "r", header.offset, header.shape, order))  # type: ignore[call-overload]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be mapped ({error})") from error


def npz_headers(path: Path) -> dict[str, NpyHeader]:
    """The headers of all arrays of an ``.npz``, each compared with its member of the archive and with the size of the file.

    Raises:
        DataError: not a zip archive, a member that is no plain array, or one whose claims the file cannot hold.
    """
    headers: dict[str, NpyHeader] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                key = member.filename.removesuffix(".npy")
                if key in headers:
                    raise DataError(f"{path}: the array {key!r} stands twice in the archive")
                with archive.open(member) as file:
                    header = read_header(file, f"{path}: {key!r}")
                if header.fortran and len(header.shape) > 1:
                    raise DataError(f"{path}: {key!r} is in Fortran order; save plain arrays (numpy.ascontiguousarray)")
                if header.size != member.file_size or header.size > DEFLATE * path.stat().st_size:
                    raise DataError(
                        f"{path}: {key!r} should be {header.shape}, which the {member.file_size} bytes in the file do not hold"
                    )
                headers[key] = header
    except BROKEN as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: cannot be read as .npz ({brief(error)})") from error
    return headers


def stream_rows(path: Path, key: str) -> Iterator[np.ndarray]:
    """An array of an ``.npz`` a few megabytes at a time: consecutive blocks of rows (n, ...), unpacked as they are asked for.

    Raises:
        DataError: no such array, or the archive is damaged, also while the rows are walked.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as file:
            header = read_header(file, f"{path}: {key!r}")
            row = header.dtype.itemsize * math.prod(header.shape[1:])
            step = max(1, CHUNK // max(1, row))
            for at in range(0, header.shape[0], step):
                count = min(step, header.shape[0] - at)
                raw = file.read(count * row)
                if len(raw) < count * row:
                    raise DataError(f"{path}: {key!r} ends in row {at + len(raw) // max(1, row)} of {header.shape[0]}")
                yield np.frombuffer(raw, header.dtype).reshape(count, *header.shape[1:])
            if file.read(1):
                raise DataError(f"{path}: {key!r} goes on after its {header.shape[0]} rows")
    except BROKEN as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: {key!r} is damaged ({brief(error)})") from error


def read_rows(path: Path, key: str) -> Iterator[np.ndarray]:
    """The rows of :func:`stream_rows` one by one."""
    with closing(stream_rows(path, key)) as blocks:  # type: ignore[type-var]
        for block in blocks:
            yield from block


def _words(header: NpyHeader) -> str:
    return f"{header.dtype} {header.shape}"[:200]
