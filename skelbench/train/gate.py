"""Who may touch a run now: one thread at a time, between two steps, and those who ask come before the next step."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

import torch


class Gate:
    """A lock that the training loop takes for every step and that lets everybody else in first.

    A plain lock would starve them: the loop takes it again the moment it lets go. Entering again on the same thread is allowed
    (a listener runs inside the step that calls it).
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._owner: int | None = None
        self._depth = 0
        self._asking = 0

    @contextlib.contextmanager
    def stepping(self) -> Iterator[None]:
        """For the loop: wait until nobody else wants in."""
        with self._changed:
            self._changed.wait_for(lambda: self._owner is None and not self._asking)
            self._owner, self._depth = threading.get_ident(), 1
        try:
            yield
        finally:
            self._leave()

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """For everybody else: in as soon as the present step is done."""
        me = threading.get_ident()
        with self._changed:
            if self._owner != me:
                self._asking += 1
                try:
                    self._changed.wait_for(lambda: self._owner is None)
                finally:
                    self._asking -= 1
            self._owner, self._depth = me, self._depth + 1
        try:
            yield
        finally:
            self._leave()

    @contextlib.contextmanager
    def if_free(self) -> Iterator[bool]:
        """For those who must not wait: True where nobody is inside."""
        with self._changed:
            free = self._owner is None
            if free:
                self._owner, self._depth = threading.get_ident(), 1
        try:
            yield free
        finally:
            if free:
                self._leave()

    @property
    def mine(self) -> bool:
        """Whether this thread is inside."""
        return self._owner == threading.get_ident()

    def _leave(self) -> None:
        with self._changed:
            self._depth -= 1
            if not self._depth:
                self._owner = None
                self._changed.notify_all()


@contextlib.contextmanager
def cpu_threads(wanted: int) -> Iterator[None]:
    """So many CPU threads inside (the number belongs to the thread that asks, a worker thread does not inherit it)."""
    before = torch.get_num_threads()
    if before != wanted:
        torch.set_num_threads(wanted)
    try:
        yield
    finally:
        if before != wanted:
            torch.set_num_threads(before)


@contextlib.contextmanager
def whole_steps() -> Iterator[None]:
    """Hold Ctrl-C back until the step inside is done; a second one breaks through."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    held = []

    def hold(number: int, frame: Any) -> None:
        held.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if held:
        raise KeyboardInterrupt
