"""One array out of an HDF5 file of unknown origin.

Looked at before anything is read: the array lies in the file itself (no external link, no external or virtual storage), only
filters that come with HDF5 are used, the size its header states fits what is stored, and no stored piece is smaller than its
filters take for granted (the HDF5 library ends the whole process on some that are).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.errors import DataError

LIMIT = 256 << 20  # bytes of an array; a clip has under one million
DENSE = 1100  # deflate packs a byte into no less than a 1032nd
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
LEAST = 8  # bytes of a stored piece: four of checksum and some content
SIGNATURE = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path: Path) -> bool:
    """Whether a file begins like HDF5. Never raises."""
    try:
        with path.open("rb") as file:
            return file.read(8) == SIGNATURE
    except OSError:
        return False


def last_shape(path: Path) -> tuple[int, ...]:
    """Size of the array that :func:`last_array` would read.

    Raises:
        DataError: see there.
    """
    return _with_last(path, lambda array: tuple(array.shape))


def last_array(path: Path) -> np.ndarray:
    """The array that stands last among the names of a file, as stored.

    Raises:
        DataError: not readable, not HDF5, damaged, the last name is no array of real numbers, or it is more than the file can hold.
    """
    return _with_last(path, lambda array: np.asarray(array[()]))


def _with_last(path: Path, use: Any) -> Any:
    import h5py

    if not is_hdf5(path):
        raise DataError(f"{path}: {'not an HDF5 file' if path.is_file() else 'cannot be read as a file'}")
    try:
        with h5py.File(path, "r") as file:
            names = list(file.keys())
            if not names:
                raise DataError(f"{path}: holds no array")
            name = names[-1]
            link = file.get(name, getlink=True)
            array = file[name] if isinstance(link, h5py.HardLink) else None
            if not isinstance(array, h5py.Dataset):
                raise DataError(f"{path}: {name[:40]!r} is no array that lies in this file")
            _check(array, f"{path}: array {name[:40]!r}", path.stat().st_size)
            return use(array)
    except DataError:
        raise
    except Exception as error:  # h5py raises of every kind on bytes that are wrong further in
        raise DataError(f"{path}: damaged HDF5 file ({type(error).__name__}: {str(error)[:100]})") from error


def _check(array: Any, where: str, size: int) -> None:
    """Refuse what should not be read."""
    dtype = array.dtype
    if dtype.kind not in "fiu" or array.shape is None:
        raise DataError(f"{where} holds {dtype}, wanted real numbers")
    if array.external or array.is_virtual:
        raise DataError(f"{where} lies in another file; copy it into this one")
    stored, wanted = array.id.get_storage_size(), math.prod(array.shape) * dtype.itemsize
    if wanted > min(LIMIT, DENSE * stored) or stored > size:
        raise DataError(f"{where} should have size {array.shape}, {wanted} bytes, but {stored} are stored; the file is damaged")
    plan = array.id.get_create_plist()
    filters = [plan.get_filter(n)[0] for n in range(plan.get_nfilters())]
    odd = [f for f in filters if f not in FILTERS]
    if odd:
        raise DataError(f"{where} is packed with filter {odd[0]}, which does not come with HDF5; repack it with gzip")
    if array.chunks is None:
        return
    piece, pieces = math.prod(array.chunks) * dtype.itemsize, []
    array.id.chunk_iter(lambda info: pieces.append((info.byte_offset, info.size)))
    most = math.prod(-(-n // c) for n, c in zip(array.shape, array.chunks, strict=True))
    for offset, length in pieces:
        if not LEAST <= length <= size - offset or (not filters and length != piece) or piece > min(LIMIT, DENSE * length):
            raise DataError(f"{where} is damaged: a piece of {length} bytes at byte {offset} cannot be right")
    if len(pieces) > most:
        raise DataError(f"{where} is damaged: it is stored in {len(pieces)} pieces, wanted up to {most}")
