"""The state of the machine that a pickle drives: stack, marks, memo, the place in the file, and a budget."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from typing import Any

from skelbench.data.formats.pickle_values import NotPlain

STOP = 0x2E


class Machine:
    """The pickle language on checked values. ``at`` is the byte that comes next."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self.data = data
        self.view = memoryview(data)
        self.at = 0
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # what stands under each mark
        self.memo: dict[int, Any] = {}
        self.budget = min(max(1 << 28, 16 * len(data)), 1 << 34)  # bytes for containers and copies

    def run(self, steps: Sequence[Callable[[Machine], None]]) -> Any:
        """Carry out everything up to STOP.

        Args:
            steps: one a byte value, 256 of them.

        Raises:
            NotPlain: something that plain data has no use for.
            IndexError, struct.error, ValueError: no pickle, or cut short or damaged.
        """
        data = self.data
        while (code := data[self.at]) != STOP:
            self.at += 1
            steps[code](self)
        if len(self.stack) != 1 or self.below:
            raise IndexError
        return self.stack[0]

    def spend(self, size: int) -> None:
        """Note memory or time, in bytes, that an instruction takes beyond its own length."""
        self.budget -= size
        if self.budget < 0:
            raise NotPlain("far more than its size allows: it is made to fill the memory")

    def take(self, size: int) -> memoryview:
        """The next bytes."""
        start, self.at = self.at, self.at + size
        if self.at > len(self.view):
            raise IndexError
        return self.view[start : self.at]

    def number(self, size: int) -> int:
        """A length, little-endian."""
        return int.from_bytes(self.take(size), "little")

    def line(self, most: int) -> bytes:
        """Up to the next line end, which is left out."""
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise IndexError
        if end - self.at > most:
            raise ValueError(f"a line of {end - self.at} characters")
        found = self.data[self.at : end]
        self.at = end + 1
        return found

    def marked(self) -> list[Any]:
        """What stands above the last mark, which is removed."""
        items, self.stack = self.stack, self.below.pop()
        return items
