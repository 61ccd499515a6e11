"""What a pickle of plain data may name, and what becomes of it. A name is only ever a :class:`Name`, never the thing itself.

The names are those that lists, numbers and NumPy arrays need, written by any Python since 2 and any NumPy. Values are made here,
from arguments whose types and sizes were checked; no constructor of the pickle's choice is called. Arrays are views of the file.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")  # NumPy moved it in version 2
NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
BUILTINS = ("builtins", "__builtin__")  # the second one is Python 2's
NAMES: dict[tuple[str, str], str] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    **{(module, "_reconstruct"): "reconstruct" for module in MULTIARRAY},
    **{(module, "scalar"): "scalar" for module in MULTIARRAY},
    **{(module, "_frombuffer"): "frombuffer" for module in NUMERIC},
    ("_codecs", "encode"): "encode",
    ("collections", "OrderedDict"): "OrderedDict",
    **{(module, name): name for module in BUILTINS for name in ("set", "frozenset", "bytes", "bytearray", "complex")},
}
DTYPE = re.compile(r"[<>|=]?([biuf]\d{1,2}|[SU]\d{1,9}|\?)")
MOST_AXES = 32
LONG_KEY, MOST_ODD_KEYS = 8, 1000  # entries of a tuple that is a key; keys of one table that are no text


class NotPlain(Exception):
    """A value is not plain data. The machine that meets it adds the file and the place."""


@dataclass(frozen=True)
class Name:
    """One of ``NAMES``, as the pickle spelled it."""

    kind: str


@dataclass(eq=False)
class PendingType:
    """A NumPy type, until its byte order is told."""

    code: str
    dtype: np.dtype


@dataclass(eq=False)
class PendingArray:
    """An array of which only the name is known; ``memo`` holds the places where the pickle keeps it."""

    memo: list[int] = field(default_factory=list)


def _is(value: Any, *words: str) -> bool:
    return type(value) is str and value in words


def dtype_of(args: tuple[Any, ...]) -> PendingType:
    """A type from ``numpy.dtype(code, align, copy)``."""
    code = args[0] if args and len(args) <= 3 else None
    if not isinstance(code, str):
        raise NotPlain("a NumPy type without a code")
    if code.lstrip("<>|=").startswith("O"):
        raise NotPlain(
            "a NumPy array of Python objects, which can hide anything; save numbers or text, e.g. list(array), in the program that"
            " made it"
        )
    if not DTYPE.fullmatch(code):
        raise NotPlain(f"the NumPy type {ascii(code)[:40]}; wanted whole numbers, floats, bool or text")
    try:
        return PendingType(code, np.dtype(code))
    except (TypeError, ValueError, OverflowError) as error:
        raise NotPlain(f"the NumPy type {code!r}, which does not exist here") from error


def finish_dtype(pending: PendingType, state: Any) -> None:
    """Set the byte order, as ``dtype.__setstate__`` would: (version, order, None, None, None, size, alignment, flags)."""
    if type(state) is not tuple or not 8 <= len(state) <= 9 or not _is(state[1], "<", ">", "|", "="):
        raise NotPlain("a NumPy type whose description is damaged")
    if any(part is not None for part in state[2:5]):
        raise NotPlain("a NumPy array of records; save every field as an array of its own")
    if type(state[5]) is not int or state[5] not in (-1, pending.dtype.itemsize):
        raise NotPlain(f"the NumPy type {pending.code!r} with elements of another size")
    pending.dtype = pending.dtype.newbyteorder(state[1])


def array_of(raw: Any, pending: Any, shape: Any, order: Any, spend: Callable[[int], None]) -> np.ndarray:
    """An array over the bytes of the pickle, not copied where the pickle holds them as they are.

    Args:
        raw: bytes, or text in Latin-1 (pickles of protocol 2 and below).
        pending: its type.
        shape: a tuple of whole numbers; must fit the number of bytes.
        order: ``"C"`` or ``"F"``.
        spend: called with the number of bytes that are copied or looked at.
    """
    if isinstance(raw, str):
        spend(len(raw))
        try:
            raw = raw.encode("latin-1")
        except UnicodeEncodeError as error:
            raise NotPlain("a NumPy array whose bytes are not bytes") from error
    if isinstance(raw, list):
        raise NotPlain("a NumPy array of Python objects, which can hide anything; save numbers or text")
    if not isinstance(raw, bytes | memoryview) or not isinstance(pending, PendingType) or not _is(order, "C", "F"):
        raise NotPlain("a NumPy array whose description is damaged")
    if not isinstance(shape, tuple) or len(shape) > MOST_AXES or not all(type(n) is int and n >= 0 for n in shape):
        raise NotPlain("a NumPy array whose shape is not a tuple of whole numbers")
    dtype = pending.dtype
    wanted = math.prod(shape) * dtype.itemsize
    if wanted != len(raw):
        raise NotPlain(f"a NumPy array of {dtype} {shape}, for which {wanted} bytes are needed and {len(raw)} are there"[:300])
    if wanted == 0:
        if max(shape, default=0) > 1 << 40:
            raise NotPlain("an empty NumPy array with an axis of absurd length")
        return np.zeros(shape, dtype)
    array = np.frombuffer(raw, dtype)
    if dtype.kind == "U":
        spend(len(raw))
        points = array.view(np.dtype("u4").newbyteorder(dtype.byteorder))
        if ((points > 0x10FFFF) | ((points >= 0xD800) & (points < 0xE000))).any():
            raise NotPlain("a NumPy array of text with characters that do not exist")
    return array.reshape(shape, order=order)


def _reconstruct(args: tuple[Any, ...], spend: Callable[[int], None]) -> Any:
    empty = len(args) == 3 and type(args[1]) is tuple and len(args[1]) == 1 and type(args[1][0]) is int and args[1][0] == 0
    if not empty or type(args[0]) is not Name or args[0].kind != "ndarray":
        raise NotPlain("a NumPy array of an unusual kind; save plain arrays (numpy.asarray(x))")
    return PendingArray()


def finish_array(state: Any, spend: Callable[[int], None]) -> np.ndarray:
    """The array that ``ndarray.__setstate__`` would make: (version, shape, type, whether Fortran order, bytes)."""
    if not isinstance(state, tuple) or len(state) not in (4, 5):
        raise NotPlain("a NumPy array whose description is damaged")
    shape, pending, fortran, raw = state[-4:]
    if type(fortran) not in (bool, int):
        raise NotPlain("a NumPy array whose description is damaged")
    return array_of(raw, pending, shape, "F" if fortran else "C", spend)


def _frombuffer(args: tuple[Any, ...], spend: Callable[[int], None]) -> Any:
    if len(args) == 4:
        return array_of(*args, spend)
    if len(args) != 5 or not _is(args[3], "K") or type(args[2]) is not tuple or type(args[4]) is not tuple:
        raise NotPlain("a NumPy array whose description is damaged")
    raw, pending, shape, _, axes = args  # the shape as it lies in memory, and which of its axes stands where
    if not all(type(a) is int for a in axes) or sorted(axes) != list(range(len(shape))):
        raise NotPlain("a NumPy array whose axes are in no order")
    return array_of(raw, pending, shape, "C", spend).transpose(axes)


def _scalar(args: tuple[Any, ...], spend: Callable[[int], None]) -> Any:
    if len(args) != 2:
        raise NotPlain("a NumPy number whose description is damaged")
    spend(len(args[1]) if isinstance(args[1], bytes | memoryview | str) else 0)
    return array_of(args[1], args[0], (), "C", spend)[()]


def _encode(args: tuple[Any, ...], spend: Callable[[int], None]) -> Any:
    if len(args) != 2 or not isinstance(args[0], str) or not _is(args[1], "latin1", "latin-1"):
        raise NotPlain("a call of _codecs.encode that is not the one bytes are written with")
    spend(len(args[0]))
    try:
        return args[0].encode("latin-1")
    except UnicodeEncodeError as error:
        raise NotPlain("bytes with values above 255") from error


def _dtype(args: tuple[Any, ...], spend: Callable[[int], None]) -> Any:
    return dtype_of(args)


def _bytes(args: tuple[Any, ...], spend: Callable[[int], None]) -> Any:
    """``bytes()`` and ``bytearray()``, ``bytearray(b"..")``, ``bytearray("..", "latin-1")``."""
    if args == ():
        return b""
    if len(args) == 2:
        return _encode(args, spend)
    if len(args) != 1 or not isinstance(args[0], bytes | memoryview):
        raise NotPlain("bytes made from something that is neither bytes nor text")
    return args[0]


def _set(args: tuple[Any, ...], spend: Callable[[int], None]) -> Any:
    if len(args) != 1 or type(args[0]) is not list:
        raise NotPlain("a set made from something that is not a list")
    spend(216 + 64 * len(args[0]))
    check_keys(args[0])
    return set(args[0])


def _frozenset(args: tuple[Any, ...], spend: Callable[[int], None]) -> Any:
    return frozenset(_set(args, spend))


def _complex(args: tuple[Any, ...], spend: Callable[[int], None]) -> Any:
    if len(args) != 2 or not all(type(a) is float for a in args):
        raise NotPlain("a complex number without two floats")
    return complex(*args)


def _ordered(args: tuple[Any, ...], spend: Callable[[int], None]) -> Any:
    """``OrderedDict()``, or with a list of pairs (Python 2)."""
    pairs = args[0] if len(args) == 1 else [] if args == () else None
    if not isinstance(pairs, list) or not all(type(p) in (list, tuple) and len(p) == 2 for p in pairs):
        raise NotPlain("an OrderedDict made from something that is not a list of pairs")
    spend(128 + 128 * len(pairs))
    check_keys([p[0] for p in pairs])
    return OrderedDict(pairs)


MAKERS: dict[str, Callable[[tuple[Any, ...], Callable[[int], None]], Any]] = {
    "reconstruct": _reconstruct,
    "dtype": _dtype,
    "scalar": _scalar,
    "frombuffer": _frombuffer,
    "encode": _encode,
    "bytes": _bytes,
    "bytearray": _bytes,
    "set": _set,
    "frozenset": _frozenset,
    "complex": _complex,
    "OrderedDict": _ordered,
}


def check_keys(keys: list[Any], there: int = 0) -> None:
    """Keys of a table, or members of a set, that are quick to look up: text, numbers, or short tuples of them.

    A nested tuple can take for ever to hash, and numbers can be chosen so that all fall into one slot; text cannot.

    Args:
        keys: the new ones.
        there: keys the table has already.
    """
    odd = [k for k in keys if type(k) is not str]
    for key in odd:
        parts = key if type(key) is tuple else (key,)
        if len(parts) > LONG_KEY or not all(_simple(p) for p in parts):
            raise NotPlain(f"a table whose key is a {type(key).__name__}; wanted text or numbers")
    if odd and there + len(odd) > MOST_ODD_KEYS:
        raise NotPlain(f"a table with more than {MOST_ODD_KEYS} keys that are no text")


def _simple(key: Any) -> bool:
    if type(key) is int:
        return -(1 << 63) <= key < 1 << 64
    return type(key) in (str, float, bool, bytes) or key is None or isinstance(key, np.generic)
