"""JSON of unknown origin, read with bounds: on size, nesting, tokens that are no JSON, and keys that stand twice."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skelbench.data.formats.on_disk import LIMIT, whole_file
from skelbench.errors import DataError

DEPTH = 32  # brackets inside each other; the formats here need six
STRING = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)  # matches what it begins with, so the search never goes back
CONSTANT = re.compile(rb"-?Infinity|NaN")
STEP = 1 << 20  # brackets counted in one go
OTHERS = bytes(c for c in range(256) if c not in b"[]{}")


def load_json(path: Path, *, limit: int = LIMIT, depth: int = DEPTH, nan: bool = False) -> Any:
    """What a JSON file holds: dict, list, str, float, int, bool or None.

    Args:
        path: the file.
        limit: bytes it may have. Python needs about ten times that while reading.
        depth: brackets that may stand inside each other.
        nan: read the tokens NaN, Infinity and -Infinity, which some writers leave for a missing value, as ``float("nan")``.

    Raises:
        DataError: not readable, too large, nested too deeply, not UTF-8, not JSON, one of those tokens without ``nan``, a key twice
            in one object, or half of a surrogate pair. The message holds file and, where there is one, line.
    """
    data = whole_file(path, limit=limit)
    bare = STRING.sub(b'""', data)  # brackets and tokens inside strings do not count
    _check_depth(path, bare, depth)
    found = CONSTANT.search(bare)
    if found and not nan:
        line = bare.count(b"\n", 0, found.start()) + 1
        raise DataError(f"{path}:{line}: holds {found[0].decode()}, which is not a JSON number; wanted finite numbers")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            keys = [k for k, _ in pairs]
            twice = next(k for k in keys if keys.count(k) > 1)
            raise DataError(f"{path}: the key {twice[:60]!r} stands twice in one object; keep one of them")
        return table

    try:
        table = json.loads(data.decode("utf-8-sig"), object_pairs_hook=once, parse_constant=lambda _: float("nan"))
        if rb"\ud" in data.lower():  # the only way to half a pair: the file itself is UTF-8
            json.dumps(table, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}:{data.count(bytes([10]), 0, error.start) + 1}: not UTF-8 text (byte {error.start})") from error
    except UnicodeEncodeError as error:
        raise DataError(f"{path}: a string holds half of a surrogate pair; write the character itself") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg}, column {error.colno})") from error
    except DataError:
        raise
    except ValueError as error:  # a whole number of more than 4300 digits
        raise DataError(f"{path}: holds a number that cannot be read ({error})") from error
    return table


def number_array(value: Any, shape: Sequence[int | None], where: str) -> np.ndarray:
    """Nested lists as a float64 array of a given shape; None in ``shape`` stands for any size, also zero.

    A null becomes NaN; whether that is allowed, like any other value, is for the caller to say.

    Raises:
        DataError: rows of different sizes, something that is no number, or another shape; ``where`` opens the message.
    """
    wanted = " x ".join("any number" if n is None else str(n) for n in shape)
    if not isinstance(value, list):
        raise DataError(f"{where}: found {_kind(value)}, wanted a list of numbers, {wanted}")
    if not value and shape[0] in (None, 0):
        return np.zeros([n or 0 for n in shape])
    try:
        array = np.asarray(value, np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{where}: {_odd(value, shape, ())}; wanted numbers, {wanted}") from error
    if array.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, array.shape, strict=True)):
        raise DataError(f"{where}: {_odd(value, shape, ())}; wanted numbers, {wanted}")
    return array


def _check_depth(path: Path, bare: bytes, depth: int) -> None:
    brackets, level = np.frombuffer(bare.translate(None, OTHERS), np.uint8), 0
    for start in range(0, len(brackets), STEP):
        part = brackets[start : start + STEP]
        levels = level + np.cumsum(np.where((part == ord("[")) | (part == ord("{")), 1, -1))
        if levels.max() > depth:
            nth = start + int(np.argmax(levels > depth))
            at = next(itertools.islice(re.finditer(rb"[\[\]{}]", bare), nth, None)).start()
            line = bare.count(b"\n", 0, at) + 1
            raise DataError(f"{path}:{line}: more than {depth} brackets inside each other; no format nests that deeply")
        level = int(levels[-1])


def _kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, int | float):
        return "the number " + (f"{value:g}" if isinstance(value, float) or abs(value) < 10**300 else "of over 300 digits")
    return f"a list of {len(value)}" if isinstance(value, list) else "an object"


def _odd(value: Any, shape: Sequence[int | None], at: tuple[int, ...]) -> str:
    """The first place where nested lists leave the shape, in words. Walks the lists one by one, once something is wrong."""
    place = f"item [{']['.join(map(str, at))}] is " if at else "found "
    if not shape:
        plain = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
        return "" if plain or value is None or (isinstance(value, str) and _reads(value)) else place + _kind(value)
    if not isinstance(value, list) or (shape[0] is not None and len(value) != shape[0]):
        return place + _kind(value)
    found = (_odd(v, shape[1:], (*at, n)) for n, v in enumerate(value))
    return next((words for words in found if words), "" if at else "rows of different sizes")


def _reads(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
