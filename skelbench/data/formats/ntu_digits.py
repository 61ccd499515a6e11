"""Decimal numbers out of bytes, thousands at a time: eight digits are one 64-bit word, and a word is read in twelve operations.

A number is exact: its digits make a whole number below 2^53, which is divided once by a power of ten; so it equals ``float(text)``
bit by bit. What is not of the plain form ``-12.345`` (exponents, NaN, more than 15 digits) is only marked, for the caller to read.
Words are little-endian: the first character of a text is the lowest byte.
"""

from __future__ import annotations

import numpy as np

U = np.uint64
SPACE, MINUS, POINT, ZERO = 32, 45, 46, 48  # characters
ZEROS = U(0x3030303030303030)
TOP, ABOVE_NINE = U(0x8080808080808080), U(0x7676767676767676)
LAST = np.asarray(
    [0, *(((1 << 64) - 1) << 8 * (8 - n) & ((1 << 64) - 1) for n in range(1, 9))], U
)  # masks of the last n characters
TENS = np.asarray([10**n for n in range(17)], U)
SIGNED_TENS = np.concatenate([10.0 ** np.arange(17), -(10.0 ** np.arange(17))])
DIGITS = 15  # decimal digits that always fit into a double


class Marks:
    """Where one character stands in a text, one bit a byte."""

    def __init__(self, text: np.ndarray, character: int) -> None:
        packed = np.packbits(text == character, bitorder="little")
        self.words = np.zeros((len(packed) + 23) // 8, U)  # one word more than needed, so that every place has 57 bits after it
        self.words.view(np.uint8)[: len(packed)] = packed

    def before(self, places: np.ndarray) -> np.ndarray:
        """How many stand before each of these places (n,)."""
        total = np.zeros(len(self.words) + 1, np.int64)
        np.cumsum(np.bitwise_count(self.words), out=total[1:])
        word = places >> 6
        part = self.words[word] & ((U(1) << (places & 63).astype(U)) - U(1))
        return total[word] + np.bitwise_count(part)

    def after(self, places: np.ndarray) -> np.ndarray:
        """The 57 bits and more that begin at each of these places, the nearest one lowest (n,)."""
        return _bytes_at(self.words.data, places >> 3) >> (places & 7).astype(U)

    @property
    def doubled(self) -> bool:
        """Whether two stand side by side."""
        words = self.words
        return bool((words & (words >> U(1))).any() or (words[1:] & (words[:-1] >> U(63))).any())


def _bytes_at(data: bytes | memoryview, places: np.ndarray) -> np.ndarray:
    """The eight bytes from each place on, as words (n,)."""
    size = data.nbytes if isinstance(data, memoryview) else len(data)
    # A type of eight opaque bytes at a stride of one: numpy copies whole words from any address.
    windows: np.ndarray = np.ndarray((size - 7,), "V8", data, 0, (1,))
    return windows[places].view("<u8")


def columns(spaces: Marks, points: Marks, starts: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The first columns of lines whose columns are parted by single spaces.

    Args:
        spaces: where spaces stand.
        points: where decimal points stand.
        starts: (n,) first byte of each line.
        count: of columns; another one must follow them.

    Returns:
        First byte, decimal point (the end where there is none) and end of every column (count, n), and whether the columns of a
        line lie within 57 bytes (n,); where they do not, the other three are not right.
    """
    space, point = spaces.after(starts), points.after(starts)
    begin, middle, end = (np.empty((count, len(starts)), np.int64) for _ in range(3))
    inside = np.ones(len(starts), bool)
    at = starts
    for c in range(count):
        less_space, less_point = space - U(1), point - U(1)
        to_space = np.bitwise_count(space ^ less_space) - np.uint8(1)  # bits below the lowest one
        to_point = np.bitwise_count(point ^ less_point) - np.uint8(1)
        inside &= space != 0
        begin[c] = at
        np.add(starts, to_space, out=end[c])
        np.add(starts, np.minimum(to_space, to_point), out=middle[c])
        at = end[c] + 1
        space &= less_space
        dotted = to_point < to_space
        point = point & less_point if dotted.all() else np.where(dotted, point & less_point, point)
    return begin, middle, end, inside


def decimals(data: bytes, begin: np.ndarray, middle: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers in these spans of a text, and which of them are not of the plain form and were not read.

    Args:
        data: the text.
        begin: (n,) first byte of each number, from 16 on.
        middle: (n,) its decimal point, or ``end``.
        end: (n,) the byte after it.

    Returns:
        float64 (n,), and bool (n,): the value there means nothing.
    """
    text = np.frombuffer(data, np.uint8)
    minus = text[begin] == MINUS
    whole = middle - begin - minus  # digits before the point
    part = np.maximum(end - middle - 1, 0)  # and after it
    odd = (whole < 0) | (whole > 8) | (part > DIGITS) | (whole + part > DIGITS) | (whole + part < 1)
    short = np.minimum(part, 8)
    value, wrong = _eight(_bytes_at(data, end - 8), short)
    odd |= wrong
    long = np.flatnonzero((part > 8) & ~odd)
    if len(long):
        more, wrong = _eight(_bytes_at(data, end[long] - 16), part[long] - 8)
        value[long] += more * TENS[8]
        odd[long] |= wrong
    power = np.minimum(part, 16)
    if (whole == 1).all():
        front = text[middle - 1] - np.uint8(ZERO)
        odd |= front > 9
        value += front * TENS[power]
    else:
        before, wrong = _eight(_bytes_at(data, middle - 8), np.clip(whole, 0, 8))
        odd |= wrong
        value += before * TENS[power]
    return value / SIGNED_TENS[power + 17 * minus], odd


def _eight(words: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The whole number that the last ``length`` characters of each word spell, and which of them hold something else."""
    d = (words ^ ZEROS) & LAST[length]  # one digit a byte
    wrong = (((d + ABOVE_NINE) | d) & TOP) != 0
    d = (d * U(10) + (d >> U(8))) & U(0x00FF00FF00FF00FF)
    d = (d * U(100) + (d >> U(16))) & U(0x0000FFFF0000FFFF)
    return (d * U(10_000) + (d >> U(32))) & U(0xFFFFFFFF), wrong
