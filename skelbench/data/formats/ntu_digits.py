"""Decimal numbers out of bytes, thousands at a time: eight digits are one 64-bit word, and a word is read in twelve operations.

A number is exact: its digits make a whole number below 2^53, which is divided once by a power of ten; so it equals ``float(text)``
bit by bit. What is not of the plain form ``-1.2345`` (ten metres and more, whole numbers, exponents, NaN) is only marked.
Words are little-endian: the first character of a text is the lowest byte.
"""

from __future__ import annotations

import numpy as np

U, BYTE = np.uint64, np.uint8
SPACE, MINUS, POINT, ZERO = 32, 45, 46, 48  # characters
ZEROS = U(0x3030303030303030)
TOP, ABOVE_NINE = U(0x8080808080808080), U(0x7676767676767676)
WORD = (1 << 64) - 1
LAST = np.asarray([WORD << 8 * (8 - n) & WORD for n in range(9)], U)  # masks of the last n characters
DIGITS = 14  # after the point; with the one before it, they always fit into a double
TENS = np.asarray([10**n for n in range(DIGITS + 1)], U)
SIGNED_TENS = np.concatenate([10.0 ** np.arange(DIGITS + 1), -(10.0 ** np.arange(DIGITS + 1))])
PAIRS = [(U(8), U(10), U(0x00FF00FF00FF00FF)), (U(16), U(100), U(0x0000FFFF0000FFFF)), (U(32), U(10_000), U(0xFFFFFFFF))]


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


def columns(data: bytes, spaces: Marks, starts: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The numbers in the first columns of lines whose columns are parted by single spaces.

    Args:
        data: the text.
        spaces: where spaces stand in it.
        starts: (n,) first byte of each line, from 16 on.
        count: of columns; another one must follow them.

    Returns:
        float64 (count, n), and bool (count, n): not of the plain form, the value there means nothing. None where the columns of a
        line do not lie within 57 bytes.
    """
    space = spaces.after(starts)
    begin, end = np.zeros((count, len(starts)), BYTE), np.empty((count, len(starts)), BYTE)  # within the line
    for c in range(count):
        less = space - U(1)
        np.subtract(np.bitwise_count(space ^ less), BYTE(1), out=end[c])  # bits below the lowest one
        if c + 1 < count:
            np.add(end[c], BYTE(1), out=begin[c + 1])
            space &= less
    return _decimals(data, starts, begin, end) if space.all() else None


def _decimals(data: bytes, starts: np.ndarray, begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers between the bytes ``begin`` and ``end`` (count, n) of lines."""
    text = np.frombuffer(data, np.uint8)
    at, stop = (starts + begin).ravel(), (starts + end).ravel()
    minus = text[at] == MINUS
    at += minus
    front = text[at] - BYTE(ZERO)  # the digit before the point
    at += 1
    part = (end - begin).ravel() - minus - BYTE(2)  # digits after it; what is below zero is above 200 here
    odd = (front > 9) | (text[at] != POINT) | (part > DIGITS)
    value, wrong = _eight(_bytes_at(data, stop - 8), np.minimum(part, BYTE(8)))
    odd |= wrong
    long = np.flatnonzero((part > 8) & ~odd)
    if len(long):
        more, wrong = _eight(_bytes_at(data, stop[long] - 16), part[long] - BYTE(8))
        value[long] += more * TENS[8]
        odd[long] |= wrong
    power = np.minimum(part, BYTE(DIGITS))
    value += front * TENS.take(power)
    power += BYTE(len(TENS)) * minus
    return (value / SIGNED_TENS.take(power)).reshape(begin.shape), odd.reshape(begin.shape)


def _eight(words: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The whole number that the last ``length`` characters of each word spell, and which of them hold something else."""
    d = words ^ ZEROS  # one digit a byte
    d &= LAST.take(length)
    wrong = (((d + ABOVE_NINE) | d) & TOP) != 0
    for bits, ten, mask in PAIRS:  # two numbers beside each other become one, three times
        right = d >> bits
        d *= ten
        d += right
        d &= mask
    return d, wrong
