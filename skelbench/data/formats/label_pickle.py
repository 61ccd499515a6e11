"""Label files of ST-GCN and its descendants: a pickle of the tuple (names, labels), two lists of one length.

PSUMNet's (also for NTU-X) have the pair as the first element of a list; HaLP's for PKU-MMD have labels as floats. Both are read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.formats.pyskl_file import whole
from skelbench.data.formats.unpickle import load_pickle
from skelbench.errors import DataError

LIMIT = 1 << 30  # bytes
MOST = 1 << 20  # a label


def read_label_pickle(path: Path) -> tuple[list[str], np.ndarray]:
    """Names as they stand in the file, and labels (N,) int64, counted from 0; -1 unknown.

    Raises:
        DataError: no such pickle (see :func:`skelbench.data.formats.unpickle.load_pickle`), or not two lists of one length.
    """
    names, labels = _pair(load_pickle(path, limit=LIMIT), path)
    if len(names) != len(labels):
        raise DataError(f"{path}: {len(names)} names but {len(labels)} labels; wanted one label a name")
    if not len(names):
        raise DataError(f"{path}: holds no label")
    odd = next((n for n, name in enumerate(names) if not isinstance(name, str) or not 0 < len(name) <= 4096), None)
    if odd is not None:
        raise DataError(f"{path}: entry {odd} of the names is no name; wanted two lists, names and labels")
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "iu":
        return [str(n) for n in names], _checked(labels, path)
    numbers = [whole(value, -1, MOST, f"{path}: label {n} ({names[n][:60]!r})") for n, value in enumerate(labels)]
    return [str(n) for n in names], np.asarray(numbers, np.int64)


def _checked(labels: np.ndarray, path: Path) -> np.ndarray:
    odd = np.flatnonzero((labels < -1) | (labels > MOST))
    if len(odd):
        raise DataError(f"{path}: label {odd[0]} is {labels[odd[0]]}, wanted -1 to {MOST}")
    return labels.astype(np.int64)


def _pair(content: Any, path: Path) -> tuple[Any, Any]:
    """The two lists."""
    for given in (content, content[0] if isinstance(content, list | tuple) and len(content) else None):
        if isinstance(given, list | tuple) and len(given) == 2 and all(_row(part) for part in given):
            return given[0], given[1]
    raise DataError(f"{path}: wanted the pair (names, labels), two lists; found a {type(content).__name__}")


def _row(part: Any) -> bool:
    """Whether it is a list of single values: pairs of lists are not."""
    if isinstance(part, np.ndarray):
        return part.ndim == 1
    return isinstance(part, list | tuple) and not (len(part) and isinstance(part[0], list | tuple | dict | set))
